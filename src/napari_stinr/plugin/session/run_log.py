"""The course of a run: its stages and losses, its pace, the time it will take; what a dock opened in mid-run shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_stinr.pace import Pace, remaining_text
from napari_stinr.training.remaining import RemainingTime
from napari_stinr.training.requirements import stages_of_prepared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stinr.training.estimates import Speed
    from napari_stinr.training.events import Prepared
    from napari_stinr.training.requirements import Estimate
    from napari_stinr.training.schedule import StepReport


@dataclass(eq=False)
class RunLog:
    """What the steps of a run reported."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """Loss of every step, relative to the mean square of the data [1]."""
    held_out: list[float] = field(default_factory=list)
    """Loss of the held-out projections, NaN where it was not evaluated [1]."""
    stages: list[tuple[int, str]] = field(default_factory=list)
    """First reported step of every stage so far, and its name."""
    last: StepReport | None = None
    _pace: Pace = field(default_factory=Pace)
    _remaining: RemainingTime = field(default_factory=RemainingTime)
    _speed: Speed | None = None

    @classmethod
    def expecting(cls, estimate: Estimate | None) -> RunLog:
        """Return the log of a run that is about to begin, of which this is expected."""
        return cls() if estimate is None else cls(_remaining=estimate.remaining, _speed=estimate.speed)

    def align(self, part: float, now: float) -> None:
        """Take in that this part of the alignment is done at the time `now` [s]."""
        self._remaining.align(part, now)

    def prepare(self, event: Prepared) -> None:
        """Take in with what the training begins."""
        self._remaining.expect(stages_of_prepared(event, self._speed))

    def add(self, reports: Sequence[StepReport]) -> None:
        """Take in reports, oldest first."""
        for report in reports:
            self.steps.append(report.step)
            self.losses.append(report.loss)
            self.held_out.append(report.held_out_loss)
            # The time of training and not that of the clock, so that a pause does not count.
            self._pace.add(report.seconds, report.step, stage=report.stage)
            self._remaining.add(report)
            if self.last is None or self.last.stage != report.stage:
                self.stages.append((report.step, report.stage))
            self.last = report

    @property
    def is_steady(self) -> bool:
        """Whether the rest of the run goes on at the pace of now: the steps of a search are cheaper than the others."""
        # With torch, which is there where a training reports.
        from napari_stinr.training.stages import VOLUME

        return self.last is not None and self.last.stage == VOLUME

    @property
    def remaining(self) -> float | None:
        """Time that the rest of the run takes [s]; None before that is known."""
        return self._remaining.seconds

    def text(self, *, is_running: bool) -> str:
        """Return progress in one line, such as ``"28 s left, volume, step 520 of 750, 8.2 steps/s"``."""
        if self.last is None:
            return ""
        rate, last = self._pace.per_second, self.last
        is_named = not self.is_steady or (is_running and len(self.stages) > 1)
        # What matters most comes first: where there is little room, the end is cut.
        parts = [remaining_text(self.remaining)] if is_running and last.step < last.n_steps else []
        parts += [last.stage] if is_named else []
        parts += [f"step {last.step} of {last.n_steps}"]
        parts += [] if rate is None else [f"{rate:.3g} steps/s"]
        return ", ".join(part for part in parts if part)
