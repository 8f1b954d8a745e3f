"""The `?` of every page, and keys for the common acts, which napari's Preferences list."""

from __future__ import annotations

import pytest
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor
from napari.utils.action_manager import action_manager
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from helpers.window_cases import add_series, open_window, settle, train, wait
from napari_stinr.plugin.canvas.shortcuts import SHORTCUTS, shortcut_lines

pytestmark = pytest.mark.qt


@pytest.fixture
def window(make_napari_viewer, tmp_path):
    return open_window(make_napari_viewer, tmp_path)


def press(window, key) -> None:
    QTest.keyClick(window.viewer.window._qt_viewer.canvas.native, key, Qt.KeyboardModifier.AltModifier)


def test_every_page_opens_its_part_of_the_guide(window, qtbot):
    for page in window.dock.pages:
        window.dock.show_page(page)
        QTest.mouseClick(window.dock.help, Qt.MouseButton.LeftButton)
        guide = window.dock.help.guide
        wait(qtbot, guide.isVisible)
        assert page.lower() in guide.heading.lower()
    assert "Alt+R" in guide.text.toPlainText()
    # At the right end of the row of tabs, in the dock.
    right = window.dock.help.geometry().right()
    assert window.dock.tabs.geometry().right() < right < window.dock.width()
    guide.close()


def test_napari_lists_the_keys_and_none_was_its_own(window, qtbot):
    editor = ShortcutEditor()
    qtbot.addWidget(editor)
    listed = editor.key_bindings_strs[editor.VIEWER_KEYBINDINGS]
    own = {str(key) for keys in default_shortcuts.values() for key in keys}
    menus = window.viewer.window._qt_window.menuBar().actions()
    mnemonics = {f"Alt+{menu.text().partition('&')[2][:1].upper()}" for menu in menus if "&" in menu.text()}
    for shortcut in SHORTCUTS:
        assert listed[shortcut.action].description == f"STINR: {shortcut.text}"
        keys = {str(key) for key in action_manager._shortcuts[shortcut.action]}
        assert keys
        assert not keys & (own | mnemonics), shortcut
    lines = shortcut_lines()
    assert ("Alt+R", "Start a training, pause it, go on with it") in lines
    assert len({keys for keys, _ in lines}) == len(SHORTCUTS)


def test_keys_start_pause_go_on_and_stop(window, qtbot):
    add_series(window, steps=1_000_000)
    session = window.session
    session.customise(session.config.with_alignment("off"))
    press(window, Qt.Key.Key_R)
    wait(qtbot, lambda: bool(session.log.steps))
    press(window, Qt.Key.Key_R)
    assert session.state == "Paused"
    press(window, Qt.Key.Key_R)
    assert session.state == "Running"
    press(window, Qt.Key.Key_E)
    wait(qtbot, lambda: session.state == "Done")
    settle(qtbot, window)


def test_keys_turn_pages_step_projections_and_show_the_clean_specimen(window, qtbot):
    add_series(window, steps=20)
    session, slider = window.session, window.binding.slider
    session.customise(session.config.with_alignment("off"))
    for key, page in zip(
        (Qt.Key.Key_4, Qt.Key.Key_3, Qt.Key.Key_2, Qt.Key.Key_1), reversed(window.dock.pages), strict=True
    ):
        press(window, key)
        assert window.dock.page == page
    slider.go_to(3)
    press(window, Qt.Key.Key_Right)
    assert slider.projection == 4
    for _ in range(9):
        press(window, Qt.Key.Key_Left)
    assert slider.projection == 0
    train(qtbot, window)
    press(window, Qt.Key.Key_X)
    wait(qtbot, lambda: window.binding.display.shown == "Clean")
    press(window, Qt.Key.Key_X)
    wait(qtbot, lambda: window.binding.display.shown == "At t")
    press(window, Qt.Key.Key_T)
    assert window.binding.player.is_playing
    press(window, Qt.Key.Key_T)
    assert not window.binding.player.is_playing
    settle(qtbot, window)
