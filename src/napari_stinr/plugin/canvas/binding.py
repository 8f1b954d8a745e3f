"""Ties a session to its viewer: polls it, shows its layers and progress, and ends it when the window closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import PROJECT_ENDING
from napari_stinr.plugin.canvas.aligner import Aligner
from napari_stinr.plugin.canvas.background import BackgroundTasks
from napari_stinr.plugin.canvas.by_hand import ByHand
from napari_stinr.plugin.canvas.canvas_drops import CanvasDrops
from napari_stinr.plugin.canvas.closing import CloseGuard
from napari_stinr.plugin.canvas.comparison import Comparison
from napari_stinr.plugin.canvas.crop import CropRectangle
from napari_stinr.plugin.canvas.display import Display
from napari_stinr.plugin.canvas.exporter import Exporter
from napari_stinr.plugin.canvas.facts_watch import FactsWatch
from napari_stinr.plugin.canvas.garbage import WindowGarbage
from napari_stinr.plugin.canvas.layer_data import contents_of
from napari_stinr.plugin.canvas.layers import ViewerLayers
from napari_stinr.plugin.canvas.movie_maker import MovieMaker
from napari_stinr.plugin.canvas.notices import EndNotices
from napari_stinr.plugin.canvas.overlays import CanvasTexts
from napari_stinr.plugin.canvas.player import Player
from napari_stinr.plugin.canvas.project import ProjectKeeper
from napari_stinr.plugin.canvas.requirements_watch import RequirementsWatch
from napari_stinr.plugin.canvas.stage import Stage
from napari_stinr.plugin.canvas.telling import show_error, show_info
from napari_stinr.plugin.canvas.time_slider import TimeSlider
from napari_stinr.plugin.canvas.views import Views
from napari_stinr.plugin.canvas.written_place import share_pixels
from napari_stinr.plugin.canvas.written_stores import LevelIn3D
from napari_stinr.plugin.canvas.written_volumes import add_written, mend_layer, show_whole, split_written, written_layer
from napari_stinr.plugin.session.draft import matching_draft
from napari_stinr.plugin.session.dropped import Dropped
from napari_stinr.plugin.session.failures import notice_text
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


def known_binding(viewer: Any) -> ViewerBinding | None:
    """Return the binding of a viewer; None where nothing of the plugin was opened there yet."""
    return _BINDINGS.get(id(getattr(viewer, "__wrapped__", viewer)))


class ViewerBinding(QObject):
    """A session with its viewer, which is the viewer itself and no proxy."""

    # The signals of the session again, as Qt's: they let go of a dock that was closed.
    state_changed = Signal()
    draft_changed = Signal()
    config_changed = Signal()
    pose_changed = Signal()
    run_started = Signal()
    run_left = Signal()
    run_taken_up = Signal()
    """An earlier run is worked on again."""
    runs_changed = Signal()
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
        self.layers = ViewerLayers(viewer, self.slider, self.session.runs, self)
        self.tasks = BackgroundTasks()
        self.run = self.tasks.run
        self.exporter = Exporter(self.tasks)
        self._garbage = WindowGarbage()
        self._is_polling = False
        self._failure_said = ""
        self._listen()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.poll)
        self._timer.start(POLL_EVERY)
        self._build()
        self._watch_window()
        self._take_newest_layer()

    def _listen(self) -> None:
        """Hear of what session and viewer do; before anybody else, who may ask for what is set here."""
        session, viewer = self.session, self.viewer
        session.draft_changed.connect(self._on_draft_changed)
        session.reconstruction_changed.connect(self._on_reconstruction_changed)
        session.state_changed.connect(self._on_state_changed)
        session.run_starting.connect(self._garbage.put_aside)
        session.run_started.connect(self._on_run_started)
        session.run_left.connect(self._on_run_left)
        session.run_taken_up.connect(self.run_taken_up.emit)
        session.runs.changed.connect(self.runs_changed.emit)
        session.preparing.connect(self.preparing.emit)
        session.reported.connect(self._on_reported)
        session.config_changed.connect(self._on_config_changed)
        session.pose_changed.connect(self._on_pose_changed)
        session.said.connect(self._on_said)
        viewer.dims.events.point.connect(self._on_point_changed)
        viewer.events.theme.connect(self._on_theme_changed)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        watch_settings(self._on_settings_changed)

    def _build(self) -> None:
        """Make what works on session and viewer."""
        session, viewer = self.session, self.viewer
        self.requirements = RequirementsWatch(session, self.run, self)
        self.facts = FactsWatch(session, self.run, self)
        for changed in (self.draft_changed, self.config_changed, self.pose_changed):
            changed.connect(self.requirements.look_again)
        self.draft_changed.connect(self.facts.look_again)
        self.aligner = Aligner(session, self.run, self)
        self.by_hand = ByHand(viewer, self.slider, self.aligner, self.run, self)
        self.crop = CropRectangle(viewer, self)
        self._level_in_3d = LevelIn3D(viewer)
        self.player = Player(self.slider, self.layers, session, self)
        self.movies = MovieMaker(viewer, self.slider, self.layers, self.tasks, self)
        stage = Stage(viewer, session, self.slider, self.layers, self.run)
        self.comparison = Comparison(stage, self)
        self.display = Display(stage, self.comparison, self)
        self.texts = CanvasTexts(stage, self.display, self.comparison, self)
        self.views = Views(stage, self.display, self)
        self.state_changed.connect(self.display.follow_state)
        self.reconstruction_changed.connect(self.display.follow_reconstruction)
        for changed in (self.t_changed, self.draft_changed, self.reconstruction_changed):
            changed.connect(self.texts.update)
        self.project = ProjectKeeper(self)

    def _watch_window(self) -> None:
        """See what is dropped on the window and when it closes."""
        self.notices = EndNotices(self._window, self.session, self)
        self.guard = CloseGuard(self._window, self.session, self.polled, self)
        self.guard.use_project(self.project)
        self._window.installEventFilter(self)
        self._drops = CanvasDrops(self._window._qt_viewer, self.open_files)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    def poll(self) -> None:
        """Take in what the threads have posted."""
        # A progress bar of napari lets Qt handle events, and with them this timer.
        if self._is_polling or self.tasks.is_opening:
            return
        self._is_polling = True
        try:
            before = self.session.state
            self.session.poll()
            # All pages follow the state: the window is drawn before layers are added as well.
            if self.session.state is before:
                self.tasks.poll()
            self.polled.emit()
            self._garbage.look(is_training=self.session.is_active)
        finally:
            self._is_polling = False

    def open_files(self, paths: list[Path]) -> None:
        """Open what was dropped, in any order: a stack, its angles and times, a reconstruction, volumes of ours."""
        projects = [path for path in paths if path.suffix.lower() == PROJECT_ENDING]
        if projects:
            # It brings all that it needs along.
            self.project.open(projects[0])
            return
        written, others = split_written(paths)
        for path in written:
            self._open_written(path)
        dropped, draft = Dropped.of(others), self.session.draft
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

    def _open_written(self, path: Path) -> None:
        draft = self.session.draft
        self.run(
            f"open {path.name}",
            lambda _: written_layer(path, draft),
            lambda layer: add_written(self.viewer, layer),
            reads=path.name,
        )

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
            show_error(notice_text(error))

    def close(self) -> None:
        """End everything and wait for the checkpoint; called when the window closes."""
        if _BINDINGS.pop(id(self.viewer), None) is None:
            return
        self._timer.stop()
        # A child that holds its window keeps it alive: Python does not see that Qt holds the child.
        self._window.removeEventFilter(self)
        self.guard.let_go()
        self.notices.let_go()
        self._drops.close()
        self._level_in_3d.close()
        self._window = None
        viewer = self.viewer
        viewer.dims.events.point.disconnect(self._on_point_changed)
        viewer.events.theme.disconnect(self._on_theme_changed)
        viewer.layers.events.inserted.disconnect(self._on_layer_inserted)
        viewer.layers.events.removed.disconnect(self._on_layer_removed)
        unwatch_settings(self._on_settings_changed)
        self.player.stop()
        self.movies.close()
        self.project.close()
        self.views.close()
        self.crop.close()
        self.by_hand.close()
        self.layers.close()
        self.tasks.close()
        self.session.close()
        self._garbage.close()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """See the window close: at once where a program does it, else after a person could still say no."""
        if event.type() == QEvent.Type.Close:
            if self.guard.holds(event):
                return True
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
        self.crop.follow(draft)
        self.draft_changed.emit()

    def _on_config_changed(self) -> None:
        self.config_changed.emit()

    def _on_pose_changed(self) -> None:
        self.pose_changed.emit()

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
        self.crop.end()
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
        self.notices.update()
        self.state_changed.emit()

    def _on_point_changed(self, event: Any) -> None:
        self.t_changed.emit(self.slider.t)

    def _on_theme_changed(self, event: Any) -> None:
        self.theme_changed.emit(str(event.value))

    def _on_settings_changed(self, event: Any) -> None:
        self.session.prefer(plugin_settings())

    def _on_layer_inserted(self, event: Any) -> None:
        self._take_layer(event.value)
        self._mend_layers(event.value)
        self.layers_changed.emit()

    def _on_layer_removed(self, event: Any) -> None:
        self._garbage.owe()
        self.layers_changed.emit()

    def _mend_layers(self, *layers: Any) -> None:
        """Show volumes of ours that napari opened itself; napari places the slider and the view after this."""
        mended = [layer for layer in layers if mend_layer(layer, self.session.draft)]
        for layer in mended:
            share_pixels(self.viewer, layer)
            QTimer.singleShot(0, lambda layer=layer: show_whole(self.viewer, layer))
        if mended:
            self._level_in_3d.look()

    def _take_newest_layer(self) -> None:
        self._mend_layers(*self.viewer.layers)
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
            return True
        if reconstruction is not None and reconstruction is not self.session.reconstruction:
            self.show_saved(reconstruction)
            # The 4D layer shows the same where the time slider is at its beginning.
            layer.visible = False
            return True
        return False
