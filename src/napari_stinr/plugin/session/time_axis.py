"""The time slider: which step of it belongs to which time, and which projection was the one of that time.

All layers of a series share one evenly divided axis of physical time, so a long pause of the microscope is a long way
on the slider. Where the projections are evenly spaced in time, a step is a projection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_STEPS = 1001
"""A slider with more steps than this cannot be set by hand."""
STEPS_WITHOUT_SERIES = 101
_EVEN = 1e-6
"""Gaps between projections that differ by less are equal [t]."""


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """An evenly divided axis of time.

    Parameters
    ----------
    n_steps : int
        Number of steps, the first at t = 0 and the last at t = 1.
    time_range : tuple of float
        Times that t = 0 and t = 1 stand for [unit].
    unit : str
        Unit of `time_range`, "" for a bare order of acquisition.
    projection_at : ndarray
        `(n_steps,)` position in the stack of the projection nearest in time to each step; empty without a stack.
    step_of_projection : ndarray
        `(n_tilts,)` step at which each projection is the nearest; empty without a stack.
    """

    n_steps: int = STEPS_WITHOUT_SERIES
    time_range: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    projection_at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    step_of_projection: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of_times(cls, times: NDArray[np.float64], *, time_range: tuple[float, float], unit: str) -> TimeAxis:
        """Divide the time of a series so that every projection is the nearest one of at least one step.

        Parameters
        ----------
        times : ndarray
            `(n_tilts,)` time of every projection, 0 to 1 [t].
        time_range : tuple of float
            Times that t = 0 and t = 1 stand for [unit].
        unit : str
            Unit of `time_range`.

        Returns
        -------
        TimeAxis
            As many steps as projections where they are evenly spaced, otherwise more, but 1001 at most where there are
            fewer projections. Projections that lie closer together than two steps are moved apart, so that each has
            one.
        """
        order = np.argsort(times, kind="stable")
        moments = times[order]
        gaps = np.diff(np.unique(moments))
        is_even = np.ptp(gaps) <= _EVEN and len(gaps) + 1 == len(times)
        n_steps = len(times)
        if not is_even:
            n_steps = max(n_steps, min(MOST_STEPS, int(np.ceil(1 / gaps.min())) + 1))
        step_of = np.empty(len(times), dtype=np.int64)
        step_of[order] = _apart(np.round(moments * (n_steps - 1)).astype(np.int64), n_steps)
        steps = np.linspace(0, 1, n_steps)
        after = np.searchsorted(moments, steps).clip(1, len(moments) - 1)
        is_before = steps - moments[after - 1] <= moments[after] - steps
        projection_at = order[after - is_before]
        projection_at[step_of] = np.arange(len(times))
        return cls(n_steps, time_range, unit, projection_at, step_of)

    @property
    def spacing(self) -> float:
        """Time between two steps [unit]."""
        return (self.time_range[1] - self.time_range[0]) / (self.n_steps - 1)

    def t_of(self, step: int) -> float:
        """Return the time of a step, 0 to 1 [t]."""
        return min(max(step / (self.n_steps - 1), 0.0), 1.0)

    def step_of(self, t: float) -> int:
        """Return the step nearest to a time, 0 to 1 [t]."""
        return round(min(max(t, 0.0), 1.0) * (self.n_steps - 1))

    def physical(self, t: float) -> float:
        """Return what a time stands for [unit]."""
        return self.time_range[0] + t * (self.time_range[1] - self.time_range[0])

    def t_of_physical(self, time: float) -> float:
        """Return the time, 0 to 1 [t], that a physical time [unit] is."""
        return (time - self.time_range[0]) / (self.time_range[1] - self.time_range[0])

    @property
    def label(self) -> str:
        """Label of an axis of physical time."""
        if self.unit:
            return f"time [{self.unit}]"
        is_order = self.time_range == (0.0, float(self.n_steps - 1))
        return "time (order of acquisition)" if is_order else "time"

    def text(self, t: float) -> str:
        """Return a time as people read it, such as ``"t = 0.500 (45 of 90 s)"``."""
        if not self.unit and self.time_range == (0.0, 1.0):
            return f"t = {t:.3f}"
        unit = f" {self.unit}" if self.unit else ""
        return f"t = {t:.3f} ({self.physical(t):.4g} of {self.time_range[1]:.4g}{unit})"


def _apart(steps: NDArray[np.int64], n_steps: int) -> NDArray[np.int64]:
    """Return ascending steps moved as little as needed so that no two are the same; there must be room for all."""
    rank = np.arange(len(steps))
    # Without the rank, "strictly ascending" is "not descending", which a running maximum and minimum give.
    loose = np.maximum.accumulate(steps - rank)
    return np.minimum(loose, n_steps - len(steps)) + rank
