"""What we wrote, dropped back: at its size, place, time and contrast, and never a black canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from helpers.window_cases import open_window, settle, wait
from napari_stinr.io import write_frames, write_volume
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


def test_opened_before_the_dock_it_is_put_right(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    names = ("first", "second")
    layers = [viewer.open(str(write(tmp_path, f"{name}.tif")), plugin="napari")[0] for name in names]
    open_window(lambda **_: viewer, tmp_path)
    for layer, name in zip(layers, names, strict=True):
        check(layer, f"{name}.tif")


def test_what_a_person_changed_before_the_dock_opened_stays(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    scaled, bright = (viewer.open(str(write(tmp_path, f"{name}.tif")), plugin="napari")[0] for name in ("a", "b"))
    scaled.scale = (3, 3, 3)
    bright.contrast_limits_range, bright.contrast_limits = (0, 9), (1, 2)
    open_window(lambda **_: viewer, tmp_path)
    assert tuple(scaled.scale) == (3, 3, 3)
    assert tuple(bright.contrast_limits) == (1, 2)
    # It counts in pixels, as what the person has placed beside it does.
    assert tuple(bright.scale) == (1, 1, 1)
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"pixel"}
