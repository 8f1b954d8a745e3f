"""What a person does from a sample to a clean TIFF, in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest

import napari_stinr as stinr
from helpers.series_cases import SPECIMEN, blob_volume
from helpers.window_cases import add_series, hold_exports, open_window, settle, train, turn, wait
from napari_stinr.plugin.canvas.binding import binding_of
from napari_stinr.plugin.canvas.display import Map
from napari_stinr.plugin.canvas.dock_opener import open_dock
from napari_stinr.plugin.session.exports import FORMATS, Content

pytestmark = pytest.mark.qt


def error_of(volume: np.ndarray, truth: np.ndarray) -> float:
    """Relative error of a volume at its best scale."""
    scale = float((volume * truth).sum() / (volume * volume).sum())
    return float(np.linalg.norm(scale * volume - truth) / np.linalg.norm(truth))


def choose(box, text: str) -> None:
    """Choose as a person does."""
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())


@pytest.mark.slow
def test_from_the_sample_to_a_clean_tiff(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    assert QGuiApplication.platformName() == "xcb"
    window.viewer.open_sample("napari-stinr", "nanotube_small")
    assert window.session.state == "Ready"

    choose(window.reconstruct.choices.quality, "Quick look")
    choose(window.reconstruct.choices.preset, "static")
    train(qtbot, window)
    static = window.session.reconstruction.render(0.0)

    choose(window.reconstruct.choices.preset, "growth")
    train(qtbot, window)
    losses = window.session.log.losses
    assert np.mean(losses[-10:]) < 0.05 * losses[0]

    window.explore.switch.buttons["At t"].click()
    stream = window.layer("reconstruction · growth · #2")
    totals = []
    for t in (1.0, 0.5, 0.0):
        window.binding.slider.set_t(t)
        settle(qtbot, window)
        totals.append(float(np.asarray(stream._slice.image.view).sum()))
    assert totals[0] > totals[1] > totals[2]

    window.explore.remove_button.click()
    wait(qtbot, lambda: "clean · growth · #2" in window.names())
    clean, truth = window.layer("clean"), window.layer("truth (t = 0)")
    assert error_of(clean.data, truth.data) < 0.7 * error_of(static, truth.data)
    truth.visible = True  # what is hidden is said to lie where the series does
    truth.visible = True  # a hidden layer counts as lying where the current one lies
    np.testing.assert_allclose(clean.extent.world, truth.extent.world)
    truth.visible = False

    target = tmp_path / "clean.tif"
    window.explore.export_panel.export_to(target)
    wait(qtbot, lambda: not window.explore.export_panel.is_running)
    volume, voxel_size = stinr.read_volume(target)
    assert voxel_size == pytest.approx(0.5)
    np.testing.assert_array_equal(volume, clean.data)


def test_slider_of_time_moves_projections_volume_and_docks_together(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = add_series(window, axis_offset=0.0)
    train(qtbot, window)
    window.explore.switch.buttons["At t"].click()
    window.layer("tilt series").visible = True
    window.explore.slider.setValue(20 / 30)
    settle(qtbot, window)
    assert window.viewer.dims.current_step[0] == 20
    np.testing.assert_array_equal(window.layer("tilt series")._slice.image.view, series.projections[20])
    middle = window.session.reconstruction.render(20 / 30)[window.viewer.dims.current_step[1]]
    np.testing.assert_allclose(window.layer("reconstruction")._slice.image.view, middle, atol=1e-5)
    window.viewer.dims.set_current_step(0, 3)
    assert window.explore.slider.value() == pytest.approx(0.1)
    assert "t = 0.100" in window.explore.time_line.text()
    # The table shows where the slider is as soon as its dock is seen.
    window.dock.show_page("Series")
    wait(qtbot, lambda: window.series.table._model.current == 3)


def test_play_moves_through_time_and_stops(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path, play_frames_per_second=50.0)
    add_series(window, steps=5)
    train(qtbot, window)
    window.binding.slider.set_t(0.9)
    window.explore.play_button.click()
    seen = []
    window.binding.t_changed.connect(seen.append)
    wait(qtbot, lambda: len(seen) > 6)
    window.explore.play_button.click()
    assert min(seen) < 0.2  # past the end, and on from the beginning
    turn(qtbot)
    n_seen = len(seen)
    turn(qtbot, 20)
    assert len(seen) == n_seen


def test_contamination_and_arrival_time_are_layers_in_the_place_of_the_clean_one(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100)
    train(qtbot, window)
    clean, grown = window.layer("clean"), window.layer("contamination")
    np.testing.assert_allclose(grown.extent.world[:, 1:], clean.extent.world)
    window.explore.map_buttons[Map.ARRIVAL].click()
    settle(qtbot, window)
    arrival = window.layer("arrival time")
    total = window.session.reconstruction.render(1.0)
    np.testing.assert_allclose(clean.data + grown.data[-1], total, atol=1e-4 * total.max())
    np.testing.assert_allclose(arrival.extent.world, clean.extent.world)
    assert arrival.units == clean.units == grown.units[1:]
    truth = blob_volume(clean.data.shape, SPECIMEN)
    assert np.median(arrival.data[truth > 0.5 * truth.max()]) < 0.05


def test_uncertain_atoms_are_a_layer_and_none_are_said(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100)
    train(qtbot, window)
    said = []
    monkeypatch.setattr("napari_stinr.plugin.canvas.display.show_info", said.append)
    atoms = window.session.reconstruction.field.atoms
    atoms.share.data.fill_(1.0)
    button = window.explore.map_buttons[Map.UNCERTAIN]
    button.click()
    settle(qtbot, window)
    assert not button.isChecked()
    assert [text.partition(":")[0] for text in said] == ["No atom is uncertain"]
    atoms.share.data.fill_(float(atoms.least_share) - 0.1)
    button.click()
    settle(qtbot, window)
    assert button.isChecked()
    assert float(window.layer("uncertain").data.max()) > 0
    assert len(said) == 1


def test_double_click_on_remove_contamination_adds_one_layer(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    button = window.explore.remove_button
    window.explore.show()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    settle(qtbot, window)
    button.click()
    settle(qtbot, window)
    assert [name for name in window.names() if name.startswith("clean")] == ["clean · growth · #1"]


@pytest.mark.parametrize("file_format", FORMATS, ids=lambda kind: kind.ending)
def test_every_format_keeps_values_and_voxel_size(make_napari_viewer, qtbot, tmp_path, file_format):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    panel = window.explore.export_panel
    panel.content.setCurrentText(Content.AT_T)
    window.binding.slider.set_t(1.0)
    target = tmp_path / f"volume{file_format.ending}"
    panel.export_to(target)
    wait(qtbot, lambda: not panel.is_running)
    volume, voxel_size = stinr.read_volume(target)
    assert voxel_size == pytest.approx(1.0)
    np.testing.assert_array_equal(volume, window.session.reconstruction.render(1.0))


def test_export_never_replaces_a_file_unasked(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    target = tmp_path / "clean.tif"
    target.write_bytes(b"precious")
    window.explore.export_panel.export_to(target)
    wait(qtbot, lambda: not window.explore.export_panel.is_running)
    assert target.read_bytes() == b"precious"


def test_cancelled_export_leaves_no_file(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    gate = hold_exports(monkeypatch, 20)
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    panel = window.explore.export_panel
    panel.content.setCurrentText(Content.SERIES)
    panel.n_times.setValue(1001)
    target = tmp_path / "series.ome.tif"
    panel.export_to(target)
    wait(qtbot, lambda: panel.bar.value() > 10)
    panel.cancel_button.click()
    gate.open()
    wait(qtbot, lambda: not panel.is_running)
    assert not list(tmp_path.glob("*.tif"))


def test_dock_that_was_closed_finds_everything_as_it_was(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    window.foot.start.click()
    wait(qtbot, lambda: len(window.session.log.steps) > 20)
    window.viewer.window.remove_dock_widget(window.dock)
    wait(qtbot, lambda: len(window.session.log.steps) > 60)
    again = open_dock(window.viewer)
    assert again is not window.dock
    assert again.page == "Reconstruct"
    assert again.foot.session is window.session
    assert again.foot.stop.isEnabled()
    assert not again.foot.start.isEnabled()
    assert again.foot.bar.value() >= 60
    again.foot.stop.click()
    wait(qtbot, lambda: window.session.state == "Done")


def test_two_viewers_do_not_mix(make_napari_viewer, qtbot, tmp_path):
    first = open_window(make_napari_viewer, tmp_path / "a")
    second = open_window(make_napari_viewer, tmp_path / "b")
    add_series(first, steps=40)
    assert second.session.state == "Empty"
    add_series(second, steps=20, width=21)
    first.foot.start.click()
    second.foot.start.click()
    wait(qtbot, lambda: first.session.state == second.session.state == "Done")
    assert (first.session.log.steps[-1], second.session.log.steps[-1]) == (40, 20)
    assert first.session.reconstruction.grid.width == 25
    assert second.session.reconstruction.grid.width == 21
    assert binding_of(first.viewer) is not binding_of(second.viewer)


def test_layers_deleted_in_mid_run_do_no_harm(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    window.foot.start.click()
    wait(qtbot, lambda: window.binding.layers.stream is not None)
    window.viewer.layers.clear()
    shown = window.session.reconstruction
    wait(qtbot, lambda: window.session.reconstruction is not shown)
    assert window.names() == []
    window.foot.stop.click()
    wait(qtbot, lambda: window.session.state == "Done")
    settle(qtbot, window)
    # The result is shown as every result is, whatever was thrown away before.
    assert window.names() == ["clean · growth · #1", "contamination · growth · #1"]
    window.explore.switch.buttons["At t"].click()
    settle(qtbot, window)
    assert [layer.name for layer in window.viewer.layers if layer.visible] == ["reconstruction · growth · #1"]
