"""Fewer, larger pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries

_MOST_SUMMED = 2**15
"""So many integers of 16 bits have a sum of 32 bits."""


@dataclass(frozen=True)
class Binning:
    """How images of one size are binned, image by image, so that a stack need not fit into memory before it is.

    The integral of a projection and the place of the rotation axis in the specimen stay the same. Where the size is
    not a multiple of the factor, rows and columns at the borders are left out, on both sides as evenly as possible.

    Parameters
    ----------
    height, width : int
        Size of the images [pixel].
    factor : int
        Edge of the squares of pixels whose mean becomes one pixel; 1 leaves an image as it is [pixel].
    """

    height: int
    width: int
    factor: int

    @classmethod
    def of(cls, height: int, width: int, factor: int) -> Binning:
        """Return the binning; a StinrError refuses a factor that leaves fewer than two columns or no row."""
        most = max(1, min(height, width // 2))
        if not 1 <= factor <= most:
            raise StinrError(
                f"a binning of {factor} for projections of {height} x {width} pixels",
                expected=f"1 to {most}",
                cure="Choose a smaller binning.",
            )
        return cls(height, width, factor)

    @property
    def shape(self) -> tuple[int, int]:
        """Size of the binned images: (height, width)."""
        return self.height // self.factor, self.width // self.factor

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was done, in one sentence; none for nothing."""
        if self.factor == 1:
            return ()
        parts = [
            f"{n % self.factor} {name}{'s' if n % self.factor > 1 else ''}"
            for n, name in ((self.height, "row"), (self.width, "column"))
            if n % self.factor
        ]
        left_out = f"; {' and '.join(parts)} at the borders left out" if parts else ""
        height, width = self.shape
        text = f"Binned {self.factor} x {self.factor} to {height} x {width} pixels{left_out}."
        return (Note(NoteKind.BINNED, text),)

    def axis_offset(self, offset: float) -> float:
        """Return the axis position [binned pixel] for one from the centre of the image as it was [pixel]."""
        # A column more is left out on the right than on the left where their number is odd.
        shift = (self.width - self.shape[1] * self.factor) / 2 - self._start(self.width)
        return (offset + shift) / self.factor

    def turned_axis_offset(self, offset: float) -> float:
        """Return the same for an axis that is horizontal until the images are turned, when up becomes right."""
        shift = (self.height - self.shape[0] * self.factor) / 2 - self._start(self.height)
        return (offset - shift) / self.factor

    def rows(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Return where rows of an image `(n,)` lie among those of the binned one, from 0 [binned pixel]."""
        return np.asarray((rows - self._start(self.height) - (self.factor - 1) / 2) / self.factor)

    def image(
        self, values: NDArray[Any], counts: NDArray[np.bool_] | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Bin one image.

        Parameters
        ----------
        values : ndarray
            `(height, width)` pixels [the unit of the file].
        counts : ndarray or None
            `(height, width)` bool, True where a pixel counts; None where all do.

        Returns
        -------
        binned : ndarray
            Mean of the pixels that count in every square [the same].
        counting : ndarray or None
            True where at least half of the pixels count.
        """
        if self.factor == 1:
            return values, counts
        squares = self._squares(values)
        if counts is None:
            # Rows first, whole ones, is several times as fast as square by square; of small integers, sums are exact.
            is_small = values.dtype.kind in "biu" and values.dtype.itemsize <= 2 and self.factor <= _MOST_SUMMED
            rows = squares.sum(axis=1, dtype=np.int32 if is_small else float)
            return rows.sum(axis=2, dtype=float) / self.factor**2, None
        counted = self._squares(counts)
        number = counted.sum(axis=(1, 3))
        binned = (squares * counted).sum(axis=(1, 3), dtype=float) / np.maximum(number, 1)
        return binned, 2 * number >= self.factor**2

    def enlarged(self, binned: NDArray[Any]) -> NDArray[Any]:
        """Return a binned image in the size that it had, `(height, width)`: every pixel a square again."""
        squares = np.repeat(np.repeat(binned, self.factor, axis=0), self.factor, axis=1)
        starts = self._start(self.height), self._start(self.width)
        ends = self.height - starts[0] - squares.shape[0], self.width - starts[1] - squares.shape[1]
        return np.pad(squares, tuple(zip(starts, ends, strict=True)), mode="edge")

    def _squares(self, image: NDArray[Any]) -> NDArray[Any]:
        (height, width), factor = self.shape, self.factor
        top, left = self._start(self.height), self._start(self.width)
        kept = image[top : top + height * factor, left : left + width * factor]
        return kept.reshape(height, factor, width, factor)

    def _start(self, length: int) -> int:
        return (length % self.factor) // 2


def binned(series: TiltSeries, factor: int) -> tuple[TiltSeries, int]:
    """Return a series with larger pixels, and by how much they are larger: less where it has too few rows.

    Parameters
    ----------
    series : TiltSeries
        Any series.
    factor : int
        Edge of a new pixel that is wanted [pixel].

    Returns
    -------
    series : TiltSeries
        The same object where nothing has to be done.
    factor : int
        Edge of a new pixel [pixel].
    """
    if factor == 1:
        return series, 1
    way = Binning.of(series.height, series.width, min(factor, series.height))
    projections = np.empty((series.n_tilts, *way.shape), dtype=np.float32)
    mask = None if series.mask is None else np.empty(projections.shape, dtype=bool)
    for k, image in enumerate(series.projections):
        projections[k], counts = way.image(image, None if series.mask is None else series.mask[k])
        if mask is not None and counts is not None:
            mask[k] = counts
    size = None if series.pixel_size is None else series.pixel_size * way.factor
    offset = way.axis_offset(series.axis_offset)
    return replace(series, projections=projections, mask=mask, pixel_size=size, axis_offset=offset), way.factor
