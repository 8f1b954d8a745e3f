"""How tests wait: until something is so, and never for a time. How fast it is, the benchmarks tell."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 300.0
"""Time after which something hangs: nothing in a test takes as long, also where ten others run beside it [s]."""
A_WHILE = 0.1
"""Time for what must not happen: a busy machine may miss it, but takes nothing for it that is not [s]."""


def wait_for(condition: Callable[[], Any], *, meanwhile: Callable[[], Any] | None = None) -> None:
    """Look again and again until something is true, and do something before each look."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        if meanwhile is not None:
            meanwhile()
        time.sleep(0.005)


class Gate:
    """Stops another thread until the test opens it, so that the test can look at what goes on meanwhile."""

    _made: ClassVar[weakref.WeakSet[Gate]] = weakref.WeakSet()

    def __init__(self) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()
        self._made.add(self)

    def __call__(self) -> None:
        """Wait, in the other thread."""
        self._reached.set()
        assert self._opened.wait(PATIENCE), "the gate was never opened"

    @property
    def is_reached(self) -> bool:
        """Whether the other thread has come here."""
        return self._reached.is_set()

    def wait(self) -> None:
        """Wait, in the test, until the other thread has come here."""
        wait_for(lambda: self.is_reached)

    def open(self) -> None:
        """Let the other thread go on, and any that comes later."""
        self._opened.set()

    @classmethod
    def open_all(cls) -> None:
        """Let everyone go on: after a test that failed, nobody shall wait."""
        for gate in list(cls._made):
            gate.open()
