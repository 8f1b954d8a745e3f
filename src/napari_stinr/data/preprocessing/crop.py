"""A part of every image, cut out before anything else is done with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TEXT = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*")
_LEAST_ROWS, _LEAST_COLUMNS = 1, 2


@dataclass(frozen=True)
class Crop:
    """A rectangle of an image: rows `top` to `bottom` and columns `left` to `right`, from 0, the last left out.

    The tilt axis stays where it is in the specimen, so that its distance from the centre of the image is another one
    afterwards: along x where the axis is vertical, along y where it is horizontal and the images are to be turned.

    Parameters
    ----------
    top, bottom : int
        First row, and the one after the last [pixel of the file].
    left, right : int
        First column, and the one after the last [pixel of the file].
    """

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of_text(cls, text: str) -> Crop:
        """Read ``TOP:BOTTOM,LEFT:RIGHT``.

        Parameters
        ----------
        text : str
            Four positions such as ``"10:200,20:180"``.

        Returns
        -------
        Crop
            The rectangle.

        Raises
        ------
        StinrError
            It is another text.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise StinrError(
                f"a crop of {text!r}",
                expected="rows and columns as TOP:BOTTOM,LEFT:RIGHT, such as 10:200,20:180",
                cure="Positions count from 0, and the last of each is left out.",
            )
        return cls(*map(int, match.groups()))

    @property
    def text(self) -> str:
        """The rectangle as :meth:`of_text` reads it."""
        return f"{self.top}:{self.bottom},{self.left}:{self.right}"

    @property
    def shape(self) -> tuple[int, int]:
        """Size of what is left: (height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def note(self) -> Note:
        """What was done, in one sentence."""
        height, width = self.shape
        text = f"Cropped to rows {self.top} to {self.bottom - 1} and columns {self.left} to {self.right - 1} (from 0): "
        return Note(NoteKind.CROPPED, f"{text}{height} x {width} pixels.")

    def check(self, height: int, width: int) -> None:
        """Refuse a rectangle that is empty or not within images of a size with a StinrError."""
        rows, columns = self.shape
        is_within = self.top >= 0 and self.bottom <= height and self.left >= 0 and self.right <= width
        if not is_within or rows < _LEAST_ROWS or columns < _LEAST_COLUMNS:
            raise StinrError(
                f"a crop to {self.text} of projections of {height} x {width} pixels",
                expected=f"a rectangle within 0:{height},0:{width}, of {_LEAST_ROWS} x {_LEAST_COLUMNS} pixels or more",
                cure="Choose another rectangle, or leave it out for the whole image.",
            )

    def image(self, values: NDArray) -> NDArray:  # type: ignore[type-arg]  # of any type
        """Return `(..., height, width)` pixels within the rectangle; nothing is copied."""
        return values[..., self.top : self.bottom, self.left : self.right]

    def turned(self, height: int) -> Crop:
        """Return the same rectangle of images of this height after they are turned, when up becomes right."""
        return Crop(self.left, self.right, height - self.bottom, height - self.top)

    def turned_back(self, height: int) -> Crop:
        """Return the rectangle of images of this height of which this one is what :meth:`turned` gives."""
        return Crop(height - self.right, height - self.left, self.top, self.bottom)

    def axis_offset(self, offset: float, width: int) -> float:
        """Return the place of a vertical axis from the centre of the part, for one from that of the image [pixel]."""
        return offset - (self.left + self.right - width) / 2

    def turned_axis_offset(self, offset: float, height: int) -> float:
        """Return the same of an axis that is horizontal until the images are turned."""
        # What points up points right then: `data.preprocessing.prepare.turned`.
        return offset + (self.top + self.bottom - height) / 2
