"""Around a training: checkpoints, stopping, progress; with a trainer that only counts."""

from __future__ import annotations

import io
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_stinr.errors import StinrError
from napari_stinr.interrupts import Stopped, StopRequest, terminate_as_interrupt
from napari_stinr.jobs import TrainingRequest, check_folder, check_output, train_to_file
from napari_stinr.progress import Pace, progress, remaining_text, step_reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N_STEPS = 6


@dataclass(frozen=True)
class Step:
    step: int
    n_steps: int = N_STEPS
    loss: float = 0.25
    relative_residual: float = 0.5
    seconds: float = 0.0


@dataclass
class Saved:
    step: int
    saves: list[int]
    broken_at: tuple[int, ...]

    def save(self, path: Path) -> None:
        if self.step in self.broken_at:
            raise StinrError("the disk is full", expected="space", cure="Free some.")
        self.saves.append(self.step)
        path.write_text(str(self.step))


@dataclass
class CountingTrainer:
    """Counts to `N_STEPS`; `before` is called with each step before it is reported."""

    before: Callable[[int], None] = lambda step: None
    broken_at: tuple[int, ...] = ()
    step: int = 0
    stopped: bool = False
    saves: list[int] = field(default_factory=list)

    def run(self, *, steps: int | None = None, seconds: float | None = None) -> Iterator[Step]:
        while self.step < N_STEPS and not self.stopped:
            self.step += 1
            self.before(self.step)
            yield Step(self.step)

    def stop(self) -> None:
        self.stopped = True

    def reconstruction(self) -> Saved:
        return Saved(self.step, self.saves, self.broken_at)


def send(number: int, *, at: int) -> Callable[[int], None]:
    return lambda step: os.kill(os.getpid(), number) if step == at else None


def test_a_whole_training_is_saved_once_at_its_end(tmp_path: Path) -> None:
    trainer, reports = CountingTrainer(), []
    train_to_file(trainer, tmp_path / "run.stinr", report=reports.append)
    assert trainer.saves == [N_STEPS]
    assert [report.step for report in reports] == list(range(1, N_STEPS + 1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_the_step_border_and_saves(tmp_path: Path, number: int) -> None:
    out, trainer = tmp_path / "run.stinr", CountingTrainer(send(number, at=3))
    with pytest.raises(
        Stopped, match=rf"stopped at step 3 of {N_STEPS} and saved .*run.stinr\. Go on with stinr train STACK --resume"
    ):
        train_to_file(trainer, out)
    assert trainer.saves == [3]


def test_a_second_signal_does_not_break_off_the_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, whole_save = CountingTrainer(send(signal.SIGINT, at=2)), Saved.save

    def save_while_interrupted(saved: Saved, path: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        whole_save(saved, path)

    monkeypatch.setattr(Saved, "save", save_while_interrupted)
    with pytest.raises(Stopped):
        train_to_file(trainer, tmp_path / "run.stinr")
    assert (tmp_path / "run.stinr").read_text() == "2"


def test_a_signal_at_the_very_end_is_no_stop(tmp_path: Path) -> None:
    trainer = CountingTrainer(send(signal.SIGINT, at=N_STEPS))
    assert train_to_file(trainer, tmp_path / "run.stinr").step == N_STEPS


def test_a_checkpoint_that_fails_does_not_end_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = CountingTrainer(broken_at=(2,))
    train_to_file(trainer, tmp_path / "run.stinr", checkpoint_every=0)
    assert trainer.saves == [1, 3, 4, 5, 6, N_STEPS]
    assert "Checkpoint not saved, training goes on: the disk is full" in caplog.text
    with pytest.raises(StinrError, match="the disk is full"):
        train_to_file(CountingTrainer(broken_at=(N_STEPS,)), tmp_path / "run.stinr")


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with terminate_as_interrupt(), StopRequest() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.requested
    with pytest.raises(KeyboardInterrupt), terminate_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_cannot_be_written_is_found_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, found in (
        (tmp_path / "missing" / "run.stinr", "cannot be written"),
        (tmp_path, "is a folder"),
        (tmp_path / "run.mrc", r"run\.mrc ends in '\.mrc'; expected \.stinr"),
        (tmp_path / "file" / "run.stinr", "cannot be written"),
    ):
        with pytest.raises(StinrError, match=found):
            check_output(path)
    with pytest.raises(StinrError, match="is a file"):
        check_folder(tmp_path / "file" / "out")
    check_folder(tmp_path / "new" / "out")
    check_output(tmp_path / "run.stinr")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_output_that_is_there_is_not_touched_by_the_check(tmp_path: Path) -> None:
    out = tmp_path / "run.stinr"
    out.write_text("precious")
    TrainingRequest(out, steps=5)
    assert out.read_text() == "precious"


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 5, "seconds": 1.0},
        {"preset": "static", "config": Path("a.yaml")},
        {"resume": Path("run.stinr"), "preset": "static"},
        {"resume": Path("run.stinr"), "seed": 0},
    ],
)
def test_options_that_exclude_each_other(tmp_path: Path, options: dict[str, object]) -> None:
    first, second = options
    with pytest.raises(StinrError, match=f"both --{first} and --{second} were given"):
        TrainingRequest(tmp_path / "run.stinr", **options)


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


def test_steps_become_progress_against_steps_or_time() -> None:
    seen: list[tuple[float, float, str]] = []
    report = step_reporter(lambda done, total, remark="": seen.append((done, total, remark)))
    for step in (1, 2, 3):
        report(Step(step, seconds=0.5 * step))
    assert seen[-1] == (3, N_STEPS, "loss 0.25, residual 0.500, 2 steps/s")
    report = step_reporter(lambda done, total, remark="": seen.append((done, total, remark)), seconds=60)
    report(Step(2, seconds=15.0))
    assert seen[-1][:2] == (15.0, 60)


def test_pace_forgets_what_is_long_ago() -> None:
    pace = Pace(window=10)
    assert pace.per_second is None
    for second in range(101):
        pace.add(second, 1000 + (second if second < 50 else 50 + 3 * (second - 50)))
    assert pace.per_second == pytest.approx(3)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (41.6, "42 s left"), (190, "3 min 10 s left"), (7500, "2 h 5 min left")]
)
def test_remaining_time(seconds: float | None, text: str) -> None:
    assert remaining_text(seconds) == text
