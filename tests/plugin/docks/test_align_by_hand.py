"""What a person does to a pose with mouse and keys: the tilt axis on the canvas, and single projections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from helpers.series_cases import blob_projection
from helpers.window_cases import open_window, settle, turn, wait
from napari_stinr.alignment.pose import Pose
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.canvas.nudging import Shown
from napari_stinr.plugin.session.new_draft import draft_of_series

pytestmark = pytest.mark.qt
ANGLES = np.linspace(-60, 60, 13)
BLOBS = ((4.0, -9.0, 6.0, 4.0), (-5.0, 0.0, 3.0, 5.0), (2.0, 10.0, -7.0, 4.0))


def open_page(make_napari_viewer, qtbot, folder):
    """Open a window with a series whose axis lies three pixels to the right, on the page Align."""
    window = open_window(make_napari_viewer, folder)
    images = np.stack([blob_projection(41, 33, BLOBS, angle) for angle in ANGLES])
    draft = draft_of_series(TiltSeries(np.roll(images, 3, axis=2), ANGLES, pixel_size=1.0))
    window.viewer._add_layer_from_data(*series_layer(draft.prepared(axis="vertical")))
    window.dock.show_page("Align")
    wait(qtbot, lambda: window.binding.aligner.look is not None)
    settle(qtbot, window)
    return window


def canvas_of(window):
    return window.viewer.window._qt_viewer.canvas.native


def on_canvas(window, layer, place):
    """Where a place (y, x) of a layer lies on the canvas."""
    world = np.asarray(layer.data_to_world(place), dtype=float)[-2:]
    camera, native = window.viewer.scene.camera, canvas_of(window)
    y, x = (world - np.array(camera.center[-2:])) * camera.zoom
    return QPoint(round(native.width() / 2 + x), round(native.height() / 2 + y))


def drag(qtbot, window, start, end):
    """Drag with the left button, as a person does: over it first, then pressed, in steps."""
    native, left = canvas_of(window), Qt.MouseButton.LeftButton
    QTest.mouseMove(native, start)
    turn(qtbot)
    QTest.mousePress(native, left, pos=start)
    for part in (0.25, 0.5, 0.75, 1.0):
        step = start + QPoint(round(part * (end - start).x()), round(part * (end - start).y()))
        QTest.mouseMove(native, step)
        turn(qtbot)
    QTest.mouseRelease(native, left, pos=end)
    turn(qtbot)


def press(window, key, modifier=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(canvas_of(window), key, modifier)


def show_axis(qtbot, window):
    QTest.mouseClick(window.align.hand.axis_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: window.binding.by_hand.axis.is_shown)
    settle(qtbot, window)
    return window.binding.by_hand.axis


def test_axis_is_dragged_to_where_it_is_and_back_again(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    axis, hand, aligner = show_axis(qtbot, window), window.align.hand, window.binding.aligner
    assert not window.layer("tilt series").visible
    slices = []
    window.binding.by_hand.slice_ready.connect(slices.append)
    window.binding.by_hand.want_slice()
    settle(qtbot, window)
    camera = window.viewer.scene.camera.center
    foot, _ = axis._foot()
    drag(qtbot, window, on_canvas(window, axis._line, foot), on_canvas(window, axis._line, foot + np.array([0, 3])))
    settle(qtbot, window)
    assert aligner.pose.axis_offset == pytest.approx(3, abs=0.15)
    assert aligner.pose.axis_rotation == 0
    assert hand.offset.value() == pytest.approx(aligner.pose.axis_offset, abs=0.01)
    assert slices[-1].max() > 1.1 * slices[0].max()
    assert window.session.pose is aligner.pose
    assert window.align.start_line.text().startswith("✓ Start takes this pose")
    assert "set by hand" in window.align.found.text()
    # The line was grasped, and not the canvas.
    assert window.viewer.scene.camera.center == camera
    QTest.mouseClick(window.align.undo_button, Qt.MouseButton.LeftButton)
    assert window.session.known_pose is None
    assert axis._foot()[0].tolist() == foot.tolist()
    QTest.mouseClick(hand.axis_button, Qt.MouseButton.LeftButton)
    assert window.layer("tilt series").visible
    assert not window.layer("tilt axis").visible


def test_axis_is_turned_by_a_knob(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    axis = show_axis(qtbot, window)
    foot, _ = axis._foot()
    knob = axis._knobs()[1]
    reach, turned = np.linalg.norm(knob - foot), np.deg2rad(10)
    end = foot + reach * np.array([np.cos(turned), -np.sin(turned)])
    drag(qtbot, window, on_canvas(window, axis._line, knob), on_canvas(window, axis._line, end))
    pose = window.binding.aligner.pose
    assert pose.axis_rotation == pytest.approx(10, abs=0.7)
    assert pose.axis_offset == 0


def test_empty_canvas_is_still_dragged(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    axis = show_axis(qtbot, window)
    camera, foot = window.viewer.scene.camera.center, axis._foot()[0]
    start = on_canvas(window, axis._line, foot + np.array([0, 9]))
    drag(qtbot, window, start, start + QPoint(40, 0))
    assert window.viewer.scene.camera.center != camera
    assert window.session.known_pose is None


def test_axis_is_typed(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    axis, turn_input = show_axis(qtbot, window), window.align.hand.turn
    turn_input.setFocus()
    turn_input.selectAll()
    QTest.keyClicks(turn_input, "-3.5")
    QTest.keyClick(turn_input, Qt.Key.Key_Return)
    assert window.binding.aligner.pose.axis_rotation == -3.5
    assert axis._turn == -3.5
    # Over the maximum, the axis is where it was.
    hand = window.align.hand
    hand.picture.setCurrentIndex(1)
    hand.picture.activated.emit(1)
    settle(qtbot, window)
    assert window.layer("sum of projections").data.max() > 1.5 * 3
    assert axis._turn == -3.5


def test_arrow_keys_move_the_projection_that_is_shown(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    hand, aligner = window.align.hand, window.binding.aligner
    window.binding.slider.go_to(5)
    QTest.mouseClick(hand.move_button, Qt.MouseButton.LeftButton)
    layer = window.layer("aligned projections")
    before = np.asarray(layer.data[5, 0])
    press(window, Qt.Key.Key_Right)
    press(window, Qt.Key.Key_Right)
    press(window, Qt.Key.Key_Down)
    press(window, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_allclose(aligner.pose.dx, -2.0 * (np.arange(13) == 5))
    np.testing.assert_allclose(aligner.pose.dy, -0.9 * (np.arange(13) == 5), atol=1e-9)
    assert window.binding.slider.projection == 5
    peak = np.array(np.unravel_index(before.argmax(), before.shape))
    after = np.asarray(layer.data[5, 0])
    assert (np.unravel_index(after.argmax(), after.shape) == peak + np.array([1, 2])).all()
    assert "Projection 6 at -10°" in hand.current.text()
    # One act, however many keys.
    assert window.align.undo_button.toolTip() == "Take back: move projection 6."
    QTest.mouseClick(window.align.undo_button, Qt.MouseButton.LeftButton)
    assert window.session.known_pose is None
    np.testing.assert_array_equal(np.asarray(layer.data[5, 0]), before)


def test_neighbour_and_difference_are_toggled_by_keys_and_buttons(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    hand = window.align.hand
    window.binding.slider.go_to(5)
    QTest.mouseClick(hand.move_button, Qt.MouseButton.LeftButton)
    layer, data = window.layer("aligned projections"), window.session.draft.preview
    press(window, Qt.Key.Key_N)
    assert hand.shown.current == Shown.NEIGHBOUR
    np.testing.assert_allclose(np.asarray(layer.data[5, 0]), data[4], atol=0.2)
    press(window, Qt.Key.Key_N)
    assert hand.shown.current == Shown.ITSELF
    np.testing.assert_allclose(np.asarray(layer.data[5, 0]), data[5], atol=0.2)
    QTest.mouseClick(hand.shown.buttons[Shown.DIFFERENCE], Qt.MouseButton.LeftButton)
    np.testing.assert_allclose(np.asarray(layer.data[5, 0]), data[5] - data[4], atol=0.2)
    assert layer.contrast_limits[0] == -layer.contrast_limits[1]
    # The keys still go to the projection.
    press(window, Qt.Key.Key_Left)
    assert window.binding.aligner.pose.dx[5] == 1


def test_keys_are_naparis_again_on_another_page(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    window.binding.slider.go_to(5)
    QTest.mouseClick(window.align.hand.move_button, Qt.MouseButton.LeftButton)
    window.dock.show_page("Series")
    turn(qtbot)
    assert not window.binding.by_hand.nudging.is_on
    assert window.layer("tilt series").visible
    canvas_of(window).setFocus()
    press(window, Qt.Key.Key_Right)
    assert window.binding.slider.projection == 6
    assert window.session.known_pose is None


def test_layers_that_a_person_removes_end_it(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    show_axis(qtbot, window)
    window.viewer.layers.remove(window.layer("tilt axis"))
    turn(qtbot)
    assert not window.align.hand.axis_button.isChecked()
    assert window.layer("tilt series").visible
    show_axis(qtbot, window)
    assert window.layer("tilt axis").visible


def test_first_pose_by_hand_goes_on_from_what_was_found(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    aligner = window.binding.aligner
    found = aligner.view.known(replace(Pose.identity(13), axis_offset=2.0), "found by Align (coarse)")
    aligner.take(found, "align")
    window.binding.slider.go_to(3)
    QTest.mouseClick(window.align.hand.move_button, Qt.MouseButton.LeftButton)
    press(window, Qt.Key.Key_Right)
    assert (aligner.pose.axis_offset, aligner.pose.dx[3]) == (2.0, -1.0)
    assert "found by Align (coarse), then changed by hand" in window.align.found.text()
