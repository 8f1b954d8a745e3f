"""Work in the background that ends with one result: rendering, exporting, opening a file, measuring the machine.

The caller polls from its own thread, so results and errors arrive there and nowhere else.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.failures import failure_text
from napari_stinr.training.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
_MEMORY_CURE = "Close other programs and try again."


class Cancelled(Exception):
    """The task was asked to end."""


class Progress:
    """How a task says how far it is, and learns that it is no longer wanted."""

    def __init__(self) -> None:
        self.done, self.total = 0.0, 0.0
        self._cancelled = threading.Event()

    def __call__(self, done: float, total: float, remark: str = "", /) -> None:
        """Report progress; ends the task by raising `Cancelled` where it was cancelled."""
        self.done, self.total = float(done), float(total)
        if self._cancelled.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Let the next report end the task; from any thread."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether the task was asked to end."""
        return self._cancelled.is_set()


@dataclass(eq=False)
class Task(Generic[Result]):
    """One piece of work.

    Parameters
    ----------
    title : str
        What is being done, for the progress bar; nothing else looks at it.
    work : callable
        ``work(progress)``, in a thread of its own.
    on_result : callable
        Takes the result, in the thread that polls.
    on_error : callable
        Takes one line, in the thread that polls.
    on_cancelled : callable, optional
        Called in the thread that polls.
    reads : str
        Name of the file, or of the first of several, that it opens as a series or reconstruction; "" for other work.
    """

    title: str
    work: Callable[[Progress], Result]
    on_result: Callable[[Result], Any]
    on_error: Callable[[str], Any]
    on_cancelled: Callable[[], Any] | None = None
    reads: str = ""
    progress: Progress = field(default_factory=Progress)


class _End(Enum):
    RESULT = "result"
    ERROR = "error"
    CANCELLED = "cancelled"


class TaskRunner:
    """Runs tasks, each in a thread of its own, and hands their results to whoever polls."""

    def __init__(self) -> None:
        self._ended: queue.SimpleQueue[tuple[Task[Any], _End, Any]] = queue.SimpleQueue()
        self._running: dict[Task[Any], threading.Thread] = {}

    @property
    def running(self) -> tuple[Task[Any], ...]:
        """Tasks whose end has not been polled yet."""
        return tuple(self._running)

    def start(self, task: Task[Any]) -> Task[Any]:
        """Start a task and return it; it is cancelled through its `progress`."""
        thread = threading.Thread(target=self._run, args=(task,), name=f"stinr-{task.title}", daemon=True)
        self._running[task] = thread
        thread.start()
        return task

    def poll(self) -> None:
        """Hand over results and errors of tasks that have ended."""
        while not self._ended.empty():
            task, end, value = self._ended.get()
            self._running.pop(task, None)
            if end is _End.RESULT:
                # Also where it was cancelled too late: what exists now must be said.
                task.on_result(value)
            elif end is _End.ERROR and not task.progress.is_cancelled:
                task.on_error(value)
            elif task.on_cancelled is not None:
                task.on_cancelled()

    def close(self, timeout: float = 5.0) -> None:
        """Cancel everything and wait for it, at most `timeout` for each task [s]."""
        for task in self._running:
            task.progress.cancel()
        for thread in self._running.values():
            thread.join(timeout)
        self._running.clear()

    def _run(self, task: Task[Any]) -> None:
        try:
            self._ended.put((task, _End.RESULT, task.work(task.progress)))
        except Cancelled:
            self._ended.put((task, _End.CANCELLED, None))
        except Exception as error:  # the person is told, whatever it is
            trace = "" if isinstance(error, StinrError) else "".join(traceback.format_exception(error))
            logger.error("%s failed: %s\n%s", task.title, error, trace)
            self._ended.put((task, _End.ERROR, failure_text(failure_of(error), memory_cure=_MEMORY_CURE)))
