"""The crop is drawn with the mouse, trained as it is drawn, and lies where it was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from helpers.series_cases import growing_series
from helpers.window_cases import open_window, settle, train, turn, wait
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.plugin.session.new_draft import draft_of_series

pytestmark = pytest.mark.qt
HEIGHT, WIDTH = 24, 40


def window_with_series(make_napari_viewer, qtbot, folder):
    window = open_window(make_napari_viewer, folder)
    window.session.set_draft(draft_of_series(growing_series(31, width=WIDTH, height=HEIGHT)))
    settle(qtbot, window)
    return window


def rectangle(window):
    return window.layer("crop")


def place(window, y, x):
    """Where a position between pixels is on the canvas."""
    canvas, camera = window.viewer.window._qt_viewer.canvas.native, window.viewer.scene.camera
    pixel = rectangle(window).scale[0]
    middle = np.array([canvas.height(), canvas.width()]) / 2
    row, column = middle + (np.array([y, x]) * pixel - camera.center[-2:]) * camera.zoom
    return QPoint(round(column), round(row))


def pull(qtbot, window, start, end):
    """Pull what is at one position, (y, x), to another."""
    canvas, left = window.viewer.window._qt_viewer.canvas.native, Qt.MouseButton.LeftButton
    first, last = place(window, *start), place(window, *end)
    QTest.mouseMove(canvas, first)
    turn(qtbot, 5)
    QTest.mousePress(canvas, left, pos=first)
    for part in range(1, 6):
        QTest.mouseMove(canvas, first + (last - first) * (part / 5))
        turn(qtbot)
    QTest.mouseRelease(canvas, left, pos=last)
    turn(qtbot, 5)


def test_a_corner_is_pulled_and_what_is_inside_is_trained_at_its_place(make_napari_viewer, qtbot, tmp_path):
    window = window_with_series(make_napari_viewer, qtbot, tmp_path)
    form = window.series.form
    QTest.mouseClick(form.crop, Qt.MouseButton.LeftButton)
    layer = rectangle(window)
    assert layer.visible
    assert window.viewer.layers.selection.active is layer
    assert [str(unit) for unit in layer.units] == [str(unit) for unit in window.layer("series").units[-2:]]
    pull(qtbot, window, (HEIGHT - 0.5, WIDTH - 0.5), (19.6, 35.3))
    pull(qtbot, window, (-0.5, -0.5), (3.6, 3.4))
    assert window.session.draft.crop == Crop(4, 20, 4, 36)
    # It lies between pixels, and can be pulled again.
    np.testing.assert_allclose(layer.data[0].min(axis=0), [3.5, 3.5])
    assert layer.mode == "select"
    assert form.crop_size.text() == "16 × 32"
    QTest.mouseClick(form.crop, Qt.MouseButton.LeftButton)
    assert not layer.visible
    assert window.viewer.layers.selection.active is window.layer("series")
    window.session.customise(window.session.config.with_training(steps=12, margin=0.0))
    train(qtbot, window)
    settle(qtbot, window)
    assert window.session.reconstruction.grid.shape == (32, 16, 32)
    volume, series = window.binding.layers.stream_layer, window.layer("series")
    np.testing.assert_allclose(volume.translate[-2] - series.translate[-2], 4 * series.scale[-2], rtol=1e-6)
    middle = volume.extent.world[:, -1].mean() - series.extent.world[:, -1].mean()
    assert abs(middle) < 1e-6


def test_whole_new_series_and_deleted_layer_end_the_drawing(make_napari_viewer, qtbot, tmp_path):
    window = window_with_series(make_napari_viewer, qtbot, tmp_path)
    form = window.series.form
    assert not form.whole.isVisible()
    form.crop.click()
    pull(qtbot, window, (HEIGHT - 0.5, WIDTH - 0.5), (19.6, 35.3))
    assert window.session.draft.crop is not None
    QTest.mouseClick(form.whole, Qt.MouseButton.LeftButton)
    assert window.session.draft.crop is None
    np.testing.assert_allclose(rectangle(window).data[0].max(axis=0), [HEIGHT - 0.5, WIDTH - 0.5])
    # The rectangle is thrown away: the whole image counts, and there is another one.
    rectangle(window).selected_data = {0}
    rectangle(window).remove_selected()
    wait(qtbot, lambda: len(rectangle(window).data) == 1)
    assert window.session.draft.crop is None
    window.viewer.layers.remove(rectangle(window))
    assert not form.crop.isChecked()
    form.crop.click()
    assert rectangle(window).visible
    window.session.set_draft(draft_of_series(growing_series(31, width=30, height=20, name="other")))
    assert not form.crop.isChecked()
    assert not rectangle(window).visible
    assert form.crop.text() == "Draw"


def test_3d_ends_the_drawing_and_keeps_the_crop(make_napari_viewer, qtbot, tmp_path):
    window = window_with_series(make_napari_viewer, qtbot, tmp_path)
    form, canvas = window.series.form, window.viewer.window._qt_viewer.canvas.native
    QTest.mouseClick(form.crop, Qt.MouseButton.LeftButton)
    pull(qtbot, window, (-0.5, -0.5), (3.6, 3.4))
    window.viewer.dims.ndisplay = 3
    turn(qtbot, 5)
    assert not rectangle(window).visible
    assert not form.crop.isChecked()
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    turn(qtbot, 5)
    assert window.session.draft.crop == Crop(4, HEIGHT, 4, WIDTH)
    QTest.mouseClick(form.crop, Qt.MouseButton.LeftButton)
    turn(qtbot, 5)
    assert window.viewer.dims.ndisplay == 2
    np.testing.assert_allclose(rectangle(window).data[0].min(axis=0), [3.5, 3.5])
