"""How much more matter the projections show at the end than at the start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import isotonic_regression

from napari_stinr.data.notes import Note, NoteKind

if TYPE_CHECKING:
    from napari_stinr.data.measurements import Measurements

LEAST_GROWTH = 0.01
"""Growth below which nothing has grown, as a part of all matter at the end."""
_ERRORS = 3.0
_EMPTY = 0.05
"""Part of the pixels that is taken to show no matter: what stands there dilutes the growth of what is matter."""
_LOOKED_AT = 2**20
"""Pixels that tell the level of the empty ones."""


@dataclass(frozen=True)
class MassGrowth:
    """By how much the mass in the projections grows while they are recorded.

    Whatever the angle, a projection holds the sum of the potential of all that is in the view. So a series in which
    that never rises has no contamination, and a haze that fits its noise as well is none.

    Parameters
    ----------
    fraction : float or None
        Growth from the first projection to the last, as a part of the mass in the last, of the best fit that never
        falls. None: not known, as not every projection shows all [1].
    error : float
        Its standard error, of how far the masses lie from that fit [1].
    """

    fraction: float | None
    error: float = 0.0

    @classmethod
    def of(cls, measurements: Measurements) -> MassGrowth:
        """Compare the projections that count.

        Parameters
        ----------
        measurements : Measurements
            The projections; whatever pixel does not count in one of them makes the growth unknown.

        Returns
        -------
        MassGrowth
            How much it grew.
        """
        if measurements.mask is not None:
            return cls(None)
        measured = measurements.measured
        pixels = measured.reshape(-1)
        some = pixels[:: max(1, len(pixels) // _LOOKED_AT)].cpu().float()
        background = max(0.0, float(some.kthvalue(max(1, round(_EMPTY * len(some)))).values))
        masses = measured.sum((1, 2), dtype=torch.float64).cpu() - background * measured[0].numel()
        in_time = masses[torch.argsort(measurements.times, stable=True)].numpy()
        rising = isotonic_regression(in_time).x
        if not rising[-1] > 0:
            return cls(None)
        error = float(np.std(in_time - rising)) / math.sqrt(len(rising))
        return cls(float((rising[-1] - rising[0]) / rising[-1]), error / float(rising[-1]))

    @property
    def is_none(self) -> bool:
        """Whether the data rule out that anything has grown."""
        return self.fraction is not None and self.fraction + _ERRORS * self.error < LEAST_GROWTH

    def note(self) -> Note | None:
        """Return what a person is told where nothing has grown, else None."""
        if not self.is_none:
            return None
        return Note(
            NoteKind.GROWTH,
            f"The mass in the projections grows by less than {LEAST_GROWTH:.0%} while they are recorded: nothing is "
            "taken for contamination.",
        )
