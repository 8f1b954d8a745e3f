"""What a long command shows of its progress."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest

from napari_stinr.cli.console import progress, step_reporter
from napari_stinr.training.remaining import RemainingTime, StageTime
from napari_stinr.training.schedule import StepReport

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_lines_come_every_few_seconds_without_control_characters() -> None:
    stream, now = io.StringIO(), [0.0]
    with progress("train", stream=stream, clock=lambda: now[0]) as update:
        for step in range(1, 101):
            now[0] = 0.1 * step
            update(step, 100, "loss 0.1")
    lines = stream.getvalue().splitlines()
    assert lines == ["train: 50 of 100 (50 %), loss 0.1, 5 s left", "train: 100 of 100 (100 %), loss 0.1"]
    assert all(line.isprintable() for line in lines)


def test_a_short_command_says_nothing() -> None:
    stream = io.StringIO()
    with progress("export", stream=stream) as update:
        update(1, 1)
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    """A stream that says it is a terminal, wide enough for all remarks."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with progress("train", stream=stream) as update:
        update(5, 10, "loss 0.1 [x]")
    assert "train" in stream.getvalue()
    assert "50 %" in stream.getvalue()
    assert "loss 0.1 [x]" in stream.getvalue()


def step_at(step: int, *, seconds: float, n_steps: int = 6, stage: str = "volume") -> StepReport:
    return StepReport(step, n_steps, 0.25, 0.5, (0.1,), seconds, stage=stage)


def two_stages() -> Iterator[StepReport]:
    """60 steps of a search in 6 s, then 40 of a volume in 20 s."""
    for step in range(1, 61):
        yield step_at(step, seconds=0.1 * step, n_steps=100, stage="surface 1 of 3" if step <= 30 else "surface 2 of 3")
    for step in range(61, 101):
        yield step_at(step, seconds=6.0 + 0.5 * (step - 60), n_steps=100)


def test_stages_are_named_and_the_quick_steps_of_a_search_promise_no_early_end() -> None:
    stream, now = io.StringIO(), [0.0]
    with progress("train", stream=stream, clock=lambda: now[0]) as update:
        report = step_reporter(update)
        for step in two_stages():
            now[0] = step.seconds
            report(step)
    measures = "loss 0.25, residual 0.500"
    assert stream.getvalue().splitlines() == [
        f"train: 50 of 100 (50 %), surface 2 of 3, {measures}, 10 steps/s",
        f"train: 68 of 100 (68 %), volume, {measures}, 2 steps/s, 16 s left",
        f"train: 78 of 100 (78 %), volume, {measures}, 2 steps/s, 11 s left",
        f"train: 88 of 100 (88 %), volume, {measures}, 2 steps/s, 6 s left",
        f"train: 98 of 100 (98 %), volume, {measures}, 2 steps/s, 1 s left",
        f"train: 100 of 100 (100 %), volume, {measures}, 2 steps/s",
    ]


def test_where_it_is_known_what_to_expect_the_search_tells_the_rest() -> None:
    stages = (StageTime("surface 1 of 3", 30, 0.1), StageTime("surface 2 of 3", 30, 0.1), StageTime("volume", 40, 0.5))
    stream, now = io.StringIO(), [0.0]
    with progress("train", stream=stream, clock=lambda: now[0]) as update:
        report = step_reporter(update, remaining=RemainingTime(stages=stages))
        for step in two_stages():
            now[0] = step.seconds
            report(step)
    ends = [line.rpartition(", ")[2] for line in stream.getvalue().splitlines()]
    assert ends == ["21 s left", "16 s left", "11 s left", "6 s left", "1 s left", "2 steps/s"]


def test_a_terminal_says_the_rest_from_the_volume_on() -> None:
    stream, now = Terminal(), [0.0]
    seen = {}
    with progress("train", stream=stream, clock=lambda: now[0]) as update:
        report = step_reporter(update)
        for step in two_stages():
            now[0] = step.seconds
            report(step)
            if step.step in (59, 80):
                time.sleep(0.25)  # the bar is drawn ten times a second
                seen[step.step] = stream.getvalue()
    assert "surface 2 of 3, loss 0.25" in seen[59]
    assert "left" not in seen[59]
    assert "10 s left" in seen[80]


def test_a_run_of_given_length_knows_its_end_in_every_stage() -> None:
    stream, now = io.StringIO(), [0.0]
    with progress("train", stream=stream, clock=lambda: now[0]) as update:
        report = step_reporter(update, seconds=26.0)
        for step in two_stages():
            now[0] = step.seconds
            report(step)
    lines = stream.getvalue().splitlines()
    assert ["21 s left" in lines[0], "16 s left" in lines[1], "surface 2 of 3" in lines[0]] == [True] * 3


def test_steps_become_progress_against_steps_or_time() -> None:
    seen: list[tuple[float, float, str]] = []

    def update(
        done: float, total: float, remark: str = "", /, *, is_steady: bool = True, left: float | None = None
    ) -> None:
        seen.append((done, total, remark))

    report = step_reporter(update)
    for step in (1, 2, 3):
        report(step_at(step, seconds=0.5 * step))
    assert seen[-1] == (3, 6, "loss 0.25, residual 0.500, 2 steps/s")
    report = step_reporter(update, seconds=60)
    report(step_at(2, seconds=15.0))
    assert seen[-1][:2] == (15.0, 60)
