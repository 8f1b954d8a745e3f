"""How a training is held up and ended, from any thread."""

from __future__ import annotations

import threading


class Control:
    """How a training is held up and ended, from any thread."""

    def __init__(self) -> None:
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()

    def stop(self) -> None:
        """End the training at the next step border; also where it is paused."""
        self._stop.set()
        self._go.set()

    def pause(self) -> None:
        """Wait at the next step border until :meth:`go_on` or :meth:`stop`."""
        self._go.clear()

    def go_on(self) -> None:
        """Go on after :meth:`pause`."""
        self._go.set()

    @property
    def is_stopped(self) -> bool:
        """Whether the training is to end."""
        return self._stop.is_set()

    @property
    def is_paused(self) -> bool:
        """Whether the training is to wait."""
        return not self._go.is_set() and not self.is_stopped

    def wait_while_paused(self, timeout: float) -> bool:
        """Wait for the end of a pause, at most `timeout` [s]; tell whether it is over."""
        return not self.is_paused or self._go.wait(timeout)
