"""The dock as a whole: it opens by itself, turns to where the work is, and lets nobody change a value by scrolling."""

from __future__ import annotations

import json

import mrcfile
import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QWidget,
)
from superqt import QCollapsible

import napari_stinr as stinr
from helpers.pointer import middle_of, pointer
from helpers.series_cases import growing_series
from helpers.window_cases import add_series, open_window, settle, train, turn, wait
from napari_stinr.plugin.docks.stinr import StinrDock

pytestmark = pytest.mark.qt


def dock_in(viewer) -> StinrDock | None:
    found = viewer.window._qt_window.findChildren(StinrDock)
    return found[0] if found else None


def values(dock: StinrDock) -> list[object]:
    """Everything that an input of the dock says, as far as it is seen: a hidden one fills itself when it likes."""
    found: list[object] = []
    for widget in filter(QWidget.isVisible, dock.findChildren(QWidget)):
        if isinstance(widget, QComboBox):
            found.append(widget.currentText())
        elif isinstance(widget, QAbstractSpinBox | QLineEdit):
            found.append(widget.text())
        elif isinstance(widget, QAbstractSlider) and not isinstance(widget, QScrollBar):
            found.append(widget.value())
    return found


def test_one_menu_entry_opens_one_dock(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    assert dock_in(window.viewer) is window.dock
    titles = [window.dock.tabs.tabText(index) for index in range(window.dock.tabs.count())]
    assert titles == [f"{number} {name}" for number, name in enumerate(window.dock.pages, 1)]
    bar = window.dock.tabs
    assert sum(bar.tabRect(index).width() for index in range(bar.count())) <= bar.width()


def test_dock_opens_by_itself_with_a_sample(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    assert dock_in(viewer) is None
    viewer.open_sample("napari-stinr", "nanotube_small")
    wait(qtbot, lambda: dock_in(viewer) is not None)
    dock = dock_in(viewer)
    assert dock is not None
    assert dock.page == "Series"
    assert dock.isVisible()
    assert dock.foot.start.isEnabled()


def test_pages_turn_to_where_the_work_is(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    window.dock.show_page("Explore")
    add_series(window, steps=30)
    assert window.dock.page == "Series"
    train(qtbot, window)
    assert window.dock.page == "Explore"


def test_a_person_who_looks_elsewhere_is_not_called_back(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=60)
    window.foot.start.click()
    assert window.dock.page == "Reconstruct"
    window.dock.show_page("Series")
    wait(qtbot, lambda: not window.session.is_active)
    settle(qtbot, window)
    assert window.dock.page == "Series"


def test_opened_run_is_explored(make_napari_viewer, qtbot, tmp_path):
    stinr.reconstruct(growing_series(31), steps=3).save(tmp_path / "run.stinr")
    window = open_window(make_napari_viewer, tmp_path)
    window.dock.open_files([tmp_path / "run.stinr"])
    wait(qtbot, lambda: window.dock.page == "Explore")


def test_the_wheel_over_any_input_of_any_page_changes_nothing(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.window._qt_window.move(0, 0)
    add_series(window, steps=30)
    train(qtbot, window)
    kinds = QAbstractSpinBox | QComboBox | QAbstractSlider | QTabBar | QLineEdit
    seen: set[QWidget] = set()

    def turn_over_all(name, page) -> None:
        for folded in page.findChildren(QCollapsible):
            folded.expand(animate=False)
        settle(qtbot, window)  # what is computed for the page writes into it, too
        for widget in set(window.dock.findChildren(QWidget)) - seen:
            if isinstance(widget, kinds) and not isinstance(widget, QScrollBar) and widget.isVisible():
                page._scroll.ensureWidgetVisible(widget)
                turn(qtbot, 1)
                if QApplication.widgetAt(middle_of(widget)) is None:
                    continue
                before = values(window.dock)
                mouse.wheel(widget, -1)
                mouse.wheel(widget, 1)
                assert values(window.dock) == before, f"{name}: {widget}"
                assert window.dock.page == name
                seen.add(widget)

    with pointer(qtbot) as mouse:
        for name, page in window.dock.pages.items():
            window.dock.show_page(name)
            turn_over_all(name, page)
        window.explore.switch.buttons["Compare"].click()
        turn_over_all("Explore", window.explore)
    boxes = [box for box in window.dock.findChildren(QWidget) if isinstance(box, QAbstractSpinBox | QComboBox)]
    assert [box for box in boxes if box.isVisible() and box not in seen] == []
    # Those that are hidden until something is chosen are guarded, too.
    assert all(box.focusPolicy() != Qt.FocusPolicy.WheelFocus for box in boxes)
    assert len(seen) > 80


def test_the_wheel_turns_the_input_that_a_person_has_chosen(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.window._qt_window.move(0, 0)
    add_series(window)
    box = window.series.form.binning
    with pointer(qtbot) as mouse:
        window.series._scroll.ensureWidgetVisible(box)
        turn(qtbot)
        mouse.click(box)
        wait(qtbot, box.hasFocus)
        mouse.wheel(box, 1)
        wait(qtbot, lambda: box.value() == 2)


def test_the_wheel_over_a_field_scrolls_its_page(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.window._qt_window.move(0, 0)
    add_series(window)
    window.dock.show_page("Reconstruct")
    page = window.reconstruct
    for folded in page.findChildren(QCollapsible):
        folded.expand(animate=False)
    bar = page._scroll.verticalScrollBar()
    wait(qtbot, lambda: bar.maximum() > 0)
    with pointer(qtbot) as mouse:
        page._scroll.ensureWidgetVisible(page.choices.preset)
        before = bar.value()
        mouse.wheel(page.choices.preset, -3)
        wait(qtbot, lambda: bar.value() > before)
    assert page.choices.preset.currentText() == "growth"


@pytest.mark.parametrize("place", ["dock", "canvas"])
def test_files_dropped_by_another_program_are_opened(make_napari_viewer, qtbot, tmp_path, place):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.window._qt_window.move(0, 0)
    series = growing_series(31)
    stack, angles = tmp_path / "rod.mrc", tmp_path / "rod.rawtlt"
    with mrcfile.new(stack) as file:
        file.set_data(series.projections)
    np.savetxt(angles, series.tilt_angles)
    target = window.series if place == "dock" else window.viewer.window._qt_viewer
    with pointer(qtbot) as mouse:
        mouse.drop(target, [stack, angles] if place == "dock" else [stack], source_at=QPoint(400, 300))
    wait(qtbot, lambda: window.session.draft is not None)
    np.testing.assert_allclose(window.session.draft.tilt_angles, series.tilt_angles, atol=1e-4)
    assert window.dock.page == "Series"


def test_commands_of_the_palette_open_their_page(make_napari_viewer, qtbot):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer(show=True)
    for command, page in (("explore", "Explore"), ("tilt_series", "Series"), ("reconstruct", "Reconstruct")):
        get_app_model().commands.execute_command(f"napari-stinr.{command}").result()
        dock = dock_in(viewer)
        assert dock is not None
        assert dock.page == page


def test_the_values_of_the_wheel_test_can_be_told_apart(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    before = json.dumps(values(window.dock))
    window.series.form.binning.setValue(2)
    assert json.dumps(values(window.dock)) != before
