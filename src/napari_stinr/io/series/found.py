"""What was found about a tilt series before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.io.formats.containers import Stack


@dataclass(frozen=True, eq=False)
class Found:
    """Values and where they come from.

    Parameters
    ----------
    values : ndarray
        `(n_tilts,)` tilt angles [degrees] or times [unit] in stack order.
    note : str
        A sentence that says where they come from.
    unit : str
        Unit of times, "" where it is not known.
    assumed : bool
        Nothing tells them; they are a guess that the person must see.
    """

    values: NDArray[np.float64]
    note: str
    unit: str = ""
    assumed: bool = False


@dataclass(frozen=True, eq=False)
class FoundSeries:
    """A tilt series whose pixels have not been read.

    Parameters
    ----------
    name : str
        Name for people.
    paths : tuple of Path
        Its image files in the order of the stack: one, or one for every tilt.
    stack : Stack
        Images, and what their files say.
    tilt_angles : Found or StinrError
        Tilt angles [degrees], or why there are none.
    times : Found
        Times.
    pixel_size : float, optional
        Width of a pixel [Å].
    pixel_size_note : str
        A sentence that says where it comes from.
    """

    name: str
    paths: tuple[Path, ...]
    stack: Stack
    tilt_angles: Found | StinrError
    times: Found
    pixel_size: float | None
    pixel_size_note: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found, changed or assumed, one sentence each."""
        angles = () if isinstance(self.tilt_angles, StinrError) else (self.tilt_angles.note,)
        return (*self.stack.notes, *angles, self.times.note, self.pixel_size_note)
