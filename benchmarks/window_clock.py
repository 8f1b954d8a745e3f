"""How a benchmark lets a window work, and for how long it does not answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT = 5
"""Time between two beats of the clock that measures how long the window is blocked [ms]."""


class Beat:
    """Measures the longest time for which the thread of the window does not answer."""

    def __init__(self, parent: Any) -> None:
        from qtpy.QtCore import QTimer

        self._longest, self._last = 0.0, time.perf_counter()
        self._timer = QTimer(parent)
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT)

    def stop(self) -> float:
        """Return the longest time without an answer [s]."""
        self._timer.stop()
        return self._longest

    def _beat(self) -> None:
        now = time.perf_counter()
        self._longest, self._last = max(self._longest, now - self._last), now


def pump(seconds: float) -> None:
    """Let the window work for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(max(1, round(1000 * seconds)), loop.quit)
    loop.exec()


def wait(condition: Callable[[], bool], *, every: float = 0.002, patience: float = 600.0) -> None:
    """Let the window work until something is so; to look often costs a training that runs meanwhile."""
    end = time.perf_counter() + patience
    while not condition():
        if time.perf_counter() > end:
            raise TimeoutError("the window did not get there")
        pump(every)
