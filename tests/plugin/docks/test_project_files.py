"""A project in the window: saved by menu, opened by menu and by drops, with the view; asked for what was moved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from helpers.plugin_cases import write_stack
from helpers.window_cases import Window, add_series, open_window, settle, train, wait
from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import PROJECT_ENDING
from napari_stinr.plugin.docks import project_files
from napari_stinr.plugin.hooks.project_reader import get_project_reader, read_project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qt


def drop(widget: Any, path: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    copy, buttons, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    # Qt drops on what the files were dragged over.
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(9, 9), copy, mime, buttons, keys))
    QApplication.sendEvent(widget, QDropEvent(QPointF(9, 9), copy, mime, buttons, keys))


def is_opened(window: Window) -> bool:
    return window.binding.project.path is not None and not window.binding.project.is_busy


def save(qtbot: Any, window: Window, path: Path) -> Path:
    window.binding.project.save(path)
    wait(qtbot, lambda: window.binding.project.path == path)
    return path


def with_stack(make_napari_viewer: Any, qtbot: Any, folder: Path) -> Window:
    window = open_window(make_napari_viewer, folder)
    window.dock.open_files([write_stack(folder / "data")])
    wait(qtbot, lambda: window.session.draft is not None)
    window.session.set_draft(replace(window.session.draft, pixel_size=0.7, pixel_size_given=True))
    return window


def test_what_was_seen_is_seen_again(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=5)
    train(qtbot, window)
    window.explore.switch.buttons["At t"].click()
    settle(qtbot, window)
    layer, camera = window.binding.layers.stream_layer, window.viewer.scene.camera
    layer.colormap, layer.contrast_limits, layer.gamma = "magma", (0.1, 0.6), 1.25
    window.binding.slider.set_t(0.5)
    camera.zoom, camera.center = 21.0, (0.0, 0.3, 0.9)
    window.dock.show_page("Reconstruct")
    path = save(qtbot, window, tmp_path / f"a{PROJECT_ENDING}")
    wanted = (camera.zoom, camera.center, tuple(window.viewer.dims.point), window.viewer.dims.ndisplay)
    seen = window.viewer.screenshot(canvas_only=True, flash=False)
    losses = list(window.session.log.losses)
    window.viewer.close()
    # On the canvas of another window, whose dock is closed.
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    viewer.window._qt_viewer._qt_open([str(path)], stack=False)
    other = open_window(lambda **_: viewer, tmp_path)
    wait(qtbot, lambda: is_opened(other))
    settle(qtbot, other)
    layer, camera = other.binding.layers.stream_layer, viewer.scene.camera
    assert (layer.colormap.name, tuple(layer.contrast_limits), layer.gamma) == ("magma", (0.1, 0.6), 1.25)
    assert (camera.zoom, camera.center, tuple(viewer.dims.point), viewer.dims.ndisplay) == wanted
    assert (other.dock.page, other.explore.switch.current) == ("Reconstruct", "At t")
    assert other.session.log.losses == losses
    assert other.session.draft.n_tilts == 31
    assert other.session.run_draft is other.session.draft
    now = viewer.screenshot(canvas_only=True, flash=False)
    assert now.shape == seen.shape
    assert np.abs(now[..., :3].astype(float) - seen[..., :3]).mean() < 2
    assert now[..., :3].max() > 150


def test_moved_stack_is_told_in_the_foot_and_found_by_its_button(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = with_stack(make_napari_viewer, qtbot, tmp_path)
    path = save(qtbot, window, tmp_path / f"a{PROJECT_ENDING}")
    window.viewer.close()
    (tmp_path / "data").rename(tmp_path / "moved")
    other = open_window(make_napari_viewer, tmp_path)
    drop(other.dock, path)
    wait(qtbot, lambda: other.foot.cure_button.isVisible())
    assert "needle.mrc is not where it was" in other.foot.warning.whole
    assert other.foot.cure_button.text() == "Find…"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "moved"))
    qtbot.mouseClick(other.foot.cure_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: other.session.draft is not None)
    assert other.session.draft.path == (tmp_path / "moved" / "needle.mrc").resolve()
    assert other.session.draft.pixel_size == 0.7
    assert "is not where it was" not in other.foot.warning.whole


def test_menu_saves_and_opens(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    window = with_stack(make_napari_viewer, qtbot, tmp_path)
    path = tmp_path / f"a{PROJECT_ENDING}"
    monkeypatch.setattr(QFileDialog, "exec", lambda _: True)
    monkeypatch.setattr(QFileDialog, "selectedFiles", lambda _: [str(path)])
    project_files.save_project()
    wait(qtbot, lambda: window.binding.project.path == path)
    window.session.set_draft(replace(window.session.draft, pixel_size=2.0))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    project_files.open_project()
    wait(qtbot, lambda: window.session.draft.pixel_size == 0.7)
    # napari has the commands in its menu File, and asks no other reader.
    from napari._app_model import get_app_model

    commands = get_app_model().commands
    assert {"napari-stinr.save_project", "napari-stinr.open_project"} <= {command for command, _ in commands}


def test_it_is_saved_by_itself_beside_the_checkpoint(make_napari_viewer, qtbot, tmp_path):
    window = with_stack(make_napari_viewer, qtbot, tmp_path)
    window.session.customise(window.session.config.with_training(steps=5))
    train(qtbot, window)
    keeper, checkpoint = window.binding.project, window.session.checkpoint
    wait(qtbot, lambda: keeper.autosaved is not None)
    assert keeper.autosaved == checkpoint.with_suffix(PROJECT_ENDING)
    first = keeper.autosaved.read_bytes()
    window.session.set_draft(replace(window.session.draft, pixel_size=0.9))
    wait(qtbot, lambda: keeper.autosaved.read_bytes() != first)
    window.viewer.close()
    other = open_window(make_napari_viewer, tmp_path)
    drop(other.dock, keeper.autosaved)
    wait(qtbot, lambda: is_opened(other))
    assert other.session.draft.pixel_size == 0.9
    assert other.session.reconstruction.step == 5


def test_no_project_is_opened_during_a_training(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr("napari_stinr.plugin.canvas.binding.show_error", said.append)
    window = with_stack(make_napari_viewer, qtbot, tmp_path)
    path = save(qtbot, window, tmp_path / f"a{PROJECT_ENDING}")
    window.session.customise(window.session.config.with_training(steps=100_000))
    window.foot.start.click()
    drop(window.dock, path)
    wait(qtbot, lambda: bool(said))
    assert "stop it first" in said[0]
    assert window.session.is_active
    window.foot.stop.click()
    wait(qtbot, lambda: not window.session.is_active)


def test_reader_claims_single_projects_and_needs_a_window(tmp_path, monkeypatch):
    path = str(tmp_path / f"a{PROJECT_ENDING}")
    assert get_project_reader(path) is read_project
    assert get_project_reader([path]) is read_project
    assert get_project_reader([path, path]) is None
    assert get_project_reader("a.stinr") is None
    monkeypatch.setattr("napari.current_viewer", lambda: None)
    with pytest.raises(StinrError, match="napari with its window"):
        read_project(path)
