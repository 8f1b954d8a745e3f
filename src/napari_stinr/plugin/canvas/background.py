"""Tasks in the background with bars in napari's activity dock; the training has one, too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari.utils import progress
from qtpy.compat import isalive
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QLabel, QStatusBar

from napari_stinr.plugin.canvas.telling import show_error
from napari_stinr.plugin.session.tasks import Task, TaskRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_BAR_AFTER = 0.5
"""How long a task takes before it has a bar [s]: to make one lets Qt handle everything that waits, and draws it all."""
_EVERY = 0.5
"""Time between two updates of a bar [s]; each of them lets Qt handle everything that waits."""
_CALM = 10
"""Pace of napari's sign of activity [%]."""


class ActivityBars:
    """Bars by what they belong to. To be used in the thread of the window only."""

    def __init__(self) -> None:
        self._bars: dict[Hashable, Any] = {}
        self._updated: dict[Hashable, float] = {}

    def open(self, owner: Hashable, title: str) -> None:
        """Show a bar that runs to and fro until something is reported."""
        self.close(owner)
        self._bars[owner] = progress(total=0, desc=title)
        _turn_sign(_CALM)

    def update(self, owner: Hashable, done: float, total: float, *, first: float = 0.0) -> None:
        """Move a bar; calls in quick succession are passed over. Its pace is that of what comes after `first`."""
        bar, now = self._bars.get(owner), time.monotonic()
        if bar is None or not total or now - self._updated.get(owner, 0.0) < _EVERY:
            return
        self._updated[owner] = now
        if first and not bar.total:
            bar.reset(total=round(total))
            bar.n = bar.initial = bar.last_print_n = round(first)
        if bar.total != round(total):
            bar.total = round(total)
        bar.update(round(done) - bar.n)

    def close(self, owner: Hashable) -> None:
        """Take a bar away, if it is there."""
        bar = self._bars.pop(owner, None)
        self._updated.pop(owner, None)
        if bar is not None:
            bar.close()
            if not self._bars:
                _turn_sign(100)

    def close_all(self) -> None:
        """Take every bar away."""
        for owner in list(self._bars):
            self.close(owner)

    @property
    def owners(self) -> tuple[Hashable, ...]:
        """What has a bar."""
        return tuple(self._bars)


class BackgroundTasks:
    """Runs tasks in threads of their own and shows how far they are. To be used in the thread of the window only."""

    def __init__(self) -> None:
        self._runner, self._bars = TaskRunner(), ActivityBars()
        self._without_bar: dict[Task[Any], float] = {}
        self.is_opening = False
        """A bar is being made and lets Qt handle events: what ends before it is there would leave it for ever."""

    @property
    def running(self) -> tuple[Task[Any], ...]:
        """Tasks whose end has not been polled yet."""
        return self._runner.running

    def run(
        self,
        title: str,
        work: Callable[[Any], Any],
        on_result: Callable[[Any], Any],
        *,
        on_error: Callable[[str], Any] = show_error,
        on_cancelled: Callable[[], Any] | None = None,
        bar: bool = True,
        reads: str = "",
    ) -> Task[Any]:
        """Do something in the background, as :class:`Task` says, with a progress bar if `bar` and it takes a while.

        What is to be told to a widget that is gone by then, with its dock, is told to nobody.
        """
        task = Task(title, work, _while_alive(on_result), _while_alive(on_error), on_cancelled, reads)
        if bar:
            self._without_bar[task] = time.monotonic()
        return self._runner.start(task)

    def open_bar(self, owner: Hashable, title: str) -> None:
        """Show a bar."""
        was_opening, self.is_opening = self.is_opening, True
        try:
            self._bars.open(owner, title)
        finally:
            self.is_opening = was_opening

    def move_bar(self, owner: Hashable, done: float, total: float, *, first: float = 0.0) -> None:
        """Move a bar, if it is there; what was done before, `first`, does not count for its pace."""
        self._bars.update(owner, done, total, first=first)

    def close_bar(self, owner: Hashable) -> None:
        """Take a bar away, if it is there."""
        self._bars.close(owner)

    def poll(self) -> None:
        """Hand over results and errors, and bring the bars up to date."""
        self._runner.poll()
        self._open_bars()
        for task in self.running:
            self._bars.update(task, task.progress.done, task.progress.total)
        for owner in self._bars.owners:
            if isinstance(owner, Task) and owner not in self.running:
                self._bars.close(owner)

    def _open_bars(self) -> None:
        """Give those tasks a bar that have gone on for a while."""
        running, now = self.running, time.monotonic()
        for task, began in list(self._without_bar.items()):
            if task not in running:
                del self._without_bar[task]
            elif now - began > _BAR_AFTER:
                del self._without_bar[task]
                self.open_bar(task, task.title)

    def close(self) -> None:
        """Cancel everything and wait for it."""
        self._runner.close()
        self._bars.close_all()


def _while_alive(tell: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that calls a method of an object of Qt as long as there is that object."""
    owner = getattr(tell, "__self__", None)
    if not isinstance(owner, QObject):
        return tell

    def tell_the_living(found: Any) -> None:
        if isalive(owner):
            tell(found)

    return tell_the_living


def _turn_sign(pace: int) -> None:
    """Let napari's sign of activity turn at a pace [%]; every picture of it has the whole window drawn anew."""
    for window in QApplication.topLevelWidgets():
        for bar in window.findChildren(QStatusBar):
            for label in bar.findChildren(QLabel):
                if (movie := label.movie()) is not None:
                    movie.setSpeed(pace)
