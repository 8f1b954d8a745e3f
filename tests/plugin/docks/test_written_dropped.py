"""What we wrote, dropped back: at its size, place, time and contrast, and never a black canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from helpers.window_cases import add_series, open_window, settle, wait
from napari_stinr.io import write_frames, write_tilt_angles, write_volume
from napari_stinr.plugin.canvas.layer_as_series import may_be_series

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qt

SHAPE = (20, 9, 25)
# The first slice is empty, and so would be the contrast that napari takes from it.
VOLUME = np.zeros(SHAPE, dtype=np.float32)
VOLUME[6:14, 2:7, 8:17] = np.linspace(1.0, 2.0, 9)
SERIES = np.stack([VOLUME * (1 + 0.05 * k) for k in range(3)])
NM = ["nanometer"] * 3


def write(folder: Path, name: str) -> Path:
    if "4D" in name:
        times = (0.0, 0.5, 1.0)
        write_frames(folder / name, SERIES, n_times=3, shape=SHAPE, voxel_size=0.5, times=times)
    else:
        write_volume(folder / name, VOLUME, voxel_size=0.5)
    return folder / name


def drop(widget: Any, *paths: Path) -> bool:
    """Drop files as a person does, and return whether they were taken."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, buttons, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    # Qt drops on what the files were dragged over.
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(9, 9), copy, mime, buttons, keys))
    event = QDropEvent(QPointF(9, 9), copy, mime, buttons, keys)
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def brightness(viewer: Any) -> int:
    return int(viewer.screenshot(canvas_only=True, flash=False)[..., :3].max())


def check(layer: Any, name: str) -> None:
    expected = SERIES if "4D" in name else VOLUME
    np.testing.assert_array_equal(np.asarray(layer.data), expected)
    np.testing.assert_allclose(layer.scale[-3:], 0.05)
    assert [str(unit) for unit in layer.units[-3:]] == NM
    assert layer.axis_labels[-3:] == ("z", "y", "x")
    low, high = layer.contrast_limits
    assert low == 0
    assert high == pytest.approx(expected.max())


@pytest.mark.parametrize("where", ["dock", "canvas", "napari"])
def test_dropped_back_it_opens_as_it_was(make_napari_viewer, qtbot, tmp_path, where):
    window = open_window(make_napari_viewer, tmp_path)
    viewer = window.viewer
    names = ["a.tif", "b.ome.tif", "c4D.tif", "d4D.ome.tif"] + (["e.mrc"] if where != "napari" else [])
    for number, name in enumerate(names, 1):
        path = write(tmp_path, name)
        if where == "napari":
            viewer.open(str(path), plugin="napari")
        else:
            assert drop(window.dock if where == "dock" else viewer.window._qt_viewer, path)
        wait(qtbot, lambda number=number: len(viewer.layers) == number)
        settle(qtbot, window)
        layer = viewer.layers[-1]
        check(layer, name)
        assert brightness(viewer) > 200
        assert not may_be_series(layer)
        layer.visible = False
        assert brightness(viewer) < 200
    assert window.session.draft is None


def test_opened_before_the_dock_it_is_put_right_and_what_a_person_changed_stays(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    scaled, bright, plain = (
        viewer.open(str(write(tmp_path, f"{name}.tif")), plugin="napari")[0] for name in ("scaled", "bright", "plain")
    )
    scaled.scale = (3, 3, 3)
    bright.contrast_limits_range, bright.contrast_limits = (0, 9), (1, 2)
    open_window(lambda **_: viewer, tmp_path)
    check(plain, "plain.tif")
    assert tuple(scaled.scale) == (3, 3, 3)
    assert tuple(bright.contrast_limits) == (1, 2)
    assert tuple(bright.scale) == (0.05, 0.05, 0.05)


def test_beside_its_series_it_lies_on_the_same_axes(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, pixel_size=0.5, time_range=(0.0, 60.0), time_unit="s")
    assert drop(window.viewer.window._qt_viewer, write(tmp_path, "a4D.tif"))
    wait(qtbot, lambda: "a4D" in window.names())
    settle(qtbot, window)
    layer, series = window.layer("a4D"), window.layer("tilt series")
    assert (layer.translate[0], layer.scale[0]) == (0.0, 30.0)
    assert [str(unit) for unit in layer.units] == [str(unit) for unit in series.units]
    middle = series.extent.world.mean(axis=0)
    np.testing.assert_allclose(layer.extent.world.mean(axis=0)[1:], middle[1:])
    assert window.viewer.layers.extent.units is not None


def test_with_a_list_of_angles_it_is_a_tilt_series(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    path = write(tmp_path, "a.tif")
    write_tilt_angles(tmp_path / "a.rawtlt", np.linspace(-60, 60, SHAPE[0]))
    assert drop(window.dock, path, tmp_path / "a.rawtlt")
    wait(qtbot, lambda: window.session.draft is not None)
    assert window.session.draft.shape == SHAPE


def test_file_that_vanishes_blanks_the_layer_and_says_so_once(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr("napari_stinr.plugin.canvas.written_volumes.show_error", said.append)
    window = open_window(make_napari_viewer, tmp_path)
    path = write(tmp_path, "a4D.tif")
    assert drop(window.dock, path)
    wait(qtbot, lambda: len(window.viewer.layers) == 1)
    path.unlink()
    for step in (1, 2):
        window.viewer.dims.set_current_step(0, step)
    assert not np.asarray(window.viewer.layers[0].data[2]).any()
    assert len(said) == 1
    assert "a4D.tif" in said[0]
