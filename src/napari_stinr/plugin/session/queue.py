"""Runs that wait for each other: several presets, seeds or series, one after the other without anybody there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.states import Action, NotNow, RunState
from napari_stinr.training.jobs.queue import JobQueue, JobState, QueuedJob

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.plugin.session.asked_job import AskedJob
    from napari_stinr.plugin.session.draft import SeriesDraft

CUSTOM = "Custom"


@dataclass(frozen=True, eq=False)
class Job(QueuedJob):
    """One training: everything that decides it.

    Parameters
    ----------
    draft : SeriesDraft
        The tilt series.
    config : ReconstructionConfig
        The settings.
    device : str
        Where to compute.
    threads : int
        CPU threads.
    quality : str
        What the settings are called.
    asked : AskedJob, optional
        What a file of jobs says of it, where it comes from one.
    """

    draft: SeriesDraft
    config: ReconstructionConfig
    device: str = "auto"
    threads: int = 1
    quality: str = CUSTOM
    asked: AskedJob | None = None

    @property
    def text(self) -> str:
        """What it is, such as ``"growth, Standard, seed 0"``."""
        if self.asked is not None:
            return self.asked.name
        return f"{self.config.preset}, {self.quality}, seed {self.config.training.seed}"


class RunQueue:
    """The jobs of one session, in the order in which they are done.

    A job that fails does not keep the others. Whoever presses Stop stops all of them: what was reached is kept, what
    waits goes on waiting.

    Parameters
    ----------
    session : Session
        Trains them; whoever polls it calls :meth:`advance` afterwards.
    """

    changed = Signal()

    def __init__(self, session: Any) -> None:
        self._session = session
        self._queue: JobQueue[Job] = JobQueue()
        self.is_running = False
        self._chosen: dict[str, Any] = {}
        session.state_changed.connect(self._on_state_changed)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All of them, done or not."""
        return self._queue.jobs

    @property
    def n_waiting(self) -> int:
        """How many jobs wait."""
        return self._queue.n_waiting

    @property
    def goes_on(self) -> bool:
        """Whether another job follows the one that is running."""
        return self.is_running and self._queue.next() is not None

    def add(self, job: Job, *, n_seeds: int = 1) -> None:
        """Let a job wait at the end; `n_seeds` of them, each with the next seed."""
        seed = job.config.training.seed
        configs = [job.config.with_training(seed=seed + number) for number in range(n_seeds)]
        self.extend(*(replace(job, config=config) for config in configs))

    def extend(self, *jobs: Job) -> None:
        """Let jobs wait at the end, as they are."""
        self._queue.add(*jobs)
        self.changed.emit()

    def add_chosen(self, *, n_seeds: int = 1) -> None:
        """Let what the session has chosen now wait; a StinrError says why that is not possible."""
        session = self._session
        self._require(Action.ADD_TO_QUEUE)
        assert session.draft is not None
        quality = CUSTOM if session.is_customised else session.quality
        job = Job(session.draft, session.config, session.device, session.threads, quality)
        self.add(job, n_seeds=n_seeds)

    def remove(self, job: Job) -> None:
        """Take a job out of the list; the one that is running stays."""
        self._queue.remove(job)
        self.changed.emit()

    def start(self) -> None:
        """Do what waits; a StinrError says that a training is in progress."""
        self._require(Action.EDIT_SERIES)
        if not self.n_waiting:
            raise StinrError("nothing waits in the queue", expected="a run", cure="Choose settings and add them.")
        session = self._session
        self._chosen = {
            name: getattr(session, name)
            for name in ("preset", "quality", "is_customised", "config", "device", "threads")
        }
        self.is_running, self._queue.is_stopped = True, False
        self.advance()

    def stop(self) -> None:
        """End the training that is running, and begin no other."""
        self._queue.is_stopped = True
        if not self._session.why_not(Action.STOP):
            self._session.stop()

    def advance(self) -> None:
        """Begin the next job where the last one has ended."""
        if not self.is_running or self._session.is_active:
            return
        self._close_current()
        while self._session.why_not(Action.EDIT_SERIES) == "" and (job := self._queue.next()) is not None:
            if self._begin(job):
                return
        if not self._session.is_active:
            self._end()

    def clear(self) -> None:
        """Forget everything."""
        self._queue.clear()
        self.is_running, self._chosen = False, {}

    def _begin(self, job: Job) -> bool:
        session, asked = self._session, job.asked
        try:
            place = None if asked is None else asked.place()
            if place is not None and place.is_done:
                self._queue.end(job, JobState.DONE, f"done before: {place.path.name}")
                self.changed.emit()
                return False
            if job.draft is not session.draft:
                session.set_draft(job.draft)
            session.device, session.threads = job.device, job.threads
            session.customise(job.config)
            session.start(place=place)
        except (StinrError, OSError) as error:
            self._queue.end(job, JobState.FAILED, str(error))
            self.changed.emit()
            return False
        self._queue.begin(job)
        self.changed.emit()
        return True

    def _close_current(self) -> None:
        session, job = self._session, self._queue.current
        if job is None:
            return
        if session.state is RunState.FAILED:
            self._queue.end(job, JobState.FAILED, session.failure)
        else:
            run = session.runs.of(session.reconstruction)
            reached = [] if run is None else [run.label]
            if run is not None and run.residual is not None:
                reached.append(f"residual {100 * run.residual:.2g} %")
            self._queue.end(job, JobState.STOPPED if self._queue.is_stopped else JobState.DONE, ", ".join(reached))
        self.changed.emit()

    def _end(self) -> None:
        """Give the person back what was chosen before."""
        self.is_running = False
        session, chosen, self._chosen = self._session, self._chosen, {}
        if chosen:
            session.device, session.threads = chosen["device"], chosen["threads"]
            if chosen["is_customised"]:
                session.customise(chosen["config"])
            else:
                session.choose(preset=chosen["preset"], quality=chosen["quality"])
        self.changed.emit()

    def _require(self, action: Action) -> None:
        reason = self._session.why_not(action)
        if reason:
            raise NotNow(action, reason)

    def _on_state_changed(self, state: RunState) -> None:
        if self.is_running and state is RunState.STOPPING:
            self._queue.is_stopped = True
