"""The thread that trains: what it posts, how it is held up and ended, and what is left when something goes wrong."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import threading
import time
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from helpers.plugin_cases import (
    ENDLESS,
    GROWTH,
    PATIENCE,
    WITHOUT_SEARCH,
    Gate,
    before_step,
    end_all_trainings,
    losses_alone,
    small_draft,
    wait_for,
)
from helpers.waiting import A_WHILE
from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.failures import failed_text, failure_text, saved_texts
from napari_stinr.plugin.session.tasks import Cancelled, Progress, Task, TaskRunner
from napari_stinr.plugin.session.training_thread import TrainingThread, window_order
from napari_stinr.training.events import Abandoned, Failed, Finished, Prepared, Reported, Saved, Snapshot
from napari_stinr.training.failures import failure_of
from napari_stinr.training.trainer import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig


def start(config: ReconstructionConfig = GROWTH, **options: Any) -> tuple[TrainingThread, list[Any]]:
    """Start a training on a small series; return its thread and the list that its events go into."""
    events: list[Any] = []
    order = window_order(small_draft(), config, **{"device": "cpu", "preview_every": 0.0, **options})
    thread = TrainingThread(order, events.append)
    thread.start()
    return thread, events


def events_of(config: ReconstructionConfig = GROWTH, **options: Any) -> list[Any]:
    """Train to the end and return all events."""
    thread, events = start(config, **options)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return events


def reports_in(events: list[Any]) -> list[Any]:
    """Step reports of all parcels, in the order in which they came."""
    return list(itertools.chain.from_iterable(event.reports for event in events if isinstance(event, Reported)))


def problems_in(events: list[Any]) -> list[str]:
    """Return what went wrong with each saving, "" where nothing did."""
    told = [dict(map(reversed, saved_texts(event))) for event in of_kind(events, Saved)]  # type: ignore[arg-type]
    return [texts.get(True, "") for texts in told]


def of_kind(events: list[Any], kind: type) -> list[Any]:
    """Events of one kind."""
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in the place of the one in the home of this person."""
    monkeypatch.setattr("napari_stinr.training.checkpoints.automatic_folder", lambda: tmp_path / "home")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "no such folder" / "at all"))
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    end_all_trainings()


def test_every_step_is_reported_once_and_the_losses_are_those_of_a_script() -> None:
    events = events_of(threads=1)
    assert isinstance(events[0], Prepared)
    assert isinstance(events[-1], Finished)
    reports = reports_in(events)
    assert [report.step for report in reports] == list(range(1, 15))
    assert [report.loss for report in reports] == losses_alone(small_draft())
    assert not events[-1].was_stopped
    assert events[-1].reconstruction.step == 14


def test_a_snapshot_of_every_step_where_no_time_is_to_pass_between_them() -> None:
    snapshots = of_kind(events_of(threads=1), Snapshot)
    assert [snapshot.reconstruction.step for snapshot in snapshots] == list(range(1, 15))
    assert np.abs(snapshots[0].reconstruction.render(0.0) - snapshots[-1].reconstruction.render(0.0)).max() > 0


def test_previews_come_soon_at_first_and_then_at_their_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def second_passes() -> None:
        now[0] += 1.0

    clock = SimpleNamespace(monotonic=lambda: 0.125 * now[0])
    monkeypatch.setattr("napari_stinr.training.run.time", clock)
    before_step(monkeypatch, None, second_passes)
    events = events_of(GROWTH.with_training(steps=80), preview_every=2.0)
    steps = np.array([snapshot.reconstruction.step for snapshot in of_kind(events, Snapshot)])
    pauses = 0.125 * np.diff(steps, prepend=0)
    assert pauses[0] <= 0.5
    assert np.all(np.diff(pauses) >= 0)
    assert set(pauses[-3:]) == {2.0}


def test_nothing_is_trained_during_a_pause_and_a_snapshot_shows_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    before_step(monkeypatch, 5, gate)
    thread, events = start(ENDLESS, preview_every=3600.0)
    gate.wait()
    thread.control.pause()
    gate.open()
    wait_for(lambda: [snapshot.reconstruction.step for snapshot in of_kind(events, Snapshot)][-1:] == [5])
    time.sleep(A_WHILE)
    assert reports_in(events)[-1].step == 5
    thread.control.go_on()
    wait_for(lambda: reports_in(events)[-1].step > 5)
    thread.control.stop()
    thread.join(PATIENCE)
    assert [report.step for report in reports_in(events)] == list(range(1, events[-1].reconstruction.step + 1))


@pytest.mark.parametrize("is_paused", [False, True])
def test_stop_ends_at_the_next_step_border_and_keeps_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_paused: bool
) -> None:
    gate = Gate()
    before_step(monkeypatch, 5, gate)
    thread, events = start(ENDLESS, autosave=tmp_path / "run.stinr")
    gate.wait()
    if is_paused:
        thread.control.pause()
        gate.open()
        wait_for(lambda: [report.step for report in reports_in(events)] == [1, 2, 3, 4, 5])
    thread.control.stop()
    gate.open()
    thread.join(PATIENCE)
    assert events[-1].was_stopped
    assert load_reconstruction(tmp_path / "run.stinr").step == events[-1].reconstruction.step == 5


def test_stop_before_the_first_step_ends_it_too() -> None:
    events: list[Any] = []
    thread = TrainingThread(window_order(small_draft(), ENDLESS, device="cpu"), events.append)
    thread.control.stop()
    thread.start()
    thread.join(PATIENCE)
    # Nothing was trained, so nothing that was there before may be replaced.
    assert [type(event) for event in events] == [Abandoned]


def test_parcels_come_five_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def time_passes() -> None:
        now[0] += 0.0625

    monkeypatch.setattr("napari_stinr.training.run.time", SimpleNamespace(monotonic=lambda: now[0]))
    before_step(monkeypatch, None, time_passes)
    events = events_of(GROWTH.with_training(steps=40), preview_every=3600.0)
    assert [len(event.reports) for event in of_kind(events, Reported)] == [4] * 10


ERRORS = {
    "shapes": (lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"), "report it"),
    "CUDA": (lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "larger binning"),
    "MPS": (lambda: RuntimeError("MPS backend out of memory"), "larger binning"),
    "memory": (lambda: MemoryError(), "larger binning"),
    "diverged": (lambda: TrainingError("the loss is nan at step 3"), "Lower the density rate"),
    "interrupt": (lambda: KeyboardInterrupt(), "Try again"),
    "exit": (lambda: SystemExit(1), "Try again"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_ends_in_one_line_and_leaves_a_checkpoint_and_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    make, cure = ERRORS[kind]
    alive: list[weakref.ref[Any]] = []
    prepare = Trainer.__init__

    def watched(self: Trainer, *arguments: Any, **options: Any) -> None:
        prepare(self, *arguments, **options)
        alive.extend([weakref.ref(self), weakref.ref(self.field), weakref.ref(next(self.field.parameters()))])

    def fail() -> None:
        raise make()

    monkeypatch.setattr(Trainer, "__init__", watched)
    before_step(monkeypatch, 3, fail)
    thread, events = start(autosave=tmp_path / "run.stinr")
    thread.join(PATIENCE)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert cure in failed_text(failed)
    assert "\n" not in failed_text(failed)
    gc.collect()
    assert len(alive) == 3
    assert [reference() for reference in alive] == [None] * 3
    checkpoint = load_reconstruction(tmp_path / "run.stinr")
    assert checkpoint.step == 2
    assert np.isfinite(checkpoint.render(0.0)).all()


def test_what_was_reported_before_an_error_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("something")

    before_step(monkeypatch, 3, fail)
    assert [report.step for report in reports_in(events_of(preview_every=3600.0))] == [1, 2]


def test_a_series_that_turns_out_wrong_is_told_as_it_is() -> None:
    events: list[Any] = []
    draft = small_draft(pixel_size=-1.0)
    thread = TrainingThread(window_order(draft, GROWTH, device="cpu"), events.append)
    thread.start()
    thread.join(PATIENCE)
    assert [failed_text(event) for event in events] == [draft.problem]


def test_what_does_not_fit_is_refused_before_anything_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stinr.plugin.session.training_thread.free_memory", lambda device: 1000)
    monkeypatch.setattr(Trainer, "__init__", lambda *_, **__: pytest.fail("memory was taken"))
    (failed,) = events_of()
    assert "of memory" in failed_text(failed)
    assert "\n" not in failed_text(failed)


def test_an_unknown_device_is_told_with_those_there_are() -> None:
    (failed,) = events_of(device="cuda:7")
    assert "cpu" in failed_text(failed)


def test_checkpoints_come_at_intervals_and_are_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "run.stinr"
    thread, events = start(ENDLESS, autosave=target, autosave_every=0.02)
    wait_for(lambda: len(of_kind(events, Saved)) >= 3)
    assert load_reconstruction(target).step > 0
    thread.control.stop()
    thread.join(PATIENCE)
    assert set(problems_in(events)) == {""}
    assert load_reconstruction(target).step == events[-1].reconstruction.step
    assert [path.name for path in target.parent.iterdir()] == ["run.stinr"]


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    thread, events = start(ENDLESS, autosave=folder / "run.stinr", autosave_every=0.02)
    wait_for(lambda: of_kind(events, Saved))
    (folder / "run.stinr").unlink()
    with contextlib.suppress(OSError):  # the next checkpoint is being written already
        folder.rmdir()
    n_saved = len(of_kind(events, Saved))
    wait_for(lambda: len(of_kind(events, Saved)) > n_saved + 1)
    thread.control.stop()
    thread.join(PATIENCE)
    assert load_reconstruction(folder / "run.stinr").step == events[-1].reconstruction.step


def test_training_goes_on_where_checkpoints_cannot_be_written(tmp_path: Path, own_folder: Path) -> None:
    (tmp_path / "runs").write_text("a file and no folder")
    events = events_of(autosave=tmp_path / "runs" / "run.stinr", autosave_every=0.0, threads=1)
    *problems, at_the_end = problems_in(events)
    assert len(problems) == 14
    assert all("training goes on" in problem for problem in problems)
    assert "not saved as asked" in at_the_end
    elsewhere = of_kind(events, Saved)[-1].kept.path
    assert elsewhere.parent == own_folder
    assert load_reconstruction(elsewhere).step == 14
    assert events[-1].reconstruction.step == 14
    assert [report.loss for report in reports_in(events)] == losses_alone(small_draft())


def disk_is_full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_keeps_the_last_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    before_step(monkeypatch, 4, lambda: monkeypatch.setattr("napari_stinr.io.output.atomic.os.replace", disk_is_full))
    events = events_of(autosave=tmp_path / "run.stinr", autosave_every=0.0)
    assert any("No space left" in problem for problem in problems_in(events))
    assert "Save run…" in problems_in(events)[-1]
    assert isinstance(events[-1], Finished)
    assert load_reconstruction(tmp_path / "run.stinr").step == 3
    monkeypatch.undo()
    events[-1].reconstruction.save(tmp_path / "elsewhere.stinr")
    assert load_reconstruction(tmp_path / "elsewhere.stinr").training_state


def test_a_disk_that_has_room_again_gets_the_next_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    whole, steps = os.replace, itertools.count(1)

    def full_for_a_while(*arguments: Any) -> None:
        (disk_is_full if next(steps) in (3, 4, 5) else whole)(*arguments)

    monkeypatch.setattr("napari_stinr.io.output.atomic.os.replace", full_for_a_while)
    events = events_of(autosave=tmp_path / "run.stinr", autosave_every=0.0)
    assert [bool(problem) for problem in problems_in(events)] == [False] * 2 + [True] * 3 + [False] * 10
    assert load_reconstruction(tmp_path / "run.stinr").step == 14


def test_a_pause_does_not_keep_what_was_trained_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    before_step(monkeypatch, 5, gate)
    thread, events = start(ENDLESS, autosave=tmp_path / "run.stinr", autosave_every=0.4)
    gate.wait()
    thread.control.pause()
    gate.open()
    wait_for(lambda: of_kind(events, Saved) and load_reconstruction(tmp_path / "run.stinr").step == 5)
    n_saved = len(of_kind(events, Saved))
    # Two more looks at what is to be saved: nothing has changed.
    time.sleep(1.2)
    assert len(of_kind(events, Saved)) == n_saved
    thread.control.stop()
    thread.join(PATIENCE)


def test_an_error_says_where_everything_is_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    def fail() -> None:
        raise RuntimeError("something")

    before_step(monkeypatch, 3, fail)
    failed = events_of(autosave=tmp_path / "run.stinr")[-1]
    assert f"saved as {tmp_path / 'run.stinr'}: go on with it by Resume from file" in failed_text(failed)
    before_step(monkeypatch, 3, fail)
    (tmp_path / "runs").write_text("a file and no folder")
    failed = events_of(autosave=tmp_path / "runs" / "run.stinr")[-1]
    (elsewhere,) = own_folder.iterdir()
    assert f"saved as {elsewhere}: go on with it" in failed_text(failed)
    assert load_reconstruction(elsewhere).step == 2


def test_weights_that_are_not_finite_leave_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Trainer._advance

    def spoil(self: Trainer, fraction: float) -> Any:
        result = advance(self, fraction)
        if self.step == 3:
            with torch.no_grad():
                next(self.field.parameters()).fill_(torch.nan)
        return result

    monkeypatch.setattr(Trainer, "_advance", spoil)
    failed = events_of(WITHOUT_SEARCH, autosave=tmp_path / "run.stinr", autosave_every=0.0)[-1]
    assert "The loss is nan at step 4" in failed_text(failed)
    assert f"The last checkpoint is {tmp_path / 'run.stinr'}" in failed_text(failed)
    assert load_reconstruction(tmp_path / "run.stinr").step == 2


@pytest.mark.parametrize("name", ["growth", "static"])
def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config, gate = preset_config(name).with_training(steps=14), Gate()
    with monkeypatch.context() as patch:
        before_step(patch, 6, gate)
        thread, events = start(config, autosave=tmp_path / "run.stinr", threads=1)
        gate.wait()
        thread.control.stop()
        gate.open()
        thread.join(PATIENCE)
    rest = events_of(config, resume=tmp_path / "run.stinr", threads=1)
    both = reports_in(events) + reports_in(rest)
    assert [report.step for report in both] == list(range(1, 15))
    assert [report.loss for report in both] == losses_alone(small_draft(), config)


def test_a_rescued_run_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("something")

    with monkeypatch.context() as patch:
        before_step(patch, 3, fail)
        events_of(autosave=tmp_path / "run.stinr")
    rest = events_of(resume=tmp_path / "run.stinr")
    assert [report.step for report in reports_in(rest)] == list(range(3, 15))


@pytest.mark.parametrize("change", [{"pixel_size": 0.9}, {"axis_offset": 0.5}, {"flip_tilt": True}, {"binning": 2}])
def test_a_run_of_other_data_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    events_of(autosave=tmp_path / "run.stinr")
    events: list[Any] = []
    order = window_order(small_draft(**change), GROWTH, device="cpu", resume=tmp_path / "run.stinr")
    thread = TrainingThread(order, events.append)
    thread.start()
    thread.join(PATIENCE)
    (failed,) = events
    assert "fingerprint" in failed_text(failed)
    assert "same stack" in failed_text(failed)
    assert "\n" not in failed_text(failed)


def test_a_complete_run_says_so_and_goes_on_with_more_steps(tmp_path: Path) -> None:
    events_of(autosave=tmp_path / "run.stinr")
    (failed,) = events_of(resume=tmp_path / "run.stinr")
    assert "complete after 14 steps" in failed_text(failed)
    assert "Set more steps" in failed_text(failed)
    rest = events_of(resume=tmp_path / "run.stinr", steps=20)
    assert [report.step for report in reports_in(rest)] == list(range(15, 21))


def test_two_trainings_that_start_at_once_begin_as_they_would_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import napari_stinr.training.trainer as training

    paper = preset_config("paper").with_training(steps=2)
    alone = losses_alone(small_draft(), paper)
    build, turns, built = training.build_field, itertools.count(), [threading.Event(), threading.Event()]

    def second_within_first(*arguments: Any, **options: Any) -> Any:
        turn = next(turns)
        if turn == 0:
            built[1].wait(0.3)
        field = build(*arguments, **options)
        built[turn].set()
        if turn == 1:
            built[0].wait(0.3)
        return field

    monkeypatch.setattr(training, "build_field", second_within_first)
    runs = [start(paper, threads=1) for _ in range(2)]
    for thread, _ in runs:
        thread.join(PATIENCE)
    assert [[report.loss for report in reports_in(events)] for _, events in runs] == [alone, alone]


@pytest.mark.parametrize("text", ["", "a\nb", "  much   room "])
def test_any_error_is_one_line(text: str) -> None:
    for error in (RuntimeError(text), MemoryError(text), TrainingError(text), KeyError(text), ValueError(text)):
        line = failure_text(failure_of(error))
        assert line == " ".join(line.split())
        assert line.endswith(".")


def test_input_that_is_wrong_is_told_in_its_own_words() -> None:
    error = StinrError("found", expected="expected", cure="Cure.")
    assert failure_text(failure_of(error)) == str(error)


class Told:
    """What a task told the thread that polls."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.errors: list[str] = []
        self.threads: set[str] = set()
        self.cancelled = 0

    def task(self, work: Any) -> Task[Any]:
        return Task("work", work, self.on_result, self.on_error, self.on_cancelled)

    def on_result(self, value: Any) -> None:
        self.results.append(value)
        self.threads.add(threading.current_thread().name)

    def on_error(self, line: str) -> None:
        self.errors.append(line)
        self.threads.add(threading.current_thread().name)

    def on_cancelled(self) -> None:
        self.cancelled += 1


def poll_until_idle(runner: TaskRunner) -> None:
    """Poll until every task has ended."""

    def is_idle() -> bool:
        runner.poll()
        return not runner.running

    wait_for(is_idle)


def test_results_and_errors_arrive_in_the_thread_that_polls() -> None:
    told, runner, others = Told(), TaskRunner(), []

    def work(progress: Progress) -> int:
        others.append(threading.current_thread().name)
        progress(1, 2)
        return 6 * 7

    def fail(progress: Progress) -> None:
        raise StinrError("found", expected="expected", cure="Cure.")

    task = runner.start(told.task(work))
    runner.start(told.task(fail))
    poll_until_idle(runner)
    assert told.results == [42]
    assert told.errors == ["found; expected expected. Cure."]
    assert told.threads == {threading.current_thread().name}
    assert others == ["stinr-work"]
    assert (task.progress.done, task.progress.total) == (1, 2)


def test_a_cancelled_task_ends_at_its_next_report() -> None:
    told, runner, steps = Told(), TaskRunner(), []

    def work(progress: Progress) -> None:
        for step in itertools.count():
            progress(step, 1e9)
            steps.append(step)
            time.sleep(0.001)

    task = runner.start(told.task(work))
    wait_for(lambda: steps)
    task.progress.cancel()
    poll_until_idle(runner)
    assert (told.cancelled, told.results, told.errors) == (1, [], [])


def test_an_error_after_cancelling_is_no_error() -> None:
    told, runner, go = Told(), TaskRunner(), threading.Event()

    def work(progress: Progress) -> None:
        go.wait(PATIENCE)
        raise OSError("the file was taken away")

    task = runner.start(told.task(work))
    task.progress.cancel()
    go.set()
    poll_until_idle(runner)
    assert (told.cancelled, told.errors) == (1, [])


def test_what_is_there_is_told_even_where_it_was_cancelled_too_late() -> None:
    told, runner, go = Told(), TaskRunner(), threading.Event()
    task = runner.start(told.task(lambda progress: go.wait(PATIENCE)))
    task.progress.cancel()
    go.set()
    poll_until_idle(runner)
    assert (told.results, told.cancelled) == ([True], 0)


def test_closing_cancels_and_waits() -> None:
    told, runner, ended = Told(), TaskRunner(), []

    def work(progress: Progress) -> None:
        try:
            while True:
                progress(0, 1)
                time.sleep(0.001)
        except Cancelled:
            ended.append(True)
            raise

    runner.start(told.task(work))
    runner.close(PATIENCE)
    assert ended
    assert not runner.running
