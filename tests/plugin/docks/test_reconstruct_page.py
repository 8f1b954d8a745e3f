"""The page Reconstruct: what is on top, what folds while a training runs, and what stands there afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from helpers.window_cases import add_series, open_window, settle, train, wait
from napari_stinr import preset_config
from napari_stinr.plugin.session.held_out_text import held_out_verdict

pytestmark = pytest.mark.qt
LEFT = Qt.MouseButton.LeftButton


def quick_series(window, *, steps: int):
    """Add a series that needs no alignment."""
    series = add_series(window, steps=steps)
    window.session.customise(window.session.config.with_alignment("off"))
    return series


@pytest.mark.parametrize("was_unfolded", [True, False])
def test_settings_fold_while_a_training_runs_and_come_back_as_they_were(
    make_napari_viewer, qtbot, tmp_path, was_unfolded
):
    window = open_window(make_napari_viewer, tmp_path)
    quick_series(window, steps=1_000_000)
    page, choices = window.reconstruct, window.reconstruct.choices
    window.dock.show_page("Reconstruct")
    wait(qtbot, lambda: choices.preset.isVisible())
    if not was_unfolded:
        QTest.mouseClick(page.folding.toggleButton(), LEFT)
    QTest.mouseClick(window.foot.start, LEFT)
    wait(qtbot, lambda: len(window.session.log.steps) > 5)
    assert not choices.preset.isVisible()
    assert page.folding.toggleButton().text() == "▸ Settings: growth, Custom"
    # Loss and residual stand above everything else, and the whole page fits without scrolling.
    assert page.plot.y() < page.view.y() < page.folding.y()
    wait(qtbot, lambda: not page._scroll.verticalScrollBar().isVisible())
    QTest.mouseClick(window.foot.stop, LEFT)
    wait(qtbot, lambda: not window.session.is_active)
    window.dock.show_page("Reconstruct")
    wait(qtbot, lambda: choices.preset.isVisible() is was_unfolded)
    settle(qtbot, window)


def test_settings_unfolded_in_mid_run_are_read_only(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    quick_series(window, steps=1_000_000)
    page = window.reconstruct
    QTest.mouseClick(window.foot.start, LEFT)
    wait(qtbot, lambda: window.session.is_active and not page.folding.isExpanded())
    QTest.mouseClick(page.folding.toggleButton(), LEFT)
    wait(qtbot, lambda: page.choices.preset.isVisible())
    assert not page.choices.preset.isEnabled()
    assert "stop it first" in page.choices.preset.toolTip()
    QTest.mouseClick(window.foot.stop, LEFT)
    wait(qtbot, lambda: not window.session.is_active)
    assert page.choices.preset.isEnabled()
    settle(qtbot, window)


def press(qtbot, window, button) -> None:
    """Bring a button of the page into view and press it with the mouse."""
    window.dock.show_page("Reconstruct")
    wait(qtbot, button.isVisible)
    window.reconstruct._scroll.ensureWidgetVisible(button)
    QTest.mouseClick(button, LEFT)


def shown(window) -> list[str]:
    return [layer.name for layer in window.viewer.layers if layer.visible]


def test_residual_on_the_canvas_follows_the_slider_and_gives_everything_back(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = quick_series(window, steps=40)
    page, button = window.reconstruct, window.reconstruct.canvas_button
    assert not button.isEnabled()
    assert "no reconstruction yet" in button.toolTip()
    train(qtbot, window)
    before = shown(window)
    view = (window.viewer.scene.camera.center, window.viewer.scene.camera.zoom)
    press(qtbot, window, button)
    names = ["tilt series measured", "tilt series predicted", "tilt series residual"]
    wait(qtbot, lambda: shown(window) == names)
    settle(qtbot, window)
    assert button.isChecked()

    window.binding.slider.go_to(20)
    measured, predicted, residual = (window.layer(name) for name in names)
    wait(qtbot, lambda: np.array_equal(measured.data[0], series.projections[20]))
    np.testing.assert_allclose(residual.data, measured.data - predicted.data, atol=1e-5)
    assert np.linalg.norm(residual.data) < 0.7 * np.linalg.norm(measured.data)
    # Side by side: the canvas shows all three, none over the other.
    lefts = [float(layer.extent.world[0, -1]) for layer in (measured, predicted, residual)]
    width = float(np.ptp(measured.extent.world[:, -1]))
    assert lefts[1] - lefts[0] > width
    assert lefts[2] - lefts[1] > width
    picture = window.viewer.screenshot(canvas_only=True, flash=False)
    red, blue = (picture[..., i].astype(int) - picture[..., 2 - i] > 60 for i in (0, 2))
    assert red.any()
    assert blue.any()

    press(qtbot, window, button)
    assert shown(window) == before
    assert (window.viewer.scene.camera.center, window.viewer.scene.camera.zoom) == view
    # Hidden and not removed; one that a person has removed comes again.
    assert set(names) <= set(window.names())
    window.viewer.layers.remove(predicted)
    press(qtbot, window, button)
    wait(qtbot, lambda: sorted(shown(window)) == names)
    # Who asks for something else on the canvas gets that.
    window.dock.show_page("Explore")
    window.binding.display.open()
    wait(qtbot, lambda: not page.on_canvas.is_shown)
    assert not button.isChecked()
    settle(qtbot, window)
    assert not set(names) & set(shown(window))


def test_what_the_held_out_loss_means_stands_under_the_plot(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    quick_series(window, steps=120)
    session, page = window.session, window.reconstruct
    static = preset_config("static").with_alignment("off").with_training(steps=120, held_out=3)
    session.customise(static)
    train(qtbot, window)
    window.dock.show_page("Reconstruct")
    wait(qtbot, page.held_out_line.isVisible)
    first = session.log.stages[-1][0]
    found = held_out_verdict(session.log.steps, session.log.losses, session.log.held_out, first=first)
    assert page.held_out_line.text()[2:] == found.text
    assert page.held_out_line.toolTip().replace("\n", " ") == found.details
    # One line, between plot and residual.
    assert page.held_out_line.height() < 2 * page.held_out_line.fontMetrics().lineSpacing()
    assert page.plot.y() < page.held_out_line.y() < page.view.y()
    # Without held-out projections there is nothing to say.
    session.customise(static.with_training(held_out=0))
    train(qtbot, window)
    assert not page.held_out_line.isVisibleTo(page)
