"""Ctrl-C and SIGTERM: both stop a command in the same way, and neither costs what was computed so far."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType
    from typing import Any

_AGAIN_AFTER = 0.1
"""Time after which an interrupt that was dropped comes again [s]."""


class Stopped(Exception):
    """The person stopped the command; the text says what was kept and how to go on."""


class StopRequest:
    """Turns Ctrl-C and SIGTERM into a flag for as long as the ``with`` block runs, however often they come.

    A training stops at the next step border and is then saved; a second Ctrl-C must not break off the saving.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only; elsewhere the caller stops the trainer itself.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            # Not through sys.stderr: the handler may run in the middle of another write to it. 2 is its number.
            with contextlib.suppress(OSError):
                os.write(2, b"\nstinr: stopping after this step, then saving\n")
        self.requested = True


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does, for as long as the block runs; and let neither be lost.

    Python drops an exception that is raised while an object is being destroyed, also where it is that of Ctrl-C: it is
    then raised once more, a moment later.

    Yields
    ------
    None
        Nothing: to be used in a ``with`` statement.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    previous_hook = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            threading.Timer(_AGAIN_AFTER, _thread.interrupt_main).start()
        else:
            previous_hook(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous_hook
        signal.signal(signal.SIGTERM, previous)
