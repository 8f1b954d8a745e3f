"""What one viewer is working on: the tilt series, the settings, the training and its result. No Qt in here.

The session changes in one thread only, that of the window: whoever owns it calls :meth:`Session.poll` from a timer, and
the events of the training thread are taken in there.
"""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_stinr.analysis.contamination import is_static
from napari_stinr.cores import threads_beside_window
from napari_stinr.plugin.session.autosave import autosave_path
from napari_stinr.plugin.session.chosen_config import chosen_config, held_out_problem
from napari_stinr.plugin.session.draft import matching_draft
from napari_stinr.plugin.session.failures import failed_text, saved_texts
from napari_stinr.plugin.session.pose_choice import PoseChoice
from napari_stinr.plugin.session.posted import take_posted
from napari_stinr.plugin.session.preferences import PluginSettings
from napari_stinr.plugin.session.queue import RunQueue
from napari_stinr.plugin.session.run_log import RunLog
from napari_stinr.plugin.session.runs import Run, RunHistory
from napari_stinr.plugin.session.scripts import is_reproducible
from napari_stinr.plugin.session.states import ACTIVE, Action, Facts, NotNow, RunState, why_not
from napari_stinr.plugin.session.training_thread import TrainingThread, free_memory_of_run, window_order
from napari_stinr.training.events import (
    Abandoned,
    Aligning,
    Event,
    Failed,
    Finished,
    Prepared,
    Reported,
    Saved,
    Snapshot,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.session.asked_job import RunPlace
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.requirements import Estimate
    from napari_stinr.reconstruction import Reconstruction

_NO_SERIES = "There is no tilt series yet: drop one here, or open one on the page Series."
_ALIGNING = "The projections are being aligned: wait for the end, or stop that on the page Align."
_JOIN_TIMEOUT = 30.0
"""Longest time that closing waits for the last step and the checkpoint [s]."""


class Session(PoseChoice):
    """Tilt series, settings, training and reconstruction of one viewer.

    Parameters
    ----------
    settings : PluginSettings
        Defaults that the person chose.
    """

    draft_changed = Signal(object)
    config_changed = Signal()
    run_starting = Signal()
    """All is ready for a run, and nothing of it there yet."""
    run_started = Signal()
    run_left = Signal()
    run_taken_up = Signal()
    """An earlier run is worked on again."""
    preparing = Signal()
    reported = Signal(object)
    reconstruction_changed = Signal(object)
    said = Signal(str, bool)
    """A sentence for the person, and whether it is about something that went wrong."""

    def __init__(self, settings: PluginSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or PluginSettings()
        self.state = RunState.EMPTY
        self.draft: SeriesDraft | None = None
        self.found: SeriesDraft | None = None
        self.run_draft: SeriesDraft | None = None
        self._pending_draft: SeriesDraft | None = None
        self.series: TiltSeries | None = None
        self.reconstruction: Reconstruction | None = None
        self.log = RunLog()
        self.runs = RunHistory()
        self.checkpoint: Path | None = None
        self.failure = ""
        self.run_notes: tuple[str, ...] = ()
        self._pose_note = ""
        self.aligned_part: float | None = None
        self.last_said: tuple[str, bool] | None = None
        self.device, self.threads = "auto", threads_beside_window(self.settings.threads)
        self.preset, self.quality = self.settings.preset, self.settings.quality
        self.is_customised = False
        self.estimate: Estimate | None = None
        self.config: ReconstructionConfig = self._chosen_config()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._thread: TrainingThread | None = None
        self.queue = RunQueue(self)

    @property
    def facts(self) -> Facts:
        """What the table of actions looks at."""
        draft, reconstruction = self.draft, self.reconstruction
        problem = _NO_SERIES if draft is None else draft.problem or held_out_problem(draft, self.config)
        problem = problem or (_ALIGNING if self.is_aligning else "")
        return Facts(
            self.state,
            problem=problem or ("" if self.estimate is None else self.estimate.problem),
            has_reconstruction=reconstruction is not None,
            has_arrival=reconstruction is not None and reconstruction.field.has_arrival,
            is_static=reconstruction is not None and is_static(reconstruction),
            has_series_of_run=self.run_draft is not None,
            is_reproducible=draft is not None and is_reproducible(draft),
        )

    def why_not(self, action: Action) -> str:
        """Return why an action is not possible now, "" where it is."""
        return why_not(action, self.facts)

    def set_draft(self, draft: SeriesDraft | None) -> None:
        """Take a tilt series, or an edited one, valid or not yet; a StinrError says that a training is in progress."""
        self._require(Action.EDIT_SERIES)
        if draft is None or self.draft is None or draft.preview is not self.draft.preview:
            self.found, self.known_pose = draft, None
            self._leave_run(draft)
        decided = {} if self.draft is None else self.draft.preprocessing
        self.draft, self.estimate = draft, None
        if not self.is_customised:
            self._set_config(self._chosen_config())
        elif draft is not None and draft.preprocessing != decided:
            self._set_config(self.config.with_preprocessing(**draft.preprocessing))
        self._settle()
        self.draft_changed.emit(draft)

    def choose(self, *, preset: str | None = None, quality: str | None = None) -> None:
        """Choose preset and quality by name, or one of them; what was changed by hand is lost."""
        self._require(Action.EDIT_SETTINGS)
        self.preset, self.quality = preset or self.preset, quality or self.quality
        self.is_customised = False
        self._set_config(self._chosen_config())

    def customise(self, config: ReconstructionConfig) -> None:
        """Take settings that were changed by hand or read from a file."""
        self._require(Action.EDIT_SETTINGS)
        self.is_customised, self.preset = True, config.preset
        self._set_config(config)

    def prefer(self, settings: PluginSettings) -> None:
        """Take changed preferences; what the person has chosen in a dock stays."""
        if self.threads == threads_beside_window(self.settings.threads):
            self.threads = threads_beside_window(settings.threads)
        self.settings = settings
        if not self.is_customised and not self.is_active:
            self._set_config(self._chosen_config())

    def expect(self, estimate: Estimate | None) -> None:
        """Take what a run is expected to need; where it does not fit, it cannot be started."""
        self.estimate = estimate
        self.state_changed.emit(self.state)

    def start(self, *, resume: Path | None = None, place: RunPlace | None = None) -> None:
        """Start a training, or go on with the run in a file; a StinrError says why that is not possible.

        A run that is kept in a `place` is gone on with where it was begun.
        """
        resume = place.path if place is not None and place.is_begun else resume
        self._require(Action.START if resume is None else Action.RESUME_FROM_FILE)
        draft, settings = self.draft, self.settings
        assert draft is not None
        order = window_order(
            draft,
            self.config,
            device=self.device,
            threads=self.threads,
            resume=resume,
            steps=self.config.training.steps if resume is not None and self.is_customised else None,
            autosave=autosave_path(draft.name, settings.autosave_folder, keep=resume) if place is None else place.path,
            autosave_every=60.0 * settings.autosave_minutes,
            preview_every=settings.preview_seconds,
            pose=self.pose if place is None or place.pose is None else place.pose,
            told=None if place is None else place.told,
        )
        self._pose_note = "" if resume is not None else self.pose_note
        self._pending_draft = draft
        self.log, self.failure = RunLog.expecting(self.estimate), ""
        self.checkpoint, self.last_said = None, None
        self.run_notes, self.aligned_part = (), None
        # Events of an earlier run must not be taken for those of this one.
        self._events = queue.SimpleQueue()
        self.run_starting.emit()
        self._thread = TrainingThread(order, self._events.put)
        self._thread.start()
        self._change(RunState.RUNNING)
        self.run_started.emit()

    def pause(self) -> None:
        """Wait at the next step border."""
        self._require(Action.PAUSE)
        assert self._thread is not None
        self._thread.control.pause()
        self._change(RunState.PAUSED)

    def go_on(self) -> None:
        """Go on after a pause."""
        self._require(Action.GO_ON)
        assert self._thread is not None
        self._thread.control.go_on()
        self._change(RunState.RUNNING)

    def stop(self) -> None:
        """End the training at the next step border and keep what was trained."""
        self._require(Action.STOP)
        assert self._thread is not None
        self._thread.control.stop()
        self._change(RunState.STOPPING)

    def show(self, reconstruction: Reconstruction, *, draft: SeriesDraft | None = None) -> None:
        """Take a reconstruction that was not trained here, with its series where that is known."""
        self._require(Action.LOAD_RUN)
        self.run_draft, self.series = draft, None
        self.log, self.failure, self.checkpoint, self.last_said = RunLog(), "", None, None
        self.reconstruction = reconstruction
        self.runs.open(reconstruction, draft, self.found if draft is not None else None)
        self._change(RunState.DONE)
        self.reconstruction_changed.emit(reconstruction)

    def come_back(self, run: Run) -> None:
        """Work on an earlier run again: its reconstruction and losses, and the series that it was made from."""
        self._require(Action.LOAD_RUN)
        draft = run.draft
        is_other = draft is not None and (self.draft is None or draft.preview is not self.draft.preview)
        if is_other:
            self.found, self.draft, self.estimate, self.known_pose = run.found, draft, None, None
            if not self.is_customised:
                self._set_config(self._chosen_config())
        self.run_draft, self.series = draft, None
        self.log, self.failure, self.checkpoint, self.last_said = run.log, "", run.checkpoint, None
        self.run_notes, self.reconstruction = (), run.reconstruction
        self._change(RunState.DONE)
        if is_other:
            self.draft_changed.emit(draft)
        self.run_taken_up.emit()
        self.reconstruction_changed.emit(run.reconstruction)

    def forget(self, run: Run) -> None:
        """Let go of a run with its layers; what was saved of it stays on the disk."""
        if self.runs.of(self.reconstruction) is run:
            self._require(Action.LOAD_RUN)
            self._leave()
            self._settle()
        self.runs.forget(run)

    def poll(self) -> None:
        """Take in what the training thread has posted; from the thread of the window only."""
        events = self._events
        for event in take_posted(events):
            # Who is told of one may close the window.
            if self._events is events:
                self._take(event)
        self.queue.advance()

    def close(self) -> None:
        """End the training, wait for its checkpoint, and forget everything."""
        if self._thread is not None:
            self._thread.control.stop()
            self._thread.join(_JOIN_TIMEOUT)
        self.queue.clear()
        self.runs.clear()
        # What it has posted meanwhile is of no use without a window.
        self._thread, self._events = None, queue.SimpleQueue()
        self.draft = self.found = self.run_draft = self._pending_draft = self.series = self.reconstruction = None

    def _take(self, event: Event) -> None:
        match event:
            case Aligning():
                self.aligned_part = event.part
                self.log.align(event.part, time.monotonic())
                self.preparing.emit()
            case Prepared():
                notes = tuple(map(str, event.notes))
                self.run_notes, self.aligned_part = (*filter(None, [self._pose_note]), *notes), None
                self.log.prepare(event)
                self.runs.begin(self._pending_draft, self.found, preset=event.config.preset, log=self.log)
                self.preparing.emit()
                # Not before: a run that cannot be prepared must not cost the reconstruction that is there.
                self.run_draft, self.series, self.reconstruction = self._pending_draft, event.series, None
                self._take_found(event.alignment, self.run_draft)
                self.reconstruction_changed.emit(None)
                if event.config != self.config:
                    self.is_customised, self.preset = True, event.config.preset
                    self._set_config(event.config)
            case Reported():
                self.log.add(event.reports)
                self.reported.emit(event.reports)
            case Snapshot():
                self._take_reconstruction(event.reconstruction)
            case Saved():
                self.checkpoint = event.kept.path or self.checkpoint
                for said in saved_texts(event):
                    self.last_said = said
                    self.said.emit(*said)
            case Finished():
                self._join()
                self._take_reconstruction(event.reconstruction)
                self.runs.end(checkpoint=self.checkpoint)
                self._change(RunState.DONE)
            case Abandoned():
                self._join()
                self.runs.end()
                self._settle()
            case Failed():
                self._join()
                self.runs.end(checkpoint=self.checkpoint)
                self.failure = failed_text(event)
                self._change(RunState.FAILED)

    def _take_reconstruction(self, reconstruction: Reconstruction) -> None:
        self.reconstruction = reconstruction
        self.runs.take(reconstruction)
        self.reconstruction_changed.emit(reconstruction)

    def _join(self) -> None:
        # It has posted its last event: this hardly waits.
        if self._thread is not None:
            self._thread.join(_JOIN_TIMEOUT)
            self._thread = None
            free_memory_of_run()

    def _leave_run(self, draft: SeriesDraft | None) -> None:
        """Join a reconstruction that came without its series, or let it go; its checkpoint stays on the disk."""
        found, shown = None, self.reconstruction
        if shown is not None and self.run_draft is None:
            found = matching_draft(draft, shown)
        if shown is not None and found is not None:
            self.run_draft = found
            self.runs.open(shown, found, self.found)
            self.reconstruction_changed.emit(shown)
        elif shown is not None or self.log.steps or self.failure:
            self._leave()

    def _leave(self) -> None:
        self.run_draft = self.series = self.reconstruction = self.checkpoint = None
        self.log, self.failure, self.last_said = RunLog(), "", None
        self.run_notes = ()
        self.run_left.emit()
        self.reconstruction_changed.emit(None)

    def _settle(self) -> None:
        """Find the state of a session in which nothing is running."""
        is_ready = self.draft is not None and not self.draft.problem
        if is_ready and self.reconstruction is not None and self.draft is self.run_draft:
            self._change(RunState.DONE)
        else:
            self._change(RunState.READY if is_ready else RunState.EMPTY)

    def _change(self, state: RunState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _set_config(self, config: ReconstructionConfig) -> None:
        self.config, self.estimate = config, None
        self.config_changed.emit()

    def _chosen_config(self) -> ReconstructionConfig:
        config = chosen_config(self.preset, self.quality, self.draft, self.settings.held_out)
        return config if self._aligns_first else config.with_alignment("off")

    def _require(self, action: Action) -> None:
        reason = self.why_not(action)
        if reason:
            raise NotNow(action, reason)

    @property
    def is_active(self) -> bool:
        """Whether a training has the series and the settings."""
        return self.state in ACTIVE
