"""A real window with the dock, and how a test waits for what happens in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer

from helpers.series_cases import growing_series
from helpers.waiting import PATIENCE, Gate
from napari_stinr.plugin.canvas.binding import ViewerBinding, binding_of
from napari_stinr.plugin.canvas.dock_opener import open_dock
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.session.exports import Export
from napari_stinr.plugin.session.new_draft import draft_of_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_stinr.plugin.docks.align import AlignPage
    from napari_stinr.plugin.docks.explore import ExplorePage
    from napari_stinr.plugin.docks.foot import Foot
    from napari_stinr.plugin.docks.reconstruct import ReconstructPage
    from napari_stinr.plugin.docks.series import SeriesPage
    from napari_stinr.plugin.docks.stinr import StinrDock


@dataclass
class Window:
    """A viewer with the dock."""

    viewer: Any
    binding: ViewerBinding
    dock: StinrDock

    @property
    def series(self) -> SeriesPage:
        return self.dock.series

    @property
    def align(self) -> AlignPage:
        return self.dock.align

    @property
    def reconstruct(self) -> ReconstructPage:
        return self.dock.reconstruct

    @property
    def explore(self) -> ExplorePage:
        return self.dock.explore

    @property
    def foot(self) -> Foot:
        return self.dock.foot

    @property
    def session(self) -> Any:
        return self.binding.session

    def layer(self, part: str) -> Any:
        """Return the one layer whose name ends like this, or which shows this of a run."""
        (found,) = [
            layer for layer in self.viewer.layers if layer.name.endswith(part) or layer.name.startswith(f"{part} · ")
        ]
        return found

    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


def open_window(make_napari_viewer: Callable[..., Any], folder: Path, **settings: Any) -> Window:
    """Open a window with the dock; checkpoints go to `folder`."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    dock = open_dock(viewer)
    binding = binding_of(viewer)
    changes = {"autosave_folder": str(folder), "preview_seconds": 0.2, **settings}
    binding.session.settings = replace(binding.session.settings, **changes)
    return Window(viewer, binding, dock)


def add_series(window: Window, steps: int = 60, **options: Any) -> Any:
    """Add a small growing series as a reader would, and choose few steps."""
    series = growing_series(**{"n_tilts": 31, **options})
    window.viewer._add_layer_from_data(*series_layer(draft_of_series(series)))
    window.session.customise(window.session.config.with_training(steps=steps))
    return series


def told_since(n_before: int) -> list[str]:
    """Return what napari has notified since there were so many messages: each whole, in one line."""
    # Without the beginning that is seen before a click.
    texts = [str(record.message).rpartition("…\n")[2] for record in notification_manager.records[n_before:]]
    return [" ".join(text.split()) for text in texts]


def wait(qtbot: Any, condition: Callable[[], bool]) -> None:
    """Let the window work until something is so."""
    qtbot.waitUntil(condition, timeout=round(1000 * PATIENCE))


def show(qtbot: Any, widget: Any) -> None:
    """Show a widget, and wait until it is on the screen."""
    with qtbot.waitExposed(widget, timeout=round(1000 * PATIENCE)):
        widget.show()


def turn(qtbot: Any, n: int = 3) -> None:
    """Let a clock of the window strike a few times, which it does only where the thread of the window answers."""
    strikes: list[None] = []
    clock = QTimer()
    clock.timeout.connect(lambda: strikes.append(None))
    clock.start(5)
    wait(qtbot, lambda: len(strikes) >= n)
    clock.stop()


def hold_exports(monkeypatch: Any, n_volumes: int) -> Gate:
    """Stop every export at a gate when so many volumes have been computed."""
    gate, write = Gate(), Export.write

    def held(export: Export, progress: Callable[..., None]) -> Path:
        def update(done: float, total: float) -> None:
            progress(done, total)
            if done >= n_volumes:
                gate()

        return write(export, update)

    monkeypatch.setattr(Export, "write", held)
    return gate


def train(qtbot: Any, window: Window) -> None:
    """Press Start and wait for the end."""
    window.foot.start.click()
    wait(qtbot, lambda: not window.session.is_active)
    assert window.session.state == "Done", window.session.failure
    settle(qtbot, window)


def settle(qtbot: Any, window: Window) -> None:
    """Wait until nothing is computed in the background any more, and what was computed is shown."""
    wait(
        qtbot, lambda: not window.binding.tasks.running and not getattr(window.binding.layers.stream, "is_busy", False)
    )
    turn(qtbot, 10)
