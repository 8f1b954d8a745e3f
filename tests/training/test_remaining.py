"""The remaining time of a run: as expected at first, then as its steps say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_stinr.training.remaining import RemainingTime, StageTime
from napari_stinr.training.schedule import StepReport

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGES = (
    StageTime("surface 1 of 2", 100, 0.1),
    StageTime("surface 2 of 2", 100, 0.1),
    StageTime("volume", 300, 1.0),
)
"""What is expected: 20 s of search, 300 s of volume."""


def report(step: int, seconds: float, *, stage: str = "volume", n_steps: int = 500) -> StepReport:
    return StepReport(step, n_steps, 1.0, 1.0, (0.1,), seconds, stage=stage)


def run(*, slower: float = 1.0, first: float = 0.0) -> Iterator[StepReport]:
    """Every step of a run that is slower than expected by a factor, and of which the first step of a stage waits."""
    seconds, step = 0.0, 0
    for stage in STAGES:
        seconds += first
        for _ in range(int(stage.steps)):
            seconds, step = seconds + slower * stage.step_seconds, step + 1
            yield report(step, seconds, stage=stage.name)


def predicted_totals(remaining: RemainingTime, reports: Iterator[StepReport]) -> list[float]:
    totals = []
    for told in reports:
        remaining.add(told)
        assert remaining.seconds is not None
        totals.append(told.seconds + remaining.seconds)
    return totals


def test_a_run_as_expected_is_told_right_from_its_first_step_on() -> None:
    totals = predicted_totals(RemainingTime(stages=STAGES), run())
    assert totals == pytest.approx([320.0] * 500, rel=0.01)


@pytest.mark.parametrize("slower", [0.2, 0.5, 3.0, 6.0])
def test_a_machine_of_another_speed_is_noticed_in_the_search(slower: float) -> None:
    totals = predicted_totals(RemainingTime(stages=STAGES), run(slower=slower))
    true = 320 * slower
    tenth = next(k for k, told in enumerate(run(slower=slower)) if told.seconds > 0.06 * true)
    assert all(true / 2 < total < true * 2 for total in totals[tenth:])
    assert totals[-1] == pytest.approx(true)
    # Twenty seconds into the volume, nothing is left of what was expected.
    late = next(k for k, told in enumerate(run(slower=slower)) if told.seconds > 20 * slower + 40)
    assert totals[late:] == pytest.approx([true] * (500 - late), rel=0.15)


def test_what_is_compiled_in_the_first_step_of_a_stage_does_not_count() -> None:
    totals = predicted_totals(RemainingTime(stages=STAGES), run(first=8.0))
    assert all(300 < total < 360 for total in totals)


def test_a_run_of_other_length_has_its_stages_in_proportion() -> None:
    remaining = RemainingTime(stages=STAGES)
    remaining.add(report(1, 0.1, stage="surface 1 of 2", n_steps=50))
    # 9 and 10 steps of search, 30 of the volume.
    assert remaining.seconds == pytest.approx(31.9, rel=0.01)


def test_going_on_in_the_volume_knows_the_rest() -> None:
    remaining = RemainingTime(stages=STAGES)
    remaining.add(report(401, 400.0))
    assert remaining.seconds == pytest.approx(99.0)


def test_without_an_estimate_only_the_last_stage_tells() -> None:
    remaining = RemainingTime()
    for told in run():
        remaining.add(told)
        if told.stage != "volume":
            assert remaining.seconds is None
    remaining = RemainingTime()
    remaining.add(report(400, 400.0))
    assert remaining.seconds is None
    remaining.add(report(410, 420.0))
    assert remaining.seconds == pytest.approx(180.0)


def test_a_run_of_given_length_knows_its_end() -> None:
    remaining = RemainingTime(stages=STAGES, aligning=30.0, limit=60.0)
    remaining.align(0.0, 100.0)
    assert remaining.seconds == pytest.approx(90.0)
    remaining.add(report(3, 15.0, stage="surface 1 of 2"))
    assert remaining.seconds == pytest.approx(45.0)
    remaining.add(report(90, 61.0))
    assert remaining.seconds == 0.0


def test_an_alignment_tells_the_speed_of_the_machine() -> None:
    remaining = RemainingTime(stages=STAGES, aligning=30.0)
    assert remaining.seconds == pytest.approx(350.0)
    remaining.align(0.0, 7.0)
    assert remaining.seconds == pytest.approx(350.0)
    remaining.align(0.5, 7.0 + 45.0)
    # Thrice as long as expected: 45 s of the alignment are left, and the training takes twice as long, to be careful.
    assert remaining.seconds == pytest.approx(45 * 0.9 + 320 * 2, rel=0.1)


def test_a_series_that_is_aligned_already_tells_nothing_about_the_machine() -> None:
    remaining = RemainingTime(stages=STAGES, aligning=30.0)
    for part, now in ((0.0, 0.0), (0.04, 1.2), (1.0, 1.3)):
        remaining.align(part, now)
    assert remaining.seconds == pytest.approx(320.0, rel=0.05)


def test_nothing_is_told_of_a_device_whose_speed_is_not_known() -> None:
    remaining = RemainingTime()
    remaining.align(0.5, 10.0)
    assert remaining.seconds is None


def test_stages_may_be_told_when_the_series_is_known() -> None:
    remaining = RemainingTime(aligning=0.0)
    remaining.expect(STAGES)
    assert remaining.seconds == pytest.approx(320.0)
