"""The state of a series on the screen: three colours, cures beside it and in the foot, fields that take files."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import napari_stinr as stinr
from helpers.pointer import pointer
from helpers.series_cases import growing_series
from helpers.window_cases import add_series, open_window, settle, turn, wait
from napari_stinr.plugin.session.findings import Level
from napari_stinr.plugin.session.new_draft import draft_of_stack

pytestmark = pytest.mark.qt
SOURCE = QPoint(400, 300)


def window_with(make_napari_viewer, qtbot, folder, stack=None):
    """Return a window with a horizontal axis, a background and two blank images, unless there is another stack."""
    window = open_window(make_napari_viewer, folder)
    window.viewer.window._qt_window.move(0, 0)
    if stack is None:
        stack = growing_series(31, width=48, height=24).projections.transpose(0, 2, 1) + np.float32(885)
        stack[[4, 20]] = 885
    window.session.set_draft(draft_of_stack(stack, name="needle", pixel_size=2.0))
    settle(qtbot, window)
    return window


def colour_of(label):
    return label.styleSheet().split("color: ")[1].split(";")[0]


def type_into(field, text):
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def test_findings_have_their_colours_and_cures_that_work(make_napari_viewer, qtbot, tmp_path):
    window = window_with(make_napari_viewer, qtbot, tmp_path)
    page, session = window.series, window.session
    assert "no tilt angle" in page.state.text_of(Level.WRONG)
    assert window.foot.warning.whole.startswith("✗ 31 of 31 projections have no tilt angle")
    assert not window.foot.start.isEnabled()
    with pointer(qtbot) as mouse:
        mouse.click(window.foot.cure_button)
        wait(qtbot, page.form.angles.hasFocus)
        QTest.keyClicks(page.form.angles, "-75:5")
        QTest.keyClick(page.form.angles, Qt.Key.Key_Return)
        settle(qtbot, window)
        assert not page.state.text_of(Level.WRONG)
        assert window.foot.start.isEnabled()
        assert page.state.text_of(Level.TO_DECIDE).splitlines() == [
            "Times assumed: order in the file",
            "Tilt axis horizontal",
        ]
        assert "2 blank images" in page.state.text_of(Level.RIGHT)
        assert "Background 885" in page.state.text_of(Level.RIGHT)
        colours = page.colours
        shown = {colour_of(text) for text in page.state.texts}
        assert shown == {colours.success, colours.warning}
        mouse.click(page.state.button("Turn"))
        mouse.click(page.state.button("Use"))
        assert session.config.preprocessing.axis == "horizontal"
        assert session.config.preprocessing.blank_images == "keep"
        assert page.state.button("Turned").isChecked()
        assert window.foot.warning.whole == "! Times assumed: order in the file"
        mouse.click(page.state.button("Keep"))
    assert session.draft.times_argument == "sequential"
    assert page.state.text_of(Level.TO_DECIDE) == ""
    assert window.foot.warning.whole == ""
    assert not window.foot.cure_button.isVisible()


def test_choose_in_the_foot_opens_the_choice_of_times_from_any_page(make_napari_viewer, qtbot, tmp_path):
    window = window_with(make_napari_viewer, qtbot, tmp_path)
    window.series.set_angles("-75:5")
    settle(qtbot, window)
    window.dock.show_page("Reconstruct")
    with pointer(qtbot) as mouse:
        assert window.foot.cure_button.text() == "Choose"
        mouse.click(window.foot.cure_button)
        wait(qtbot, lambda: QApplication.activePopupWidget() is not None)
    assert window.dock.page == "Series"
    window.series.form.times.hidePopup()


def test_a_layer_of_a_long_name_leaves_the_dock_as_narrow(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    turn(qtbot, 10)
    before = window.dock.width()
    name = "a_tilt_series_of_a_needle_with_a_name_of_more_than_60_letters" * 2
    window.viewer.add_image(growing_series(31).projections, name=name)
    window.series.layer_choice.setCurrentText(name)
    window.series.layer_choice.activated.emit(window.series.layer_choice.currentIndex())
    settle(qtbot, window)
    assert window.session.draft.name == name
    assert window.dock.minimumSizeHint().width() <= before
    assert window.dock.width() == before


def test_a_blank_stack_is_refused_before_training(make_napari_viewer, qtbot, tmp_path):
    window = window_with(make_napari_viewer, qtbot, tmp_path, np.zeros((31, 12, 20), dtype=np.float32))
    window.series.set_angles("-75:5")
    settle(qtbot, window)
    assert window.series.state.text_of(Level.WRONG).startswith("All projections of this series are blank")
    assert not window.foot.start.isEnabled()
    assert "blank" in window.foot.start.toolTip()


def test_cures_rest_while_a_training_runs(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=1_000_000)
    window.series.change(pixel_size=None)
    settle(qtbot, window)
    window.foot.start.click()
    wait(qtbot, lambda: bool(window.session.log.steps))
    assert window.foot.warning.whole == ""
    assert window.series.state.buttons
    assert not any(button.isEnabled() for button in window.series.state.buttons)
    window.foot.stop.click()
    wait(qtbot, lambda: not window.session.is_active)


def test_bad_text_stays_in_the_field_with_what_is_wrong_below(make_napari_viewer, qtbot, tmp_path):
    window = window_with(make_napari_viewer, qtbot, tmp_path)
    form = window.series.form
    for text, why in (("-76:2:76", "three numbers; expected two"), ("abc", "which is no file; expected a file, or")):
        type_into(form.angles, text)
        assert form.angles.text() == text
        assert why in form.angles_problem.text()
        assert form.angles_problem.isVisible()
        assert window.series.colours.error in form.angles.styleSheet()
    # Something else is corrected meanwhile.
    form.binning.setValue(2)
    assert window.session.draft.binning == 2
    assert form.angles.text() == "abc"
    type_into(form.angles, "-75:5")
    assert not form.angles_problem.isVisible()
    assert form.angles.styleSheet() == ""
    np.testing.assert_allclose(window.session.draft.tilt_angles, np.arange(-75, 76, 5))


def test_lists_are_dropped_on_their_fields_and_stacks_beside_them(make_napari_viewer, qtbot, tmp_path):
    window = window_with(make_napari_viewer, qtbot, tmp_path)
    form, angles = window.series.form, np.linspace(-60, 60, 31)
    stinr.write_tilt_angles(tmp_path / "list.rawtlt", angles)
    stinr.write_tilt_angles(tmp_path / "short.rawtlt", angles[:5])
    stinr.write_times(tmp_path / "when.csv", angles, np.arange(31.0)[::-1] ** 2)
    with pointer(qtbot) as mouse:

        def drop(field, name, is_taken):
            # On a busy machine the other program may let go before it is told that the field takes the file.
            for _ in range(4):
                window.series._scroll.ensureWidgetVisible(field)
                turn(qtbot, 10)
                mouse.drop(field, [tmp_path / name], source_at=SOURCE)
                turn(qtbot, 100)
                if is_taken():
                    return
            raise AssertionError(f"{name} was not taken")

        drop(form.angles, "short.rawtlt", lambda: "5 tilt angles in" in form.angles_problem.text())
        assert form.angles.text() == str(tmp_path / "short.rawtlt")
        drop(form.angles, "list.rawtlt", lambda: np.allclose(window.session.draft.tilt_angles, angles, atol=1e-3))
        assert not form.angles_problem.isVisible()
        drop(form.times, "when.csv", lambda: form.times.currentText() == "when.csv")
        np.testing.assert_allclose(window.session.draft.times, np.arange(31.0)[::-1] ** 2)
        # On a field that takes no files, it is the dock's.
        stinr.write_tilt_series(tmp_path / "rod.mrc", growing_series(31).projections, pixel_size=0.5)
        drop(form.axis_offset, "rod.mrc", lambda: window.session.draft.name == "rod")
