"""What the files of a series say, each of them read once while the series is being opened: `Headers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.registry import read_stack
from napari_stinr.io.formats.three_angles import AngleList
from napari_stinr.io.series import sidecars
from napari_stinr.io.series.mdoc import Mdoc, is_mdoc, read_mdoc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.io.formats.containers import Stack
    from napari_stinr.io.series.timetables import Timetable

Content = TypeVar("Content")


class Headers:
    """Reads stacks, ``.mdoc`` files and lists, and remembers what they said, or why they could not be read.

    Which files belong together, what is a list and where the angles are, all depend on what files say: whoever opens a
    series hands one of these from step to step, and forgets it with the last. Files may change between two openings.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Callable[[Path], Any], Path], Any] = {}

    def stack(self, path: Path) -> Stack:
        """Return what :func:`~napari_stinr.io.formats.registry.read_stack` finds."""
        return self._once(read_stack, path)

    def mdoc(self, path: Path) -> Mdoc:
        """Return what :func:`~napari_stinr.io.series.mdoc.read_mdoc` finds."""
        return self._once(read_mdoc, path)

    def angles(self, path: Path) -> NDArray[np.float64]:
        """Return `(n_tilts,)` tilt angles of a list, see :func:`~napari_stinr.io.series.sidecars.read_angles`."""
        return self.angle_list(path).values

    def angle_list(self, path: Path) -> AngleList:
        """Return the same with what is to be said of the list."""
        if is_mdoc(path):
            return AngleList(sidecars.mdoc_angles(self.mdoc(path), path))
        return self._once(sidecars.read_angle_list, path)

    def timetable(self, path: Path) -> Timetable:
        """Return the times of a list, see :func:`~napari_stinr.io.series.sidecars.read_timetable`."""
        if is_mdoc(path):
            return sidecars.mdoc_timetable(self.mdoc(path), path)
        return self._once(sidecars.read_timetable, path)

    def _once(self, read: Callable[[Path], Content], path: Path) -> Content:
        key = (read, path)
        if key not in self._kept:
            try:
                self._kept[key] = read(path)
            except StinrError as error:
                self._kept[key] = error
        kept = self._kept[key]
        if isinstance(kept, StinrError):
            raise kept.with_traceback(None)
        content: Content = kept
        return content


def holds(read: Callable[[Path], Any], path: Path) -> bool:
    """Return whether a file can be read in some way.

    Parameters
    ----------
    read : callable
        Reads it: any error means no, as who reads in earnest will say what is wrong.
    path : Path
        The file.

    Returns
    -------
    bool
        True where nothing was raised.
    """
    try:
        read(path)
    # Damaged files end in almost any exception inside the libraries.
    except Exception:
        return False
    return True
