"""What a person does on the page Series: open, correct, and be told what is wrong."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

import napari_stinr as stinr
from helpers.places import SHARED_DATA
from helpers.series_cases import growing_series
from helpers.waiting import Gate, wait_for
from helpers.window_cases import add_series, open_window, settle, told_since, turn, wait
from napari_stinr.io.formats.isolation import end_workers
from napari_stinr.plugin.docks.series_form import AS_FOUND
from napari_stinr.plugin.session import dropped, preview
from napari_stinr.plugin.session.findings import Level

pytestmark = pytest.mark.qt
real_files = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real files are not beside this checkout")


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
    drop(window.dock, tmp_path / "needle.mrc")
    wait(qtbot, lambda: window.session.draft is not None)
    draft = window.session.draft
    np.testing.assert_allclose(draft.tilt_angles, series.tilt_angles)
    np.testing.assert_allclose(draft.times, series.times[::-1])
    assert not window.series.state.text_of(Level.WRONG)
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
    dock = window.series
    drop(window.dock, tmp_path / "needle.mrc")
    wait(qtbot, lambda: window.session.draft is not None)
    assert "tilt angle" in dock.state.text_of(Level.WRONG)
    assert not window.foot.start.isEnabled()
    dock.form.angles.setText("-70:10")
    QTest.keyClick(dock.form.angles, Qt.Key.Key_Return)
    np.testing.assert_allclose(window.session.draft.tilt_angles, np.arange(-70, 71, 10))
    assert not dock.state.text_of(Level.WRONG)
    assert window.foot.start.isEnabled()


def test_wrong_angles_are_refused_and_the_old_ones_kept(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = add_series(window)
    short = tmp_path / "short.rawtlt"
    short.write_text("1\n2\n3\n")
    window.series.set_angles(str(short))
    window.series.set_angles("no such file")
    np.testing.assert_allclose(window.session.draft.tilt_angles, series.tilt_angles)
    assert window.session.state == "Ready"


def test_acquisition_order_and_back_to_what_was_found(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = add_series(window)
    times = window.series.form.times
    times.setCurrentText("dose-symmetric")
    times.activated.emit(times.currentIndex())
    first = int(np.argmin(window.session.draft.times))
    assert abs(series.tilt_angles[first]) == np.abs(series.tilt_angles).min()
    np.testing.assert_array_equal(window.layer("tilt series").data[0, 0], series.projections[first])
    times.setCurrentText(AS_FOUND)
    times.activated.emit(times.currentIndex())
    np.testing.assert_allclose(window.session.draft.series().times, series.times)


def test_projection_taken_out_in_the_table_is_not_used(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    table = window.series.table
    table.selectRow(4)
    QTest.keyClick(table, Qt.Key.Key_Space)
    assert window.session.draft.excluded == [4]
    assert "30 of 31 projections" in window.series.state.text_of(Level.RIGHT)
    assert window.session.draft.series().used.sum() == 30


def test_plain_layer_is_taken_with_its_pixel_size(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    series = growing_series(n_tilts=15)
    window.viewer.add_image(series.projections, name="plain", scale=(1, 0.2, 0.2), units=("", "nm", "nm"))
    choice = window.series.layer_choice
    choice.setCurrentText("plain")
    choice.activated.emit(choice.currentIndex())
    assert window.session.draft.pixel_size == pytest.approx(2.0)
    assert window.session.draft.n_tilts == 15


def test_growth_is_seen_at_a_glance(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    wait(qtbot, lambda: "rises by" in window.series.state.text_of(Level.RIGHT))


def test_row_and_time_slider_follow_each_other(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    table = window.series.table
    table.row_selected.emit(12)
    assert window.viewer.dims.current_step[0] == 12


def told_by(qtbot, window, *paths):
    """Drop files and return what the person is told."""
    n_before = len(notification_manager.records)
    drop(window.dock, *paths)
    settle(qtbot, window)
    return told_since(n_before)


def one_file_per_tilt(folder, names="bca"):
    folder.mkdir()
    for name, image in zip(names, growing_series(n_tilts=len(names)).projections, strict=True):
        tifffile.imwrite(folder / f"{name}.tif", image)
    stinr.write_tilt_angles(folder / "tilts.rawtlt", np.arange(len(names)) * 60.0)
    return folder


def tip_of_row(dock, row):
    return dock.table.model().headerData(row, Qt.Orientation.Vertical, Qt.ItemDataRole.ToolTipRole)


@pytest.mark.parametrize("way", ["files", "folder", "dialog", "folder dialog"])
def test_one_file_per_tilt_is_a_series_and_its_rows_tell_their_files(
    make_napari_viewer, qtbot, tmp_path, monkeypatch, way
):
    window = open_window(make_napari_viewer, tmp_path)
    dock, folder = window.series, one_file_per_tilt(tmp_path / "needle")
    files = [folder / f"{name}.tif" for name in "bca"]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_, **__: ([str(file) for file in files], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(folder))
    ways = {
        "files": lambda: drop(window.dock, *files),
        "folder": lambda: drop(window.dock, folder),
        "dialog": dock.open_button.click,
        "folder dialog": dock.folder_button.click,
    }
    ways[way]()
    wait(qtbot, lambda: window.session.draft is not None)
    assert [path.name for path in window.session.draft.paths] == ["a.tif", "b.tif", "c.tif"]
    assert [tip_of_row(dock, row) for row in range(3)] == ["a.tif", "b.tif", "c.tif"]
    assert dock.table.rows().angles.tolist() == [0, 60, 120]
    assert "Times assumed: order in the file" in dock.state.text_of(Level.TO_DECIDE)
    assert "Tilt angles from tilts.rawtlt." in dock.notes_text.text()


def test_wrong_list_beside_the_stack_is_told_and_the_right_one_taken(make_napari_viewer, qtbot, tmp_path):
    series = write_files(tmp_path)
    stinr.write_tilt_angles(tmp_path / "needle.rawtlt", series.tilt_angles[:-1])
    (tmp_path / "needle_times.csv").unlink()
    window = open_window(make_napari_viewer, tmp_path)
    dock = window.series
    assert told_by(qtbot, window, tmp_path / "needle.mrc") == []
    why = "14 tilt angles for needle.mrc (Tilt angles from needle.rawtlt); expected 15"
    assert dock.state.text_of(Level.WRONG).startswith(why)
    assert why in dock.notes_text.text()
    stinr.write_tilt_angles(tmp_path / "right.tlt", series.tilt_angles)
    assert told_by(qtbot, window, tmp_path / "right.tlt") == []
    assert not dock.state.text_of(Level.WRONG)


def test_what_cannot_be_opened_is_told_in_a_sentence_and_nothing_is_lost(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    before, names = window.session.draft, window.names()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_files(tmp_path / name)
    (tmp_path / "two" / "needle.mrc").rename(tmp_path / "two" / "rod.mrc")
    (tmp_path / "map.mdoc").write_text("[ZValue = 0]\nPieceCoordinates = 0 0 0\n")
    (tmp_path / "log.txt").write_text("Started\n11/18/11 10:36:43 --\n")
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((3, 5, 6, 3), dtype=np.uint8), photometric="rgb")
    (tmp_path / "movie.avi").write_bytes(b"RIFF")
    cases = {
        ("one/needle.mrc", "two/rod.mrc"): "2 tilt series: needle.mrc, rod.mrc; expected one",
        ("map.mdoc",): "map.mdoc describes a montage",
        ("log.txt",): "log.txt holds no list of tilt angles or times",
        ("one/needle.mrc", "log.txt"): "log.txt holds no list of tilt angles or times",
        ("colour.tif",): "colour.tif",
        ("movie.avi",): "movie.avi ends in '.avi'; expected a file ending in .mrc",
    }
    for files, start in cases.items():
        (told,) = told_by(qtbot, window, *(tmp_path / name for name in files))
        assert told.startswith(start)
        assert "\n" not in told
    assert window.session.draft is before
    assert window.names() == names
    assert window.session.state == "Ready"


def test_a_large_stack_that_is_cut_off_while_it_is_shown_is_told_and_blank(
    make_napari_viewer, qtbot, tmp_path, monkeypatch
):
    monkeypatch.setattr(preview, "COPIED_BYTES", 0)
    write_files(tmp_path)
    window = open_window(make_napari_viewer, tmp_path)
    drop(window.dock, tmp_path / "needle.mrc")
    wait(qtbot, lambda: window.session.draft is not None)
    os.truncate(tmp_path / "needle.mrc", 3000)
    n_before = len(notification_manager.records)
    for step in (3, 5, 7):
        window.viewer.dims.set_current_step(0, step)
    told = told_since(n_before)
    assert [text for text in told if text.startswith("needle.mrc has changed since it was opened")] == told
    assert len(told) == 1
    assert not np.any(window.layer("needle").data[7, 0])
    # What is computed from the pixels says so, too.
    window.session.set_draft(replace(window.session.draft, invert_contrast=True))
    wait(qtbot, lambda: "needle.mrc has changed since it was opened" in window.series.state.text_of(Level.WRONG))


@real_files
def test_missing_library_is_told_with_its_cure(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = open_window(make_napari_viewer, tmp_path)
    # The library is wanted by another process, which finds an empty one first.
    (tmp_path / "empty" / "rsciio").mkdir(parents=True)
    (tmp_path / "empty" / "rsciio" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "empty")
    end_workers()
    (told,) = told_by(qtbot, window, SHARED_DATA / "etspy" / "BF_001.dm3")
    end_workers()
    assert told.startswith("BF_001.dm3 cannot be read without rosettasciio")
    assert told.endswith('pip install "napari-stinr[formats]"')


@real_files
def test_real_files_tell_their_times_or_that_they_are_assumed(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    dock, etspy = window.series, SHARED_DATA / "etspy"
    assert told_by(qtbot, window, *(etspy / f"BF_00{number}.dm3" for number in (2, 3, 1))) == []
    # Recorded against the order of their names.
    assert [tip_of_row(dock, row) for row in range(3)] == ["BF_003.dm3", "BF_002.dm3", "BF_001.dm3"]
    assert "assumed" not in dock.state.text_of(Level.TO_DECIDE) + dock.notes_text.text()
    told_by(qtbot, window, etspy / "HAADF.dm3")
    assert "Times assumed: order in the file" in dock.state.text_of(Level.TO_DECIDE)
    told_by(qtbot, window, etspy / "HAADF.mrc", etspy / "HAADF.rawtlt")
    assert window.session.draft.n_tilts == 77
    told_by(qtbot, window, SHARED_DATA / "serialem")
    assert [tip_of_row(dock, row) for row in range(3)] == ["test_000.mrc", "test_002.mrc", "test_001.mrc"]
    assert "assumed" not in dock.state.text_of(Level.TO_DECIDE) + dock.notes_text.text()


@pytest.fixture
def slow_reading(monkeypatch):
    """Hold the reading of pixels at a gate."""
    gate, read = Gate(), dropped.read_draft

    def slowly(*arguments, **options):
        gate()
        return read(*arguments, **options)

    monkeypatch.setattr(dropped, "read_draft", slowly)
    return gate


def test_dock_says_what_is_read_and_waits_for_it(make_napari_viewer, qtbot, tmp_path, slow_reading):
    write_files(tmp_path)
    window = open_window(make_napari_viewer, tmp_path)
    dock = window.series
    add_series(window)
    drop(window.dock, tmp_path / "needle.mrc")
    wait(qtbot, lambda: "Reading" in dock.title.text())
    assert "needle.mrc" in dock.title.text()
    parts = (dock.open_button, dock.folder_button, dock.layer_choice, dock.form, dock.table)
    assert not any(part.isEnabled() for part in parts)
    # Whatever else the window is told meanwhile.
    window.binding.state_changed.emit()
    assert not any(part.isEnabled() for part in parts)
    n_before = len(notification_manager.records)
    drop(window.dock, tmp_path / "needle.rawtlt")
    assert str(notification_manager.records[n_before].message).startswith("needle.mrc is being read")
    slow_reading.open()
    wait(qtbot, lambda: "<b>needle</b>" in dock.title.text())
    assert all(part.isEnabled() for part in parts)


def test_window_that_is_closed_while_files_are_read_closes(make_napari_viewer, qtbot, tmp_path, slow_reading):
    write_files(tmp_path)
    window = open_window(make_napari_viewer, tmp_path)
    drop(window.dock, tmp_path / "needle.mrc")
    # The machine may be measured at the same time.
    (task,) = [task for task in window.binding.tasks.running if "needle.mrc" in task.title]
    wait(qtbot, lambda: slow_reading.is_reached)
    opener = threading.Thread(target=lambda: wait_for(lambda: task.progress.is_cancelled) or slow_reading.open())
    opener.start()
    window.viewer.close()
    opener.join()
    assert task.progress.is_cancelled
    wait(qtbot, lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("stinr-open")])
    turn(qtbot, 20)
    assert window.session.draft is None


def test_wrong_file_is_named_with_what_is_expected(make_napari_viewer, qtbot, tmp_path, capsys):
    window = open_window(make_napari_viewer, tmp_path)
    bad = tmp_path / "notes.docx"
    bad.write_text("not a stack")
    drop(window.dock, bad)
    settle(qtbot, window)
    assert window.session.state == "Empty"
    assert "notes.docx" in capsys.readouterr().out
