"""A glance at a series that is not read as a whole: some of its projections, binned while they are read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import checked_bands
from napari_stinr.io.series.reading import beyond_single_precision, check_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_stinr.io.series.found import FoundSeries

_PIXELS_AT_ONCE = 16_000_000
"""Rows of a single image that are in memory at a time [pixel]: one may be as large as a series."""
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Glance:
    """Some projections of a series; see :meth:`of`.

    Parameters
    ----------
    found : FoundSeries
        The series.
    positions : tuple of int
        Which of its projections were looked at, ascending, from 0.
    way : Binning
        How these were binned.
    projections : ndarray
        `(n, height, width)` float32 binned projections that nobody can write to [the unit of the file].
    mask : ndarray or None
        `(n, height, width)` bool, False where nothing was measured; None where everything was.
    lowest, highest, mean : float
        Of the pixels as they are in the file, as far as they count [the unit of the file].
    left_out : float
        Part of the pixels that do not count [1].
    n_left_out : int
        Projections without any that does.
    """

    found: FoundSeries
    positions: tuple[int, ...]
    way: Binning
    projections: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    lowest: float
    highest: float
    mean: float
    left_out: float = 0.0
    n_left_out: int = 0

    @classmethod
    def of(cls, found: FoundSeries, positions: Sequence[int], *, binning: int) -> Glance:
        """Look at projections, one after the other.

        Parameters
        ----------
        found : FoundSeries
            A series with tilt angles.
        positions : sequence of int
            Which of its projections, ascending, from 0.
        binning : int
            Edge of the squares of pixels whose mean becomes one pixel [pixel of the file].

        Returns
        -------
        Glance
            Binned projections, and the range of the pixels before that.

        Raises
        ------
        StinrError
            A file is damaged or has changed since its header was read, or has pixels that are no numbers in single
            precision.
        """
        _check_unchanged(found)
        check_mask(found)
        way = Binning.of(*found.stack.images.shape[1:], binning)
        looked = _Looked(way, len(positions))
        for k, rows, values in checked_bands(found.stack.images, positions, _bands(way), found.path):
            counts = None if found.stack.mask is None else found.stack.mask[k, rows]
            looked.add(positions.index(k), rows, values, counts)
        _check_unchanged(found)
        looked.check(found, len(positions))
        looked.projections.setflags(write=False)
        n_counted = sum(looked.n_counted)
        return cls(
            found,
            tuple(positions),
            way,
            looked.projections,
            looked.mask,
            looked.lowest if n_counted else np.nan,
            looked.highest if n_counted else np.nan,
            looked.total / n_counted if n_counted else np.nan,
            left_out=1 - n_counted / (len(positions) * way.height * way.width),
            n_left_out=looked.n_counted.count(0),
        )

    @property
    def is_of_all(self) -> bool:
        """Whether all projections were looked at."""
        return len(self.positions) == len(self.found.stack.images)

    def series(self) -> TiltSeries:
        """Return what was looked at as a series of its own; a StinrError says that it is none."""
        found, chosen = self.found, list(self.positions)
        if isinstance(found.tilt_angles, StinrError):
            raise found.tilt_angles
        times = found.times.values[chosen]
        return TiltSeries(
            self.projections,
            found.tilt_angles.values[chosen],
            times if np.ptp(times) > 0 else None,  # type: ignore[arg-type]  # the default
            pixel_size=None if found.pixel_size is None else found.pixel_size * self.way.factor,
            mask=self.mask,
            axis_offset=self.way.axis_offset(0.0),
            name=found.name,
        )


class _Looked:
    """What has been looked at by now."""

    def __init__(self, way: Binning, n_images: int) -> None:
        self._way = way
        self.projections = np.empty((n_images, *way.shape), dtype=np.float32)
        self.mask: NDArray[np.bool_] | None = None
        self.lowest, self.highest, self.total = np.inf, -np.inf, 0.0
        self.n_counted = [0] * n_images
        self._n_infinite = 0

    def add(self, place: int, rows: slice, values: NDArray[Any], counts: NDArray[np.bool_] | None) -> None:
        """Add rows `(rows, width)` of an image."""
        lowest, highest = float(values.min()), float(values.max())
        if np.isnan(lowest):
            missing = np.isnan(values)
            values = np.where(missing, 0, values)
            counts = ~missing if counts is None else counts & ~missing
            lowest, highest = float(values.min()), float(values.max())
        if not np.isfinite(lowest) or not np.isfinite(highest):
            self._n_infinite += int(np.isinf(values).sum())
        counted = values if counts is None else values[counts]
        if counted.size:
            if counts is not None:
                lowest, highest = float(counted.min()), float(counted.max())
            self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
            self.n_counted[place] += counted.size
        with np.errstate(over="ignore", invalid="ignore"):
            self._bin(place, rows, values, counts)

    def _bin(self, place: int, rows: slice, values: NDArray[Any], counts: NDArray[np.bool_] | None) -> None:
        way = self._way
        top, n_rows = _top(way), way.shape[0]
        first, last = max(0, (rows.start - top) // way.factor), min(n_rows, (rows.stop - top) // way.factor)
        kept = slice(first * way.factor + top - rows.start, last * way.factor + top - rows.start)
        part = Binning(kept.stop - kept.start, way.width, way.factor)
        binned, counting = part.image(values[kept], None if counts is None else counts[kept])
        self.projections[place, first:last] = binned
        if counting is None:
            # Most of the sum is there already: only what is at the borders is missing.
            left, right = _left(way), _left(way) + way.shape[1] * way.factor
            borders = values[: kept.start], values[kept.stop :], values[kept, :left], values[kept, right:]
            self.total += float(binned.sum(dtype=np.float64)) * way.factor**2
            self.total += sum(float(border.sum(dtype=np.float64)) for border in borders)
            return
        if self.mask is None:
            self.mask = np.ones(self.projections.shape, dtype=bool)
        self.mask[place, first:last] = counting
        self.total += float(values[counts].sum(dtype=np.float64))

    def check(self, found: FoundSeries, n_images: int) -> None:
        """Refuse pixels that are no numbers in single precision."""
        if self._n_infinite:
            all_of_it = n_images == len(found.stack.images)
            where = "" if all_of_it else f" in {n_images} of {len(found.stack.images)} projections"
            raise StinrError(
                f"{found.name} has {self._n_infinite} infinite pixel(s){where}",
                expected="finite numbers, or NaN where nothing was measured",
                cure="Set these pixels to NaN to leave them out.",
            )
        largest = max(abs(self.lowest), abs(self.highest))
        if any(self.n_counted) and largest > _LARGEST:
            raise beyond_single_precision(found.path, largest)


def _check_unchanged(found: FoundSeries) -> None:
    for stamp in found.stack.stamps:
        stamp.check()


def _bands(way: Binning) -> list[slice]:
    """Rows of an image in pieces that are binned by themselves."""
    n_together = max(1, _PIXELS_AT_ONCE // (way.width * way.factor)) * way.factor
    edges = [0, *range(_top(way) + n_together, way.height - way.factor + 1, n_together), way.height]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _top(way: Binning) -> int:
    """Rows that the binning leaves out at the upper border."""
    return way.height % way.factor // 2


def _left(way: Binning) -> int:
    """Columns that it leaves out at the left border."""
    return way.width % way.factor // 2
