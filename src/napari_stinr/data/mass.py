"""How much more matter the projections show at the end than at the start."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch.nn import functional

from napari_stinr.data.notes import Note, NoteKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.measurements import Measurements

LEAST_GROWTH = 0.01
"""Growth below which nothing has grown, as a part of all matter at the end."""
_ERRORS = 3.0
_SCATTERS = 6.0
"""Growth that no scatter looks like, in its standard deviations."""
_EMPTY = 0.05
"""Part of the pixels that is taken to show no matter: what stands there dilutes the growth of what is matter."""
_EARLY = 0.1
"""Part of the time that is early."""
_LEAST_COUNTING = 0.9
"""Part of a projection that has to count where its mass is to be known."""
_AROUND = 5
"""Edge of the square whose mean stands for a pixel in it that does not count [pixel]."""
_LOOKED_AT = 2**20
"""Pixels that tell the level of the empty ones."""


@dataclass(frozen=True, eq=False)
class MassGrowth:
    """By how much the mass in the projections grows while they are recorded.

    Whatever the angle, a projection holds the sum of the potential of all that is in the view. So a series in which
    that never rises has no contamination, and a haze that fits its noise as well is none: unless every projection was
    divided by its own mass.

    Parameters
    ----------
    fraction : float or None
        Growth from the first projection to the last, as a part of the mass in the last, of the best fit that never
        falls. None: not known, as not every projection shows all [1].
    scatter : float
        Standard deviation of the masses from that fit, as a part of the same mass [1].
    times, arrived : ndarray
        `(n,)` times of the projections, ascending, and which part of all that grew is there then, 0 to 1 [t], [1].
    """

    fraction: float | None
    scatter: float = 0.0
    times: NDArray[np.float64] = field(default_factory=lambda: np.array([0.0, 1.0]))
    arrived: NDArray[np.float64] = field(default_factory=lambda: np.array([0.0, 1.0]))

    @classmethod
    def of(cls, measurements: Measurements) -> MassGrowth:
        """Compare the projections that count.

        Parameters
        ----------
        measurements : Measurements
            The projections; where a tenth of one of them does not count, the growth is unknown.

        Returns
        -------
        MassGrowth
            How much it grew.
        """
        measured, mask = measurements.measured, measurements.mask
        if mask is not None and bool((mask.float().mean((1, 2)) < _LEAST_COUNTING).any()):
            return cls(None)
        pixels = measured.reshape(-1) if mask is None else measured[mask]
        some = pixels[:: max(1, len(pixels) // _LOOKED_AT)].cpu().float()
        background = max(0.0, float(some.kthvalue(max(1, round(_EMPTY * len(some)))).values))
        masses = measured.sum((1, 2), dtype=torch.float64).cpu() - background * measured[0].numel()
        if mask is not None:
            masses += _unseen(measured, mask).cpu()
        order = torch.argsort(measurements.times, stable=True)
        times, in_time = measurements.times[order].double().numpy(), masses[order].numpy()
        rising = isotonic_regression(in_time).x
        grown, last = float(rising[-1] - rising[0]), float(rising[-1])
        if not last > 0:
            return cls(None)
        scatter = float(np.std(in_time - rising)) / last
        if not grown > 0:
            return cls(0.0, scatter, times, np.zeros(len(times)))
        return cls(grown / last, scatter, times, (rising - rising[0]) / grown)

    @property
    def is_none(self) -> bool:
        """Whether the data rule out that anything has grown."""
        error = self.scatter / math.sqrt(len(self.times))
        return self.fraction is not None and self.fraction + _ERRORS * error < LEAST_GROWTH

    @property
    def early(self) -> float:
        """Part of all that grows that is there after a tenth of the time; 0 where that is not known [1]."""
        return float(np.interp(_EARLY, self.times, self.arrived)) if self._is_certain else 0.0

    def clock(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return times by a clock that runs half as the given one and half with the matter that arrives.

        What arrives in a short time is as long by this clock as what takes the whole series, and so told apart as well.

        Parameters
        ----------
        times : ndarray
            `(m,)` times, 0 to 1 [t].

        Returns
        -------
        ndarray
            `(m,)` times by the other clock, 0 to 1; the given ones where the growth is not known, or does not stand out
            from the scatter.
        """
        if not self._is_certain:
            return np.asarray(times, dtype=np.float64)
        clocked: NDArray[np.float64] = (times + np.interp(times, self.times, self.arrived)) / 2
        return clocked

    def times_of(self, clocked: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the times `(...)` [t] at which the other clock shows `(...)` ones: the inverse of :meth:`clock`."""
        knots = np.union1d(self.times, [0.0, 1.0])
        times: NDArray[np.float64] = np.interp(clocked, self.clock(knots), knots)
        return times

    @property
    def _is_certain(self) -> bool:
        return self.fraction is not None and self.fraction > _SCATTERS * self.scatter

    def note(self) -> Note | None:
        """Return what a person is told where nothing has grown, else None."""
        if not self.is_none:
            return None
        return Note(
            NoteKind.GROWTH,
            f"The mass in the projections grows by less than {LEAST_GROWTH:.0%} while they are recorded: nothing is "
            "taken for contamination. Images that were normalised one by one hide growth: give them as "
            "recorded.",
        )


def _unseen(measured: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`(n,)` mass in the pixels of `(n, height, width)` projections that do not count, as that around them."""
    unseen = torch.zeros(len(measured), dtype=torch.float64, device=measured.device)
    for k in (~mask).any(2).any(1).nonzero()[:, 0]:
        counts = mask[k].float()
        sums, numbers = (
            functional.avg_pool2d(values[None, None], _AROUND, stride=1, padding=_AROUND // 2)[0, 0]
            for values in (measured[k] * counts, counts)
        )
        unseen[k] = (sums / numbers.clamp(min=1e-6))[~mask[k]].sum(dtype=torch.float64)
    return unseen
