"""What the detector counts where there is no matter: found in the empty part of every projection.

A line integral of the potential is 0 beside the specimen. A level that stands there instead is read as matter that is
everywhere in the volume, and, as nothing can be everywhere, as matter that comes and goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.preprocessing.contrast import background_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TILE = 8
"""Largest edge of the squares of pixels that are compared [pixel]."""
_TILES_ACROSS = 8
"""So many squares fit along an edge at least, where there are as many pixels."""
_LEAST_TILES, _LEAST_PIXELS = 24, 4
"""Fewer squares, or squares of fewer pixels, tell nothing."""
_FLAT = 0.003
"""Deviation within a square that is none, as a part of the height of the specimen."""
_NOISY = 1.5
"""The same in deviations of the calmest squares."""
_WHITE = 0.42
"""Finest details of noise, also of noise that was interpolated, as a part of its deviation."""
_CALM = 0.1
"""Part of the squares that are the calmest."""
_LEAST_PART = 0.03
"""Part of the squares that have to be empty; fewer may be a gap in the specimen."""
_ERRORS = 3.0
_SAME_LEVEL = 0.02
"""Difference between projections up to which they have one level, as a part of the height of the specimen."""
_LEAST_LEVEL = 0.002
"""Level below which nothing is done, as a part of the height of the specimen."""
_LOW = 0.1
"""Quantile of the levels of all projections near which the common one is looked for."""
_DARKEST, _HIGH = 0.05, 0.995
"""Quantiles of the pixels of an image between which is the height of the specimen."""
_DARK = 0.5
"""How far the border may lie above the emptiest part, as a part of the height of the specimen, if matter is bright."""
_MUCH = 0.1
"""Lowest pixels that may be background, as a part of the highest."""


@dataclass(frozen=True, eq=False)
class Background:
    """The level of the empty part of every projection.

    Parameters
    ----------
    levels : ndarray
        `(n_tilts,)` level of the empty part; NaN where a projection has none [the unit of the series].
    errors : ndarray
        `(n_tilts,)` standard errors of the levels [the same].
    height : float
        How far a typical projection rises above its level; above 0 where there is any specimen [the same].
    lowest : float
        What the darkest twentieth of a typical projection reaches up to [the same].
    darkest : float
        The same of the darkest two hundredth [the same].
    """

    levels: NDArray[np.float64]
    errors: NDArray[np.float64]
    height: float
    lowest: float
    darkest: float = 0.0

    @classmethod
    def of(cls, projections: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> Background:
        """Look for the empty part of projections.

        Parameters
        ----------
        projections : ndarray
            `(n_tilts, height, width)` projections [the unit of the file].
        mask : ndarray, optional
            `(n_tilts, height, width)` bool, True where a pixel counts.

        Returns
        -------
        Background
            What was found in each of them.
        """
        heights, lows, darkest = np.full((3, len(projections)), np.nan)
        found = np.full((len(projections), 2), np.nan)
        for k, image in enumerate(projections):
            counts = None if mask is None else mask[k]
            if counts is not None and not counts.any():
                continue
            pixels = image if counts is None else image[counts]
            darkest[k], lows[k], high = np.quantile(pixels, (1 - _HIGH, _DARKEST, _HIGH))
            heights[k] = max(high, float(pixels.max()) * _LEAST_PART) - lows[k]
            found[k] = _level(image, counts, heights[k])
        typical = (float(np.nanmedian(values)) for values in (heights, lows, darkest))
        height, lowest, dark = typical
        return cls(found[:, 0], found[:, 1], max(height, 0.0), lowest, dark)

    @property
    def is_known(self) -> bool:
        """Whether at least half of the projections have an empty part."""
        return bool(np.mean(np.isfinite(self.levels)) >= 0.5) and self.height > 0

    @property
    def is_common(self) -> bool:
        """Whether most projections have one level, within its errors: the thickness of a film follows the tilt."""
        if not self.is_known:
            return False
        near = np.abs(self.levels - self._lowest) <= _SAME_LEVEL * self.height + _ERRORS * self._error
        return bool(np.mean(near[np.isfinite(self.levels)]) >= 0.5)

    @property
    def is_upper(self) -> bool:
        """Whether there is more below the level than above it, as where matter is dark."""
        if not self.is_known:
            return False
        level = float(np.nanmedian(self.levels))
        return level - self.darkest > self.lowest + self.height - level

    def is_bright(self, projections: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> bool:
        """Return whether what is empty is brighter than the specimen in the projections that were looked at."""
        if not self.is_known:
            return False
        if self.is_upper:
            return True
        # Left and right, or above and below, as long as the axis is not known.
        sides = [
            background_level(stack, counts)
            for stack, counts in (
                (projections, mask),
                (projections.swapaxes(1, 2), None if mask is None else mask.swapaxes(1, 2)),
            )
        ]
        return min(sides) > float(np.nanmedian(self.levels)) + _DARK * self.height

    @property
    def is_missed(self) -> bool:
        """Whether there may be a level that no part of the projections tells: none is dark."""
        return not self.is_common and self.lowest > _MUCH * (self.lowest + self.height)

    @property
    def common(self) -> float:
        """The level of all of them; 0 where it is too small to matter."""
        # What all projections share is known better than that, but tails of atoms are shared, too.
        return self._lowest if abs(self._lowest) > max(_LEAST_LEVEL * self.height, self._error) else 0.0

    @property
    def each(self) -> NDArray[np.float64]:
        """`(n_tilts,)` the level of each, the common one where a projection has no empty part."""
        return np.where(np.isfinite(self.levels), self.levels, self._lowest)

    @cached_property
    def _lowest(self) -> float:
        # Matter only adds to a level: where some projections are emptier than others, these are right.
        tolerance = _FLAT * self.height / 2 + 2 * self._error
        return _lowest_cluster(self.levels[np.isfinite(self.levels)], _LOW, tolerance)[0]

    @property
    def _error(self) -> float:
        return float(np.nanmedian(self.errors))


def _level(image: NDArray[np.float32], counts: NDArray[np.bool_] | None, height: float) -> tuple[float, float]:
    """Level of the empty part of an image `(height, width)` and its standard error; NaN where there is none."""
    means, deviations, details, n_pixels = _tiles(image, counts)
    if len(means) < _LEAST_TILES or n_pixels < _LEAST_PIXELS:
        return np.nan, np.nan
    calm = float(np.quantile(deviations, _CALM))
    is_flat = deviations <= _NOISY * calm + _FLAT * height
    flat = means[is_flat]
    if not len(flat):
        return np.nan, np.nan
    error = calm / np.sqrt(n_pixels)
    # The level is where the lowest flat squares are, of which a few may be low by chance.
    start = min(0.5, _LEAST_PART * len(means) / len(flat))
    level, near = _lowest_cluster(flat, start, _FLAT * height + _ERRORS * error)
    if len(near) < _LEAST_PART * len(means) or not len(near):
        return np.nan, np.nan
    chosen = is_flat & np.isin(means, near)
    deviation, detail = (float(np.sqrt(np.mean(values[chosen] ** 2))) for values in (deviations, details))
    # Noise has as much of the finest details as of all others; a thin layer of matter has not.
    if deviation > _FLAT * height and detail < _WHITE * deviation:
        return np.nan, np.nan
    return level, float(np.hypot(error, near.std()) / np.sqrt(len(near)))


def _lowest_cluster(values: NDArray[np.float64], start: float, tolerance: float) -> tuple[float, NDArray[np.float64]]:
    """Median of the values near to a low quantile of them, and which these are."""
    centre, near = float(np.quantile(values, start)), values
    for _ in range(3):
        near = values[np.abs(values - centre) <= tolerance]
        if not len(near):
            return centre, near
        centre = float(np.median(near))
    return centre, near


def _tiles(
    image: NDArray[np.float32], counts: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Mean, deviation and deviation by the finest details of squares all of whose pixels count; pixels in each."""
    edges = [max(1, min(_TILE, length // _TILES_ACROSS)) for length in image.shape]
    if edges == [1, 1]:
        edges[int(np.argmax(image.shape))] = 2
    rows, columns = (length // edge for length, edge in zip(image.shape, edges, strict=True))

    def tiled(values: NDArray[np.generic]) -> NDArray[np.generic]:
        squares = values[: rows * edges[0], : columns * edges[1]].reshape(rows, edges[0], columns, edges[1])
        return squares.transpose(0, 2, 1, 3).reshape(rows * columns, -1)

    squares = np.asarray(tiled(image), dtype=np.float64)
    if counts is not None:
        squares = squares[tiled(counts).all(axis=1)]
    deviations = squares.std(axis=1, ddof=1)
    images = squares.reshape(-1, *edges)
    detail = np.diff(np.diff(images, axis=1), axis=2) / 2 if min(edges) > 1 else np.diff(squares, n=2, axis=1) / 6**0.5
    details = np.sqrt((detail**2).mean(axis=tuple(range(1, detail.ndim)))) if detail.size else deviations
    return squares.mean(axis=1), deviations, details, edges[0] * edges[1]
