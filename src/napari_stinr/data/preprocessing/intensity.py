"""How bright every projection was recorded: what the instrument did to the intensity must not be read as growth.

Every projection holds the sum of the potential of all that is in the view. As long as nothing leaves the view, this
mass follows the time alone, in a curve without jumps, or with a rise where contamination came in a burst. What it has
beside that is the gain of single projections, and exposures that follow the tilt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_TILTS = 9
"""Fewer projections tell no curve."""
_NEIGHBOURS = 9
_PART = 5
"""A local line goes through so many projections at least, and through this part of all of them."""
_BURST = 0.4
"""Correlation of neighbours in what a smooth curve leaves, where there is a burst."""
_STEPS = 0.1
"""Scatter about a curve that only rises, as a part of that about a smooth one, where contamination came in steps."""
_ERRORS = 2.0
_LEAST_GAIN = 0.003
"""Scatter of the gains below which nothing is done."""
_MOST_GAIN = 0.5
_CLEARER = 0.3
"""What has to be left of the scatter where exposures follow the tilt."""
_STEEPEST = 80.0
_SAME = 0.02
"""Range of the exposures below which it does not matter."""
_FOLLOWS = 0.06
"""Largest scatter of the masses, as a part of them, beside exposures that follow the tilt."""


@dataclass(frozen=True, eq=False)
class Intensity:
    """Which part of the intensity of projections is due to the instrument.

    Parameters
    ----------
    gains : ndarray
        `(n_tilts,)` factor of each, 1 where nothing is known [1].
    follows_tilt : bool
        The exposures follow 1 / cos(tilt).
    scatter : float
        Standard deviation of the gains beside that [1].
    """

    gains: NDArray[np.float64]
    follows_tilt: bool = False
    scatter: float = 0.0

    @classmethod
    def of(
        cls,
        masses: NDArray[np.float64],
        errors: NDArray[np.float64],
        tilt_angles: NDArray[np.float64],
        times: NDArray[np.float64],
    ) -> Intensity:
        """Compare the masses of projections with a curve over the time.

        Parameters
        ----------
        masses : ndarray
            `(n_tilts,)` sum of every projection, the background subtracted; NaN where it is not known [any unit].
        errors : ndarray
            `(n_tilts,)` standard deviation that noise gives to them [the same].
        tilt_angles : ndarray
            `(n_tilts,)` [degrees].
        times : ndarray
            `(n_tilts,)` [any unit].

        Returns
        -------
        Intensity
            Gains of 1 where they tell nothing.
        """
        gains = np.ones(len(masses))
        known = np.isfinite(masses) & (masses > 0)
        if known.sum() < max(_LEAST_TILTS, 0.5 * len(masses)):
            return cls(gains)
        order = np.flatnonzero(known)[np.argsort(times[known], kind="stable")]
        logs = np.log(masses[order])
        exposures = np.zeros(len(order))
        if np.abs(tilt_angles[order]).max() <= _STEEPEST:
            secants = 1 / np.cos(np.deg2rad(tilt_angles[order]))
            if _follows_tilt(masses[order], secants, times[order]):
                exposures = np.log(secants)
        rest = logs - exposures
        deviations = rest - _curve(rest)
        scatter = float(np.std(deviations))
        least = max(_LEAST_GAIN, _ERRORS * float(np.median(errors[order] / masses[order])))
        if scatter < least or np.abs(deviations).max() > _MOST_GAIN:
            deviations = np.zeros(len(order))
        found = exposures - exposures.mean() + deviations - deviations.mean()
        if not found.any():
            return cls(gains)
        gains[order] = np.exp(found)
        return cls(gains, bool(exposures.any()), scatter if deviations.any() else 0.0)


def _follows_tilt(masses: NDArray[np.float64], secants: NDArray[np.float64], times: NDArray[np.float64]) -> bool:
    """Whether `(n,)` masses are those of exposures of 1 / cos(tilt), whose `(n,)` values are given."""
    if np.ptp(np.log(secants)) < _SAME:
        return False
    # As a growth at an even rate, and as one at any rate.
    lines = [_relative(values, _line(values, times)) for values in (masses, masses / secants)]
    courses = [_relative(values, _rising(values)) for values in (masses, masses / secants)]
    return any(found < _FOLLOWS and found < _CLEARER * without for without, found in (lines, courses))


def _line(values: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.polyval(np.polyfit(times, values, 1), times))


def _relative(values: NDArray[np.float64], course: NDArray[np.float64]) -> float:
    return float(np.std(values - course) / np.mean(values))


def _curve(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n,)` course of the mass without the gain of single projections."""
    smooth = _robust_lines(logs)
    rising = _rising(logs)
    rest = logs - smooth
    # Gains let the mass fall again and again, and those of neighbours have nothing to do with each other; what a line
    # misses of steps and of a burst does neither.
    likeness = float(rest[1:] @ rest[:-1]) / max(float(rest @ rest), 1e-30)
    part = float(np.std(logs - rising)) / max(float(np.std(rest)), 1e-15)
    return rising if part < _STEPS or (likeness > _BURST and part < 1) else smooth


def _rising(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n,)` values nearest to others that never fall, by pooling neighbours that do (Barlow et al. 1972)."""
    # Here and not from scipy.optimize, which takes longer to import than all that is done with it.
    means: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        mean, size = value, 1
        while means and means[-1] >= mean:
            before, n_before = means.pop(), sizes.pop()
            mean = (n_before * before + size * mean) / (n_before + size)
            size += n_before
        means.append(mean)
        sizes.append(size)
    return np.repeat(means, sizes)


def _robust_lines(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Local linear regression with bisquare weights (Cleveland 1979) over neighbours in a list."""
    n = len(values)
    radius = max(_NEIGHBOURS, n // _PART) / 2 + 1
    places = np.arange(n)
    distance = np.abs(places[:, None] - places) / radius
    near = np.clip(1 - distance**3, 0, None) ** 3
    trust, smooth = np.ones(n), values
    for _ in range(3):
        weights = near * trust
        sums = weights.sum(1)
        centre = weights @ places / sums
        offsets = places - centre[:, None]
        slope = (weights * offsets) @ values / np.maximum((weights * offsets**2).sum(1), 1e-12)
        smooth = weights @ values / sums + slope * (places - centre)
        residual = np.abs(values - smooth)
        trust = np.clip(1 - (residual / (6 * np.median(residual) + 1e-12)) ** 2, 1e-6, None) ** 2
    return np.asarray(smooth)
