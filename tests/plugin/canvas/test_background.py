"""Bars in napari's activity dock, which tell a remaining time beside them."""

from __future__ import annotations

import pytest
from napari.utils import progress
from qtpy.QtWidgets import QLabel

from helpers.waiting import Gate
from napari_stinr.plugin.canvas import background
from napari_stinr.plugin.canvas.background import ActivityBars, BackgroundTasks

pytestmark = pytest.mark.qt


def test_what_was_done_before_does_not_count_for_the_pace(monkeypatch, qapp):
    now = [100.0]
    monkeypatch.setattr("napari_stinr.plugin.canvas.background.time.monotonic", lambda: now[0])
    bars = ActivityBars()
    bars.open("run", "training")
    bar = bars._bars["run"]
    bar._time = lambda: now[0]
    for step in range(451, 491):
        now[0] += 1.0
        bars.update("run", step, 750, first=450)
    assert (bar.n, bar.total) == (490, 750)
    # 40 steps in 39 s; those before, which took no time of these, would make it many times as fast.
    assert bar.format_dict["rate"] == pytest.approx(1.0, rel=0.05)
    bars.close("run")
    assert bars.owners == ()


def titles() -> list[str]:
    return [str(bar.desc).removesuffix(": ") for bar in progress._all_instances]


def test_a_task_has_a_bar_once_it_has_gone_on_for_a_while(monkeypatch, qtbot):
    """To make a bar has napari draw the whole window, which a task of a moment is not worth."""
    tasks, gate, found = BackgroundTasks(), Gate(), []
    tasks.run("a moment", lambda _: None, found.append)
    tasks.poll()
    assert titles() == []
    qtbot.waitUntil(lambda: tasks.poll() or found == [None], timeout=30_000)
    tasks.run("a while", lambda _: gate(), found.append)
    monkeypatch.setattr(background, "_BAR_AFTER", 0.0)
    qtbot.waitUntil(lambda: tasks.poll() or titles() == ["a while"], timeout=30_000)
    gate.open()
    qtbot.waitUntil(lambda: tasks.poll() or len(found) == 2, timeout=30_000)
    tasks.poll()
    assert titles() == []
    tasks.close()


@pytest.mark.qt
def test_sign_of_activity_turns_slowly_while_we_have_bars(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    labels = viewer.window._qt_window.statusBar().findChildren(QLabel)
    (movie,) = (label.movie() for label in labels if label.movie() is not None)
    bars = ActivityBars()
    bars.open("one", "first")
    bars.open("two", "second")
    assert movie.speed() < 20
    bars.close("one")
    assert movie.speed() < 20
    bars.close_all()
    assert movie.speed() == 100
