"""What a stack tells about itself: its intensity, its background, whether something grew, which way the axis lies.

A look at every pixel of a large stack takes seconds: it is taken at a copy that is binned while it is read, in the
background, and once for each stack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.preprocessing.axis import AxisDirection
from napari_stinr.data.preprocessing.background import Background
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.data.preprocessing.contrast import background_level
from napari_stinr.data.preprocessing.defects import blank_projections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.margin import EdgeMatter
    from napari_stinr.data.preprocessing.crop import Crop
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.preview import Preview

_LEAST_CHANGE = 0.05
"""Part of the first intensity by which it must change to be worth a word."""
_GROWTH_NOISE = 3.0
"""A change of the intensity counts when it is larger than this many times the error of the line through it."""
_MOST_PIXELS = 3_000_000
"""Pixels of the copy that is looked at: about a second of work."""


@dataclass(frozen=True, eq=False)
class StackFacts:
    """What the pixels of a series tell.

    Parameters
    ----------
    intensity : ndarray
        `(n_tilts,)` mean of each projection [the unit of the file].
    sides : float
        Level beside the specimen, from which an inverted contrast counts [the same].
    background : Background
        Of what is empty.
    is_bright : bool
        What is empty is brighter than the specimen.
    axis : AxisDirection
        Which way the tilt axis lies.
    blank : ndarray
        `(n_tilts,)` bool, True where an image shows nothing.
    edges : EdgeMatter
        In how many projections matter reaches the edge.
    """

    intensity: NDArray[np.float64]
    sides: float
    background: Background
    is_bright: bool
    axis: AxisDirection
    blank: NDArray[np.bool_]
    edges: EdgeMatter


@dataclass(frozen=True, eq=False)
class StackLook:
    """A copy of the projections to look at, binned where they are many.

    Parameters
    ----------
    preview : Preview
        What it was made from.
    crop : Crop or None
        Part of the projections.
    projections : ndarray
        `(n_tilts, height, width)` [the unit of the file].
    mask : ndarray or None
        The same shape, True where a pixel counts; None where all do.
    """

    preview: Preview
    crop: Crop | None
    projections: NDArray[np.float32]
    mask: NDArray[np.bool_] | None

    @classmethod
    def of(cls, draft: SeriesDraft) -> StackLook:
        """Copy the projections of a draft; a StinrError says that their file is lost."""
        preview, crop = draft.preview, draft.crop
        first = next(preview.part(crop))
        way = _copied(len(preview), *first.shape)
        copy = np.empty((len(preview), *way.shape), dtype=np.float32)
        counting = np.ones(copy.shape, dtype=bool)
        for k, image in enumerate(preview.part(crop)):
            counts = np.isfinite(image)
            if preview.mask is not None:
                counts &= preview.mask[k] if crop is None else preview.cropped(preview.mask[k], crop)
            if counts.all():
                copy[k] = way.image(image, None)[0]
            else:
                values, known = way.image(np.where(counts, image, 0), counts)
                copy[k], counting[k] = values, counts if known is None else known
        return cls(preview, crop, copy, None if counting.all() else counting)

    def is_of(self, draft: SeriesDraft) -> bool:
        """Return whether it is a copy of what a draft uses."""
        return self.preview is draft.preview and self.crop == draft.crop

    def facts(self, draft: SeriesDraft) -> StackFacts:
        """Look at the projections, which have the angles and times of a draft; a StinrError: their file is lost."""
        stack, mask = self.projections, self.mask
        seen = stack if mask is None else np.where(mask, stack, np.float32(np.nan))
        intensity, sides, background, is_bright = self._levels
        blank = self._blank(draft.times)
        showing = ~blank if mask is None else ~blank & mask.any(axis=(1, 2))
        axis = AxisDirection.of(seen, np.where(showing, draft.tilt_angles, np.nan))
        return StackFacts(intensity, sides, background, is_bright, axis, blank, draft.edges)

    @cached_property
    def _levels(self) -> tuple[NDArray[np.float64], float, Background, bool]:
        stack, mask = self.projections, self.mask
        background = Background.of(stack, mask)
        return (
            mean_intensity(stack, mask), background_level(stack, mask), background, background.is_bright(stack, mask)
        )  # fmt: skip

    def _blank(self, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        if not np.isfinite(times).all():
            return np.zeros(len(times), dtype=bool)
        return blank_projections(self.projections, self.mask, times)


def _copied(n_tilts: int, height: int, width: int) -> Binning:
    factor = math.ceil(math.sqrt(n_tilts * height * width / _MOST_PIXELS))
    return Binning(height, width, max(1, min(factor, height, width // 2)))


def mean_intensity(stack: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the mean of the pixels that count of every projection: it rises with time where something grows.

    Parameters
    ----------
    stack : ndarray
        `(n_tilts, height, width)` projections [any unit].
    mask : ndarray, optional
        `(n_tilts, height, width)` bool, True where a pixel counts.

    Returns
    -------
    ndarray
        `(n_tilts,)` means [the same].
    """
    counts = np.full(len(stack), stack[0].size) if mask is None else mask.sum(axis=(1, 2))
    sums = [
        float(np.sum(image, dtype=np.float64, where=True if mask is None else mask[k])) for k, image in enumerate(stack)
    ]
    return np.asarray(np.asarray(sums) / np.maximum(counts, 1))


def growth_of(times: NDArray[np.float64], intensity: NDArray[np.float64]) -> float | None:
    """Return by which part intensities change from the first to the last projection, by a straight line.

    Parameters
    ----------
    times : ndarray
        `(n,)` times in any unit.
    intensity : ndarray
        `(n,)` intensities in any unit.

    Returns
    -------
    float or None
        Above 0 where they rise; 0 where there is no clear change; None where there is no answer.
    """
    known = np.isfinite(times) & np.isfinite(intensity)
    times, intensity = times[known], intensity[known]
    if len(times) < 3 or np.ptp(times) == 0:
        return None
    elapsed = times - times.min()
    slope, start = np.polyfit(elapsed, intensity, 1)
    change, scatter = slope * np.ptp(times), np.std(intensity - np.polyval([slope, start], elapsed))
    is_noise = abs(change) < _GROWTH_NOISE * scatter / np.sqrt(len(times))
    if start <= 0 or is_noise or abs(change) < max(scatter, _LEAST_CHANGE * start):
        return 0.0
    return float(change / start)
