"""How much white noise there is in images, by their finest details; also in images of single counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEDIAN_TO_SIGMA = 0.6745
_TIE = 1e-3
"""Details that differ by less than this part of their mean are the same: a background that is not whole is rounded."""
_STEPS = 4.0
"""Details beyond so many steps are none of few electrons, but of a hot pixel."""
_MANY = 0.02
"""Part of the details that are the same where they are multiples of a step, and that are not 0 where there is noise."""


def white_noise(images: NDArray[np.floating]) -> float:
    """Return the standard deviation of white noise in images that are smooth, or empty, in most places.

    Parameters
    ----------
    images : ndarray
        `(..., height, width)` images.

    Returns
    -------
    float
        Median absolute diagonal detail at the finest scale over 0.6745 (Donoho and Johnstone 1994). Few electrons give
        few different details, of which the median is one, up to half a step wrong: there the mid-quantile stands for
        it (Ma, Genton and Parzen 2011), and where most details are 0, the root of the mean square [the unit of the
        images].
    """
    even = images[..., : images.shape[-2] // 2 * 2, : images.shape[-1] // 2 * 2]
    if not even.size:
        return 0.0
    detail = even[..., ::2, ::2] - even[..., 1::2, ::2]
    detail -= even[..., ::2, 1::2]  # in place: there may be many
    detail += even[..., 1::2, 1::2]
    values = np.abs(detail, out=detail).ravel()
    return _scale(values, float(np.median(values))) / 2


def _scale(values: NDArray[np.floating], median: float) -> float:
    """Return the standard deviation of numbers from `(n,)` absolute values and their median."""
    tie = _TIE * float(values.mean(dtype=np.float64))
    n, above = values.size, values[values > median + tie]
    if above.size < _MANY * n:  # corners of what is flat
        return median / _MEDIAN_TO_SIGMA
    after = float(above.min())
    next_same = int(np.count_nonzero(above <= after + tie))
    if next_same < _MANY * above.size:  # no multiples of a step
        return median / _MEDIAN_TO_SIGMA
    if median <= tie:
        return float(np.sqrt(np.mean(np.square(np.minimum(values, _STEPS * after), dtype=np.float64))))
    below = values[values < median - tie]
    same = n - above.size - below.size
    if same < _MANY * n:
        return median / _MEDIAN_TO_SIGMA
    # At each value, what is below it and half of what is there; linear in between.
    before = float(below.max()) if below.size else 0.0
    before_same = int(np.count_nonzero(below >= before - tie))
    places = [before, median, after]
    parts = [below.size - before_same / 2, below.size + same / 2, below.size + same + next_same / 2]
    return float(np.interp(n / 2, parts, places)) / _MEDIAN_TO_SIGMA
