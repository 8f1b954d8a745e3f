"""A queue of trainings, as the command line and the window have it: what is next, what was reached, when it ends.

A job that fails does not keep the others. Whoever stops the queue stops all of it: what waits goes on waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Generic, TypeVar


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, eq=False, kw_only=True)
class QueuedJob:
    """One training in a queue.

    Parameters
    ----------
    state : JobState
        Where it is.
    remark : str
        What was reached, or what went wrong.
    key : object
        What it is known by while its state changes.
    """

    state: JobState = JobState.WAITING
    remark: str = ""
    key: object = field(default_factory=object)


J = TypeVar("J", bound=QueuedJob)


class JobQueue(Generic[J]):
    """Jobs in the order in which they are done, one at a time.

    Attributes
    ----------
    jobs : tuple
        All of them, done or not.
    is_stopped : bool
        No other is to begin.
    """

    def __init__(self) -> None:
        self.jobs: tuple[J, ...] = ()
        self.is_stopped = False
        self._current: object | None = None

    @property
    def n_waiting(self) -> int:
        """How many jobs wait."""
        return sum(job.state is JobState.WAITING for job in self.jobs)

    @property
    def current(self) -> J | None:
        """The job that is running."""
        return next((job for job in self.jobs if job.key is self._current), None)

    def add(self, *jobs: J) -> None:
        """Let jobs wait at the end."""
        self.jobs += tuple(replace(job, key=object()) for job in jobs)

    def remove(self, job: J) -> None:
        """Take a job out; the one that is running stays."""
        self.jobs = tuple(kept for kept in self.jobs if kept.key is not job.key or kept.key is self._current)

    def next(self) -> J | None:
        """Return the job that is to begin now; None where nothing waits, or all were stopped."""
        if self.is_stopped:
            return None
        return next((job for job in self.jobs if job.state is JobState.WAITING), None)

    def begin(self, job: J) -> None:
        """Say that a job has begun."""
        self._current = job.key
        self._set(job.key, JobState.RUNNING, "")

    def end(self, job: J, state: JobState, remark: str = "") -> None:
        """Say that a job has ended, also one that could not begin."""
        if job.key is self._current:
            self._current = None
        self._set(job.key, state, remark)

    def clear(self) -> None:
        """Forget everything."""
        self.jobs, self._current, self.is_stopped = (), None, False

    def _set(self, key: object, state: JobState, remark: str) -> None:
        self.jobs = tuple(replace(job, state=state, remark=remark) if job.key is key else job for job in self.jobs)
