"""What a long command shows of its progress."""

from __future__ import annotations

import io

from napari_stinr.cli.console import progress, step_reporter
from napari_stinr.training.schedule import StepReport


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


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with progress("train", stream=stream) as update:
        update(5, 10, "loss 0.1 [x]")
    assert "train" in stream.getvalue()
    assert "50 %" in stream.getvalue()
    assert "loss 0.1 [x]" in stream.getvalue()


def step_at(step: int, *, seconds: float) -> StepReport:
    return StepReport(step, 6, 0.25, 0.5, (0.1,), seconds)


def test_steps_become_progress_against_steps_or_time() -> None:
    seen: list[tuple[float, float, str]] = []
    report = step_reporter(lambda done, total, remark="": seen.append((done, total, remark)))
    for step in (1, 2, 3):
        report(step_at(step, seconds=0.5 * step))
    assert seen[-1] == (3, 6, "loss 0.25, residual 0.500, 2 steps/s")
    report = step_reporter(lambda done, total, remark="": seen.append((done, total, remark)), seconds=60)
    report(step_at(2, seconds=15.0))
    assert seen[-1][:2] == (15.0, 60)
