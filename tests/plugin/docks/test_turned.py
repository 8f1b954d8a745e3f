"""A tilt axis along the rows: the button *Turn* turns what is seen, and volume and crop lie where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from helpers.series_cases import growing_series
from helpers.window_cases import open_window, settle, train, turn, wait
from napari_stinr import TiltSeries
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.data.preprocessing.prepare import turned
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.session.new_draft import draft_of_series

pytestmark = pytest.mark.qt


def lying() -> TiltSeries:
    """Return a series whose tilt axis lies along the rows: `(31, 25, 12)`, 12 along the axis."""
    upright = growing_series(n_tilts=31, height=12, width=25)
    images = np.rot90(upright.projections, k=1, axes=(1, 2)).copy()
    series = TiltSeries(images, upright.tilt_angles, upright.times, pixel_size=1.0, name="lying")
    np.testing.assert_array_equal(turned(series).projections, upright.projections)
    return series


def press(window, text: str) -> None:
    """Press a button beside a finding with the mouse."""
    (button,) = [one for one in window.series.state.findChildren(QPushButton) if one.text() == text]
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def shown(layer) -> np.ndarray:
    return np.asarray(layer._slice.image.view)


@pytest.fixture
def window(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer._add_layer_from_data(*series_layer(draft_of_series(lying())))
    window.session.customise(window.session.config.with_training(steps=20, margin=0.0).with_alignment("off"))
    window.dock.show_page("Series")
    wait(qtbot, lambda: any("Tilt axis" in one.text for one in window.series.state.findings))
    return window


def test_turn_shows_what_is_trained_and_keep_what_is_in_the_file(window, qtbot):
    (layer,), series = window.viewer.layers, lying()
    window.binding.slider.go_to(0)
    turn(qtbot)
    np.testing.assert_array_equal(shown(layer), series.projections[0])
    press(window, "Turn")
    wait(qtbot, lambda: layer.data.shape[2:] == (12, 25))
    turn(qtbot)
    np.testing.assert_array_equal(shown(layer), turned(series).projections[0])
    low, high = layer.extent.world
    camera = window.viewer.scene.camera if hasattr(window.viewer, "scene") else window.viewer.camera
    np.testing.assert_allclose(camera.center[-2:], (low + high)[-2:] / 2, atol=1e-6)
    press(window, "Keep")
    wait(qtbot, lambda: layer.data.shape[2:] == (25, 12))
    turn(qtbot)
    np.testing.assert_array_equal(shown(layer), series.projections[0])


def test_volume_lies_over_the_turned_projections(window, qtbot):
    press(window, "Turn")
    train(qtbot, window)
    settle(qtbot, window)
    projections, volume = window.viewer.layers[0], window.layer("reconstruction")
    assert window.session.reconstruction.grid.shape == (25, 12, 25)
    np.testing.assert_allclose(volume.extent.world[:, -2:], projections.extent.world[:, -2:], atol=1e-6)
    # And of what grew in it, it shows the same: projected along z.
    predicted = window.session.reconstruction.render(1.0).sum(axis=0)
    measured = turned(lying()).projections[-1][:, ::-1]
    assert np.corrcoef(predicted.ravel(), measured.ravel())[0, 1] > 0.5


def test_crop_is_drawn_where_the_turned_images_are(window, qtbot):
    press(window, "Turn")
    crop = Crop(3, 20, 1, 11)
    window.series.change(crop=crop)
    window.binding.crop.draw(window.session.draft)
    (rectangle,) = [layer for layer in window.viewer.layers if layer.name == "crop"]
    corners = np.asarray(rectangle.data[0])
    np.testing.assert_allclose(corners.min(axis=0), [0.5, 25 - 20 - 0.5])
    np.testing.assert_allclose(corners.max(axis=0), [10.5, 25 - 3 - 0.5])
    # Pulled by a person: one row of what is seen, which is a column of the file.
    moved = corners.copy()
    moved[moved[:, 0] < 1, 0] += 1
    rectangle.data = [moved]
    wait(qtbot, lambda: window.session.draft.crop == Crop(3, 20, 2, 11))
    # What is cut out is what is seen in it.
    window.binding.slider.go_to(0)
    turn(qtbot)
    inside = shown(window.viewer.layers[0])[2:11, 5:22]
    cropped = turned(window.session.draft.series()).projections[0]
    np.testing.assert_array_equal(inside, cropped)
    press(window, "Keep")
    turn(qtbot)
    corners = np.asarray(rectangle.data[0])
    np.testing.assert_allclose(corners.min(axis=0), [2.5, 1.5])
