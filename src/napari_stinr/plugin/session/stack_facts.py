"""What a stack tells about itself: its intensity, whether something grew, and which way the tilt axis lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_CHANGE = 0.05
"""Part of the first intensity by which it must change to be worth a word."""
_GROWTH_NOISE = 3.0
"""A change of the intensity counts when it is larger than this many times the error of the line through it."""
_CLEARLY = 2.0
"""How many times more than the columns the rows must vary to say that the axis lies horizontally."""
_LEAST_VARIATION = 0.1


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


def axis_warning(stack: NDArray[Any]) -> str:
    """Say with the cure that the tilt axis of projections seems to lie horizontally.

    What lies on a detector row perpendicular to the axis stays on it at every tilt, so the sums of the rows vary little
    where the axis is vertical, and the sums of the columns do where it is horizontal.

    Parameters
    ----------
    stack : ndarray
        `(n_tilts, height, width)` projections [any unit].

    Returns
    -------
    str
        "" where it does not.
    """
    rows, columns = (_variation(np.stack([_sums(image, axis) for image in stack])) for axis in (1, 0))
    if not rows > max(_LEAST_VARIATION, _CLEARLY * columns):
        return ""
    return (
        f"The tilt axis seems to lie horizontally (from tilt to tilt, sums of rows vary by {100 * rows:.0f} %, of "
        f"columns by {100 * columns:.0f} %); it is expected to be vertical. Turn the stack by 90 degrees."
    )


def _sums(image: NDArray[Any], axis: int) -> NDArray[np.float64]:
    sums = np.sum(image, axis=axis, dtype=np.float64)
    # Leaving out what was not measured takes a copy and ten times as long: only where there is something to leave out.
    return np.asarray(np.nansum(image, axis=axis, dtype=np.float64) if np.isnan(sums).any() else sums)


def _variation(sums: NDArray[np.float64]) -> float:
    """Return how much `(n_tilts, n)` sums vary from tilt to tilt, relative to their spread from 0 or background."""
    sums = sums - sums.min()
    return float(sums.std(axis=0).mean() / max(float(sums.mean()), 1e-300))
