"""The pages of the dock are made one after the other, so that the window answers in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.window_cases import open_window, wait
from napari_stinr.plugin.canvas.binding import known_binding
from napari_stinr.plugin.docks.base import Page

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

pytestmark = pytest.mark.qt


def made(dock: QWidget) -> int:
    return len(dock.findChildren(Page))


def test_each_page_has_a_turn_of_its_own(make_napari_viewer, qtbot, tmp_path):
    dock = open_window(make_napari_viewer, tmp_path).dock
    counts = [made(dock)]
    dock._next_page.timeout.connect(lambda: counts.append(made(dock)))
    assert not dock.is_complete
    wait(qtbot, lambda: dock.is_complete)
    assert counts == [1, 2, 3, 4]
    wait(qtbot, lambda: not dock._next_page.isActive())


def test_a_page_that_is_asked_for_is_there_at_once(make_napari_viewer, qtbot, tmp_path):
    dock = open_window(make_napari_viewer, tmp_path).dock
    dock.show_page("Explore")
    assert dock.stack.currentWidget() is dock.explore
    assert made(dock) == 2
    wait(qtbot, lambda: dock.is_complete)
    assert (dock.page, dock.stack.currentWidget()) == ("Explore", dock.explore)
    assert [dock.stack.widget(place) for place in range(dock.stack.count())] == list(dock.pages.values())


def test_a_window_that_closes_first_gets_no_session_again(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    dock, viewer = window.dock, window.viewer
    window.binding.close()
    wait(qtbot, lambda: not dock._next_page.isActive())
    assert known_binding(viewer) is None
    assert made(dock) == 1
