"""What was found about a tilt series before its pixels are read: `FoundSeries`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stinr.data.notes import Note, NoteKind, as_note
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.io.formats.containers import Stack


class NoAngles(StinrError):
    """Nothing gives the tilt angles of a stack; any other error in their place is about angles that do not fit."""


@dataclass(frozen=True, eq=False)
class Found:
    """Values and where they come from.

    Parameters
    ----------
    values : ndarray
        `(n_tilts,)` tilt angles [degrees] or times [unit] in stack order.
    note : Note
        Where they come from; of the kind ``ORDER_ASSUMED`` where nothing tells them and a guess stands in.
    unit : str
        Unit of times, "" where it is not known.
    """

    values: NDArray[np.float64]
    note: Note
    unit: str = ""

    @property
    def assumed(self) -> bool:
        """Whether they are a guess that the person must see."""
        return self.note.kind is NoteKind.ORDER_ASSUMED


@dataclass(frozen=True, eq=False)
class FoundSeries:
    """A tilt series whose pixels have not been read.

    Parameters
    ----------
    name : str
        Name for people.
    paths : tuple of Path
        Its image files in the order of the stack: one, or one for every tilt; none for images that are in memory only.
    stack : Stack
        Images, and what their files say.
    tilt_angles : Found or StinrError
        Tilt angles [degrees], or why there are none.
    times : Found
        Times.
    pixel_size : float, optional
        Width of a pixel [Å].
    pixel_size_note : Note
        Where it comes from.
    """

    name: str
    paths: tuple[Path, ...]
    stack: Stack
    tilt_angles: Found | StinrError
    times: Found
    pixel_size: float | None
    pixel_size_note: Note

    @property
    def path(self) -> Path:
        """File that messages name: the first; the name of the series where there is none."""
        return self.paths[0] if self.paths else Path(self.name)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was found, changed or assumed, one sentence each."""
        of_files = (as_note(text, NoteKind.FILE) for text in self.stack.notes)
        angles = () if isinstance(self.tilt_angles, StinrError) else (self.tilt_angles.note,)
        return (*of_files, *angles, self.times.note, self.pixel_size_note)
