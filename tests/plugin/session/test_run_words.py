"""What is said of a run that is left, and of one that has ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.failures import notice_text
from napari_stinr.plugin.session.run_log import RunLog
from napari_stinr.plugin.session.run_words import HEADLINE, duration_text, reached_texts, running_text, saved_text
from napari_stinr.plugin.session.states import Action, Facts, NotNow, RunState, why_not
from napari_stinr.training.schedule import StepReport

if TYPE_CHECKING:
    from pathlib import Path


def log_at(step: int, *, n_steps: int = 750, seconds: float = 200.0) -> RunLog:
    log = RunLog()
    log.add([StepReport(step, n_steps, 0.01, 0.1, (0.1,), seconds, stage="volume")])
    return log


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (42.4, "42 s"), (60, "1 min"), (3599, "59 min"), (7500, "2 h 5 min")]
)
def test_durations_are_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_what_is_saved_and_how_old_it_is(tmp_path: Path) -> None:
    path = tmp_path / "needle.autosave.stinr"
    assert saved_text(None, now=1000.0) == "Nothing of it is saved yet."
    assert saved_text(path, now=1000.0) == "Nothing of it is saved yet."
    path.write_bytes(b"")
    os.utime(path, (1000.0, 1000.0))
    assert saved_text(path, now=1125.0) == f"It was saved 2 min ago as\n{path}"


def test_how_far_a_training_is() -> None:
    assert running_text(RunLog()) == "A training is being prepared."
    assert running_text(log_at(300)) == "A training is in progress: step 300 of 750 (40 %)."


def test_what_was_reached_stands_in_a_headline_that_napari_shows_whole() -> None:
    headline, rest = reached_texts(log_at(750), preset="growth", series="needle", residual=0.0413)
    assert headline == "growth is done in 3 min: residual 4.1 %"
    assert rest == "needle, 750 steps. The page Explore shows it."
    assert reached_texts(RunLog(), preset="paper", series="needle", residual=None)[0] == "paper is done"
    long = reached_texts(log_at(10, seconds=9e5), preset="g" * 80, series="n" * 80, residual=1.0)
    assert len(long[0]) <= HEADLINE


def test_an_error_has_its_headline_first() -> None:
    error = StinrError("run.tlt lists 60 angles", expected="61, one for every projection", cure="Remove an image.")
    assert notice_text(error) == "run.tlt lists 60 angles.\nExpected 61, one for every projection. Remove an image."
    assert notice_text(OSError("no space left")) == "no space left"


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED, RunState.STOPPING])
def test_what_cannot_be_done_now_is_told_as_its_button_does(state: RunState) -> None:
    reason = why_not(Action.EDIT_SERIES, Facts(state))
    told = str(NotNow(Action.EDIT_SERIES, reason))
    assert told == reason
    assert len(told) <= HEADLINE + 5
    assert "session" not in told
    # napari shows the first line.
    assert notice_text(NotNow(Action.EDIT_SERIES, reason)).split() == reason.split()
