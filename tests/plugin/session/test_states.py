"""Which action is possible when, and what the others tell a person to do first."""

from __future__ import annotations

import itertools
import re

import pytest

from napari_stinr.plugin.session.states import ACTIVE, Action, Facts, RunState, why_not

IDLE = {RunState.EMPTY, RunState.READY, RunState.DONE, RunState.FAILED}
ALWAYS = IDLE | {RunState.RUNNING, RunState.PAUSED, RunState.STOPPING}
TABLE = {
    Action.EDIT_SERIES: IDLE,
    Action.ALIGN: IDLE,
    Action.START: IDLE,
    Action.ADD_TO_QUEUE: ALWAYS,
    Action.PAUSE: {RunState.RUNNING},
    Action.GO_ON: {RunState.PAUSED},
    Action.STOP: {RunState.RUNNING, RunState.PAUSED},
    Action.RESUME_FROM_FILE: IDLE,
    Action.EDIT_SETTINGS: IDLE,
    Action.SAVE_SETTINGS: ALWAYS,
    Action.COPY_SCRIPT: ALWAYS,
    Action.SAVE_RUN: ALWAYS,
    Action.LOAD_RUN: IDLE,
    Action.EXPLORE: ALWAYS,
    Action.SHOW_ARRIVAL: ALWAYS,
    Action.SHOW_UNCERTAIN: ALWAYS,
    Action.COMPARE_PROJECTIONS: ALWAYS,
    Action.TELL_CONTAMINATION: ALWAYS,
}
WITH_ALL = {"has_reconstruction": True, "has_arrival": True}
CELLS = pytest.mark.parametrize(("state", "action"), list(itertools.product(RunState, Action)))
# Every way from one state to another that a person can ask for.
TRANSITIONS = [
    (RunState.EMPTY, Action.EDIT_SERIES, RunState.READY),
    (RunState.EMPTY, Action.LOAD_RUN, RunState.DONE),
    (RunState.READY, Action.START, RunState.RUNNING),
    (RunState.READY, Action.RESUME_FROM_FILE, RunState.RUNNING),
    (RunState.READY, Action.EDIT_SERIES, RunState.EMPTY),
    (RunState.RUNNING, Action.PAUSE, RunState.PAUSED),
    (RunState.PAUSED, Action.GO_ON, RunState.RUNNING),
    (RunState.RUNNING, Action.STOP, RunState.STOPPING),
    (RunState.PAUSED, Action.STOP, RunState.STOPPING),
    (RunState.DONE, Action.START, RunState.RUNNING),
    (RunState.DONE, Action.RESUME_FROM_FILE, RunState.RUNNING),
    (RunState.DONE, Action.EDIT_SERIES, RunState.READY),
    (RunState.FAILED, Action.START, RunState.RUNNING),
    (RunState.FAILED, Action.RESUME_FROM_FILE, RunState.RUNNING),
    (RunState.FAILED, Action.EDIT_SERIES, RunState.READY),
    (RunState.FAILED, Action.LOAD_RUN, RunState.DONE),
]


def is_instruction(text: str) -> bool:
    """Whether a text is one or two whole sentences, of which one says what to do."""
    words = {"stop", "wait", "start", "save", "open", "train", "no training", "not paused", "paused already"}
    return bool(re.fullmatch(r"[A-Z][^\n]*\.", text)) and any(word in text.lower() for word in words)


@CELLS
def test_every_action_is_possible_in_its_states_and_explained_in_the_others(state: RunState, action: Action) -> None:
    reason = why_not(action, Facts(state, **WITH_ALL))
    assert (not reason) == (state in TABLE[action])
    assert not reason or is_instruction(reason)


def test_table_of_this_test_knows_every_action() -> None:
    assert set(TABLE) == set(Action)
    assert set(RunState) - ACTIVE == IDLE


@pytest.mark.parametrize(("before", "action", "after"), TRANSITIONS)
def test_every_step_of_a_session_is_allowed(before: RunState, action: Action, after: RunState) -> None:
    assert not why_not(action, Facts(before))
    # Nobody is caught: from wherever it leads, there is a way on.
    assert any(not why_not(other, Facts(after)) for other in Action if other is not Action.SAVE_SETTINGS) or (
        after is RunState.STOPPING
    )


@pytest.mark.parametrize("action", [Action.START, Action.RESUME_FROM_FILE, Action.COPY_SCRIPT])
def test_a_wrong_series_is_explained_in_its_own_words(action: Action) -> None:
    problem = "all times are 3; expected the time of each projection. Give the acquisition order."
    for state in TABLE[action] - ACTIVE:
        assert why_not(action, Facts(state, problem=problem)) == problem


def test_what_is_running_comes_before_what_is_wrong() -> None:
    assert "stop it first" in why_not(Action.START, Facts(RunState.RUNNING, problem="something"))


@pytest.mark.parametrize("action", [Action.SAVE_RUN, Action.EXPLORE, Action.SHOW_ARRIVAL])
@pytest.mark.parametrize("state", RunState)
def test_nothing_to_look_at_is_cured_by_a_training_or_a_file(action: Action, state: RunState) -> None:
    reason = why_not(action, Facts(state, has_arrival=True))
    assert "start a training" in reason
    assert "file" in reason
    assert not why_not(action, Facts(state, **WITH_ALL))


@pytest.mark.parametrize("state", RunState)
def test_arrival_time_needs_the_preset_that_has_one(state: RunState) -> None:
    facts = Facts(state, has_reconstruction=True, has_arrival=False)
    assert "preset growth" in why_not(Action.SHOW_ARRIVAL, facts)
    assert not why_not(Action.EXPLORE, facts)


@pytest.mark.parametrize("state", RunState)
def test_static_reconstruction_is_never_called_clean(state: RunState) -> None:
    facts = Facts(state, has_reconstruction=True, is_static=True)
    assert "static reconstruction" in why_not(Action.TELL_CONTAMINATION, facts)
    assert not why_not(Action.EXPLORE, facts)


@pytest.mark.parametrize("state", RunState)
def test_only_the_script_needs_a_stack_that_can_be_found_again(state: RunState) -> None:
    facts = Facts(state, is_reproducible=False, **WITH_ALL)
    assert "save their layer as MRC" in why_not(Action.COPY_SCRIPT, facts)
    for action in set(Action) - {Action.COPY_SCRIPT}:
        assert why_not(action, facts) == why_not(action, Facts(state, **WITH_ALL))


def test_a_wrong_series_can_be_mended_and_nothing_else_is_shut() -> None:
    facts = Facts(RunState.EMPTY, problem="no angles", **WITH_ALL)
    shut = {action for action in Action if why_not(action, facts)}
    assert shut == {
        Action.ALIGN,
        Action.START,
        Action.ADD_TO_QUEUE,
        Action.RESUME_FROM_FILE,
        Action.COPY_SCRIPT,
        Action.PAUSE,
        Action.GO_ON,
        Action.STOP,
    }
