"""Closing the window in mid-run: a person is asked and told what is saved, a program is not."""

from __future__ import annotations

import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialog, QMessageBox

from helpers.window_cases import add_series, open_window, settle, turn, wait
from helpers.window_manager import press_cross
from napari_stinr import load_reconstruction
from napari_stinr.plugin.canvas.closing import CLOSE_ANYWAY, GO_ON, STOP_AND_SAVE

pytestmark = pytest.mark.qt


@pytest.fixture
def running(make_napari_viewer, qtbot, tmp_path):
    """Return a window in which a training runs that does not end by itself."""
    window = open_window(make_napari_viewer, tmp_path, autosave_minutes=0.005)
    add_series(window, steps=1_000_000)
    window.session.customise(window.session.config.with_alignment("off"))
    window.foot.start.click()
    wait(qtbot, lambda: bool(window.session.log.steps) and window.session.checkpoint is not None)
    return window


def ask_by_cross(qtbot, window) -> QMessageBox:
    """Press the cross of the window, and wait for the question."""
    press_cross(window.viewer.window._qt_window)
    wait(qtbot, lambda: window.binding.guard.box is not None)
    return window.binding.guard.box


def questions(qt_window) -> list[QDialog]:
    """Return the dialogs that are open; napari's notifications are dialogs, too."""
    dialogs = [each for each in qt_window.findChildren(QDialog) if each.isVisible()]
    return [each for each in dialogs if not isinstance(each, NapariQtNotification)]


def kept(window):
    """Let the window of napari outlive its closing, so that the fixture can close it again."""
    qt_window = window.viewer.window._qt_window
    qt_window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    return qt_window


def answer(qtbot, window, text: str) -> None:
    box = window.binding.guard.box
    button = next(each for each in box.buttons() if each.text().replace("&", "") == text)
    wait(qtbot, button.isVisible)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_go_on_changes_nothing_and_the_question_says_what_is_saved(running, qtbot):
    qt_window = running.viewer.window._qt_window
    box = ask_by_cross(qtbot, running)
    assert "step " in box.text()
    assert "It was saved" in box.text()
    assert str(running.session.checkpoint.parent) in box.text()
    assert box.defaultButton().text().replace("&", "") == GO_ON
    n_steps = len(running.session.log.steps)
    wait(qtbot, lambda: len(running.session.log.steps) > n_steps)
    # A second cross asks no second time.
    press_cross(qt_window)
    turn(qtbot, 20)
    assert questions(qt_window) == [box]
    answer(qtbot, running, GO_ON)
    wait(qtbot, lambda: running.binding.guard.box is None)
    assert qt_window.isVisible()
    assert running.session.state == "Running"
    QTest.mouseClick(running.foot.stop, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: not running.session.is_active)
    settle(qtbot, running)


def test_stop_and_save_closes_when_it_is_saved(running, qtbot):
    qt_window, session = kept(running), running.session
    ask_by_cross(qtbot, running)
    reached = len(session.log.steps)
    answer(qtbot, running, STOP_AND_SAVE)
    wait(qtbot, lambda: not qt_window.isVisible())
    assert session.reconstruction is None  # the session is closed, and what it was is on the disk
    assert load_reconstruction(session.checkpoint).step >= reached


@pytest.mark.parametrize("confirms", [True, False])
def test_the_menu_of_napari_asks_once_too(running, qtbot, confirms):
    qt_window = kept(running)
    get_settings().application.confirm_close_window = confirms
    qt_window.close(quit_app=False, confirm_need=True)
    assert questions(qt_window) == [running.binding.guard.box]
    answer(qtbot, running, CLOSE_ANYWAY)
    wait(qtbot, lambda: not qt_window.isVisible())
    assert load_reconstruction(running.session.checkpoint).step > 0


def test_a_program_closes_it_at_once_also_while_a_person_is_asked(running, qtbot):
    ask_by_cross(qtbot, running)
    running.viewer.close()
    assert load_reconstruction(running.session.checkpoint).step > 0


def test_nobody_is_asked_where_nothing_runs(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    get_settings().application.confirm_close_window = False
    qt_window = kept(window)
    press_cross(qt_window)
    wait(qtbot, lambda: not qt_window.isVisible())
    assert questions(qt_window) == []
