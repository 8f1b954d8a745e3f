"""How long the rest of a run takes: as was expected of it, corrected by what it has taken so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stinr.training.schedule import StepReport

_WORTH, _ALIGNING_WORTH = 1.0, 3.0
"""What was expected counts as much as what was measured in this time, of steps and of an alignment [s]."""
_ALIKE = 2 / 3
"""How much of the slowness of one stage is that of another, on a scale of factors: beside other programs, short steps
that threads share out lose more than long ones."""


@dataclass(frozen=True)
class StageTime:
    """What a stage of a training is expected to take.

    Parameters
    ----------
    name : str
        As in the reports of its steps.
    steps : float
        How many steps it has in a run of the usual number of steps.
    step_seconds : float
        Time of one of them [s].
    """

    name: str
    steps: float
    step_seconds: float


class RemainingTime:
    """The remaining time of a run, from the reports that it is told.

    Steps of one stage may take a hundredth of those of another. As long as a stage has not begun, what is expected of
    it is corrected by how much slower or faster than expected those of now are.

    Parameters
    ----------
    aligning : float, optional
        What the alignment is expected to take; None: not known [s].
    stages : sequence of StageTime
        What the training is expected to take; none where that is not known.
    limit : float, optional
        Length of the training, where that is given instead of a number of steps [s].
    """

    def __init__(
        self, *, aligning: float | None = None, stages: Sequence[StageTime] = (), limit: float | None = None
    ) -> None:
        self._aligning, self._stages, self._limit = aligning, tuple(stages), limit
        self._part, self._begun, self._aligned_for = 0.0, 0.0, 0.0
        self._is_aligning, self._slowness = False, 1.0
        self._pace = Pace()
        self._last: StepReport | None = None
        self._first_step, self._before = 0, 1.0

    def expect(self, stages: Sequence[StageTime]) -> None:
        """Take what the training is expected to take, now that its series is known."""
        self._stages = tuple(stages)

    def align(self, part: float, now: float) -> None:
        """Take in that this part of the alignment is done at the time `now` [s]."""
        if not self._is_aligning:
            self._is_aligning, self._begun = True, now
        self._part, self._aligned_for = part, now - self._begun
        # What ends early was aligned already: that it took less tells nothing about the machine.
        if self._aligning and part < 1:
            expected = part * self._aligning
            self._slowness = (_ALIGNING_WORTH + self._aligned_for) / (_ALIGNING_WORTH + expected)

    def add(self, report: StepReport) -> None:
        """Take in what a step has reported."""
        if self._last is None or report.stage != self._last.stage:
            self._before = self._slowness**_ALIKE
            self._first_step = 0 if self._last is None else self._last.step
        self._last = report
        # The first step of a stage, with what comes before it, is where its pace begins and not a part of it.
        self._pace.add(report.seconds, report.step, stage=report.stage)
        expected = self._expected_of(report.stage)
        if expected is not None and expected.step_seconds > 0:
            self._slowness = self._step_seconds(expected) / expected.step_seconds

    @property
    def seconds(self) -> float | None:
        """The remaining time; None before it is known [s]."""
        if self._last is None:
            return self._before_the_training()
        if self._limit is not None:
            return max(0.0, self._limit - self._last.seconds)
        report = self._last
        left = max(0, report.n_steps - report.step)
        expected = self._expected_of(report.stage)
        if expected is None:
            rate = self._pace.per_second
            return left / rate if rate is not None and self._is_last_stage(report.stage) else None
        stages = self._stages[self._stages.index(expected) :]
        share = expected.steps / max(sum(stage.steps for stage in stages), 1e-9)
        here = self._first_step + share * (report.n_steps - self._first_step) - report.step
        here = left if len(stages) == 1 else min(max(0.0, here), left)
        later = sum(stage.steps for stage in stages[1:])
        rest = self._slowness * here * expected.step_seconds
        for stage in stages[1:]:
            # Rounds of one search are alike.
            slowness = self._slowness ** (_ALIKE if stage is stages[-1] else 1.0)
            rest += slowness * (left - here) * stage.steps / later * stage.step_seconds
        return rest

    def _before_the_training(self) -> float | None:
        training = self._limit
        if training is None and self._stages:
            training = self._slowness**_ALIKE * sum(stage.steps * stage.step_seconds for stage in self._stages)
        if training is None or self._aligning is None:
            return None
        return training + self._slowness * self._aligning * (1 - self._part)

    def _step_seconds(self, expected: StageTime) -> float:
        """Time of a step of this stage: as measured, and as expected as long as little was measured [s]."""
        before = self._before * expected.step_seconds
        seconds, steps = self._pace.measured
        return (_WORTH + seconds) / (_WORTH / before + steps)

    def _expected_of(self, name: str) -> StageTime | None:
        return next((stage for stage in self._stages if stage.name == name), None)

    @staticmethod
    def _is_last_stage(name: str) -> bool:
        # With torch, which is there where a training reports.
        from napari_stinr.training.stages import VOLUME

        return name == VOLUME
