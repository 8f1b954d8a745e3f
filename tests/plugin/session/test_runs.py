"""The runs of a session: numbers, names, and the way back to an earlier one."""

from __future__ import annotations

import pytest

from helpers.plugin_cases import small_draft
from napari_stinr import Reconstruction, preset_config, reconstruct
from napari_stinr.plugin.session.run_log import RunLog
from napari_stinr.plugin.session.runs import RunHistory
from napari_stinr.plugin.session.session import Session


def trained(preset: str = "static") -> Reconstruction:
    config = preset_config(preset).with_training(steps=2)
    return reconstruct(small_draft().series(), config=config, device="cpu", threads=1)


@pytest.fixture(scope="module")
def made() -> list[Reconstruction]:
    return [trained(), trained(), trained()]


def begin(history: RunHistory, preset: str = "growth") -> None:
    history.begin(small_draft(), None, preset=preset, log=RunLog())


def test_a_run_is_there_from_its_first_snapshot_and_keeps_its_number_to_the_last(made):
    history, told = RunHistory(), []
    history.changed.connect(lambda: told.append([run.title for run in history.runs]))
    begin(history)
    assert history.runs == ()
    history.take(made[0])
    history.take(made[1])
    history.end()
    (run,) = history.runs
    assert (run.title, run.series, run.reconstruction) == ("growth · #1", "needle", made[1])
    assert history.of(made[0]) is history.of(made[1]) is run
    assert history.of(made[2]) is None
    assert history.of(None) is None
    assert told == [["growth · #1"], ["growth · #1"]]


def test_a_run_without_a_result_leaves_nothing_and_numbers_are_never_given_twice(made):
    history = RunHistory()
    begin(history)
    history.end()
    assert history.runs == ()
    begin(history, "static")
    history.take(made[0])
    history.end()
    opened = history.open(made[1])
    assert [run.number for run in history.runs] == [1, 2]
    assert opened.is_opened
    assert history.open(made[1]) is opened
    history.forget(opened)
    assert history.open(made[1]).number == 3


def test_the_run_in_training_is_not_forgotten(made):
    history = RunHistory()
    begin(history)
    history.take(made[0])
    history.forget(history.runs[0])
    assert len(history.runs) == 1
    history.end()
    history.forget(history.runs[0])
    assert history.runs == ()


def test_a_name_of_any_kind_is_one_line_and_an_empty_one_gives_the_number_back(made):
    history = RunHistory()
    run = history.open(made[0])
    history.rename(run, "  before \n aligning ")
    assert history.runs[0].title == "static · before aligning"
    history.rename(history.runs[0], "")
    assert history.runs[0].title == "static · #1"


def test_the_residual_is_that_of_the_reconstruction(made):
    history = RunHistory()
    run = history.open(made[0])
    assert run.residual == pytest.approx(float(made[0].provenance["relative_residual"]))
    made[1].provenance["relative_residual"] = "nan"
    assert history.open(made[1]).residual is None


def test_coming_back_brings_the_reconstruction_its_series_and_its_losses():
    session, first, second = Session(), small_draft(), small_draft(31, name="other")
    one, other = trained(), trained("growth")
    seen: list[object] = []
    session.set_draft(first)
    session.show(one, draft=first)
    session.set_draft(second)
    assert session.reconstruction is None
    session.show(other, draft=second)
    session.reconstruction_changed.connect(seen.append)
    session.draft_changed.connect(seen.append)
    session.come_back(session.runs.runs[0])
    assert session.reconstruction is one
    assert session.draft is first
    assert session.run_draft is first
    assert session.log is session.runs.runs[0].log
    assert seen == [first, one]
    assert session.state == "Done"


def test_forgetting_the_run_that_is_worked_on_leaves_the_series():
    session, draft, made = Session(), small_draft(), trained()
    session.set_draft(draft)
    session.show(made, draft=draft)
    session.forget(session.runs.runs[0])
    assert session.reconstruction is None
    assert session.draft is draft
    assert session.state == "Ready"
    assert session.runs.runs == ()
