"""A training from the command line: signals, what is told where it fails, which runs are replaced."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from helpers.series_cases import growing_series
from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.cli.training import TrainingRequest, train
from napari_stinr.config import GrowthFieldConfig
from napari_stinr.data.geometry import VoxelGrid, grid_of
from napari_stinr.errors import StinrError
from napari_stinr.training.failures import TrainingError
from napari_stinr.training.interrupts import Stopped, terminate_as_interrupt
from napari_stinr.training.run import Order
from napari_stinr.training.schedule import StepReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_stinr.data.notes import Note
    from napari_stinr.data.tilt_series import TiltSeries

N_STEPS = 6
SERIES = growing_series(n_tilts=11, width=9, height=3)
GRID = grid_of(SERIES)


@dataclass
class Saved:
    step: int
    saves: list[int]
    broken_at: tuple[int, ...]

    def save(self, path: Path, *, overwrite: bool = True) -> None:
        if self.step in self.broken_at and path.name == "run.stinr":
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
    series: TiltSeries = SERIES
    grid: VoxelGrid = GRID
    config: Any = None
    notes: tuple[Note, ...] = ()

    def run(self, *, steps: int | None = None, seconds: float | None = None) -> Iterator[StepReport]:
        while self.step < N_STEPS and not self.stopped:
            self.step += 1
            self.before(self.step)
            yield StepReport(self.step, N_STEPS, 0.25, 0.5, (0.1,), 0.0)

    def stop(self) -> None:
        self.stopped = True

    def reconstruction(self) -> Saved:
        return Saved(self.step, self.saves, self.broken_at)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Train with a trainer that only counts."""

    def train_counting(trainer: CountingTrainer, path: Path, **options: Any) -> Any:
        monkeypatch.setattr("napari_stinr.training.trainer.Trainer", lambda *_, **__: trainer)
        return train(Order(SERIES, path=path, **options))

    return train_counting


def send(number: int, *, at: int) -> Callable[[int], None]:
    return lambda step: os.kill(os.getpid(), number) if step == at else None


def test_a_whole_training_is_saved_once_at_its_end(count: Callable[..., Any], tmp_path: Path) -> None:
    trainer = CountingTrainer()
    assert count(trainer, tmp_path / "run.stinr").step == N_STEPS
    assert trainer.saves == [N_STEPS]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_the_step_border_and_saves(count: Callable[..., Any], tmp_path: Path, number: int) -> None:
    out, trainer = tmp_path / "run.stinr", CountingTrainer(send(number, at=3))
    with pytest.raises(
        Stopped, match=rf"stopped at step 3 of {N_STEPS} and saved .*run.stinr\. Go on with stinr train STACK --resume"
    ):
        count(trainer, out)
    assert trainer.saves == [3]


def test_a_second_signal_does_not_break_off_the_saving(
    count: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, whole_save = CountingTrainer(send(signal.SIGINT, at=2)), Saved.save

    def save_while_interrupted(saved: Saved, path: Path, *, overwrite: bool = True) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        whole_save(saved, path)

    monkeypatch.setattr(Saved, "save", save_while_interrupted)
    with pytest.raises(Stopped):
        count(trainer, tmp_path / "run.stinr")
    assert (tmp_path / "run.stinr").read_text() == "2"


def test_a_signal_at_the_very_end_is_no_stop(count: Callable[..., Any], tmp_path: Path) -> None:
    trainer = CountingTrainer(send(signal.SIGINT, at=N_STEPS))
    assert count(trainer, tmp_path / "run.stinr").step == N_STEPS


def test_a_checkpoint_that_fails_does_not_end_the_training(
    count: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = CountingTrainer(broken_at=(2,))
    count(trainer, tmp_path / "run.stinr", checkpoint_every=0)
    assert trainer.saves == [1, 3, 4, 5, 6, N_STEPS]
    assert "Checkpoint not saved, training goes on: the disk is full" in caplog.text


def fail(error: Exception, *, at: int) -> Callable[[int], None]:
    def raise_it(step: int) -> None:
        if step == at:
            raise error

    return raise_it


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in the place of the one in the home of this person."""
    monkeypatch.setattr("napari_stinr.training.checkpoints.automatic_folder", lambda: tmp_path / "home" / "runs")
    return tmp_path / "home" / "runs"


def test_a_result_that_cannot_be_saved_as_asked_is_saved_elsewhere(
    count: Callable[..., Any], tmp_path: Path, own_folder: Path
) -> None:
    (tmp_path / "run.stinr").write_text("precious")
    with pytest.raises(StinrError, match=r"the disk is full; .* Everything is saved as .* stinr train STACK") as caught:
        count(CountingTrainer(broken_at=(N_STEPS,)), tmp_path / "run.stinr")
    (elsewhere,) = own_folder.iterdir()
    assert f"--resume {elsewhere}" in str(caught.value)
    assert elsewhere.read_text() == str(N_STEPS)
    assert (tmp_path / "run.stinr").read_text() == "precious"


def test_where_the_home_is_full_too_the_folder_for_temporary_files_takes_it(
    count: Callable[..., Any], tmp_path: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_folder.parent.write_text("a file and no folder")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    with pytest.raises(StinrError, match="Everything is saved as"):
        count(CountingTrainer(broken_at=(N_STEPS,)), tmp_path / "run.stinr")
    assert [path.read_text() for path in (tmp_path / "tmp").iterdir()] == [str(N_STEPS)]


ERRORS = {
    "diverged": (TrainingError("the loss is nan at step 4"), "expected a loss that falls"),
    "CUDA": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "the memory is full"),
    "memory": (MemoryError(), "the memory is full"),
    "device": (RuntimeError("CUDA error: unspecified launch failure"), "--device cpu"),
    "bug": (KeyError("moments"), "the training failed (KeyError: 'moments')"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_saves_what_was_trained_and_says_how_to_go_on(
    count: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    error, says = ERRORS[kind]
    out = tmp_path / "run.stinr"
    with pytest.raises(StinrError) as caught:
        count(CountingTrainer(fail(error, at=4)), out)
    assert says in str(caught.value)
    assert f"saved as {out}: go on with stinr train STACK --resume {out}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert out.read_text() == "4"


def test_an_error_before_the_first_step_replaces_nothing(count: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run.stinr").write_text("precious")
    trainer = CountingTrainer()
    trainer.run = lambda **_: fail(StinrError("--steps is -1", expected="more", cure="Give more."), at=0)(0)  # type: ignore[method-assign]
    with pytest.raises(StinrError, match="steps is -1"):
        count(trainer, tmp_path / "run.stinr")
    assert (tmp_path / "run.stinr").read_text() == "precious"


def test_weights_that_are_not_finite_never_replace_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run.stinr"
    config = preset_config("growth").model_copy(update={"field": GrowthFieldConfig()})
    trainer = Trainer(SERIES, config, device="cpu", threads=1)

    def spoil(report: StepReport) -> None:
        if report.step == 3:
            with torch.no_grad():
                next(trainer.field.parameters()).fill_(torch.nan)

    monkeypatch.setattr("napari_stinr.cli.training.step_reporter", lambda *_, **__: spoil)
    monkeypatch.setattr("napari_stinr.training.trainer.Trainer", lambda *_, **__: trainer)
    with pytest.raises(StinrError, match=f"the loss is nan at step 4.* The last checkpoint is {out}"):
        train(Order(SERIES, path=out, steps=10, checkpoint_every=0.0))
    assert load_reconstruction(out).step == 2


def test_a_terminal_that_is_gone_costs_nothing_that_was_trained(
    count: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(report: StepReport) -> None:
        if report.step == 3:
            raise OSError("Input/output error")

    monkeypatch.setattr("napari_stinr.cli.training.step_reporter", lambda *_, **__: lost)
    with pytest.raises(StinrError, match="saved as"):
        count(CountingTrainer(), tmp_path / "run.stinr")
    assert (tmp_path / "run.stinr").read_text() == "3"


def test_before_there_is_something_to_save_an_interrupt_ends_at_once(count: Callable[..., Any], tmp_path: Path) -> None:
    with terminate_as_interrupt(), pytest.raises(KeyboardInterrupt):
        count(CountingTrainer(), tmp_path / "run.stinr", check=lambda *_: signal.raise_signal(signal.SIGTERM))
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_due_as_long_after_the_last_one_however_long_steps_and_saving_take(
    count: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("napari_stinr.training.run.time.monotonic", lambda: now[0])
    whole_save = Saved.save

    def slow_save(saved: Saved, path: Path, **options: bool) -> None:
        now[0] += 100.0
        whole_save(saved, path, **options)

    def slow_step(step: int) -> None:
        now[0] += 35.0

    monkeypatch.setattr(Saved, "save", slow_save)
    trainer = CountingTrainer(slow_step)
    count(trainer, tmp_path / "run.stinr", checkpoint_every=60)
    assert trainer.saves == [2, 4, 6, N_STEPS]


@pytest.mark.parametrize("change", ["projections", "tilt_angles", "times"])
def test_another_series_is_refused_with_the_reason(tmp_path: Path, change: str) -> None:
    series = growing_series(n_tilts=11, width=9, height=3)
    Trainer(series, preset_config("growth"), device="cpu", threads=1).reconstruction().save(tmp_path / "run.stinr")
    values = getattr(series, change).copy()
    values.flat[-1] -= 0.4
    request = TrainingRequest(tmp_path / "new.stinr", resume=tmp_path / "run.stinr", device="cpu", threads=1)
    with pytest.raises(StinrError, match=r"is not that of the run, .*expected the same stack, angles, times"):
        train(request.order(replace(series, **{change: values})))


def trained_for(out: Path, steps: int, series: TiltSeries = SERIES, **options: Any) -> int:
    return refuse_or_train(series, out, steps=steps, **options).step


def refuse_or_train(series: TiltSeries, out: Path, **options: Any) -> Any:
    return train(TrainingRequest(out, device="cpu", threads=1, **options).order(series))


def test_a_run_of_other_data_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "run.stinr"
    trained_for(out, 3, replace(SERIES, name="needle"))
    before = out.read_bytes()
    with pytest.raises(StinrError, match=r"run\.stinr holds a run of other data: 'needle' with 11 tilts.*another name"):
        trained_for(out, 5, SERIES.exclude([0]))
    with pytest.raises(StinrError, match="of other data"):
        refuse_or_train(SERIES.exclude([0]), out, seconds=5.0)
    assert out.read_bytes() == before


def test_the_same_run_is_written_again_and_a_longer_one_stays(tmp_path: Path) -> None:
    out = tmp_path / "run.stinr"
    assert [trained_for(out, steps) for steps in (3, 3, 5)] == [3, 3, 5]
    with pytest.raises(StinrError, match="this series with 5 steps; expected at most 4, those of the new run"):
        trained_for(out, 4)
    assert load_reconstruction(out).step == 5
    assert refuse_or_train(SERIES, out, seconds=0.01).step == load_reconstruction(out).step


def test_going_on_with_a_run_replaces_no_longer_one(tmp_path: Path) -> None:
    short, long = tmp_path / "short.stinr", tmp_path / "long.stinr"
    trained_for(short, 2)
    trained_for(long, 4)
    for steps in (2, 3):
        with pytest.raises(StinrError, match=r"long\.stinr holds a run of this series with 4 steps"):
            trained_for(long, steps, resume=short)
    with pytest.raises(StinrError, match="expected at most 2"):
        refuse_or_train(SERIES, long, resume=short, seconds=9.0)
    assert load_reconstruction(long).step == 4
    assert trained_for(long, 6, resume=short) == 6
    assert trained_for(short, 3, resume=short) == 3
    assert trained_for(short, 1, resume=short) == 3


def test_a_damaged_run_may_be_replaced_and_only_its_header_is_read(tmp_path: Path) -> None:
    out = tmp_path / "run.stinr"
    trained_for(out, 5)
    whole = out.read_bytes()
    for damaged in (whole[:-40], b"{}" + whole, b"", b"\0" * 5000):
        out.write_bytes(damaged)
        assert trained_for(out, 2) == 2
    out.write_bytes(whole[:-400] + bytes(400))
    with pytest.raises(StinrError, match="with 5 steps"):
        trained_for(out, 2)


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


@pytest.mark.parametrize(("axis", "expected"), [(None, "vertical"), ("horizontal", "horizontal")])
def test_images_with_a_pose_of_another_program_are_not_turned_by_guess(tmp_path, axis, expected):
    path = tmp_path / "stack.xf"
    turn = "1 0 0 1 0 0" if axis is None else "0 -1 1 0 0 0"
    path.write_text("\n".join([turn] * SERIES.n_tilts))
    given = {} if axis is None else {"axis": axis}
    order = TrainingRequest(tmp_path / "run.stinr", align=str(path), preprocessing=given).order(SERIES)
    assert order.config is not None
    assert order.config.preprocessing.axis == expected
    assert order.pose is not None
