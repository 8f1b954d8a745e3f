"""How many times a person has to press the mouse, counted by a mouse of the X server: from the data to a clean TIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QMenu

import napari_stinr as stinr
from helpers.pointer import Pointer, middle_of
from helpers.series_cases import growing_series
from helpers.window_cases import Window, open_window, settle, turn, wait
from napari_stinr.alignment.gauges import moves, without
from napari_stinr.io import write_tilt_angles, write_tilt_series
from napari_stinr.plugin.canvas.binding import binding_of
from napari_stinr.plugin.canvas.dock_opener import open_dock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.qt

SHIFTS = np.random.default_rng(3).integers(-3, 4, (25, 2))


class CountingPointer(Pointer):
    """Counts how often the left button goes down, in a drag, too."""

    n_presses = 0

    def button(self, number: int, *, down: bool) -> None:
        self.n_presses += down and number == 1
        super().button(number, down=down)

    def choose(self, window: Any, *path: str) -> None:
        """Choose in the menu bar: one press on the menu and one on the entry, as submenus open under the pointer."""
        bar = window.menuBar()
        action = _named(bar, path[0])
        self.move(bar.mapToGlobal(bar.actionGeometry(action).center()))
        self.press()
        menu = action.menu()
        for name in path[1:]:
            wait(self._qtbot, menu.isVisible)
            turn(self._qtbot, 10)
            action = _named(menu, name)
            place = menu.mapToGlobal(menu.actionGeometry(action).center())
            # Qt opens a submenu once the pointer has moved on it.
            self.move(place - QPoint(3, 0))
            turn(self._qtbot, 3)
            self.move(place)
            menu = action.menu() or menu
        turn(self._qtbot, 3)
        self.press()

    def answer(self, qtbot: Any) -> None:
        """Press Save in the dialog that comes up; it has a loop of its own, so that this is done from within."""

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, QFileDialog) or not dialog.isVisible():
                return
            button = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save)
            if button is not None and button.isVisible() and button.isEnabled():
                clock.stop()
                self.move(middle_of(button))
                self.press()

        clock = self._clock = QTimer()
        clock.timeout.connect(look)
        clock.start(200)


def _named(menu: Any, name: str) -> Any:
    found = [action for action in menu.actions() if name in action.text().replace("&", "")]
    assert found, f"{name} is not among {[action.text() for action in menu.actions()]}"
    return found[0]


@pytest.fixture
def mouse(qtbot, tmp_path, monkeypatch) -> Iterator[CountingPointer]:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    made = CountingPointer(qtbot)
    yield made
    made.close()
    for menu in QApplication.topLevelWidgets():
        if isinstance(menu, QMenu):
            menu.close()


def export(qtbot, window: Window, mouse: CountingPointer) -> Path:
    """Press Export… and Save, on the page that the window has turned to, and wait for the file."""
    panel = window.explore.export_panel
    wait(qtbot, panel.button.isVisible)
    mouse.answer(qtbot)
    mouse.click(panel.button)
    wait(qtbot, lambda: window.binding.exporter.written is not None)
    return window.binding.exporter.written


def start(qtbot, window: Window, mouse: CountingPointer) -> None:
    wait(qtbot, window.foot.start.isEnabled)
    mouse.click(window.foot.start)
    wait(qtbot, lambda: window.session.is_active)
    wait(qtbot, lambda: not window.session.is_active)
    assert window.session.state == "Done", window.session.failure
    settle(qtbot, window)
    assert window.dock.page == "Explore"


def few_steps(window: Window) -> None:
    """Train shortly, which no press of a person does."""
    window.session.customise(window.session.config.with_training(steps=60))


@pytest.mark.slow
def test_from_the_menu_of_samples_to_a_clean_tiff(make_napari_viewer, qtbot, tmp_path, mouse):
    viewer = make_napari_viewer(show=True)
    qt_window = viewer.window._qt_window
    qt_window.setGeometry(0, 0, 1280, 800)
    turn(qtbot, 10)
    mouse.choose(qt_window, "File", "Open Sample", "STINR", "Small nanotube")
    wait(qtbot, lambda: bool(viewer.layers) and binding_of(viewer).session.state == "Ready")
    window = Window(viewer, binding_of(viewer), open_dock(viewer))
    few_steps(window)
    turn(qtbot, 10)
    start(qtbot, window, mouse)
    path = export(qtbot, window, mouse)
    assert mouse.n_presses == 5
    assert path.suffix == ".tif"
    volume, voxel_size = stinr.read_volume(path)
    np.testing.assert_array_equal(volume, window.session.reconstruction.render(0.0))
    assert voxel_size == pytest.approx(0.5)


def unaligned_stack(folder: Path) -> Path:
    """Write a stack whose projections were shifted by whole pixels, and a tilt list beside it, as microscopes do."""
    series = growing_series(n_tilts=25, width=36, height=22)
    moved = [np.roll(image, tuple(shift), (0, 1)) for image, shift in zip(series.projections, SHIFTS, strict=True)]
    folder.mkdir()
    counts = np.round(100 * np.stack(moved)).astype(np.int16)
    write_tilt_series(folder / "HAADF.mrc", counts, pixel_size=1.0)
    write_tilt_angles(folder / "HAADF.rawtlt", series.tilt_angles)
    return folder / "HAADF.mrc"


@pytest.mark.slow
def test_from_a_dropped_stack_to_an_aligned_clean_tiff(make_napari_viewer, qtbot, tmp_path, mouse):
    stack = unaligned_stack(tmp_path / "data")
    window = open_window(make_napari_viewer, tmp_path / "saved")
    window.viewer.window._qt_window.move(0, 0)
    mouse.drop(window.viewer.window._qt_viewer, [stack], source_at=QPoint(400, 300))
    wait(qtbot, lambda: window.session.draft is not None)
    settle(qtbot, window)
    few_steps(window)
    # The times are assumed, and the foot says so: nothing has to be pressed for it. Nor has Align, before Start.
    wait(qtbot, lambda: "times assumed" in window.foot.warning.whole.lower() and window.foot.start.isEnabled())
    assert window.session.aligns_first
    tabs = window.dock.tabs
    mouse.move(tabs.mapToGlobal(tabs.tabRect(1).center()))
    mouse.press()
    wait(qtbot, lambda: window.dock.page == "Align" and window.align.align_button.isEnabled())
    settle(qtbot, window)
    mouse.click(window.align.align_button)
    wait(qtbot, lambda: window.binding.aligner.known is not None)
    settle(qtbot, window)
    pose, angles = window.binding.aligner.known.pose, window.session.draft.tilt_angles
    # Most of the shifts is gone; how well they are found is asked elsewhere.
    assert without(moves(angles), pose.dx - SHIFTS[:, 1]).std() < 0.3 * SHIFTS.std()
    assert (pose.dy - SHIFTS[:, 0]).std() < 0.3 * SHIFTS.std()
    start(qtbot, window, mouse)
    assert window.session.reconstruction.pose is pose
    path = export(qtbot, window, mouse)
    assert mouse.n_presses == 6
    assert path.parent == stack.parent
    volume, _ = stinr.read_volume(path)
    np.testing.assert_array_equal(volume, window.session.reconstruction.render(0.0))
