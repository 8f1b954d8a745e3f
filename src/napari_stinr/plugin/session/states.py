"""What can be done when: one table decides which buttons are enabled and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_stinr.errors import StinrError


class RunState(StrEnum):
    """Where a session is."""

    EMPTY = "Empty"
    READY = "Ready"
    RUNNING = "Running"
    PAUSED = "Paused"
    STOPPING = "Stopping"
    DONE = "Done"
    FAILED = "Failed"


class Action(StrEnum):
    """What a person can ask for."""

    EDIT_SERIES = "edit the tilt series"
    ALIGN = "align"
    START = "start"
    ADD_TO_QUEUE = "add to the queue"
    PAUSE = "pause"
    GO_ON = "go on"
    STOP = "stop"
    RESUME_FROM_FILE = "resume from file"
    EDIT_SETTINGS = "change the settings"
    SAVE_SETTINGS = "save the settings"
    COPY_SCRIPT = "copy as script"
    SAVE_RUN = "save the reconstruction"
    LOAD_RUN = "open a reconstruction"
    EXPLORE = "look at the reconstruction"
    SHOW_ARRIVAL = "show the arrival time"
    SHOW_UNCERTAIN = "show what is uncertain"
    COMPARE_PROJECTIONS = "compare projections"
    TELL_CONTAMINATION = "tell contamination from specimen"


ACTIVE = frozenset({RunState.RUNNING, RunState.PAUSED, RunState.STOPPING})
"""States in which a training has the series and the settings."""

_ALL = frozenset(RunState)
_STOP_FIRST = "A training is in progress: stop it first."
_STOPPING = "The training is stopping: wait for its last step."
_NOT_RUNNING = "No training is in progress."


@dataclass(frozen=True)
class Facts:
    """What the table looks at."""

    state: RunState  # of the session
    problem: str = ""  # of the tilt series or the settings, "" for none
    has_reconstruction: bool = False  # there is something to look at
    has_arrival: bool = False  # the reconstruction has an arrival time
    is_static: bool = False  # nothing in the reconstruction changes with time
    has_series_of_run: bool = True  # the series that the reconstruction was made from is open
    is_reproducible: bool = True  # the stack is a file or a sample, so that a script can find it


@dataclass(frozen=True)
class _Rule:
    """In which states an action is possible, why not in others, and what it needs besides."""

    states: frozenset[RunState]
    otherwise: dict[RunState, str]
    needs_series: bool = False
    needs_reconstruction: bool = False
    needs_arrival: bool = False
    needs_time: bool = False
    needs_source: bool = False
    needs_series_of_run: bool = False


_IDLE = _ALL - ACTIVE
_WHEN_BUSY = dict.fromkeys(ACTIVE, _STOP_FIRST) | {RunState.STOPPING: _STOPPING}
_WHEN_IDLE = dict.fromkeys(_IDLE, _NOT_RUNNING) | {RunState.STOPPING: _STOPPING}
_RULES: dict[Action, _Rule] = {
    Action.EDIT_SERIES: _Rule(_IDLE, _WHEN_BUSY),
    Action.ALIGN: _Rule(_IDLE, _WHEN_BUSY, needs_series=True),
    Action.START: _Rule(_IDLE, _WHEN_BUSY, needs_series=True),
    Action.ADD_TO_QUEUE: _Rule(_ALL, {}, needs_series=True),
    Action.PAUSE: _Rule(
        frozenset({RunState.RUNNING}), _WHEN_IDLE | {RunState.PAUSED: "The training is paused already."}
    ),
    Action.GO_ON: _Rule(frozenset({RunState.PAUSED}), _WHEN_IDLE | {RunState.RUNNING: "The training is not paused."}),
    Action.STOP: _Rule(frozenset({RunState.RUNNING, RunState.PAUSED}), _WHEN_IDLE),
    Action.RESUME_FROM_FILE: _Rule(_IDLE, _WHEN_BUSY, needs_series=True),
    Action.EDIT_SETTINGS: _Rule(_IDLE, _WHEN_BUSY),
    Action.SAVE_SETTINGS: _Rule(_ALL, {}),
    Action.COPY_SCRIPT: _Rule(_ALL, {}, needs_series=True, needs_source=True),
    Action.SAVE_RUN: _Rule(_ALL, {}, needs_reconstruction=True),
    Action.LOAD_RUN: _Rule(_IDLE, _WHEN_BUSY),
    Action.EXPLORE: _Rule(_ALL, {}, needs_reconstruction=True),
    Action.SHOW_ARRIVAL: _Rule(_ALL, {}, needs_reconstruction=True, needs_arrival=True),
    Action.SHOW_UNCERTAIN: _Rule(_ALL, {}, needs_reconstruction=True, needs_arrival=True),
    Action.COMPARE_PROJECTIONS: _Rule(_ALL, {}, needs_reconstruction=True, needs_series_of_run=True),
    Action.TELL_CONTAMINATION: _Rule(_ALL, {}, needs_reconstruction=True, needs_time=True),
}


class NotNow(StinrError):
    """An action is not possible now; the text is that of the button that would do it: a reason with its cure."""

    def __init__(self, action: Action, reason: str) -> None:
        found, _, cure = reason.partition(": ")
        super().__init__(found, expected=f"that it is possible to {action}", cure=cure)
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


def why_not(action: Action, facts: Facts) -> str:
    """Return why an action is not possible now, one sentence with the cure; "" where it is."""
    rule = _RULES[action]
    if facts.state not in rule.states:
        return rule.otherwise[facts.state]
    if rule.needs_series and facts.problem:
        return facts.problem
    if rule.needs_source and not facts.is_reproducible:
        return "The projections are in this viewer only: save their layer as MRC and open that file first."
    if rule.needs_reconstruction and not facts.has_reconstruction:
        return "There is no reconstruction yet: start a training, or open one from a file."
    if rule.needs_series_of_run and not facts.has_series_of_run:
        return "The projections of this reconstruction are not open: open its tilt series on the page Series."
    if rule.needs_time and facts.is_static:
        return "A static reconstruction cannot tell contamination from specimen: train with the preset growth."
    if rule.needs_arrival and not facts.has_arrival:
        return "This reconstruction has no arrival time: train with the preset growth."
    return ""
