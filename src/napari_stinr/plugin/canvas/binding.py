"""Ties a session to its viewer: polls it, shows its layers and progress, and ends it when the window closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_stinr.errors import StinrError
from napari_stinr.plugin.canvas.background import BackgroundTasks
from napari_stinr.plugin.canvas.exporter import Exporter
from napari_stinr.plugin.canvas.layer_data import contents_of
from napari_stinr.plugin.canvas.layers import ViewerLayers
from napari_stinr.plugin.canvas.player import PLAY_KEY, Player
from napari_stinr.plugin.canvas.requirements_watch import RequirementsWatch
from napari_stinr.plugin.canvas.time_slider import TimeSlider
from napari_stinr.plugin.session.draft import matching_draft
from napari_stinr.plugin.session.dropped import Dropped
from napari_stinr.plugin.session.preferences import plugin_settings, unwatch_settings, watch_settings
from napari_stinr.plugin.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

POLL_EVERY = 40
"""Time between two looks at what the threads have posted [ms]."""

_BINDINGS: dict[int, ViewerBinding] = {}


def binding_of(viewer: Any) -> ViewerBinding:
    """Return the binding of a viewer, made where there is none: docks of one viewer share it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer, or a proxy of it.

    Returns
    -------
    ViewerBinding
        The same one for as long as the viewer lives.
    """
    bare = getattr(viewer, "__wrapped__", viewer)
    if id(bare) not in _BINDINGS:
        _BINDINGS[id(bare)] = ViewerBinding(bare)
    return _BINDINGS[id(bare)]


class ViewerBinding(QObject):
    """A session with its viewer, which is the viewer itself and no proxy."""

    # The signals of the session again, as Qt's: they let go of a dock that was closed.
    state_changed = Signal()
    draft_changed = Signal()
    config_changed = Signal()
    run_started = Signal()
    run_left = Signal()
    preparing = Signal()
    reported = Signal(object)
    reconstruction_changed = Signal()
    said = Signal(str, bool)
    t_changed = Signal(float)
    """The time slider moved [t]."""
    theme_changed = Signal(str)
    layers_changed = Signal()
    polled = Signal()

    def __init__(self, viewer: Any) -> None:
        self._window: Any = viewer.window._qt_window
        super().__init__(self._window)
        self.viewer = viewer
        self.session = Session(plugin_settings())
        self.slider = TimeSlider(viewer)
        self.layers = ViewerLayers(viewer, self.slider, self)
        self.tasks = BackgroundTasks()
        self.run = self.tasks.run
        self.exporter = Exporter(self.tasks)
        self._is_polling = False
        self._failure_said = ""
        session = self.session
        session.draft_changed.connect(self._on_draft_changed)
        session.reconstruction_changed.connect(self._on_reconstruction_changed)
        session.state_changed.connect(self._on_state_changed)
        session.run_started.connect(self._on_run_started)
        session.run_left.connect(self._on_run_left)
        session.preparing.connect(self.preparing.emit)
        session.reported.connect(self._on_reported)
        session.config_changed.connect(self._on_config_changed)
        session.said.connect(self._on_said)
        viewer.dims.events.point.connect(self._on_point_changed)
        viewer.events.theme.connect(self._on_theme_changed)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.poll)
        self._timer.start(POLL_EVERY)
        self._window.installEventFilter(self)
        watch_settings(self._on_settings_changed)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)
        self.requirements = RequirementsWatch(session, self.run, self)
        self.draft_changed.connect(self.requirements.look_again)
        self.config_changed.connect(self.requirements.look_again)
        self.player = Player(self.slider, self.layers, session, self)
        viewer.bind_key(PLAY_KEY, self.player.toggle, overwrite=True)
        self._take_newest_layer()

    def poll(self) -> None:
        """Take in what the threads have posted."""
        # A progress bar of napari lets Qt handle events, and with them this timer.
        if self._is_polling or self.tasks.is_opening:
            return
        self._is_polling = True
        try:
            self.session.poll()
            self.tasks.poll()
            self.polled.emit()
        finally:
            self._is_polling = False

    def open_files(self, paths: list[Path]) -> None:
        """Open what was dropped, in any order: a stack, its angles and times, or a reconstruction."""
        dropped, draft = Dropped.of(paths), self.session.draft
        if dropped.stacks or (dropped.tables and draft is not None):
            name = (dropped.stacks or dropped.tables)[0].name
            self.run(f"open {name}", lambda _: dropped.draft(draft), self.set_draft, reads=name)
        elif dropped.tables:
            show_error(f"{dropped.tables[0].name} belongs to a stack: open that first, or drop both together.")
        if dropped.runs:
            self.open_reconstruction(dropped.runs[0])
        left_out = [*dropped.stacks[1:], *dropped.runs[1:]]
        if left_out:
            show_info("One at a time: not opened were " + ", ".join(path.name for path in left_out))

    def open_reconstruction(self, path: Path) -> None:
        """Open a reconstruction, to look at it."""
        from napari_stinr.reconstruction import load_reconstruction

        self.run(f"open {path.name}", lambda _: load_reconstruction(path), self.show_saved, reads=path.name)

    def show_saved(self, reconstruction: Reconstruction) -> None:
        """Show a reconstruction that was not trained here; its series is the one that is open, where that fits."""
        draft = matching_draft(self.session.draft, reconstruction)
        self.attempt(lambda: self.session.show(reconstruction, draft=draft))

    def set_draft(self, draft: SeriesDraft | None) -> None:
        """Take a tilt series; the person is told where that is not possible now."""
        self.attempt(lambda: self.session.set_draft(draft))

    def attempt(self, do: Callable[[], Any]) -> None:
        """Do something; where it is not possible, the person is told why."""
        try:
            do()
        except (StinrError, OSError) as error:
            show_error(str(error))

    def close(self) -> None:
        """End everything and wait for the checkpoint; called when the window closes."""
        if _BINDINGS.pop(id(self.viewer), None) is None:
            return
        self._timer.stop()
        # A child that holds its window keeps it alive: Python does not see that Qt holds the child.
        self._window.removeEventFilter(self)
        self._window = None
        viewer = self.viewer
        viewer.dims.events.point.disconnect(self._on_point_changed)
        viewer.events.theme.disconnect(self._on_theme_changed)
        viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        viewer.layers.events.removed.disconnect(self._on_layer_removed)
        unwatch_settings(self._on_settings_changed)
        viewer.bind_key(PLAY_KEY, None, overwrite=True)
        self.player.stop()
        self.layers.close()
        self.tasks.close()
        self.session.close()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """See the window close: at once where a program does it, else after a person could still say no."""
        if event.type() == QEvent.Type.Close:
            if event.spontaneous():
                QTimer.singleShot(0, self._close_if_hidden)
            else:
                self.close()
        if event.type() == QEvent.Type.DeferredDelete:
            self.close()
        return False

    def _close_if_hidden(self) -> None:
        if self._window is not None and not self._window.isVisible():
            self.close()

    def _on_draft_changed(self, draft: SeriesDraft | None) -> None:
        if draft is not None:
            self.layers.show_series(draft)
        self.draft_changed.emit()

    def _on_config_changed(self) -> None:
        self.config_changed.emit()

    def _on_said(self, text: str, is_problem: bool) -> None:
        self.said.emit(text, is_problem)

    def _on_reconstruction_changed(self, reconstruction: Reconstruction | None) -> None:
        if reconstruction is None:
            self.layers.forget_stream()
        else:
            self.layers.show_reconstruction(reconstruction, self.session.run_draft, again=False)
        self.reconstruction_changed.emit()

    def _on_run_started(self) -> None:
        self._failure_said = ""
        self.tasks.open_bar(self.session, "training")
        self.run_started.emit()

    def _on_run_left(self) -> None:
        self.layers.hide_results()
        self.run_left.emit()

    def _on_reported(self, reports: Any) -> None:
        self.reported.emit(reports)
        log, last = self.session.log, self.session.log.last
        # napari tells a remaining time beside a bar, which the pace of a search would make too short.
        if last is not None and log.is_steady:
            first, _ = log.stages[-1]
            self.tasks.move_bar(self.session, last.step, last.n_steps, first=first - 1)

    def _on_state_changed(self, state: Any) -> None:
        if not self.session.is_active:
            self.tasks.close_bar(self.session)
            if self.session.estimate is None:
                self.requirements.look_again()
            if self.session.failure and self.session.failure != self._failure_said:
                self._failure_said = self.session.failure
                show_error(self.session.failure)
        self.state_changed.emit()

    def _on_point_changed(self, event: Any) -> None:
        self.t_changed.emit(self.slider.t)

    def _on_theme_changed(self, event: Any) -> None:
        self.theme_changed.emit(str(event.value))

    def _on_settings_changed(self, event: Any) -> None:
        self.session.prefer(plugin_settings())

    def _on_layer_inserted(self, event: Any) -> None:
        self._take_layer(event.value)
        self.layers_changed.emit()

    def _on_layer_removed(self, event: Any) -> None:
        self.layers_changed.emit()

    def _take_newest_layer(self) -> None:
        for layer in reversed(list(self.viewer.layers)):
            if self._take_layer(layer):
                return

    def _take_layer(self, layer: Any) -> bool:
        """Take the series or reconstruction that a reader or a sample put into a layer."""
        draft, reconstruction = contents_of(layer)
        if self.session.is_active:
            if draft not in (None, self.session.draft) or reconstruction is not None:
                layer.visible = False
                show_info(f"{layer.name} is not taken while a training is in progress; choose it afterwards.")
            return False
        if draft is not None and draft is not self.session.draft:
            self.session.set_draft(draft)
            show_info(f"{draft.name} is the tilt series now.")
            return True
        if reconstruction is not None and reconstruction is not self.session.reconstruction:
            self.show_saved(reconstruction)
            # The 4D layer shows the same where the time slider is at its beginning.
            layer.visible = False
            return True
        return False
