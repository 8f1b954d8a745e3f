"""The page Explore by mouse: one thing is shown at a time, what is told is true, and Export is always in sight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

import napari_stinr as stinr
from helpers.series_cases import growing_series
from helpers.window_cases import add_series, open_window, settle, train, turn, wait
from napari_stinr.plugin.canvas.display import Map
from napari_stinr.plugin.session.exports import FORMATS, Content

pytestmark = pytest.mark.qt


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def seen(window) -> list[str]:
    """Kinds of the layers that are visible, without the name of the run."""
    return [layer.name.partition(" · ")[0] for layer in window.viewer.layers if layer.visible]


def trained(make_napari_viewer, qtbot, tmp_path, *, preset: str = "growth", steps: int = 60, **options):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, **options)
    window.session.choose(preset=preset)
    window.session.customise(window.session.config.with_training(steps=steps))
    train(qtbot, window)
    wait(qtbot, lambda: window.dock.page == "Explore")
    settle(qtbot, window)
    return window


def test_result_opens_at_the_end_with_contamination_over_the_specimen_and_a_button_removes_it(
    make_napari_viewer, qtbot, tmp_path
):
    window = trained(make_napari_viewer, qtbot, tmp_path)
    assert window.binding.slider.t == 1.0
    assert window.explore.switch.current == "Contamination"
    assert seen(window) == ["clean", "contamination"]
    clean, grown = window.viewer.layers[-2:]
    assert grown.blending == "additive"
    orange = grown.colormap.map(1.0)[0]
    assert orange[0] > orange[2] + 0.3
    volume = window.session.reconstruction.contamination(1.0)
    np.testing.assert_allclose(grown._slice.image.view, volume[window.viewer.dims.current_step[1]], atol=1e-4)
    press(window.explore.remove_button)
    settle(qtbot, window)
    assert seen(window) == ["clean"]
    assert window.explore.switch.current == "Clean"
    np.testing.assert_allclose(clean.data, window.session.reconstruction.render(0.0), atol=1e-5)


def test_contamination_follows_the_slider(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path)
    layer = window.layer("contamination · growth · #1")
    amounts = []
    for t in (0.0, 0.5, 1.0):
        window.binding.slider.set_t(t)
        settle(qtbot, window)
        amounts.append(float(layer._slice.image.view.sum()))
    assert amounts[0] < 0.05 * amounts[2]
    assert amounts[0] < amounts[1] < amounts[2]


def test_pressing_anything_twice_adds_nothing(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path, steps=20)
    page = window.explore

    def press_all() -> None:
        for button in (*page.switch.buttons.values(), page.remove_button, page.map_buttons[Map.ARRIVAL]):
            press(button)
            settle(qtbot, window)
            assert sum(made.isChecked() for made in page.switch.buttons.values()) == 1

    press_all()
    names = window.names()
    assert len(names) == len(set(names))
    press_all()
    # The second time, the map is switched off again.
    assert window.names() == names


def test_map_lies_over_the_clean_specimen_and_goes_when_it_is_pressed_again(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path, steps=20)
    button = window.explore.map_buttons[Map.ARRIVAL]
    press(button)
    settle(qtbot, window)
    assert seen(window) == ["clean", "arrival time"]
    assert button.isChecked()
    press(button)
    settle(qtbot, window)
    assert seen(window) == ["clean"]
    assert not button.isChecked()


def test_static_is_never_called_clean(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path, preset="static", steps=5)
    page = window.explore
    assert page.switch.current == "At t"
    assert seen(window) == ["reconstruction"]
    assert not page.remove_button.isEnabled()
    assert "static reconstruction" in page.remove_button.toolTip()
    assert not page.switch.buttons["Clean"].isEnabled()
    assert "Static" in page.amount_line.whole
    assert [page.export_panel.content.itemText(i) for i in range(page.export_panel.content.count())] == [Content.STATIC]
    press(page.remove_button)
    settle(qtbot, window)
    assert not [name for name in window.names() if "clean" in name]


def test_opened_run_is_shown_like_one_that_was_trained(make_napari_viewer, qtbot, tmp_path):
    stinr.reconstruct(growing_series(21), steps=20).save(tmp_path / "run.stinr")
    window = open_window(make_napari_viewer, tmp_path)
    window.binding.open_files([tmp_path / "run.stinr"])
    wait(qtbot, lambda: window.session.state == "Done")
    settle(qtbot, window)
    assert seen(window) == ["clean", "contamination"]
    assert window.binding.slider.t == 1.0


def test_amount_follows_the_slider_in_one_line(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path)
    wait(qtbot, lambda: "% of specimen" in window.explore.amount_line.whole)
    at_the_end = window.explore.amount_line.whole
    # The unit of this series is not known, and so no thickness is.
    assert "nm" not in at_the_end
    window.binding.slider.set_t(0.0)
    assert window.explore.amount_line.whole == "Contamination: 0 % of specimen"
    run = window.session.runs.of(window.session.reconstruction)
    assert f"{run.contamination:.0f} %" in at_the_end or f"{run.contamination:.1f} %" in at_the_end


def test_export_is_in_sight_at_1280_x_800_whatever_is_shown(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path, steps=5)
    for name, button in window.explore.switch.buttons.items():
        press(button)
        settle(qtbot, window)
        export = window.explore.export_panel.button
        assert not export.visibleRegion().isEmpty(), name
        assert export.visibleRegion().boundingRect().size() == export.size(), name


def test_dialog_starts_in_the_folder_of_the_stack_with_a_name(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = trained(make_napari_viewer, qtbot, tmp_path / "runs", steps=5)
    folder = tmp_path / "data"
    folder.mkdir()
    draft = window.session.run_draft
    window.session.run_draft = replace(draft, found=replace(draft.found, paths=(folder / "stack.mrc",)))
    asked = []

    def answer(dialog: QFileDialog) -> int:
        asked.append((Path(dialog.directory().absolutePath()), [Path(name).name for name in dialog.selectedFiles()]))
        return 0

    monkeypatch.setattr(QFileDialog, "exec", answer)
    press(window.explore.remove_button)
    settle(qtbot, window)
    press(window.explore.export_panel.button)
    assert asked == [(folder, ["tilt series_clean.tif".replace(" ", "_")])]


@pytest.mark.parametrize("file_format", FORMATS, ids=lambda kind: kind.ending)
def test_open_result_shows_what_was_written(make_napari_viewer, qtbot, tmp_path, file_format):
    window = trained(make_napari_viewer, qtbot, tmp_path, steps=5)
    panel = window.explore.export_panel
    assert not panel.open_button.isVisible()
    panel.export_to(tmp_path / f"result{file_format.ending}")
    wait(qtbot, lambda: panel.open_button.isVisible())
    n_before = len(window.viewer.layers)
    press(panel.open_button)
    wait(qtbot, lambda: len(window.viewer.layers) > n_before)
    settle(qtbot, window)
    (opened,) = window.viewer.layers[n_before:]
    assert opened.visible
    finest = opened.data[0] if opened.multiscale else opened.data
    np.testing.assert_allclose(np.asarray(finest).squeeze(), window.session.reconstruction.render(0.0), atol=1e-5)
    assert opened.scale[-1] == pytest.approx(0.1)


def test_snapshots_refresh_what_is_shown_and_add_no_layers(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    window.foot.start.click()
    wait(qtbot, lambda: window.session.reconstruction is not None)
    window.dock.show_page("Explore")
    turn(qtbot)
    press(window.explore.remove_button)
    wait(qtbot, lambda: seen(window) == ["clean"])
    layer = window.layer("clean · growth · #1")
    before = layer.data
    wait(qtbot, lambda: layer.data is not before)
    assert [name for name in window.names() if name.startswith("clean")] == ["clean · growth · #1"]
    window.foot.stop.click()
    wait(qtbot, lambda: window.session.state == "Done")
