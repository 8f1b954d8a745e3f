"""Movies by button: what the canvas shows, from the first time to the last, and the view as it was afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.window_cases import add_series, open_window, settle, train, wait

if TYPE_CHECKING:
    from pathlib import Path

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="movies need napari-stinr[movies]")

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


def press(qtbot: Any, button: Any) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def trained(make_napari_viewer: Any, qtbot: Any, folder: Path) -> Any:
    window = open_window(make_napari_viewer, folder)
    add_series(window, steps=5)
    train(qtbot, window)
    window.dock.show_page("Explore")
    window.explore.switch.buttons["At t"].click()
    window.explore.movie_panel.expand(animate=False)
    settle(qtbot, window)
    return window


def read(path: Path) -> np.ndarray:
    images = imageio_ffmpeg.read_frames(path)
    width, height = next(images)["size"]
    return np.array([np.frombuffer(image, np.uint8).reshape(height, width, 3) for image in images])


def test_movie_shows_what_the_canvas_shows_and_gives_the_view_back(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = trained(make_napari_viewer, qtbot, tmp_path)
    panel, viewer, slider = window.explore.movie_panel, window.viewer, window.binding.slider
    monkeypatch.setattr(panel, "ask_for_file", lambda: panel.make(tmp_path / "m.mp4"))
    panel.make_button.clicked.disconnect()
    panel.make_button.clicked.connect(panel.ask_for_file)
    slider.set_t(0.5)
    settle(qtbot, window)
    point, camera = tuple(viewer.dims.point), viewer.scene.camera
    zoom, center = camera.zoom, camera.center
    panel.seconds.setValue(0.5)
    press(qtbot, panel.make_button)
    assert panel.cancel_button.isVisible()
    assert not panel.make_button.isVisible()
    wait(qtbot, lambda: not window.binding.movies.is_running)
    assert panel.make_button.isVisible()
    assert (tuple(viewer.dims.point), camera.zoom, camera.center) == (point, zoom, center)
    images = read(tmp_path / "m.mp4").astype(float)
    assert len(images) == 10
    # It is the canvas: bright matter on a black ground, the same as is seen at the first and at the last time.
    for t, image in ((0.0, images[0]), (1.0, images[-1])):
        slider.set_t(t)
        settle(qtbot, window)
        seen = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float)
        height, width = image.shape[:2]
        assert np.abs(seen[:height, :width] - image).mean() < 4
        assert image.max() > 200
    assert np.abs(images[0] - images[-1]).max() > 60


def test_key_frames_are_set_by_buttons_and_a_turn_goes_round(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path)
    panel, slider = window.explore.movie_panel, window.binding.slider
    window.viewer.dims.ndisplay = 3
    slider.set_t(0.2)
    press(qtbot, panel.start)
    slider.set_t(0.8)
    window.viewer.scene.camera.zoom *= 2
    press(qtbot, panel.end)
    start, end = panel.maker.start_frame, panel.maker.end_frame
    assert (start.t, end.t, end.zoom / start.zoom) == (pytest.approx(0.2), pytest.approx(0.8), pytest.approx(2))
    assert "0.200" in panel.frames_line.text()
    assert "0.800" in panel.frames_line.text()
    panel.seconds.setValue(0.5)
    panel.turn.setValue(180)
    panel.make(tmp_path / "m.gif")
    wait(qtbot, lambda: not window.binding.movies.is_running)
    images = read(tmp_path / "m.gif").astype(float)
    assert len(images) == 10
    assert np.abs(np.diff(images, axis=0)).reshape(9, -1).max(axis=1).min() > 30
    press(qtbot, panel.forget)
    assert panel.maker.start_frame is None
    assert not panel.forget.isEnabled()


def test_cancel_leaves_no_file_and_gives_the_view_back(make_napari_viewer, qtbot, tmp_path):
    window = trained(make_napari_viewer, qtbot, tmp_path)
    panel, maker = window.explore.movie_panel, window.binding.movies
    # The run saves itself beside it, whenever it likes.
    files = sorted(path.name for path in tmp_path.iterdir() if "autosave" not in path.name)
    window.binding.slider.set_t(0.5)
    panel.seconds.setValue(100)
    panel.make(tmp_path / "m.mp4")
    wait(qtbot, lambda: maker.progress[0] >= 2)
    press(qtbot, panel.cancel_button)
    wait(qtbot, lambda: not maker.is_running)
    assert window.binding.slider.t == pytest.approx(0.5, abs=0.02)
    assert sorted(path.name for path in tmp_path.iterdir() if "autosave" not in path.name) == files


def test_without_ffmpeg_the_cure_is_said(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    import sys

    said: list[str] = []
    monkeypatch.setattr("napari_stinr.plugin.docks.movie_panel.show_error", said.append)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    window = trained(make_napari_viewer, qtbot, tmp_path)
    press(qtbot, window.explore.movie_panel.make_button)
    assert "napari-stinr[movies]" in said[0]
    assert not window.binding.movies.is_running
