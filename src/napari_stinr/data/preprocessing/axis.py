"""Which way the tilt axis lies in the images: along the columns, as everything here expects it, or along the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.ndimage import shift as shift_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_PIXELS = 8
_APART, _TOO_FAR = 6.0, 15.0
"""How far the tilts are apart that are compared [degrees]."""
_REACH = 0.15
"""Largest shift between them that is looked for, as a part of the image."""
_CLEAR, _NOT_MUCH_LESS = 1.25, 0.5
"""How much less alike sums of rows must be than sums of columns once they are shifted, where the axis is horizontal,
and the least as they are, where a drift may outweigh the tilt."""
_MOVES, _NOT_LESS = 2.7, 0.7
"""The same as they are, and the least once shifted: a straight needle looks the same when it is shifted."""
_PERHAPS = 1.1
"""Geometric mean of both where the axis may be horizontal."""
_LEAST = 0.06
"""Difference of the sums of rows below which they are alike: a straight, aligned needle looks the same at all tilts."""
_ALIKE = 0.01
"""Difference below which all are as alike as any can be."""
_EMPTY = 0.02
_SMOOTH = 0.7
"""Standard deviation of the Gaussian that sums are smoothed by [pixel]."""
_FRACTIONS = np.arange(-0.875, 0.876, 0.125)
"""Parts of a pixel by which sums are shifted, too: half a pixel of a steep flank is more than what a tilt changes."""
_APART_IN_LINE = 24
"""Pixels beyond the ends of a line, over which a cubic spline forgets what lies beyond [pixel]."""


@dataclass(frozen=True)
class AxisDirection:
    """How much less alike the sums of rows of neighbouring tilts are than those of columns.

    What lies on a detector row perpendicular to the axis stays on it at every tilt: the sums of the rows are alike
    where the axis is vertical, those of the columns where it is horizontal. Neighbouring tilts are compared as they
    are, which a drift disturbs, and shifted, which does not see a needle move; contamination grows little between them.

    Parameters
    ----------
    as_they_are, shifted : float
        Differences of rows over those of columns, by both comparisons; NaN where they are not known [1].
    """

    as_they_are: float
    shifted: float

    @classmethod
    def of(cls, stack: NDArray[Any], tilt_angles: NDArray[np.float64]) -> AxisDirection:
        """Compare projections with their neighbours.

        Parameters
        ----------
        stack : ndarray
            `(n_tilts, height, width)` projections, NaN where nothing was measured [any unit].
        tilt_angles : ndarray
            `(n_tilts,)`, NaN where not known [degrees].

        Returns
        -------
        AxisDirection
            What the sums of rows and columns tell.
        """
        known = np.flatnonzero(np.isfinite(tilt_angles))
        in_order = known[np.argsort(tilt_angles[known], kind="stable")]
        if min(stack.shape[1:]) < _LEAST_PIXELS or len(in_order) < 2:
            return cls(np.nan, np.nan)
        pairs = list(_pairs(in_order, tilt_angles))
        if not pairs:
            return cls(np.nan, np.nan)
        images = [np.asarray(image) for image in stack]
        rows, columns = (_misfits(np.stack([_sums(image, axis) for image in images]), pairs) for axis in (1, 0))
        # Of projections without any matter there is nothing to compare.
        if not np.isfinite([*rows, *columns]).all() or rows[0] < _LEAST:
            return cls(np.nan, np.nan)
        return cls(rows[0] / max(columns[0], _ALIKE), rows[1] / max(columns[1], _ALIKE))

    @property
    def is_horizontal(self) -> bool:
        """Whether the axis clearly lies along the rows."""
        is_clear = self.shifted > _CLEAR and self.as_they_are > _NOT_MUCH_LESS
        return is_clear or (self.as_they_are > _MOVES and self.shifted > _NOT_LESS)

    @property
    def is_doubtful(self) -> bool:
        """Whether it may lie along the rows, and nothing tells."""
        return not self.is_horizontal and self.as_they_are * self.shifted > _PERHAPS**2


def _pairs(in_order: NDArray[np.int64], tilt_angles: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Every projection with the next that is far enough from it."""
    angles = tilt_angles[in_order]
    places = np.searchsorted(angles, angles + _APART - 1e-6)
    return [
        (int(k), int(in_order[place]))
        for k, angle, place in zip(in_order, angles, places, strict=True)
        if place < len(angles) and angles[place] - angle <= _TOO_FAR
    ]


def _misfits(halves: NDArray[np.float64], pairs: list[tuple[int, int]]) -> tuple[float, float]:
    """Median difference of pairs of sums, as they are and shifted as it fits best, as a part of both.

    `(n_tilts, 2, n)` sums over every second pixel, and over those between.
    """
    heights = gaussian_filter1d(halves - np.quantile(halves, _EMPTY, axis=(0, 2), keepdims=True), _SMOOTH, axis=2)
    first, second = (heights[list(chosen)] for chosen in zip(*pairs, strict=True))
    reach = int(_REACH * halves.shape[2])
    values = np.stack([_misfit(first, second, shift) for shift in range(-reach, reach + 1)])
    best, shifted = values.argmin(axis=0) - reach, values.min(axis=0)
    for part in _FRACTIONS:
        moved = _moved(second, part)
        for whole in np.unique(best):
            here = best == whole
            shifted[here] = np.minimum(shifted[here], _misfit(first[here], moved[here], int(whole)))
    return float(np.median(values[reach])), float(np.median(shifted))


def _moved(lines: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    """`(n_pairs, 2, n)` lines moved by a part of a pixel, which go on beyond their ends as they end."""
    # As one line, which is far quicker than one by one; so far apart they know nothing of each other.
    padded = np.pad(lines, ((0, 0), (0, 0), (_APART_IN_LINE, _APART_IN_LINE)), mode="edge")
    moved = shift_by(padded.ravel(), by, order=3, mode="nearest").reshape(padded.shape)
    return np.asarray(moved[..., _APART_IN_LINE:-_APART_IN_LINE])


def _misfit(first: NDArray[np.float64], second: NDArray[np.float64], shift: int) -> NDArray[np.float64]:
    """`(n_pairs,)` differences of `(n_pairs, 2, n)` lines, as a part of them."""
    n = first.shape[2]
    one = first[..., max(0, shift) : n + min(0, shift)]
    other = second[..., max(0, -shift) : n + min(0, -shift)]
    # Of the two halves the noise is not the same: their product holds none of it, where a square would make a straight
    # needle, which does not change from tilt to tilt, differ by its noise.
    factor = _product(one, other) / np.maximum(_product(other, other), 1e-300)
    difference = one - factor[:, None, None] * other
    rest = _product(difference, difference)
    return np.asarray(np.sqrt(np.maximum(rest, 0.0) / np.maximum(_product(one, one), 1e-300)))


def _product(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n_pairs,)` scalar products of `(n_pairs, 2, n)` lines, each half by the other one."""
    return np.asarray(((one[:, 0] * other[:, 1]).sum(axis=1) + (one[:, 1] * other[:, 0]).sum(axis=1)) / 2)


def _sums(image: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """`(2, n)` sums along an axis, of every second pixel and of those between."""
    halves = (image[::2], image[1::2]) if axis == 0 else (image[:, ::2], image[:, 1::2])
    sums = np.stack([np.sum(half, axis=axis, dtype=np.float64) for half in halves])
    # Leaving out what was not measured takes a copy and ten times as long: only where there is something to leave out.
    if not np.isnan(sums).any():
        return sums
    return np.stack([np.nansum(half, axis=axis, dtype=np.float64) for half in halves])
