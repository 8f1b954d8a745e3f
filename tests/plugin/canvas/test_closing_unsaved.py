"""Closing the window with work that no file has: a person is asked once, and told what is saved anyway."""

from __future__ import annotations

from dataclasses import replace

import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialog, QFileDialog

from helpers.plugin_cases import write_stack
from helpers.window_cases import add_series, open_window, settle, train, turn, wait
from helpers.window_manager import press_cross
from napari_stinr.io.output.targets import PROJECT_ENDING
from napari_stinr.plugin.canvas.closing import CLOSE_ANYWAY, GO_ON, SAVE_PROJECT

pytestmark = pytest.mark.qt


@pytest.fixture
def window(make_napari_viewer, tmp_path):
    get_settings().application.confirm_close_window = False
    window = open_window(make_napari_viewer, tmp_path / "saved")
    # Outlives its closing, so that the fixture of napari can close it again.
    window.viewer.window._qt_window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    return window


def opened(window, qtbot, tmp_path) -> None:
    window.binding.open_files([write_stack(tmp_path / "data")])
    wait(qtbot, lambda: window.session.draft is not None)
    settle(qtbot, window)


def close(qtbot, window):
    """Press the cross; return the question, or None where the window has closed."""
    qt_window, guard = window.viewer.window._qt_window, window.binding.guard
    press_cross(qt_window)
    wait(qtbot, lambda: guard.box is not None or not qt_window.isVisible())
    dialogs = [each for each in qt_window.findChildren(QDialog) if each.isVisible()]
    assert len([each for each in dialogs if not isinstance(each, NapariQtNotification)]) == (guard.box is not None)
    return guard.box


def answer(qtbot, window, text: str) -> None:
    box = window.binding.guard.box
    button = next(each for each in box.buttons() if each.text().replace("&", "") == text)
    wait(qtbot, button.isVisible)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def closed(qtbot, window) -> None:
    wait(qtbot, lambda: not window.viewer.window._qt_window.isVisible())


def test_a_series_as_found_is_no_reason_to_ask(window, qtbot, tmp_path):
    opened(window, qtbot, tmp_path)
    assert close(qtbot, window) is None


def test_corrections_are_asked_about_and_go_on_keeps_the_window(window, qtbot, tmp_path):
    opened(window, qtbot, tmp_path)
    window.series.change(pixel_size=0.7, pixel_size_given=True)
    box = close(qtbot, window)
    assert "The corrections of needle are saved nowhere." in box.text()
    assert box.defaultButton().text().replace("&", "") == GO_ON
    answer(qtbot, window, GO_ON)
    wait(qtbot, lambda: window.binding.guard.box is None)
    assert window.viewer.window._qt_window.isVisible()
    assert window.session.draft.pixel_size == 0.7
    # What was taken back is no longer lost.
    window.series.change(pixel_size=0.5, pixel_size_given=False)
    assert close(qtbot, window) is None


def test_close_anyway_closes_and_asks_no_second_time(window, qtbot, tmp_path):
    opened(window, qtbot, tmp_path)
    window.series.change(flip_tilt=True)
    assert close(qtbot, window) is not None
    answer(qtbot, window, CLOSE_ANYWAY)
    closed(qtbot, window)


def test_a_run_that_is_saved_by_itself_is_no_reason_to_ask(window, qtbot):
    add_series(window, steps=12)
    window.series.change(flip_tilt=True)
    train(qtbot, window)
    # The last change is younger than the pause after which a project is saved by itself.
    window.series.change(axis_offset=0.5)
    assert close(qtbot, window) is None
    project = window.binding.project.autosaved
    assert project.is_file()


def test_a_run_that_was_not_saved_is_named(window, qtbot, tmp_path):
    add_series(window, steps=12)
    train(qtbot, window)
    checkpoint = window.session.checkpoint
    train(qtbot, window)
    checkpoint.unlink()
    text = close(qtbot, window).text()
    assert "Runs that are saved nowhere: #1." in text
    assert str(window.session.checkpoint) in text
    assert str(window.binding.project.autosaved) in text
    answer(qtbot, window, CLOSE_ANYWAY)
    closed(qtbot, window)


def test_a_project_that_was_changed_is_saved_over_and_closes(window, qtbot, tmp_path):
    opened(window, qtbot, tmp_path)
    window.series.change(pixel_size=0.7, pixel_size_given=True)
    path = tmp_path / f"needle{PROJECT_ENDING}"
    window.binding.project.save(path)
    wait(qtbot, path.exists)
    settle(qtbot, window)
    window.series.change(pixel_size=0.8)
    before = path.read_bytes()
    assert f"{path.name} does not have the last changes." in close(qtbot, window).text()
    answer(qtbot, window, SAVE_PROJECT)
    closed(qtbot, window)
    assert path.read_bytes() != before


def test_a_project_that_has_all_is_no_reason_to_ask(window, qtbot, tmp_path):
    opened(window, qtbot, tmp_path)
    window.series.change(pixel_size=0.7, pixel_size_given=True)
    path = tmp_path / f"needle{PROJECT_ENDING}"
    window.binding.project.save(path)
    wait(qtbot, path.exists)
    settle(qtbot, window)
    assert close(qtbot, window) is None


def test_who_chooses_no_file_keeps_the_window(window, qtbot, tmp_path, monkeypatch):
    opened(window, qtbot, tmp_path)
    window.series.change(flip_tilt=True)
    close(qtbot, window)
    monkeypatch.setattr(QFileDialog, "exec", lambda _: 0)
    answer(qtbot, window, SAVE_PROJECT)
    wait(qtbot, lambda: window.binding.guard.box is None)
    # A project that is saved later does not close it either.
    window.binding.project.save(tmp_path / f"later{PROJECT_ENDING}")
    wait(qtbot, (tmp_path / f"later{PROJECT_ENDING}").exists)
    settle(qtbot, window)
    turn(qtbot, 10)
    assert window.viewer.window._qt_window.isVisible()


def test_a_program_is_never_asked(window, qtbot, tmp_path):
    opened(window, qtbot, tmp_path)
    window.binding.set_draft(replace(window.session.draft, flip_tilt=True))
    qt_window, guard = window.viewer.window._qt_window, window.binding.guard
    window.viewer.close()
    wait(qtbot, lambda: not qt_window.isVisible())
    assert guard.box is None
