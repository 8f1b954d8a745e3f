"""Open stacks, volumes, lists of tilt angles and reconstructions by File > Open, by dropping them, or from a script.

napari looks at names alone to choose a reader, so nothing is claimed here that others read too: TIFF stacks are taken
only when they are given together with their angles.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.plugin.draft import SeriesDraft

    LayerData = tuple[Any, ...]

MRC_ENDINGS = (".mrc", ".mrcs", ".st", ".ali", ".preali")
ANGLE_ENDINGS = (".rawtlt", ".tlt")
RUN_ENDING = ".stinr"
CLAIMED = (*MRC_ENDINGS, *ANGLE_ENDINGS, RUN_ENDING)
"""File endings that this reader is asked for, as in ``napari.yaml``."""
STACK_ENDINGS = (".mrc", ".st", ".ali", ".preali", ".mrcs", ".tif", ".tiff")
"""Stacks that a list of angles may belong to, in the order in which they are looked for."""
TABLE_ENDING = ".csv"

_NOTHING: list[LayerData] = [(None,)]
"""What napari takes for: read, and there is nothing to show."""
_HEADER_BYTES, _N_SECTIONS, _SPACE_GROUP = 1024, slice(8, 12), slice(88, 92)
_VOLUME = 1
"""Space group of a volume; 0 is that of an image stack (MRC2014)."""
_LEAST_SECTIONS = 3
"""Fewer images than this are no tilt series."""


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the function that reads a path, as napari asks for it.

    Parameters
    ----------
    path : str or sequence of str
        A file, or files that were given together.

    Returns
    -------
    callable or None
        :func:`read_layers`; None where nothing here reads all of them.
    """
    endings = [Path(one).suffix.lower() for one in _listed(path)]
    known = (*CLAIMED, *STACK_ENDINGS, TABLE_ENDING)
    claims = any(ending in CLAIMED for ending in endings) and all(ending in known for ending in endings)
    return read_layers if claims else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read files into layers.

    Parameters
    ----------
    path : str or sequence of str
        A file, or files that were given together: a stack takes the angles and the table of times among them.

    Returns
    -------
    list of tuple
        Data, keyword arguments and type of every layer for napari. When a person asked for the file in the window and
        it cannot be read, the reason is shown and the list says that there is nothing to show.

    Raises
    ------
    StinrError
        A file is missing, damaged or of another kind, or a list of angles has no stack.
    """
    in_window = _asked_in_window()
    try:
        layers = _layers([Path(one).expanduser().resolve() for one in _listed(path)], in_window)
    except StinrError as error:
        # napari puts a text of its own in place of a reader's error and would hide what is wrong and how to mend it.
        if not in_window:
            raise
        from napari.utils.notifications import show_error

        show_error(str(error))
        return _NOTHING
    if in_window:
        _tell_missing_angles(layers)
    return layers


def volume_layer(
    volume: NDArray[np.float32],
    *,
    name: str,
    voxel: float,
    unit: str,
    facts: dict[str, Any],
    draft: SeriesDraft | None = None,
) -> LayerData:
    """Return the layer that shows a volume.

    Parameters
    ----------
    volume : ndarray
        `(z, y, x)` values [V, or the unit of the file].
    name : str
        Name of the layer.
    voxel : float
        Edge of a voxel [unit].
    unit : str
        ``"nm"`` or ``"pixel"``.
    facts : dict
        What the layer belongs to: its ``metadata["stinr"]``.
    draft : SeriesDraft, optional
        The series in whose frame the volume lies.

    Returns
    -------
    tuple
        Data, keyword arguments and type for napari.
    """
    from napari_stinr.plugin.layer_data import METADATA_KEY, contrast_limits, placement, volume_placement

    depth, height, width = volume.shape
    options = {
        "name": name,
        "contrast_limits": contrast_limits(volume),
        "colormap": "gray",
        "metadata": {METADATA_KEY: facts},
        **placement(None, **volume_placement(draft, (depth, height, width), voxel, unit)),
    }
    return volume, options, "image"


def _layers(paths: list[Path], in_window: bool) -> list[LayerData]:
    stacks = [path for path in paths if path.suffix.lower() in STACK_ENDINGS]
    lists = [path for path in paths if path.suffix.lower() in ANGLE_ENDINGS]
    tables = [path for path in paths if path.suffix.lower() == TABLE_ENDING]
    layers = [_stack_layer(stack, _taken(lists, stack, stacks), _taken(tables, stack, stacks)) for stack in stacks]
    # What no stack among them took: a list of angles has its stack beside it.
    for angles in lists:
        draft = _given_draft(_stack_beside(angles), angles)
        layers += _NOTHING if in_window and _is_shown(draft, angles) else [_series_layer(draft)]
    if tables:
        raise StinrError(
            f"{tables[0].name} belongs to none of the files that were opened with it",
            expected="a table of times and one stack, or stacks that are named like it",
            cure="Open the stack, and give the table under times in the Tilt series dock.",
        )
    return layers + [_run_layer(path) for path in paths if path.suffix.lower() == RUN_ENDING]


def _taken(candidates: list[Path], stack: Path, stacks: list[Path]) -> Path | None:
    # A single stack takes whatever is given with it; among several the names must tell.
    fitting = [file for file in candidates if len(stacks) == 1 or file.stem.removesuffix("_times") == stack.stem]
    if not fitting:
        return None
    candidates.remove(fitting[0])
    return fitting[0]


def _stack_layer(stack: Path, angles: Path | None, times: Path | None) -> LayerData:
    from napari_stinr.io.containers import read_images
    from napari_stinr.io.sidecars import find_angle_file
    from napari_stinr.io.stacks import read_stack
    from napari_stinr.plugin.draft_sources import read_draft, times_from
    from napari_stinr.plugin.layer_data import pixel_size_in_view

    if angles is not None:
        return _series_layer(_given_draft(stack, angles, times))
    if times is not None:
        return _series_layer(times_from(read_draft(stack), str(times)))
    n_sections, space_group = _header(stack)
    few = 0 < n_sections < _LEAST_SECTIONS
    if few or (space_group == _VOLUME and find_angle_file(stack) is None):
        content = read_stack(stack)
        if few or content.tilt_angles is None:
            voxel, unit = pixel_size_in_view(content.pixel_size)
            volume = read_images(content.images, stack)
            return volume_layer(volume, name=stack.stem, voxel=voxel, unit=unit, facts={})
    return _series_layer(read_draft(stack))


def _series_layer(draft: SeriesDraft) -> LayerData:
    from napari_stinr.plugin.layer_data import series_layer

    return series_layer(draft)


def _given_draft(stack: Path, angles: Path, times: Path | None = None) -> SeriesDraft:
    from napari_stinr.plugin.draft_sources import read_draft

    return read_draft(stack, angles=angles, times=times)


def _stack_beside(angles: Path) -> Path:
    endings: tuple[str, ...] = STACK_ENDINGS
    if angles.suffix.lower() == ".tlt":
        # IMOD writes the angles that its alignment refined.
        endings = (".ali", ".preali", *(ending for ending in STACK_ENDINGS if ending not in (".ali", ".preali")))
    beside = {
        file.suffix.lower(): file for file in angles.parent.glob("*") if file.stem == angles.stem and file.is_file()
    }
    found = next((beside[ending] for ending in endings if ending in beside), None)
    if found is None:
        raise StinrError(
            f"{angles.name} lists tilt angles and its stack is not beside it",
            expected=f"one of {', '.join(angles.stem + ending for ending in endings)}",
            cure="Put it beside the list under the same name, or give the list as angles in the Tilt series dock.",
        )
    return found


def _is_shown(draft: SeriesDraft, angles: Path) -> bool:
    # Dropped together, stack and list arrive one after the other, and the stack has already found its angles.
    import napari
    import numpy as np
    from napari.utils.notifications import show_info

    from napari_stinr.plugin.layer_data import METADATA_KEY

    viewer = napari.current_viewer()
    for layer in () if viewer is None else viewer.layers:
        shown = layer.metadata.get(METADATA_KEY, {}).get("draft")
        if shown is not None and shown.path == draft.path and np.array_equal(shown.tilt_angles, draft.tilt_angles):
            show_info(f"The layer {layer.name} has the tilt angles of {angles.name} already.")
            return True
    return False


def _tell_missing_angles(layers: list[LayerData]) -> None:
    import numpy as np
    from napari.utils.notifications import show_info

    from napari_stinr.plugin.layer_data import METADATA_KEY

    for _, options, _ in (layer for layer in layers if len(layer) == 3):
        draft = options["metadata"][METADATA_KEY].get("draft")
        if draft is not None and not np.isfinite(draft.tilt_angles).all():
            show_info(f"No tilt angles were found for {draft.name}: give them in the Tilt series dock.")


def _run_layer(path: Path) -> LayerData:
    from napari_stinr.plugin.layer_data import pixel_size_in_view
    from napari_stinr.reconstruction import load_reconstruction

    reconstruction = load_reconstruction(path)
    size = reconstruction.voxel_size
    voxel, unit = (size, "pixel") if reconstruction.length_unit == "pixel" else pixel_size_in_view(size)
    name = f"{path.stem} clean (t = 0)"
    facts = {"reconstruction": reconstruction}
    return volume_layer(reconstruction.render(0.0), name=name, voxel=voxel, unit=unit, facts=facts)


def _header(path: Path) -> tuple[int, int]:
    """Return the number of images and the space group that an ``.mrc`` file states, (0, 0) where it does not."""
    # The other endings are those of stacks, whatever their headers say.
    if path.suffix.lower() != ".mrc":
        return 0, 0
    try:
        with path.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
    except OSError:  # reading the rest of it will say what is wrong
        return 0, 0
    # Either byte order: the numbers in question are small in the right one and huge in the wrong one.
    n_sections, space_group = (
        min(int.from_bytes(header[place], "little"), int.from_bytes(header[place], "big"))
        for place in (_N_SECTIONS, _SPACE_GROUP)
    )
    return n_sections, space_group


def _asked_in_window() -> bool:
    """Whether Qt handles an event, such as a menu or a drop: scripts run outside of its event loop."""
    try:
        from qtpy.QtCore import QCoreApplication, QThread
    except ImportError:
        return False
    application = QCoreApplication.instance()
    thread = QThread.currentThread()
    return application is not None and thread == application.thread() and thread.loopLevel() > 0


def _listed(path: str | os.PathLike[str] | Sequence[str]) -> list[str]:
    return [str(one) for one in path] if isinstance(path, (list, tuple)) else [str(path)]
