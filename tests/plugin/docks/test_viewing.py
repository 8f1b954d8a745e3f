"""Views in one click, and what stands on the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from helpers.window_cases import add_series, open_window, settle, train, turn
from napari_stinr.plugin.canvas.views import surface_threshold

pytestmark = pytest.mark.qt


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def seen(window) -> list[str]:
    return [layer.name for layer in window.viewer.layers if layer.visible]


@pytest.fixture
def window(make_napari_viewer, qtbot, tmp_path):
    made = open_window(make_napari_viewer, tmp_path)
    add_series(made, steps=20)
    train(qtbot, made)
    settle(qtbot, made)
    return made


def test_every_view_is_one_click(window, qtbot):
    page, viewer = window.explore, window.viewer
    clean, grown = window.layer("clean · growth · #1"), window.layer("contamination · growth · #1")
    before = seen(window)
    assert page.view_switch.current == "Slice"
    press(page.view_switch.buttons["Maximum"])
    assert viewer.dims.ndisplay == 3
    assert (clean.rendering, grown.rendering) == ("mip", "mip")
    press(page.view_switch.buttons["Isosurface"])
    assert (clean.rendering, grown.rendering) == ("iso", "iso")
    for layer in (clean, grown):
        values = np.asarray(layer._slice.image.raw)
        assert 0.0005 < (values > layer.iso_threshold).mean() < 0.5
    press(page.view_switch.buttons["Orthogonal"])
    planes = [layer for layer in viewer.layers if layer.visible and layer.data is clean.data]
    assert {tuple(np.round(layer.plane.normal)) for layer in planes} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert {layer.depiction for layer in planes} == {"plane"}
    assert np.any(viewer.scene.camera.angles)
    n_layers = len(viewer.layers)
    press(page.view_switch.buttons["Slice"])
    assert viewer.dims.ndisplay == 2
    assert seen(window) == before
    press(page.view_switch.buttons["Orthogonal"])
    assert len(viewer.layers) == n_layers
    press(page.view_switch.buttons["Slice"])


def test_planes_follow_the_switch_and_the_contrast(window, qtbot):
    page = window.explore
    press(page.view_switch.buttons["Orthogonal"])
    press(page.remove_button)
    settle(qtbot, window)
    assert set(seen(window)) == {f"clean{plane} · growth · #1" for plane in ("", " plane x", " plane y")}
    press(page.switch.buttons["At t"])
    settle(qtbot, window)
    press(page.switch.buttons["At t"])
    assert set(seen(window)) == {f"reconstruction{plane} · growth · #1" for plane in ("", " plane x", " plane y")}
    clean = window.layer("clean · growth · #1")
    clean.contrast_limits = (0.0, 0.5 * clean.contrast_limits[1])
    assert window.layer("clean plane x · growth · #1").contrast_limits == clean.contrast_limits


def test_projections_on_the_canvas_are_no_volume_of_which_planes_are_made(window, qtbot):
    press(window.reconstruct.canvas_button)
    settle(qtbot, window)
    press(window.explore.view_switch.buttons["Orthogonal"])
    assert window.layer("tilt series residual").depiction == "volume"
    assert not [layer.name for layer in window.viewer.layers if "tilt series" in layer.name and "plane" in layer.name]


def test_threshold_that_was_moved_stays(window, qtbot):
    page, clean = window.explore, window.layer("clean · growth · #1")
    press(page.view_switch.buttons["Isosurface"])
    clean.iso_threshold *= 1.5
    mine = clean.iso_threshold
    press(page.remove_button)
    settle(qtbot, window)
    assert clean.iso_threshold == mine


def test_napari_s_own_button_is_followed(window, qtbot):
    window.viewer.dims.ndisplay = 3
    turn(qtbot)
    assert window.explore.view_switch.current == "Maximum"
    window.viewer.dims.ndisplay = 2
    turn(qtbot)
    assert window.explore.view_switch.current == "Slice"


def test_scale_bar_angle_and_time_are_there_and_stay_off(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    overlays = window.viewer.canvas.overlays
    assert not overlays.scale_bar.visible
    add_series(window, steps=5)
    assert overlays.scale_bar.visible
    assert overlays.text.visible
    window.binding.slider.set_step(10)
    assert "tilt 60.0°" in overlays.text.text
    assert "t = 0.333" in overlays.text.text
    overlays.scale_bar.visible = overlays.text.visible = False
    train(qtbot, window)
    settle(qtbot, window)
    window.binding.slider.set_t(0.5)
    assert not overlays.scale_bar.visible
    assert not overlays.text.visible
    assert overlays.text.text.startswith("contamination until t = 0.500")
    press(window.explore.remove_button)
    settle(qtbot, window)
    assert overlays.text.text == "clean specimen, t = 0"


def test_text_of_somebody_else_is_left_alone(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.canvas.overlays.text.text = "mine"
    add_series(window)
    window.binding.slider.set_step(10)
    assert window.viewer.canvas.overlays.text.text == "mine"


def test_threshold_lies_between_two_kinds_of_voxels():
    generator = np.random.default_rng(1)
    values = np.concatenate([generator.normal(0.5, 0.2, 9000), generator.normal(8.0, 1.0, 1000)])
    assert 1.5 < surface_threshold(values, low=0.0, high=10.0) < 6.0
    assert surface_threshold(np.zeros(100), low=0.0, high=2.0) == 1.0
