"""Open a project by File > Open, or by dropping it on the canvas: it goes to the session, and adds no layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import PROJECT_ENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NOTHING: list[tuple[Any, ...]] = [(None,)]
"""What napari takes for: read, and there is nothing to show."""


def get_project_reader(path: str | Sequence[str]) -> Callable[[Any], list[tuple[Any, ...]]] | None:
    """Return the function that opens a project, as napari asks for it.

    Parameters
    ----------
    path : str or sequence of str
        A file, or files that were given together.

    Returns
    -------
    callable or None
        :func:`read_project`; None for anything but one project.
    """
    return read_project if _only(path) is not None else None


def read_project(path: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """Open a project in the current viewer, and its dock.

    Parameters
    ----------
    path : str or sequence of str
        The project.

    Returns
    -------
    list of tuple
        What tells napari that there is no layer to add.

    Raises
    ------
    StinrError
        There is no window.
    """
    from napari import current_viewer

    project, viewer = _only(path), current_viewer()
    if viewer is None or getattr(viewer, "window", None) is None or project is None:
        raise StinrError(
            f"{path} is a project, which a window shows",
            expected="napari with its window",
            cure="Open it there; a script reads the stack, and the runs by stinr.load_reconstruction.",
        )
    from napari_stinr.plugin.canvas.binding import binding_of
    from napari_stinr.plugin.canvas.dock_opener import open_dock_soon

    binding_of(viewer).project.open(project.expanduser().absolute())
    open_dock_soon()
    return _NOTHING


def _only(path: str | Sequence[str]) -> Path | None:
    files = [path] if isinstance(path, str) else list(path)
    return Path(files[0]) if len(files) == 1 and files[0].lower().endswith(PROJECT_ENDING) else None
