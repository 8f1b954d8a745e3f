"""What a person does on the page Align: find the pose, see what it does, and have Start take it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

import napari_stinr as stinr
from helpers.series_cases import growing_series
from helpers.waiting import Gate
from helpers.window_cases import open_window, settle, train, turn, wait
from napari_stinr.alignment.pose import Pose
from napari_stinr.plugin.canvas import aligner as aligner_module
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.session.new_draft import draft_of_series

pytestmark = pytest.mark.qt
DRIFT = np.linspace(-3, 3, 21).round()


def add_drifting_series(window, *, steps=6):
    """Add a small series whose projections wander along the tilt axis, as a reader would."""
    series = growing_series(n_tilts=21, width=31, height=15)
    images = [np.roll(image, int(y), 0) for image, y in zip(series.projections, DRIFT, strict=True)]
    draft = draft_of_series(replace(series, projections=np.stack(images)))
    window.viewer._add_layer_from_data(*series_layer(draft))
    window.session.customise(window.session.config.with_training(steps=steps, held_out=0))
    return window.session.draft


def click(widget):
    # Where the text of a tick is, too.
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(12, widget.height() // 2))


def open_page(make_napari_viewer, qtbot, folder):
    window = open_window(make_napari_viewer, folder)
    add_drifting_series(window)
    window.dock.show_page("Align")
    wait(qtbot, lambda: window.binding.aligner.look is not None)
    settle(qtbot, window)
    return window


def curve(plot, number=0, *, aligned):
    _, values = (plot._after if aligned else plot._before)[number].getData()
    return np.empty(0) if values is None else values


def test_page_shows_the_series_as_recorded_and_warns(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    page = window.align
    assert np.ptp(curve(page.plots.shifts, 1, aligned=False)) > 3
    assert not len(curve(page.plots.shifts, 1, aligned=True))
    assert "shifted against each other" in page.warnings.text()
    assert page.start_line.text() == "Start aligns the projections first (coarse)."


def test_align_straightens_the_series_and_start_takes_the_pose(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    page, aligner = window.align, window.binding.aligner
    click(page.align_button)
    wait(qtbot, lambda: aligner.known is not None)
    settle(qtbot, window)
    assert np.ptp(curve(page.plots.shifts, 1, aligned=True)) < 0.3 * np.ptp(curve(page.plots.shifts, 1, aligned=False))
    assert np.nanmin(curve(page.plots.correlation, aligned=True)) > np.nanmin(
        curve(page.plots.correlation, aligned=False)
    )
    assert page.start_line.text() == "✓ Start takes this pose and does not align again."
    assert "found by Align (coarse)" in page.found.text()
    assert "Largest shift" in page.found.text()
    monkeypatch.setattr("napari_stinr.training.aligning.align_prepared", None)
    train(qtbot, window)
    np.testing.assert_array_equal(window.session.reconstruction.pose.dy, aligner.known.pose.dy)
    assert "Not aligned again" in window.session.run_notes[0]


def test_stop_ends_the_search_and_start_waits_for_it(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    page, gate = window.align, Gate()

    def held(draft, config, progress, **_):
        gate()
        progress(0.5, 1.0)
        raise AssertionError("went on")

    monkeypatch.setattr(aligner_module, "find_pose", held)
    click(page.align_button)
    wait(qtbot, lambda: gate.is_reached)
    turn(qtbot)
    assert page.bar.isVisible()
    assert not window.foot.start.isEnabled()
    assert "being aligned" in window.foot.start.toolTip()
    click(page.stop_button)
    turn(qtbot)
    assert page.stop_button.text() == "Stopping…"
    gate.open()
    wait(qtbot, lambda: window.binding.aligner.task is None)
    turn(qtbot)
    assert window.session.known_pose is None
    assert window.foot.start.isEnabled()
    assert page.align_button.isVisible()


def test_tick_is_what_a_run_does(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    page = window.align
    assert page.before_start.isChecked()
    click(page.before_start)
    assert window.session.config.alignment.method == "off"
    assert page.start_line.text() == "! Start takes the projections as they lie."
    train(qtbot, window)
    assert window.session.reconstruction.pose is None
    # And the other way round: what is chosen under Advanced is what the tick shows.
    window.session.customise(window.session.config.with_alignment("coarse"))
    window.dock.show_page("Align")
    wait(qtbot, page.before_start.isChecked)


def test_series_that_was_corrected_is_aligned_again(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    click(window.align.align_button)
    wait(qtbot, lambda: window.binding.aligner.known is not None)
    window.series.change(pixel_size=2.0)
    assert window.session.pose is not None
    window.series.change(binning=2)
    wait(qtbot, lambda: "Start aligns it again" in window.align.start_line.text())
    assert window.session.pose is None


def test_page_of_a_dock_that_is_opened_again_knows_everything(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    click(window.align.align_button)
    wait(qtbot, lambda: window.binding.aligner.known is not None)
    settle(qtbot, window)
    again = type(window.align)(window.viewer)
    qtbot.addWidget(again)
    again.show()
    wait(qtbot, lambda: len(curve(again.plots.shifts, 1, aligned=True)) > 0)
    assert again.found.text() == window.align.found.text()


def test_colours_follow_the_theme(make_napari_viewer, qtbot, tmp_path):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    before = window.align.warnings.styleSheet()
    window.viewer.theme = "light"
    assert window.align.warnings.styleSheet() != before


def choose(monkeypatch, *, opened=None, new=None):
    """Let the file dialogs be answered."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(opened), ""))
    monkeypatch.setattr(QFileDialog, "exec", lambda _: True)
    monkeypatch.setattr(QFileDialog, "selectedFiles", lambda _: [str(new)])


def test_pose_is_saved_loaded_and_each_is_taken_back(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    page, session = window.align, window.session
    assert not page.files.save_button.isEnabled()
    assert "press Align" in page.files.save_button.toolTip()
    assert not page.undo_button.isEnabled()
    path = tmp_path / "pose.yaml"
    path.write_text(replace(Pose.identity(21), dy=DRIFT).to_yaml())
    choose(monkeypatch, opened=path, new=tmp_path / "saved.yaml")
    click(page.files.load_button)
    wait(qtbot, lambda: session.known_pose is not None)
    settle(qtbot, window)
    np.testing.assert_array_equal(session.pose.dy, DRIFT)
    assert "read from pose.yaml" in page.found.text()
    click(page.files.save_button)
    assert Pose.from_yaml((tmp_path / "saved.yaml").read_text()).dy.tolist() == DRIFT.tolist()
    assert page.undo_button.toolTip() == "Take back: save saved.yaml."
    click(page.undo_button)
    assert not (tmp_path / "saved.yaml").exists()
    assert page.undo_button.toolTip() == "Take back: load pose.yaml."
    click(page.undo_button)
    assert session.known_pose is None
    assert not page.undo_button.isEnabled()


def test_other_channel_is_opened_with_the_pose_trained_and_taken_back(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    page, session, first = window.align, window.session, window.session.draft
    stinr.write_tilt_series(tmp_path / "other.mrc", first.series().projections * 3, pixel_size=1.0)
    window.binding.aligner.take(
        window.binding.aligner.view.known(replace(Pose.identity(21), dy=DRIFT), "given by a test"), "test"
    )
    before = session.known_pose
    choose(monkeypatch, opened=tmp_path / "other.mrc")
    click(page.files.open_button)
    wait(qtbot, lambda: session.draft is not first)
    settle(qtbot, window)
    assert session.draft.name == "other"
    np.testing.assert_array_equal(session.pose.dy, DRIFT)
    assert page.start_line.text() == "✓ Start takes this pose and does not align again."
    click(page.undo_button)
    settle(qtbot, window)
    assert session.draft is first
    assert session.known_pose is before
    assert session.pose is before.pose


def test_other_channel_is_written_aligned_and_taken_back(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_page(make_napari_viewer, qtbot, tmp_path)
    page, series = window.align, window.session.draft.series()
    stinr.write_tilt_series(tmp_path / "other.mrc", series.projections * 3, pixel_size=1.0)
    window.binding.aligner.take(
        window.binding.aligner.view.known(replace(Pose.identity(21), dy=DRIFT), "given by a test"), "test"
    )
    choose(monkeypatch, opened=tmp_path / "other.mrc", new=tmp_path / "straight.mrc")
    click(page.files.write_button)
    wait(qtbot, lambda: (tmp_path / "straight.rawtlt").exists())
    settle(qtbot, window)
    written = stinr.read_tilt_series(tmp_path / "straight.mrc")
    rows = [int(np.argmax(image.sum(axis=1))) for image in written.projections]
    assert len(set(rows)) == 1
    click(page.undo_button)
    assert not list(tmp_path.glob("straight*"))
