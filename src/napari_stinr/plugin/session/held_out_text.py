"""What the loss of the held-out projections says, and what to do about it: one line for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_LOOKS = 6
"""Looks at the held-out projections below which nothing is said."""
SMOOTHED = 3
"""Looks that are averaged: one projection more or less must not decide."""
RISE = 1.10
"""Held-out loss at the end over its lowest, from which on it rises."""
APART = 1.5
"""Held-out loss over that of the training, from which on unseen projections are predicted worse at all."""
WORSE = 0.10
"""By how much they are predicted worse, relative to the projections, from which on that is a matter of the data [1]."""
STILL_FALLING = 0.85
"""Held-out loss at the end over that of a quarter of the stage before, below which more steps would help."""


class HeldOutKind(StrEnum):
    """What was found."""

    UNKNOWN = "unknown"
    FOLLOWS = "follows"
    FALLS_ON = "falls on"
    APART = "apart"
    RISES = "rises"


@dataclass(frozen=True)
class HeldOutVerdict:
    """What was found, in a line, and with all that there is to say."""

    kind: HeldOutKind
    text: str = ""
    details: str = ""

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to do."""
        return self.kind in (HeldOutKind.FOLLOWS, HeldOutKind.FALLS_ON)


NOTHING_TO_SAY = HeldOutVerdict(HeldOutKind.UNKNOWN)
_WHAT_TO_DO = (
    "Where the projections are shifted against each other, align them (page Align). Where there are too few of them "
    "for the detail, choose a larger binning on the page Series."
)


def held_out_verdict(
    steps: Sequence[int],
    losses: Sequence[float],
    held_out: Sequence[float],
    *,
    first: int = 1,
    is_running: bool = False,
) -> HeldOutVerdict:
    """Say what the held-out loss of the last stage of a run means.

    Both losses are relative to the mean square of the projections, so that the root of what they differ by is how much
    worse unseen projections are predicted, relative to the projections. Noise is in both, and goes out. In this order:

    - fewer than 6 looks: nothing;
    - it *rises*: the mean of its last three looks is 10 % above its lowest, while the loss of the training fell since;
    - they are *apart*: it is 1.5 times the loss of the training, and unseen projections are predicted worse by 10 % of
      their strength;
    - it *falls on*: a run that has ended lowered it by 15 % in the last quarter of its steps;
    - it *follows* the training: what else there is.

    On the small nanotube of the samples the difference is 4 % with all 61 projections, 14 % with every third and 25 %
    with every sixth, 26 % where they are shifted by up to two pixels, and none of these with noise as strong as the
    projections, where the ratio is 1.4.

    Parameters
    ----------
    steps : sequence of int
        `(n,)` numbers of the steps.
    losses, held_out : sequence of float
        `(n,)` loss of each step, and of the held-out projections, NaN where they were not looked at [1].
    first : int
        First step of the last stage: losses of two stages cannot be compared.
    is_running : bool
        Whether the training goes on.

    Returns
    -------
    HeldOutVerdict
        Of kind `UNKNOWN`, without a text, where nothing is held out or too little is known.
    """
    chosen = np.asarray(steps) >= first
    training = np.asarray(losses, dtype=np.float64)[chosen]
    unseen = np.asarray(held_out, dtype=np.float64)[chosen]
    looks = np.flatnonzero(np.isfinite(unseen))
    if len(looks) < LEAST_LOOKS:
        return NOTHING_TO_SAY
    every = max(1, int(np.median(np.diff(looks))))
    seen = _smooth(np.array([_mean_until(training, int(look), every) for look in looks]))
    unseen = _smooth(unseen[looks])
    lowest = int(np.argmin(unseen))
    worse = float(np.sqrt(max(0.0, unseen[-1] - seen[-1])))
    if unseen[-1] > RISE * unseen[lowest] and seen[-1] < seen[lowest]:
        return _rises(int(np.asarray(steps)[chosen][looks[lowest]]), unseen[-1] / unseen[lowest])
    if unseen[-1] > APART * seen[-1] and worse > WORSE:
        return HeldOutVerdict(
            HeldOutKind.APART,
            f"Unseen projections fit {100 * worse:.0f} % worse: align, or bin.",
            f"Projections that were kept out of the training are predicted worse than the others, by {100 * worse:.0f} "
            f"% of their strength: the projections do not settle the fine detail. {_WHAT_TO_DO}",
        )
    quarter = unseen[int(np.searchsorted(looks, looks[-1] - (len(training) - 1) / 4))]
    if not is_running and unseen[-1] < STILL_FALLING * quarter:
        return HeldOutVerdict(
            HeldOutKind.FALLS_ON,
            "Held-out loss still falls: quality High gains more.",
            "Projections that were kept out of the training are predicted better to the end: a longer training would "
            "find more. Choose the quality High, or more visits under Advanced.",
        )
    return HeldOutVerdict(
        HeldOutKind.FOLLOWS,
        "Held-out loss follows the training: fine.",
        "Projections that were kept out of the training are predicted about as well as the others: no detail is made "
        "up. What all of them lack shows in the residual.",
    )


def _rises(step: int, times: float) -> HeldOutVerdict:
    return HeldOutVerdict(
        HeldOutKind.RISES,
        f"Held-out loss rises since step {step}: align, or bin.",
        f"Projections that were kept out of the training are predicted worse since step {step}, by now {times:.2g} "
        f"times the lowest loss, while those in it are fitted better: detail is made up. {_WHAT_TO_DO} A shorter "
        "training (quality Quick look) makes up less.",
    )


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each value and those before it, three in all."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - SMOOTHED)
    means: NDArray[np.float64] = (sums[end] - sums[start]) / (end - start)
    return means


def _mean_until(values: NDArray[np.float64], end: int, n: int) -> float:
    """Return the mean of the last `n` values up to a position; NaN where none is a number."""
    part = values[max(0, end - n + 1) : end + 1]
    known = part[np.isfinite(part)]
    return float(known.mean()) if known.size else float("nan")
