"""The window takes in what a training has posted, however much faster that is than the window."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from helpers.plugin_cases import run_to_end, session_in, small_draft
from napari_stinr.plugin.session.posted import take_posted
from napari_stinr.training.events import Abandoned, Aligning, Event, Finished, Reported, Snapshot
from napari_stinr.training.schedule import StepReport

if TYPE_CHECKING:
    from pathlib import Path


def report(step: int) -> StepReport:
    return StepReport(step, 10, 1.0, 1.0, (0.1,), 0.1 * step)


def posted(*events: Any) -> queue.SimpleQueue[Event]:
    filled: queue.SimpleQueue[Event] = queue.SimpleQueue()
    for event in events:
        filled.put(event)
    return filled


def picture(name: str) -> Any:
    return Snapshot(SimpleNamespace(name=name))


def test_reports_come_as_one_and_of_pictures_only_the_newest() -> None:
    one, two, three = Reported((report(1),)), Reported((report(2), report(3))), Reported((report(4),))
    early, late = picture("early"), picture("late")
    merged, shown, rest = take_posted(posted(one, early, two, late, three))
    assert merged.reports == (*one.reports, *two.reports)
    assert (shown, rest) == (late, three)
    assert take_posted(posted()) == []


def test_nothing_else_is_passed_over_or_comes_in_another_order() -> None:
    first, second = Aligning(0.1), Aligning(0.5)
    told, end = Reported((report(1),)), Finished(SimpleNamespace(), was_stopped=False, kept=SimpleNamespace())
    assert take_posted(posted(first, second, told, picture("early"), end)) == [second, told, end]
    left = Abandoned()
    assert take_posted(posted(told, left)) == [told, left]


def test_a_training_that_is_faster_than_the_window_does_not_keep_it(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    session.set_draft(small_draft())
    session.start()
    run_to_end(session)
    n_taken: list[int] = []

    def take_slowly(_: Any) -> None:
        n_taken.append(1)
        if len(n_taken) < 100:
            session._events.put(Reported((report(1),)))

    session.reported.connect(take_slowly)
    session._events.put(Reported((report(1),)))
    session.poll()
    assert len(n_taken) == 1
    session.poll()
    assert len(n_taken) == 2
