"""Two runs or two times beside each other under one camera, or their difference."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from helpers.window_cases import add_series, open_window, settle, train

pytestmark = pytest.mark.qt


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def seen(window) -> list:
    return [layer for layer in window.viewer.layers if layer.visible]


def choose(box, position: int) -> None:
    """Choose as a person does."""
    box.setCurrentIndex(position)
    box.activated.emit(position)


@pytest.fixture
def window(make_napari_viewer, qtbot, tmp_path):
    made = open_window(make_napari_viewer, tmp_path)
    add_series(made)
    for preset in ("static", "growth"):
        made.session.choose(preset=preset)
        made.session.customise(made.session.config.with_training(steps=20))
        train(qtbot, made)
    settle(qtbot, made)
    return made


def test_compare_begins_with_before_and_after_side_by_side_and_leaves_all_as_it_was(window, qtbot):
    grid, camera, page = window.viewer.canvas.grid, window.viewer.scene.camera, window.explore
    grid.stride, grid.shape = 2, (3, 1)
    before = grid.enabled, grid.stride, grid.shape, camera.zoom
    assert not page.compare_panel.isVisible()
    press(page.switch.buttons["Compare"])
    settle(qtbot, window)
    assert page.compare_panel.isVisible()
    left, right = seen(window)
    run = window.session.reconstruction
    np.testing.assert_array_equal(left.data, run.render(0.0))
    np.testing.assert_array_equal(right.data, run.render(1.0))
    assert grid.enabled
    assert grid.actual_shape(window.viewer.layers) == (1, 2)
    places = [grid.position(window.viewer.layers.index(layer), window.viewer.layers) for layer in (left, right)]
    assert places == [(0, 0), (0, 1)]
    assert left.contrast_limits == right.contrast_limits
    assert "left: growth · #2, t = 0.00" in window.viewer.canvas.overlays.text.text
    # One camera for both.
    press(page.switch.buttons["Clean"])
    settle(qtbot, window)
    assert (grid.enabled, grid.stride, grid.shape, camera.zoom) == before
    assert [layer.name for layer in seen(window)] == ["clean · growth · #2"]
    assert not page.compare_panel.isVisible()


def test_two_runs_and_their_difference(window, qtbot):
    page, panel = window.explore, window.explore.compare_panel
    press(page.switch.buttons["Compare"])
    settle(qtbot, window)
    n_layers = len(window.viewer.layers)
    assert [panel.boxes[0].itemText(i) for i in range(2)] == ["growth · #2", "static · #1"]
    choose(panel.boxes[0], 1)
    panel.times[1].setValue(0.5)
    settle(qtbot, window)
    left, right = seen(window)
    static, growth = window.session.runs.runs
    np.testing.assert_array_equal(left.data, static.reconstruction.render(0.0))
    np.testing.assert_array_equal(right.data, growth.reconstruction.render(0.5))
    assert not panel.times[0].isEnabled()  # a static run has no time
    assert panel.times[1].isEnabled()
    press(panel.switch.buttons["Difference"])
    settle(qtbot, window)
    (difference,) = seen(window)
    np.testing.assert_allclose(difference.data, right.data - left.data)
    low, high = difference.contrast_limits
    assert low == -high
    colours = difference.colormap.map(np.array([0.0, 0.5, 1.0]))
    assert colours[0][2] > colours[0][0]
    assert colours[2][0] > colours[2][2]
    assert colours[1][3] == 0
    assert not window.viewer.canvas.grid.enabled
    assert len(window.viewer.layers) == n_layers + 1
    press(panel.switch.buttons["Side by side"])
    settle(qtbot, window)
    assert seen(window) == [left, right]
    assert len(window.viewer.layers) == n_layers + 1


def test_a_layer_can_be_compared_and_volumes_of_other_sizes_are_not_subtracted(window, qtbot, capsys):
    other = np.random.default_rng(0).random((5, 6, 7), dtype=np.float32)
    window.viewer.add_image(other, name="mine", scale=(0.1,) * 3, units=("nm",) * 3, axis_labels=("z", "y", "x"))
    page, panel = window.explore, window.explore.compare_panel
    press(page.switch.buttons["Compare"])
    settle(qtbot, window)
    choose(panel.boxes[1], panel.boxes[1].findText("mine"))
    settle(qtbot, window)
    right = next(layer for layer in seen(window) if layer.name.startswith("right"))
    np.testing.assert_array_equal(right.data, other)
    press(panel.switch.buttons["Difference"])
    settle(qtbot, window)
    assert "side by side" in capsys.readouterr().out
    # A layer that was thrown away is not offered any more.
    window.viewer.layers.remove("mine")
    assert panel.boxes[1].findText("mine") == -1
    assert panel.boxes[1].currentText() == "growth · #2"


def test_a_new_run_ends_the_comparison(window, qtbot):
    press(window.explore.switch.buttons["Compare"])
    settle(qtbot, window)
    train(qtbot, window)
    assert not window.viewer.canvas.grid.enabled
    assert window.explore.switch.current == "Contamination"
    assert not [layer.name for layer in seen(window) if layer.name.startswith(("left", "right"))]
