"""What a window works on: from a series through a training to its result, and back from whatever went wrong."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.places import SOURCE
from helpers.plugin_cases import (
    ENDLESS,
    GROWTH,
    Gate,
    before_step,
    end_all_trainings,
    losses_alone,
    run_to_end,
    session_in,
    small_draft,
    training_threads,
    wait_for,
)
from helpers.waiting import A_WHILE
from napari_stinr import load_reconstruction, preset_config
from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.autosave import KEPT
from napari_stinr.plugin.session.preferences import PluginSettings
from napari_stinr.plugin.session.requirements import estimate_run
from napari_stinr.plugin.session.run_log import RunLog
from napari_stinr.plugin.session.session import Session
from napari_stinr.plugin.session.states import Action, RunState
from napari_stinr.training.estimates import Speed
from napari_stinr.training.schedule import StepReport

if TYPE_CHECKING:
    from collections.abc import Iterator

QT_FREE = [f"plugin.session.{path.stem}" for path in (SOURCE / "napari_stinr" / "plugin" / "session").glob("[a-z]*.py")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    end_all_trainings()


class Heard:
    """What a session told those who listen."""

    def __init__(self, session: Session) -> None:
        self.states: list[RunState] = []
        self.said: list[tuple[str, bool]] = []
        self.shown: list[int | None] = []
        session.state_changed.connect(self.states.append)
        session.said.connect(self._on_said)
        session.reconstruction_changed.connect(self._on_reconstruction)

    def _on_said(self, text: str, is_problem: bool) -> None:
        self.said.append((text, is_problem))

    def _on_reconstruction(self, reconstruction: Any) -> None:
        self.shown.append(None if reconstruction is None else reconstruction.step)


SEARCH = ("surface 1 of 3", "surface 2 of 3", "surface 3 of 3")


def with_series(folder: Path, *, n_tilts: int = 21, **options: Any) -> Session:
    """Return a session with a small series."""
    session = session_in(folder, **options)
    session.set_draft(small_draft(n_tilts))
    return session


def fail() -> None:
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)")


def test_nothing_of_a_training_needs_a_screen() -> None:
    modules = [f"napari_stinr.{name}" for name in (*QT_FREE, "plugin.canvas.layer_data", "plugin.canvas.streaming")]
    code = f"import sys; sys.modules.update(qtpy=None, napari=None, PyQt6=None)\nimport {', '.join(modules)}"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert not done.stderr


def test_from_a_series_to_its_reconstruction(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    heard = Heard(session)
    assert "page Series" in session.why_not(Action.START)
    session.set_draft(small_draft())
    session.start()
    run_to_end(session)
    assert heard.states == [RunState.READY, RunState.RUNNING, RunState.DONE]
    assert session.log.steps == list(range(1, 15))
    assert session.log.losses == losses_alone(small_draft())
    assert [name for _, name in session.log.stages] == [*SEARCH, "volume"]
    ends = [first - 2 for first, _ in session.log.stages[1:]] + [-1]
    for (first, name), end in zip(session.log.stages, ends, strict=True):
        assert session.log.losses[end] < session.log.losses[first - 1], name
    # In their order, without pictures of which there was a newer one already when the window looked.
    before, *shown = heard.shown
    assert before is None
    assert shown == sorted(shown)
    assert set(shown) <= set(range(1, 15))
    assert shown[-1] == 14
    assert heard.said == [(f"Saved as {session.checkpoint}", False)]
    assert session.checkpoint.parent == tmp_path
    np.testing.assert_array_equal(
        load_reconstruction(session.checkpoint).render(0.3), session.reconstruction.render(0.3)
    )
    assert session.series.fingerprint() == session.reconstruction.provenance["fingerprint"]


def test_pausing_and_going_on_changes_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    before_step(monkeypatch, 5, gate)
    session = with_series(tmp_path)
    heard = Heard(session)
    session.start()
    gate.wait()
    session.pause()
    gate.open()
    wait_for(lambda: len(session.log.steps) == 5, session)
    time.sleep(A_WHILE)
    session.poll()
    assert session.state is RunState.PAUSED
    assert len(session.log.steps) == 5
    assert session.reconstruction.step == 5
    session.go_on()
    run_to_end(session)
    assert heard.states == [RunState.RUNNING, RunState.PAUSED, RunState.RUNNING, RunState.DONE]
    assert session.log.losses == losses_alone(small_draft())


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_stop_takes_the_next_step_border_and_the_run_can_be_resumed_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_paused: bool
) -> None:
    gate = Gate()
    session = with_series(tmp_path)
    heard = Heard(session)
    with monkeypatch.context() as patch:
        before_step(patch, 6, gate)
        session.start()
        gate.wait()
        if is_paused:
            session.pause()
        session.stop()
        gate.open()
        run_to_end(session)
    assert heard.states[-2:] == [RunState.STOPPING, RunState.DONE]
    first, checkpoint = session.log.losses, session.checkpoint
    assert len(first) == 6
    session.start(resume=checkpoint)
    run_to_end(session)
    assert first + session.log.losses == losses_alone(small_draft())
    assert session.checkpoint != checkpoint
    assert load_reconstruction(checkpoint).step == 6


def test_a_failure_is_told_and_the_next_start_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = with_series(tmp_path)
    heard = Heard(session)
    with monkeypatch.context() as patch:
        before_step(patch, 3, fail)
        session.start()
        run_to_end(session)
    assert session.state is RunState.FAILED
    assert "mat1 and mat2" in session.failure
    assert [text for text, is_problem in heard.said if is_problem] in ([], [session.failure])
    assert not training_threads()
    assert load_reconstruction(session.checkpoint).step == 2
    session.start()
    assert session.failure == ""
    run_to_end(session)
    assert session.state is RunState.DONE
    assert session.log.losses == losses_alone(small_draft())


def test_after_a_failure_the_rescued_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = with_series(tmp_path)
    with monkeypatch.context() as patch:
        before_step(patch, 3, fail)
        session.start()
        run_to_end(session)
    session.start(resume=session.checkpoint)
    run_to_end(session)
    assert session.reconstruction.step == 14


def test_checkpoints_are_told_and_also_where_they_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stinr.training.checkpoints.automatic_folder", lambda: tmp_path / "mine")
    (tmp_path / "runs").write_text("a file")
    session = with_series(tmp_path / "runs", autosave_minutes=0.0)
    heard = Heard(session)
    session.start()
    run_to_end(session)
    assert session.state is RunState.DONE
    *checkpoints, result, rescued = heard.said
    assert checkpoints
    assert all(is_problem and "training goes on" in text for text, is_problem in checkpoints)
    assert result[1]
    assert "does not exist" in result[0]
    assert rescued == (f"Saved as {session.checkpoint}", False)
    assert session.checkpoint.parent == tmp_path / "mine"


def test_checkpoints_come_at_the_interval_of_the_settings(tmp_path: Path) -> None:
    session = with_series(tmp_path, config=ENDLESS, autosave_minutes=0.02 / 60)
    session.start()
    wait_for(lambda: session.checkpoint, session)
    assert session.state is RunState.RUNNING
    assert load_reconstruction(session.checkpoint).training_state
    session.close()


def test_a_run_of_other_data_is_refused_in_one_line(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.start()
    run_to_end(session)
    session.set_draft(replace(session.draft, axis_offset=1.0))
    session.start(resume=session.checkpoint)
    run_to_end(session)
    assert session.state is RunState.FAILED
    assert "fingerprint" in session.failure
    assert "\n" not in session.failure


def test_a_run_that_cannot_begin_leaves_the_reconstruction_that_is_there(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.start()
    run_to_end(session)
    reconstruction = session.reconstruction
    session.start(resume=tmp_path / "missing.stinr")
    run_to_end(session)
    assert session.state is RunState.FAILED
    assert session.reconstruction is reconstruction
    assert session.why_not(Action.EXPLORE) == ""


def test_a_complete_run_says_so_and_goes_on_with_more_steps(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.start()
    run_to_end(session)
    complete = session.checkpoint
    session.start(resume=complete)
    run_to_end(session)
    assert "complete after 14 steps" in session.failure
    session.customise(GROWTH.with_training(steps=18))
    session.start(resume=complete)
    run_to_end(session)
    assert session.log.steps == [15, 16, 17, 18]


def test_a_resumed_run_brings_its_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    session = with_series(tmp_path, config=GROWTH.with_training(seed=7))
    with monkeypatch.context() as patch:
        before_step(patch, 6, gate)
        session.start()
        gate.wait()
        session.stop()
        gate.open()
        run_to_end(session)
    other = Session(PluginSettings(autosave_folder=str(tmp_path), threads=1))
    other.set_draft(small_draft())
    other.choose(preset="static")
    other.start(resume=session.checkpoint)
    run_to_end(other)
    assert (other.preset, other.config.training.seed, other.is_customised) == ("growth", 7, True)
    assert other.log.steps == list(range(7, 15))


def test_the_run_to_go_on_with_is_not_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stinr.plugin.session.autosave.automatic_folder", lambda: tmp_path)
    gate = Gate()
    session = with_series("", n_tilts=11)
    with monkeypatch.context() as patch:
        before_step(patch, 2, gate)
        session.start()
        gate.wait()
        session.stop()
        gate.open()
        run_to_end(session)
    oldest = session.checkpoint
    os.utime(oldest, (1, 1))
    for k in range(KEPT - 1):
        (tmp_path / f"other{k}.autosave.stinr").write_bytes(b"")
    session.start(resume=oldest)
    run_to_end(session)
    assert session.failure == ""
    assert session.state is RunState.DONE


def test_two_sessions_at_once_do_not_mix(tmp_path: Path) -> None:
    drafts = [small_draft(21), small_draft(31, name="other")]
    sessions = [session_in(tmp_path) for _ in drafts]
    for session, draft in zip(sessions, drafts, strict=True):
        session.set_draft(draft)
        session.start()
    wait_for(lambda: not any(session.is_active for session in sessions), *sessions)
    for session, draft in zip(sessions, drafts, strict=True):
        assert session.log.losses == losses_alone(draft)
        assert load_reconstruction(session.checkpoint).provenance["series"] == draft.name
        np.testing.assert_array_equal(
            load_reconstruction(session.checkpoint).render(0.5), session.reconstruction.render(0.5)
        )


def test_two_sessions_on_the_same_series_keep_a_file_each(tmp_path: Path) -> None:
    sessions = [with_series(tmp_path, config=GROWTH.with_training(seed=seed)) for seed in (1, 2)]
    for session in sessions:
        session.start()
    wait_for(lambda: not any(session.is_active for session in sessions), *sessions)
    saved = [load_reconstruction(session.checkpoint).config.training.seed for session in sessions]
    assert saved == [1, 2]


def test_every_run_has_a_log_of_its_own(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.start()
    run_to_end(session)
    session.start()
    run_to_end(session)
    assert session.log.steps == list(range(1, 15))


@pytest.mark.parametrize("is_paused", [False, True])
def test_closing_in_mid_training_leaves_no_thread_and_a_checkpoint(tmp_path: Path, is_paused: bool) -> None:
    before = set(threading.enumerate())
    session = with_series(tmp_path, config=ENDLESS)
    session.start()
    wait_for(lambda: session.log.steps, session)
    if is_paused:
        session.pause()
    session.close()
    assert set(threading.enumerate()) <= before
    (saved,) = tmp_path.iterdir()
    assert load_reconstruction(saved).step >= session.log.steps[-1]
    assert session.draft is None
    assert session.reconstruction is None


def test_closing_what_never_ran_is_nothing(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.close()
    assert not list(tmp_path.iterdir())


CHANGES = {
    "series": lambda session: session.set_draft(small_draft()),
    "no series": lambda session: session.set_draft(None),
    "preset": lambda session: session.choose(preset="static"),
    "quality": lambda session: session.choose(quality="High"),
    "settings": lambda session: session.customise(preset_config("static")),
    "start": lambda session: session.start(),
    "resume": lambda session: session.start(resume=Path("run.stinr")),
    "show": lambda session: session.show(session.reconstruction),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_that_a_training_uses_can_be_changed_meanwhile(tmp_path: Path, change: str) -> None:
    session = with_series(tmp_path, config=ENDLESS)
    session.start()
    wait_for(lambda: session.reconstruction, session)
    draft, config = session.draft, session.config
    with pytest.raises(StinrError, match="stop it first"):
        CHANGES[change](session)
    session.pause()
    with pytest.raises(StinrError, match="stop it first"):
        CHANGES[change](session)
    session.stop()
    with pytest.raises(StinrError, match="wait for its last step"):
        CHANGES[change](session)
    assert session.draft is draft
    assert session.config == config
    session.close()


@pytest.mark.parametrize("ask", ["pause", "go_on", "stop"])
def test_what_is_not_running_cannot_be_held_up(tmp_path: Path, ask: str) -> None:
    session = with_series(tmp_path)
    with pytest.raises(StinrError, match="No training is in progress"):
        getattr(session, ask)()
    assert session.state is RunState.READY


@pytest.mark.parametrize(("n_tilts", "expected"), [(21, 0), (29, 0), (30, 1), (61, 2), (181, 6)])
def test_one_projection_in_thirty_is_held_out_where_nothing_else_is_said(n_tilts: int, expected: int) -> None:
    session = Session(PluginSettings())
    session.set_draft(small_draft(n_tilts))
    assert session.config.training.held_out == expected


def test_held_out_projections_are_of_those_that_are_used() -> None:
    session = Session(PluginSettings())
    session.set_draft(small_draft(61, used=np.arange(61) < 45))
    assert session.config.training.held_out == 1


def test_held_out_number_of_the_settings_is_taken_as_it_is(tmp_path: Path) -> None:
    session = Session(PluginSettings(held_out=3, autosave_folder=str(tmp_path), threads=1))
    session.set_draft(small_draft())
    assert session.config.training.held_out == 3
    session.customise(GROWTH.with_training(held_out=3))
    session.start()
    run_to_end(session)
    assert session.reconstruction.provenance["held_out"].count(",") == 2
    assert [math.isfinite(loss) for loss in session.log.held_out] == [step == 10 for step in range(1, 15)]


def test_settings_that_were_changed_by_hand_are_kept_with_another_series() -> None:
    session = Session(PluginSettings())
    session.customise(GROWTH)
    session.set_draft(small_draft(61))
    assert session.config == GROWTH
    session.choose(quality="High")
    assert session.config.training.visits == preset_config("growth").with_quality("High").training.visits
    assert session.config.training.held_out == 2


def test_an_edited_series_needs_a_new_run_and_the_untouched_one_keeps_its_result(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.start()
    run_to_end(session)
    trained = session.draft
    session.set_draft(replace(trained, flip_tilt=True))
    assert session.state is RunState.READY
    session.set_draft(trained)
    assert session.state is RunState.DONE
    session.set_draft(replace(trained, pixel_size=-1.0))
    assert session.state is RunState.EMPTY
    assert "pixel size" in session.why_not(Action.START)


def test_another_stack_takes_the_reconstruction_away_and_an_edit_does_not(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.start()
    run_to_end(session)
    session.set_draft(replace(session.draft, flip_tilt=True))
    assert session.why_not(Action.EXPLORE) == ""
    heard, checkpoint = Heard(session), session.checkpoint
    session.set_draft(small_draft(name="other"))
    assert session.reconstruction is None
    assert heard.shown == [None]
    assert (session.log.steps, session.checkpoint) == ([], None)
    assert checkpoint.is_file()


def test_what_was_found_is_remembered_while_the_same_stack_is_edited(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    found = session.draft
    session.set_draft(replace(found, flip_tilt=True))
    assert session.found is found
    other = small_draft(name="other")
    session.set_draft(other)
    assert session.found is other


def test_a_run_that_does_not_fit_cannot_be_started(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    session.expect(estimate_run((61, 2000, 2000), GROWTH, binning=1, available=10**9, speed=None))
    assert "Binning" in session.why_not(Action.START)
    with pytest.raises(StinrError, match="Binning"):
        session.start()
    session.set_draft(replace(session.draft, binning=2))
    assert session.why_not(Action.START) == ""


def test_what_a_run_is_expected_to_take_tells_its_rest_from_the_start(tmp_path: Path) -> None:
    session = with_series(tmp_path)
    speed = Speed(static_voxels=1e8, growth_voxels=5e7, parameters=1e8, samples=1e6)
    whole = preset_config("growth")
    session.expect(estimate_run((61, 64, 64), whole, binning=1, available=10**12, speed=speed))
    expected = session.estimate
    log = RunLog.expecting(expected)
    log.align(0.0, 5.0)
    assert log.remaining == pytest.approx(expected.seconds, rel=0.05)
    steps = round(sum(stage.steps for stage in expected.stages))
    first = expected.stages[0]
    done = [StepReport(k, steps, 1.0, 1.0, (0.1,), k * first.step_seconds, stage=first.name) for k in range(1, 6)]
    log.add(done)
    training = sum(stage.steps * stage.step_seconds for stage in expected.stages)
    assert log.remaining == pytest.approx(training - 5 * first.step_seconds, rel=0.01)
    assert " left, surface 1 of 3, step 5 of " in log.text(is_running=True)
    session.start()
    run_to_end(session)
    assert session.log.remaining == 0


def test_a_reconstruction_from_a_file_can_be_looked_at(tmp_path: Path) -> None:
    trained = with_series(tmp_path)
    trained.start()
    run_to_end(trained)
    session = session_in(tmp_path)
    assert session.why_not(Action.EXPLORE)
    session.show(load_reconstruction(trained.checkpoint))
    assert session.state is RunState.DONE
    assert not session.why_not(Action.EXPLORE)
    assert not session.why_not(Action.SHOW_ARRIVAL)
    assert "page Series" in session.why_not(Action.START)


def test_a_static_reconstruction_has_no_arrival_time(tmp_path: Path) -> None:
    session = with_series(tmp_path, config=preset_config("static").with_training(steps=3))
    session.start()
    run_to_end(session)
    assert "preset growth" in session.why_not(Action.SHOW_ARRIVAL)


def test_pace_and_rest_of_a_run_do_not_count_its_pauses() -> None:
    log = RunLog()
    assert (log.text(is_running=True), log.remaining) == ("", None)
    log.add([StepReport(k, 100, 1 / k, 1.0, (0.1,), 0.25 * k) for k in range(1, 41)])
    assert log.text(is_running=True) == "15 s left, step 40 of 100, 4 steps/s"
    assert log.remaining == pytest.approx(15.0)
    assert log.text(is_running=False) == "step 40 of 100, 4 steps/s"
    log.add([StepReport(k, 100, 1 / k, 1.0, (0.1,), 0.25 * k) for k in range(41, 101)])
    assert log.text(is_running=False) == "step 100 of 100, 4 steps/s"
    assert log.remaining == 0


def test_the_quick_steps_of_a_search_promise_no_early_end() -> None:
    log = RunLog()
    log.add([StepReport(k, 100, 1.0, 1.0, (0.1,), 0.1 * k, stage="surface 1 of 3") for k in range(1, 31)])
    log.add([StepReport(k, 100, 1.0, 1.0, (0.1,), 0.1 * k, stage="surface 2 of 3") for k in range(31, 61)])
    assert (log.is_steady, log.remaining) == (False, None)
    assert log.text(is_running=True) == "surface 2 of 3, step 60 of 100, 10 steps/s"
    assert log.text(is_running=False) == log.text(is_running=True)
    log.add([StepReport(61, 100, 1.0, 1.0, (0.1,), 6.5)])
    assert log.is_steady
    assert log.text(is_running=True) == "volume, step 61 of 100"
    log.add([StepReport(k, 100, 1.0, 1.0, (0.1,), 6.0 + 0.5 * (k - 60)) for k in range(62, 71)])
    assert log.remaining == pytest.approx(15.0)
    assert log.text(is_running=True) == "15 s left, volume, step 70 of 100, 2 steps/s"
    assert log.text(is_running=False) == "step 70 of 100, 2 steps/s"
    assert log.stages == [(1, "surface 1 of 3"), (31, "surface 2 of 3"), (61, "volume")]


def test_every_stage_is_seen_before_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # By a window that keeps up; another is shown the newest.
    monkeypatch.setattr(
        "napari_stinr.plugin.session.session.take_posted", lambda events: [events.get()] if events.qsize() else []
    )
    session = with_series(tmp_path)
    highest: dict[int, float] = {}
    session.reconstruction_changed.connect(
        lambda shown: highest.setdefault(shown.step, shown.render(1.0).max()) if shown is not None else None
    )
    session.start()
    run_to_end(session)
    assert session.log.stages[-1] == (8, "volume")
    assert list(highest) == list(range(1, 15))
    # The search has a scale of its own: what it shows is potential, as in the volume.
    typical = session.series.projections.mean() / session.series.projections.shape[-1]
    assert all(0.1 * typical < found < 100 * typical for found in highest.values()), (highest, typical)
