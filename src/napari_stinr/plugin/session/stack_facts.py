"""What a stack tells about itself: its intensity, whether something grew, and which way the tilt axis lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.preprocessing.axis import AxisDirection

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_CHANGE = 0.05
"""Part of the first intensity by which it must change to be worth a word."""
_GROWTH_NOISE = 3.0
"""A change of the intensity counts when it is larger than this many times the error of the line through it."""


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


def growth_text(times: NDArray[np.float64], intensity: NDArray[np.float64]) -> str:
    """Say in a sentence whether intensities change with time, from a straight line.

    Parameters
    ----------
    times : ndarray
        `(n,)` times in any unit.
    intensity : ndarray
        `(n,)` intensities in any unit.

    Returns
    -------
    str
        "" where there is no answer.
    """
    if len(times) < 3 or not np.isfinite(times).all() or np.ptp(times) == 0:
        return ""
    elapsed = times - times.min()
    slope, start = np.polyfit(elapsed, intensity, 1)
    change, scatter = slope * np.ptp(times), np.std(intensity - np.polyval([slope, start], elapsed))
    is_noise = abs(change) < _GROWTH_NOISE * scatter / np.sqrt(len(times))
    if start <= 0 or is_noise or abs(change) < max(scatter, _LEAST_CHANGE * start):
        return "The total intensity shows no clear change with time."
    verb = "rises" if change > 0 else "falls"
    meaning = "something was growing" if change > 0 else "something was lost, or the contrast is inverted"
    percent = 100 * abs(change / start)
    return f"The total intensity {verb} by {percent:.0f} % from the first projection to the last: {meaning}."


def axis_warning(stack: NDArray[Any], tilt_angles: NDArray[np.float64]) -> str:
    """Say what a training does where the tilt axis of projections seems to lie along the rows.

    Parameters
    ----------
    stack : ndarray
        `(n_tilts, height, width)` projections [any unit].
    tilt_angles : ndarray
        `(n_tilts,)`, NaN where not known [degrees].

    Returns
    -------
    str
        "" where it does not.
    """
    direction = AxisDirection.of(stack, tilt_angles)
    if direction.is_horizontal:
        return (
            "The tilt axis lies horizontally: neighbouring tilts are alike along the columns. The projections are "
            "turned by 90 degrees before they are reconstructed, unless preprocessing.axis is vertical."
        )
    if direction.is_doubtful:
        return "The tilt axis may lie horizontally: set preprocessing.axis if the volume looks smeared."
    return ""
