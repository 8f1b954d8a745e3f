"""The driver: what it posts, how it is held up, and what it leaves when something goes wrong."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from helpers.series_cases import VOXELWISE_GROWTH, growing_series
from helpers.waiting import A_WHILE, PATIENCE, wait_for
from napari_stinr import Trainer, load_reconstruction, reconstruct
from napari_stinr.errors import StinrError
from napari_stinr.training.events import Abandoned, Failed, Finished, Prepared, Reported, Saved, Snapshot
from napari_stinr.training.failures import FailureKind, TrainingError, failure_of
from napari_stinr.training.run import Control, Order, drive

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries

SERIES = growing_series(n_tilts=11, width=9, height=3)
CONFIG = VOXELWISE_GROWTH.with_training(steps=6)


def order(**options: Any) -> Order:
    return Order(SERIES, CONFIG, **{"device": "cpu", "threads": 1, **options})


def events_of(**options: Any) -> list[Any]:
    events: list[Any] = []
    assert drive(order(**options), events.append) is events[-1]
    return events


def kinds(events: list[Any]) -> list[type]:
    return [type(event) for event in events]


def losses(events: list[Any]) -> list[float]:
    return [report.loss for event in events if isinstance(event, Reported) for report in event.reports]


def losses_alone() -> list[float]:
    return [report.loss for report in Trainer(SERIES, CONFIG, device="cpu", threads=1).run()]


def in_thread(posted: list[Any], control: Control, **options: Any) -> threading.Thread:
    thread = threading.Thread(target=drive, args=(order(**options), posted.append, control))
    thread.start()
    return thread


def test_without_a_file_a_training_is_steps_and_an_end() -> None:
    events = events_of()
    assert kinds(events) == [Prepared, *[Reported] * 6, Finished]
    assert losses(events) == losses_alone()
    assert (events[-1].reconstruction.step, events[-1].was_stopped, events[-1].kept.path) == (6, False, None)
    assert events[0].config == CONFIG


def test_a_script_gets_the_same_numbers_as_the_events() -> None:
    reports: list[Any] = []
    result = reconstruct(SERIES, config=CONFIG, device="cpu", threads=1, callback=reports.append)
    events = events_of()
    assert [report.loss for report in reports] == losses(events)
    assert (result.render(0.3) == events[-1].reconstruction.render(0.3)).all()


def test_the_series_may_be_made_when_the_training_begins() -> None:
    events: list[Any] = []
    drive(Order(lambda: SERIES, CONFIG, device="cpu", threads=1), events.append)
    assert events[0].series is SERIES
    assert losses(events) == losses_alone()


def test_checkpoints_snapshots_and_parcels_come_as_ordered(tmp_path: Path) -> None:
    events = events_of(path=tmp_path / "run.stinr", checkpoint_every=0.0, preview_every=0.0, reports_every=3600.0)
    assert kinds(events) == [Prepared, *[Snapshot, Saved] * 6, Reported, Saved, Finished]
    assert [event.is_checkpoint for event in events if isinstance(event, Saved)] == [True] * 6 + [False]
    assert len(events[-3].reports) == 6
    assert load_reconstruction(tmp_path / "run.stinr").step == 6


def test_a_run_goes_on_as_if_it_had_never_been_stopped(tmp_path: Path) -> None:
    control, first = Control(), list[Any]()

    def stop_after_two(event: Any) -> None:
        first.append(event)
        if isinstance(event, Reported) and event.reports[-1].step == 2:
            control.stop()

    out = tmp_path / "run.stinr"
    outcome = drive(order(path=out), stop_after_two, control)
    assert isinstance(outcome, Finished)
    assert outcome.was_stopped
    assert losses(first) + losses(events_of(resume=out)) == losses_alone()


def test_a_missing_folder_is_made_where_that_is_ordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stinr.training.checkpoints.automatic_folder", lambda: tmp_path / "home")
    out = tmp_path / "new" / "run.stinr"
    kept = events_of(path=out)[-1].kept
    assert kept.path.parent == tmp_path / "home"
    assert "does not exist" in str(kept.problem)
    assert events_of(path=out, makes_folder=True)[-1].kept.path == out


def test_a_check_refuses_before_anything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(series: TiltSeries, config: ReconstructionConfig, step: int) -> None:
        assert (series, config) == (SERIES, CONFIG)
        raise StinrError(f"{step} steps", expected="more", cure="Give more.")

    # Nor does it take the time and the memory of a trainer.
    monkeypatch.setattr("napari_stinr.training.trainer.Trainer", pytest.fail)
    (failed,) = events_of(check=refuse)
    assert failed.failure.kind is FailureKind.INPUT
    assert (failed.failure.found, failed.failure.cure) == ("0 steps", "Give more.")


def test_stopped_before_it_is_prepared_it_is_abandoned(tmp_path: Path) -> None:
    control, events = Control(), list[Any]()
    control.stop()
    drive(order(path=tmp_path / "run.stinr"), events.append, control)
    assert kinds(events) == [Abandoned]
    assert not list(tmp_path.iterdir())


def test_a_pause_holds_at_the_step_border_and_no_number_changes() -> None:
    control, events, paused = Control(), list[Any](), threading.Event()

    def pause_at_three(event: Any) -> None:
        events.append(event)
        if isinstance(event, Reported) and event.reports[-1].step == 3:
            control.pause()
            paused.set()

    thread = threading.Thread(target=drive, args=(order(), pause_at_three, control))
    thread.start()
    assert paused.wait(PATIENCE)
    time.sleep(A_WHILE)
    assert len(losses(events)) == 3
    control.go_on()
    thread.join(PATIENCE)
    assert losses(events) == losses_alone()


@pytest.mark.parametrize("pauses_last", [False, True])
def test_a_stop_ends_a_pause_whichever_comes_first(pauses_last: bool) -> None:
    control, events = Control(), list[Any]()
    thread = in_thread(events, control, steps=1_000_000)
    wait_for(lambda: losses(events) or not thread.is_alive())
    for act in (control.stop, control.pause) if pauses_last else (control.pause, control.stop):
        act()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert events[-1].was_stopped


def test_a_paused_training_ends_with_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    control, events, ended = Control(), list[Any](), threading.Event()
    program = SimpleNamespace(is_alive=lambda: not ended.is_set())
    monkeypatch.setattr("napari_stinr.training.run.threading", SimpleNamespace(main_thread=lambda: program))
    control.pause()
    thread = in_thread(events, control, steps=1_000_000)
    wait_for(lambda: losses(events) or not thread.is_alive())
    ended.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert isinstance(events[-1], Finished)
    assert len(losses(events)) == 1


def test_an_error_of_who_listens_costs_nothing_that_was_trained(tmp_path: Path) -> None:
    events: list[Any] = []

    def break_at_three(event: Any) -> None:
        events.append(event)
        if isinstance(event, Reported) and event.reports[-1].step == 3:
            raise RuntimeError("the window is gone")

    drive(order(path=tmp_path / "run.stinr"), break_at_three)
    assert kinds(events[-2:]) == [Saved, Failed]
    assert events[-1].kept.path == tmp_path / "run.stinr"
    assert "the window is gone" in events[-1].trace
    assert load_reconstruction(tmp_path / "run.stinr").step == 3


def interrupt_at_two(event: Any) -> None:
    if isinstance(event, Reported) and event.reports[-1].step == 2:
        raise KeyboardInterrupt


def test_in_the_main_thread_an_interrupt_is_for_the_program_and_elsewhere_it_ends_in_an_event() -> None:
    with pytest.raises(KeyboardInterrupt):
        drive(order(), interrupt_at_two)
    events: list[Any] = []

    def listen(event: Any) -> None:
        events.append(event)
        interrupt_at_two(event)

    thread = threading.Thread(target=drive, args=(order(), listen))
    thread.start()
    thread.join(PATIENCE)
    assert isinstance(events[-1], Failed)
    assert events[-1].failure.kind is FailureKind.OTHER


def test_a_script_gets_the_error_as_it_was_raised() -> None:
    config = CONFIG.with_training(density_rate=1e30, arrival_rate=1e30)
    with pytest.raises(TrainingError, match="the loss is"):
        reconstruct(SERIES, config=config, device="cpu", threads=1, steps=50)
    error = RuntimeError("of the callback")

    told: list[int] = []

    def fail(report: Any) -> None:
        told.append(report.step)
        if report.step == 3:
            raise error

    with pytest.raises(RuntimeError) as caught:
        reconstruct(SERIES, config=CONFIG, device="cpu", threads=1, callback=fail)
    assert caught.value is error
    assert told == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StinrError("a", expected="b", cure="C."), FailureKind.INPUT),
        (TrainingError("the loss is nan"), FailureKind.DIVERGED),
        (MemoryError(), FailureKind.MEMORY),
        (torch.OutOfMemoryError(""), FailureKind.MEMORY),
        (RuntimeError("MPS backend out of memory"), FailureKind.MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), FailureKind.MEMORY),
        (RuntimeError("CUDA error: unspecified launch failure"), FailureKind.OTHER),
        (KeyError("memory"), FailureKind.OTHER),
        (SystemExit(1), FailureKind.OTHER),
    ],
)
def test_kinds_of_errors(error: BaseException, kind: FailureKind) -> None:
    assert failure_of(error).kind is kind
