"""The queue with the mouse: add, several seeds, start, stop all, remove; and what is told at the end."""

from __future__ import annotations

import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QSystemTrayIcon

from helpers.window_cases import add_series, open_window, settle, train, wait
from napari_stinr.plugin.session.run_words import HEADLINE

pytestmark = pytest.mark.qt


@pytest.fixture
def window(make_napari_viewer, qtbot, tmp_path):
    """Return a window with a series that needs no alignment, and the queue unfolded."""
    notification_manager.records.clear()
    made = open_window(make_napari_viewer, tmp_path)
    add_series(made, steps=20)
    made.session.customise(made.session.config.with_alignment("off"))
    made.dock.show_page("Reconstruct")
    QTest.mouseClick(made.reconstruct.queue_folding.toggleButton(), Qt.MouseButton.LeftButton)
    wait(qtbot, made.reconstruct.queue.isVisible)
    return made


def press(qtbot, window, button) -> None:
    window.dock.show_page("Reconstruct")
    window.reconstruct._scroll.ensureWidgetVisible(button)
    wait(qtbot, lambda: not button.visibleRegion().isEmpty())
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def lines(window) -> list[str]:
    listed = window.reconstruct.queue.list
    return [listed.item(row).text() for row in range(listed.count())]


def said() -> list[str]:
    return [notice.message for notice in notification_manager.records]


def test_static_and_growth_with_two_seeds_come_one_after_the_other(window, qtbot):
    queue, session = window.reconstruct.queue, window.session
    press(qtbot, window, queue.add_button)
    session.choose(preset="static", quality="Quick look")
    session.customise(session.config.with_alignment("off").with_training(steps=15))
    queue.seeds.setFocus()
    QTest.keyClick(queue.seeds, Qt.Key.Key_Up)
    press(qtbot, window, queue.add_button)
    assert lines(window) == ["… growth, Custom, seed 0", "… static, Custom, seed 0", "… static, Custom, seed 1"]
    assert window.reconstruct.queue_folding.text() == "Queue: 3 of 3 waiting"
    press(qtbot, window, queue.start_button)
    wait(qtbot, lambda: not session.queue.is_running)
    assert [run.title for run in session.runs.runs] == ["growth · #1", "static · #2", "static · #3"]
    for line, number in zip(lines(window), "123", strict=True):
        assert line.startswith("✓")
        assert f"#{number}, residual" in line
    assert not queue.start_button.isEnabled()
    assert len([each for each in said() if " is done in " in each]) == 3
    settle(qtbot, window)


def test_stop_all_leaves_the_rest_waiting_and_what_is_chosen_can_be_removed(window, qtbot):
    queue, session = window.reconstruct.queue, window.session
    session.customise(session.config.with_training(steps=1_000_000))
    press(qtbot, window, queue.add_button)
    press(qtbot, window, queue.add_button)
    press(qtbot, window, queue.start_button)
    wait(qtbot, lambda: bool(session.log.steps))
    assert [line[0] for line in lines(window)] == ["▸", "…"]
    press(qtbot, window, queue.stop_button)
    wait(qtbot, lambda: not session.queue.is_running)
    assert [line[0] for line in lines(window)] == ["■", "…"]
    window.dock.show_page("Reconstruct")
    QTest.mouseClick(
        queue.list.viewport(),
        Qt.MouseButton.LeftButton,
        pos=queue.list.visualItemRect(queue.list.item(1)).center(),
    )
    press(qtbot, window, queue.remove_button)
    assert [line[0] for line in lines(window)] == ["■"]
    # Who stops a training is not told that it has ended.
    assert not [each for each in said() if " is done" in each]
    settle(qtbot, window)


def test_the_end_is_told_in_napari_and_by_the_system_where_the_window_is_behind(window, qtbot, monkeypatch):
    told: list[object] = []
    monkeypatch.setattr(QApplication, "alert", staticmethod(lambda *which: told.append(type(which[0]))))
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", staticmethod(lambda: True))
    monkeypatch.setattr(QSystemTrayIcon, "showMessage", lambda _, title, text, *rest: told.append((title, text)))
    qt_window = window.viewer.window._qt_window
    monkeypatch.setattr(type(qt_window), "isActiveWindow", lambda _: True)
    train(qtbot, window)
    assert told == []
    headline, rest = said()[-1].split("\n")
    assert headline.startswith("growth is done in ")
    assert "residual" in headline
    assert len(headline) <= HEADLINE
    assert rest == "tilt series, 20 steps. The page Explore shows it."
    shown = [each for each in qt_window.findChildren(NapariQtNotification) if each.isVisible()]
    assert any(each.message.text().startswith(headline) for each in shown)

    monkeypatch.setattr(type(qt_window), "isActiveWindow", lambda _: False)
    train(qtbot, window)
    assert told[0] is type(qt_window)
    assert told[1][0].startswith("STINR: growth is done in ")
    assert told[1][1] == rest
