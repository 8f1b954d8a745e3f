"""OME-Zarr of ours in a real window: read lazily, at its size and time, in 2D and 3D; others are left to napari."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import pytest
import zarr
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from helpers.window_cases import Window, add_series, open_window, settle, train, wait
from napari_stinr.io.output.ome_zarr import writing_store
from napari_stinr.io.output.ome_zarr_layout import StoreLayout
from napari_stinr.io.output.ome_zarr_reading import WrittenStore, open_store
from napari_stinr.plugin.canvas.written_stores import StoredLevel
from napari_stinr.plugin.canvas.written_volumes import split_written
from napari_stinr.plugin.session.exports import FORMATS, Content

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qt

TIMES = (0.0, 0.5, 1.0)
SHAPE = (12, 40, 24)


@pytest.fixture
def volumes() -> np.ndarray:
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    ball = np.exp(-(z**2 + y**2 + x**2) * 4).astype(np.float32)
    return np.stack([ball * (1 + step) for step in range(3)])


@pytest.fixture
def store(tmp_path: Path, volumes: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a 4D series with three levels, of which napari shows the middle one in 3D."""
    monkeypatch.setattr("napari_stinr.io.output.ome_zarr_layout._COARSEST", 10)
    monkeypatch.setattr("napari_stinr.io.output.ome_zarr_layout._CHUNK_BYTES", 4 * 64 * 24 * 4)
    monkeypatch.setattr("napari_stinr.plugin.canvas.written_stores._DRAWN_AT_ONCE", 6 * 20 * 12)
    path = tmp_path / "film.ome.zarr"
    layout = StoreLayout(SHAPE, 0.8, times=TIMES, time_range=(0.0, 90.0), time_unit="s")
    with writing_store(path, layout) as writer:
        for step, volume in enumerate(volumes):
            for number, rows in enumerate(writer.blocks):
                writer.put(step, number, volume[:, rows])
    return path


def opened(window: Window, qtbot: Any, path: Path) -> Any:
    window.binding.open_files([path])
    wait(qtbot, lambda: path.name.partition(".")[0] in window.names())
    settle(qtbot, window)
    return window.viewer.layers[-1]


def shown(layer: Any) -> np.ndarray:
    """Return what the canvas shows of a layer."""
    return np.asarray(layer._slice.image.raw)


def test_a_series_is_read_as_it_is_looked_at(
    make_napari_viewer: Any, qtbot: Any, tmp_path: Path, store: Path, volumes: np.ndarray, monkeypatch: Any
) -> None:
    read, reads = WrittenStore.read, []

    def noted(self: WrittenStore, index: Any = (), *, level: int = 0) -> np.ndarray:
        values = read(self, index, level=level)
        reads.append((level, values.size))
        return values

    monkeypatch.setattr(WrittenStore, "read", noted)
    window = open_window(make_napari_viewer, tmp_path)
    layer = opened(window, qtbot, store)
    assert layer.multiscale
    assert [data.shape for data in layer.data] == [(3, 12, 40, 24), (3, 6, 20, 12), (3, 3, 10, 6)]
    np.testing.assert_allclose(layer.scale, (0.5, 0.08, 0.08, 0.08))
    assert [str(unit) for unit in layer.units] == ["dimensionless", *["nanometer"] * 3]
    assert layer.axis_labels == ("t", "z", "y", "x")
    assert layer.contrast_limits == pytest.approx(list(open_store(store).limits), rel=1e-5)
    # Never a whole volume, but what is seen of it.
    assert not [entry for entry in reads if entry[1] >= 12 * 40 * 24]
    window.viewer.dims.set_current_step(0, 2)
    settle(qtbot, window)
    level = layer.data_level
    z = round(window.viewer.dims.point[1] / layer.scale[1]) * layer.data[level].shape[1] // 12
    np.testing.assert_array_equal(shown(layer), open_store(store).read((2, z), level=level))
    window.viewer.dims.ndisplay = 3
    settle(qtbot, window)
    np.testing.assert_array_equal(shown(layer), open_store(store).read((2,), level=1))
    assert layer.data_level == 1
    window.viewer.dims.set_current_step(0, 0)
    settle(qtbot, window)
    np.testing.assert_array_equal(shown(layer), open_store(store).read((0,), level=1))
    window.viewer.dims.ndisplay = 2
    settle(qtbot, window)
    assert layer.locked_data_level is None
    assert not [entry for entry in reads if entry[1] >= 12 * 40 * 24]


def test_dropped_on_the_canvas_it_is_ours_and_others_are_napari_s(
    make_napari_viewer: Any, qtbot: Any, tmp_path: Path, store: Path
) -> None:
    foreign = tmp_path / "foreign.ome.zarr"
    shutil.copytree(store, foreign)
    del zarr.open_group(foreign, mode="r+").attrs["stinr"]
    assert split_written([foreign]) == ([], [foreign])
    window = open_window(make_napari_viewer, tmp_path)
    asked: list[Any] = []
    canvas = window.viewer.window._qt_window._qt_viewer
    canvas._qt_open = lambda names, **options: asked.append([str(name) for name in names])
    drop(canvas, foreign)
    settle(qtbot, window)
    assert asked == [[str(foreign)]]
    assert not window.names()
    drop(canvas, store)
    wait(qtbot, lambda: window.names() == ["film"])
    assert len(asked) == 1


def drop(widget: Any, path: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    copy, buttons, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(9, 9), copy, mime, buttons, keys))
    QApplication.sendEvent(widget, QDropEvent(QPointF(9, 9), copy, mime, buttons, keys))


@pytest.mark.parametrize("plugin", ["napari", "napari-ome-zarr"])
def test_what_another_reader_opened_is_put_in_its_place(
    make_napari_viewer: Any, qtbot: Any, tmp_path: Path, store: Path, plugin: str
) -> None:
    window = open_window(make_napari_viewer, tmp_path)
    (layer,) = window.viewer.open(store, plugin=plugin)
    settle(qtbot, window)
    np.testing.assert_allclose(layer.scale, (0.5, 0.08, 0.08, 0.08))
    assert [str(unit) for unit in layer.units] == ["dimensionless", *["nanometer"] * 3]
    assert layer.contrast_limits == pytest.approx(list(open_store(store).limits), rel=1e-5)
    window.viewer.dims.ndisplay = 3
    settle(qtbot, window)
    assert layer.data_level == 1


def test_the_ecosystem_s_reader_shows_it_without_our_window(
    make_napari_viewer: Any, store: Path, volumes: np.ndarray
) -> None:
    viewer = make_napari_viewer(show=True)
    (layer,) = viewer.open(store, plugin="napari-ome-zarr")
    np.testing.assert_array_equal(np.asarray(layer.data[0]), volumes)
    np.testing.assert_allclose(layer.scale, (45.0, 0.8, 0.8, 0.8))
    assert [str(unit) for unit in layer.units] == ["second", *["angstrom"] * 3]
    viewer.dims.ndisplay = 3
    QApplication.processEvents()
    assert shown(layer).shape == (3, 10, 6)


def test_what_is_lost_while_it_is_shown_is_blank_and_said_once(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("napari_stinr.plugin.canvas.written_stores.show_error", said.append)
    level = StoredLevel(open_store(store), 0, None)
    assert np.any(level[1, 6])
    shutil.rmtree(store)
    for index, shape in (((1, 6), (40, 24)), ((slice(0, 2), 3), (2, 40, 24)), (1, SHAPE)):
        assert not np.any(level[index])
        assert level[index].shape == shape
    (text,) = said
    assert text.startswith("film.ome.zarr is damaged")


def test_an_exported_series_is_opened_lazily_on_the_axis_of_its_run(
    make_napari_viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    panel = window.explore.export_panel
    panel.content.setCurrentText(Content.SERIES)
    panel.file_format.setCurrentIndex([kind.ending for kind in FORMATS].index(".ome.zarr"))
    panel.n_times.setValue(5)
    panel.export_to(tmp_path / "film.ome.zarr")
    wait(qtbot, lambda: panel.open_button.isVisible())
    panel.open_button.click()
    wait(qtbot, lambda: "film" in window.names())
    settle(qtbot, window)
    layer, run = window.layer("film"), window.layer("clean")
    assert layer.multiscale
    assert isinstance(layer.data[0], dask.array.Array)
    reconstruction = window.session.reconstruction
    np.testing.assert_allclose(layer.data[0][4], reconstruction.render(1.0), atol=1e-5)
    # It lies where the volumes of the run lie, and the same slider moves both.
    np.testing.assert_allclose(layer.translate[1:], run.translate[-3:])
    np.testing.assert_allclose(layer.scale[1:], run.scale[-3:])
    last = layer.translate[0] + 4 * layer.scale[0]
    assert last == pytest.approx(window.binding.slider.axis.time_range[1])
