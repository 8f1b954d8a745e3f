"""What a person does in the dock Tilt series: open, correct, and be told what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from series_cases import growing_series
from window_cases import add_series, open_window, settle, wait

import napari_stinr as stinr
from napari_stinr.plugin.series_form import AS_FOUND

pytestmark = pytest.mark.qt


def write_files(folder, *, angles=True):
    series = growing_series(n_tilts=15)
    stinr.write_tilt_series(folder / "needle.mrc", series.projections, pixel_size=0.5)
    if angles:
        stinr.write_tilt_angles(folder / "needle.rawtlt", series.tilt_angles)
        stinr.write_times(folder / "needle_times.csv", series.tilt_angles, series.times[::-1])
    return series


def drop(widget, *paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(10, 10), Qt.DropAction.CopyAction, data, buttons, keys)
    widget.dropEvent(event)


def test_files_dropped_on_the_dock_become_the_series(make_napari_viewer, qtbot, tmp_path):
    series = write_files(tmp_path)
    window = open_window(make_napari_viewer, tmp_path)
    drop(window.tilt_series, tmp_path / "needle.mrc")
    wait(qtbot, lambda: window.session.draft is not None)
    draft = window.session.draft
    np.testing.assert_allclose(draft.tilt_angles, series.tilt_angles)
    np.testing.assert_allclose(draft.times, series.times[::-1])
    assert window.tilt_series.check_line.text().startswith("✓")
    layer = window.layer("needle")
    # Ordered by time, which runs against the order of the file here.
    np.testing.assert_array_equal(layer.data[0, 0], series.projections[-1])
    assert [str(unit) for unit in layer.units[1:]] == ["nanometer"] * 3
    np.testing.assert_allclose(layer.scale[2:], 0.05)


def test_file_dropped_on_the_canvas_becomes_the_series(make_napari_viewer, qtbot, tmp_path):
    write_files(tmp_path)
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.open(tmp_path / "needle.mrc", plugin=None)
    assert window.session.state == "Ready"
    assert window.names() == ["needle"]


def test_missing_angles_are_asked_for_and_taken(make_napari_viewer, qtbot, tmp_path):
    write_files(tmp_path, angles=False)
    window = open_window(make_napari_viewer, tmp_path)
    dock = window.tilt_series
    drop(dock, tmp_path / "needle.mrc")
    wait(qtbot, lambda: window.session.draft is not None)
    assert dock.check_line.text().startswith("✗")
    assert "tilt angle" in dock.check_line.text()
    assert not window.reconstruct.controls.start.isEnabled()
    dock.form.angles.setText("-70:10")
    QTest.keyClick(dock.form.angles, Qt.Key.Key_Return)
    np.testing.assert_allclose(window.session.draft.tilt_angles, np.arange(-70, 71, 10))
    assert dock.check_line.text().startswith("✓")
    assert window.reconstruct.controls.start.isEnabled()


def test_wrong_angles_are_refused_and_the_old_ones_kept(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = add_series(window)
    short = tmp_path / "short.rawtlt"
    short.write_text("1\n2\n3\n")
    window.tilt_series.set_angles(str(short))
    window.tilt_series.set_angles("no such file")
    np.testing.assert_allclose(window.session.draft.tilt_angles, series.tilt_angles)
    assert window.session.state == "Ready"


def test_acquisition_order_and_back_to_what_was_found(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = add_series(window)
    times = window.tilt_series.form.times
    times.setCurrentText("dose-symmetric")
    times.activated.emit(times.currentIndex())
    first = int(np.argmin(window.session.draft.times))
    assert abs(series.tilt_angles[first]) == np.abs(series.tilt_angles).min()
    np.testing.assert_array_equal(window.layer("tilt series").data[0, 0], series.projections[first])
    times.setCurrentText(AS_FOUND)
    times.activated.emit(times.currentIndex())
    np.testing.assert_allclose(window.session.draft.scaled_times, series.times)


def test_projection_taken_out_in_the_table_is_not_used(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    table = window.tilt_series.table
    table.selectRow(4)
    QTest.keyClick(table, Qt.Key.Key_Space)
    assert window.session.draft.excluded == [4]
    assert "30 of 31 projections" in window.tilt_series.check_line.text()
    assert window.session.draft.series().used.sum() == 30


def test_plain_layer_is_taken_with_its_pixel_size(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = growing_series(n_tilts=15)
    window.viewer.add_image(series.projections, name="plain", scale=(1, 0.2, 0.2), units=("", "nm", "nm"))
    choice = window.tilt_series.layer_choice
    choice.setCurrentText("plain")
    choice.activated.emit(choice.currentIndex())
    assert window.session.draft.pixel_size == pytest.approx(2.0)
    assert window.session.draft.n_tilts == 15


def test_growth_is_seen_at_a_glance(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    assert "rises by" in window.tilt_series.growth_line.text()


def test_row_and_time_slider_follow_each_other(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    table = window.tilt_series.table
    table.row_selected.emit(12)
    assert window.viewer.dims.current_step[0] == 12


def test_wrong_file_is_named_with_what_is_expected(make_napari_viewer, qtbot, tmp_path, capsys):
    window = open_window(make_napari_viewer, tmp_path)
    bad = tmp_path / "notes.docx"
    bad.write_text("not a stack")
    drop(window.tilt_series, bad)
    settle(qtbot, window)
    assert window.session.state == "Empty"
    assert "notes.docx" in capsys.readouterr().out
