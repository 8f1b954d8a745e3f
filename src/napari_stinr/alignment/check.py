"""Whether a series looks as if it were not aligned: said before anything is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.alignment.coarse import chained, filled, mirror_offset
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.data.preprocessing.binning import Binning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries

SCRIPT_CURE = "align them first (--align coarse)"

_SIZE = 128
"""Images larger than this are binned for the look [pixel]."""
_LEAST_PIXELS = 8
_LEAST_TILTS = 9
_SHIFT, _OFFSET = 0.6, 1.5
"""Shifts along the axis and offset of the axis that are worth a word [pixel of the search]."""
_UNLIKE = 0.3
"""Shifts beyond which projections have nothing in common [part of the image]."""
_MAD = 1.4826
_SECOND_DIFFERENCE = 6**0.5
"""Standard deviation of the second difference of white noise, in its own."""


@dataclass(frozen=True, eq=False)
class Chain:
    """How the projections of a series lie to each other, seen from one to the next in angle.

    Parameters
    ----------
    order : ndarray
        `(n_used,)` positions of the projections that count, by their tilt angle.
    dx, dy : ndarray
        `(n_tilts,)` shift of each along x and y [pixel of the search].
    correlation : ndarray
        `(n_tilts,)` of each with its neighbour in angle, as they lie [1]; NaN where it has none.
    mirror_offset : float or None
        Offset of the tilt axis that mirror images tell [pixel of the search]; None where there are none.
    size : int
        Longer edge of an image [pixel of the search].
    factor : int
        Edge of a pixel of the search [pixel of the series].
    """

    order: NDArray[np.int64]
    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    correlation: NDArray[np.float64]
    mirror_offset: float | None
    size: int
    factor: int


def chain_of(series: TiltSeries) -> Chain | None:
    """Return how the projections of a series without background lie to each other; None where too little tells."""
    used = np.flatnonzero(series.used)
    if min(series.height, series.width) < _LEAST_PIXELS or len(used) < _LEAST_TILTS:
        return None
    order = used[np.argsort(series.tilt_angles[used], kind="stable")]
    factor = -(-max(series.height, series.width) // _SIZE)
    way = Binning.of(series.height, series.width, factor)
    images = np.stack([way.image(image, None)[0] for image in filled(series.projections, series.mask)])
    pose, _, unshifted = chained(images.astype(np.float32), order, None)
    offset = mirror_offset(images.astype(np.float32), order, series.tilt_angles)
    return Chain(order, pose.dx, pose.dy, unshifted, offset, max(way.shape), factor)


def misalignment(
    series: TiltSeries, *, pixel: int = 1, chain: Chain | None = None, cure: str = SCRIPT_CURE
) -> Note | None:
    """Return a note where the projections of a series seem to be shifted.

    Parameters
    ----------
    series : TiltSeries
        Without background.
    pixel : int
        Edge of its pixels where it is a binned copy, by which lengths are told [pixel of the file].
    chain : Chain, optional
        What :func:`chain_of` gives for it, where that is known.
    cure : str
        What can be done about it.

    Returns
    -------
    Note or None
        By how much, and the cure; None where it looks aligned, or where there is too little to tell.
    """
    chain = chain or chain_of(series)
    if chain is None:
        return None
    factor, offset = chain.factor, chain.mirror_offset
    dy, dx = chain.dy[chain.order], chain.dx[chain.order]
    # A few slips by a period of a lattice are no shift; along x, only what is not smooth is none of the specimen's.
    along_y = _MAD * float(np.median(np.abs(dy - np.median(dy))))
    along_x = _MAD * float(np.median(np.abs(np.diff(dx, 2)))) / _SECOND_DIFFERENCE
    if max(along_x, along_y) > _UNLIKE * chain.size:
        # No drift: what is alike there is by chance, and a number of pixels would be, too.
        return Note(
            NoteKind.ALIGNED, "Neighbouring projections have too little in common to tell how they are shifted."
        )
    found = []
    if max(along_x, along_y) > _SHIFT:
        found.append(f"shifted against each other by about {pixel * factor * max(along_x, along_y):.1f} pixels")
    if offset is not None and abs(offset - series.axis_offset / factor) > _OFFSET:
        found.append(f"recorded with the tilt axis {pixel * factor * offset:.1f} pixels from their centre")
    if not found:
        return None
    return Note(NoteKind.ALIGNED, f"The projections seem to be {' and '.join(found)}: {cure}.")
