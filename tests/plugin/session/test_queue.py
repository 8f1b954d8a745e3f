"""A queue of trainings: in order, past failures, stopped as a whole, and what was chosen before comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.plugin_cases import (
    ENDLESS,
    WITHOUT_SEARCH,
    before_step,
    end_all_trainings,
    session_in,
    small_draft,
    wait_for,
)
from napari_stinr import StinrError, preset_config
from napari_stinr.plugin.session.queue import Job
from napari_stinr.plugin.session.states import RunState
from napari_stinr.training.jobs.queue import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_stinr.plugin.session.session import Session

SHORT = WITHOUT_SEARCH.with_training(steps=4).with_alignment("off")
STATIC = preset_config("static").with_training(steps=4, margin=0.0).with_alignment("off")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    end_all_trainings()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = session_in(tmp_path, SHORT)
    made.set_draft(small_draft())
    return made


def job(session: Session, config: object = SHORT, **changes: object) -> Job:
    return Job(**{"draft": session.draft, "config": config, "device": "cpu", "threads": 1} | changes)  # type: ignore[arg-type]


def run_through(session: Session) -> None:
    wait_for(lambda: not session.queue.is_running, session)


def states(session: Session) -> list[JobState]:
    return [each.state for each in session.queue.jobs]


def test_presets_and_seeds_come_one_after_the_other(session: Session) -> None:
    queue, told = session.queue, []
    queue.changed.connect(lambda: told.append(states(session)))
    queue.add(job(session, STATIC, quality="Standard"))
    queue.add(job(session), n_seeds=2)
    assert [each.text for each in queue.jobs] == [
        "static, Standard, seed 0",
        "growth, Custom, seed 0",
        "growth, Custom, seed 1",
    ]
    queue.start()
    run_through(session)
    assert states(session) == [JobState.DONE] * 3
    assert max(each.count(JobState.RUNNING) for each in told) == 1
    assert [run.preset for run in session.runs.runs] == ["static", "growth", "growth"]
    assert [each.remark.split(",")[0] for each in queue.jobs] == ["#1", "#2", "#3"]
    assert all("residual" in each.remark for each in queue.jobs)
    seeds = [run.reconstruction.config.training.seed for run in session.runs.runs]
    assert seeds == [0, 0, 1]


def test_what_was_chosen_comes_back(session: Session) -> None:
    session.choose(preset="growth", quality="Quick look")
    before = session.config, session.device, session.threads
    session.queue.add(job(session, STATIC, threads=2))
    session.queue.start()
    assert session.config == STATIC
    run_through(session)
    assert (session.config, session.device, session.threads) == before
    assert (session.preset, session.quality, session.is_customised) == ("growth", "Quick look", False)
    session.customise(SHORT)
    session.queue.add_chosen()
    session.queue.start()
    run_through(session)
    assert session.config == SHORT
    assert session.is_customised


def test_a_failure_does_not_keep_the_others(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    session.queue.add(job(session), n_seeds=2)
    broken = small_draft(name="two", times=np.zeros(21))
    session.queue.add(job(session, draft=broken))
    session.queue.add(job(session, STATIC))
    before_step(monkeypatch, 2, fail)
    session.queue.start()
    run_through(session)
    assert states(session) == [JobState.FAILED, JobState.DONE, JobState.FAILED, JobState.DONE]
    assert "mat1" in session.queue.jobs[0].remark
    assert session.queue.jobs[2].remark
    assert session.state is RunState.DONE


def test_jobs_of_several_series(session: Session) -> None:
    other = small_draft(15, name="other needle")
    session.queue.add(job(session))
    session.queue.add(job(session, draft=other))
    session.queue.start()
    run_through(session)
    assert [run.series for run in session.runs.runs] == ["needle", "other needle"]
    assert session.draft is other


def test_stop_stops_all_and_the_rest_can_be_done_later(session: Session) -> None:
    queue = session.queue
    queue.add(job(session, ENDLESS.with_alignment("off")))
    queue.add(job(session, STATIC))
    queue.start()
    assert queue.goes_on
    wait_for(lambda: session.log.steps, session)
    queue.stop()
    run_through(session)
    assert states(session) == [JobState.STOPPED, JobState.WAITING]
    assert session.reconstruction.step > 0
    assert not queue.goes_on
    queue.start()
    run_through(session)
    assert states(session) == [JobState.STOPPED, JobState.DONE]


def test_the_stop_of_the_session_stops_all_too(session: Session) -> None:
    session.queue.add(job(session, ENDLESS.with_alignment("off")), n_seeds=2)
    session.queue.start()
    wait_for(lambda: session.log.steps, session)
    session.stop()
    run_through(session)
    assert states(session) == [JobState.STOPPED, JobState.WAITING]


def test_what_waits_can_be_taken_out_and_added_to_in_mid_run(session: Session) -> None:
    queue = session.queue
    queue.add(job(session, ENDLESS.with_alignment("off")))
    queue.add(job(session, STATIC))
    queue.start()
    wait_for(lambda: session.log.steps, session)
    running, waiting = queue.jobs
    queue.remove(running)
    queue.remove(waiting)
    assert [each.state for each in queue.jobs] == [JobState.RUNNING]
    queue.add_chosen(n_seeds=3)
    assert queue.n_waiting == 3
    queue.stop()
    run_through(session)


def test_nothing_is_begun_where_nothing_waits_or_something_runs(session: Session, tmp_path: Path) -> None:
    with pytest.raises(StinrError, match="nothing waits"):
        session.queue.start()
    empty = session_in(tmp_path)
    with pytest.raises(StinrError, match="There is no tilt series yet"):
        empty.queue.add_chosen()
    session.customise(ENDLESS.with_alignment("off"))
    session.queue.add(job(session))
    session.start()
    with pytest.raises(StinrError, match="A training is in progress: stop it first") as error:
        session.queue.start()
    assert "session" not in str(error.value)
    session.stop()
    wait_for(lambda: not session.is_active, session)
    assert states(session) == [JobState.WAITING]


def test_a_closed_session_begins_nothing(session: Session) -> None:
    session.queue.add(job(session), n_seeds=2)
    session.queue.start()
    session.close()
    session.poll()
    assert session.queue.jobs == ()
    assert not session.is_active or session.queue.n_waiting == 0
