"""What people do that nobody planned: files in mid-run, another series, other preferences, docks closed too early."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.places import TESTS
from helpers.series_cases import growing_series
from helpers.waiting import PATIENCE
from helpers.window_cases import add_series, hold_exports, open_window, settle, train, wait
from napari_stinr.plugin.canvas.dock_opener import open_dock
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.session.exports import Content
from napari_stinr.plugin.session.new_draft import draft_of_series

pytestmark = pytest.mark.qt


def visible(window) -> set[str]:
    return {layer.name for layer in window.viewer.layers if layer.visible}


def test_series_that_becomes_invalid_after_a_run_is_told_and_can_be_mended(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    good = window.session.draft
    window.session.set_draft(replace(good, used=np.zeros(good.n_tilts, dtype=bool)))
    assert "0 of 31 projections are used" in window.foot.warning.whole
    assert not window.foot.start.isEnabled()
    window.session.set_draft(good)
    assert window.foot.start.isEnabled()


def test_switch_shows_one_thing_and_hides_the_others(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    window.explore.remove_button.click()
    settle(qtbot, window)
    assert visible(window) == {"clean · growth · #1"}
    switch = window.explore.switch
    switch.buttons["At t"].click()
    assert visible(window) == {"reconstruction · growth · #1"}
    switch.buttons["Contamination"].click()
    settle(qtbot, window)
    assert visible(window) == {"clean · growth · #1", "contamination · growth · #1"}
    window.explore.remove_button.click()
    settle(qtbot, window)
    assert visible(window) == {"clean · growth · #1"}
    assert switch.current == "Clean"


def test_remove_contamination_in_mid_run_shows_the_newest_alone(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    window.foot.start.click()
    wait(qtbot, lambda: window.session.reconstruction is not None)
    window.explore.remove_button.click()
    wait(qtbot, lambda: visible(window) == {"clean · growth · #1"})
    for _ in range(2):
        before = window.layer("clean").data
        wait(qtbot, lambda before=before: window.layer("clean").data is not before)
    assert visible(window) == {"clean · growth · #1"}
    window.foot.stop.click()
    wait(qtbot, lambda: window.session.state == "Done")
    settle(qtbot, window)
    np.testing.assert_allclose(window.layer("clean").data, window.session.reconstruction.render(0.0), atol=1e-5)


def test_another_stack_starts_with_a_clean_sheet(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    window.explore.remove_button.click()
    settle(qtbot, window)
    window.viewer._add_layer_from_data(*series_layer(replace(draft_of_series(growing_series(15)), name="other")))
    assert visible(window) == {"other"}
    assert window.foot.status.whole == "Ready."
    assert not window.reconstruct.files.saved.isVisibleTo(window.reconstruct.files)
    assert not window.explore.remove_button.isEnabled()


def test_run_opened_before_its_series_is_joined_to_it(make_napari_viewer, qtbot, tmp_path):
    series = growing_series(31, axis_offset=2.0)
    stinr.reconstruct(series, steps=3).save(tmp_path / "run.stinr")
    window = open_window(make_napari_viewer, tmp_path)
    window.binding.open_files([tmp_path / "run.stinr"])
    wait(qtbot, lambda: window.session.state == "Done")
    window.viewer._add_layer_from_data(*series_layer(draft_of_series(series)))
    settle(qtbot, window)
    assert window.session.run_draft is window.session.draft
    volume = window.layer("reconstruction")
    assert volume.data.shape[0] == 31
    # The centre of the volume lies on the rotation axis.
    middle = volume.extent.world.mean(axis=0)[3]
    assert middle == pytest.approx(((25 - 1) / 2 + 2.0) * 0.1)


def test_run_opened_with_a_series_of_others_is_let_go(make_napari_viewer, qtbot, tmp_path):
    stinr.reconstruct(growing_series(21), steps=3).save(tmp_path / "run.stinr")
    window = open_window(make_napari_viewer, tmp_path)
    window.binding.open_files([tmp_path / "run.stinr"])
    wait(qtbot, lambda: window.session.state == "Done")
    add_series(window, width=19)
    assert window.session.reconstruction is None
    assert window.session.state == "Ready"


def test_files_opened_in_mid_run_are_refused_in_one_line(make_napari_viewer, qtbot, tmp_path, capsys):
    stinr.reconstruct(growing_series(21), steps=3).save(tmp_path / "run.stinr")
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    window.foot.start.click()
    wait(qtbot, lambda: len(window.session.log.steps) > 5)
    draft = window.session.draft
    window.binding.open_files([tmp_path / "run.stinr"])
    settle_tasks = window.binding.tasks
    wait(qtbot, lambda: not any(task.reads == "run.stinr" for task in settle_tasks.running))
    window.viewer._add_layer_from_data(*series_layer(draft_of_series(growing_series(15))))
    assert window.session.draft is draft
    assert window.session.state == "Running"
    window.foot.stop.click()
    wait(qtbot, lambda: window.session.state == "Done")
    said = capsys.readouterr().out
    assert "stop it first" in said
    assert "not taken while a training is in progress" in said


def test_tooltips_say_why_a_field_is_grey_and_come_back(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=100_000)
    widgets = [window.series.table, window.series.form.binning, window.reconstruct.choices.preset]
    own = [widget.toolTip() for widget in widgets]
    assert all(own)
    window.foot.start.click()
    assert {widget.toolTip() for widget in widgets} == {"A training is in progress: stop it first."}
    wait(qtbot, lambda: len(window.session.log.steps) > 3)
    window.foot.stop.click()
    wait(qtbot, lambda: window.session.state == "Done")
    assert [widget.toolTip() for widget in widgets] == own


def test_preferences_reach_the_open_window(make_napari_viewer, qtbot, tmp_path):
    from napari.settings import get_plugin_settings

    window = open_window(make_napari_viewer, tmp_path)
    window.viewer._add_layer_from_data(*series_layer(draft_of_series(growing_series(61))))
    assert window.session.config.training.held_out == 2
    stored = get_plugin_settings("napari-stinr")
    before = stored.reconstruct.held_out, stored.reconstruct.threads
    try:
        stored.reconstruct.held_out, stored.reconstruct.threads = 0, 2
        assert window.session.config.training.held_out == 0
        assert window.session.threads == 2
    finally:
        stored.reconstruct.held_out, stored.reconstruct.threads = before


def test_export_goes_on_without_its_dock_and_is_found_again(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    gate = hold_exports(monkeypatch, 20)
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    panel = window.explore.export_panel
    panel.content.setCurrentText(Content.SERIES)
    panel.n_times.setValue(1001)
    panel.export_to(tmp_path / "series.ome.tif")
    window.viewer.window.remove_dock_widget(window.dock)
    again = open_dock(window.viewer).explore
    wait(qtbot, lambda: again.export_panel.bar.value() > 0)
    assert again.export_panel.cancel_button.isVisibleTo(again)
    again.export_panel.cancel()
    gate.open()
    wait(qtbot, lambda: not again.export_panel.is_running)
    assert not list(tmp_path.glob("*.tif"))


PROGRAM = """
import sys
import warnings
sys.path[:0] = [{tests!r}]
from dataclasses import replace
from helpers.plugin_cases import ENDLESS, session_in, small_draft
import time
from pathlib import Path
session = session_in(Path({folder!r}), config=ENDLESS)
session.set_draft(small_draft())
session.start()
while not session.log.steps:
    session.poll()
    time.sleep(0.01)
{then}
"""


@pytest.mark.parametrize("then", ["", "session.pause()"], ids=["running", "paused"])
def test_program_that_ends_in_mid_run_ends_and_leaves_a_checkpoint(tmp_path, then):
    code = PROGRAM.format(tests=str(TESTS), folder=str(tmp_path / "runs"), then=then)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE, capture_output=True)
    (checkpoint,) = (tmp_path / "runs").iterdir()
    assert stinr.load_reconstruction(checkpoint).step >= 1


def test_a_smaller_series_after_a_larger_one_is_seen_and_napari_has_nothing_to_say(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    seconds = replace(growing_series(width=41), name="large", time_unit="s", pixel_size=20.0)
    small = replace(growing_series(width=11), name="small", pixel_size=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for series in (seconds, small):
            window.session.set_draft(draft_of_series(series))
            settle(qtbot, window)
    layer = window.viewer.layers["small"]
    z = window.viewer.dims.point[1]
    assert layer.extent.world[0][1] <= z <= layer.extent.world[1][1]
