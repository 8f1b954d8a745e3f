"""How learning rates and the width of an arrival change during a run, and the report of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stinr.config import TrainingConfig


@dataclass(frozen=True)
class StepReport:
    """What one step of training did.

    Parameters
    ----------
    step : int
        Steps done, from 1.
    n_steps : int
        Steps in all; an estimate where the run is limited by seconds.
    loss : float
        Loss of the step relative to the mean square of the data [1].
    relative_residual : float
        |predicted - measured| / |measured| over the batch [1].
    learning_rates : tuple of float
        Learning rate of the density, of the arrival time where there is one, and of the shares of atoms while these
        are trained.
    seconds : float
        Time spent in training so far, without pauses [s].
    held_out_loss : float
        Loss of the held-out projections on the same scale as `loss`; NaN where nothing is held out, and at the steps
        that do not look at them [1].
    stage : str
        Stage of the training: ``"surface 1 of 3"`` and so on while the surface of the specimen is sought at coarse
        resolution, then ``"volume"``. Losses of two stages cannot be compared.
    """

    step: int
    n_steps: int
    loss: float
    relative_residual: float
    learning_rates: tuple[float, ...]
    seconds: float
    held_out_loss: float = math.nan
    stage: str = "volume"


def learning_rate_factor(config: TrainingConfig, *, step: int, fraction: float) -> float:
    """Return the factor of the learning rates, 0 to 1; `fraction` is the part of the run that is over."""
    # A linear rise over the steps, then half a cosine down to 0.
    rise = min(1.0, (step + 1) / config.warm_up_steps)
    return rise * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))
