"""How far a long piece of work is, how fast it goes, and how long the rest will take."""

from __future__ import annotations

from collections import deque
from typing import Protocol

PACE_WINDOW = 20.0
"""The remaining time follows from the pace over this long [s]: shorter jitters, longer lags behind a change."""


class Update(Protocol):
    """What a running command calls: how much is done, of how much, and a remark such as the loss."""

    def __call__(self, done: float, total: float, remark: str = "", /) -> None:
        """Report progress."""


class Pace:
    """How fast something advances, from what it reported within the last `window` seconds."""

    def __init__(self, window: float = PACE_WINDOW) -> None:
        self._window = window
        self._samples: deque[tuple[float, float]] = deque()
        self._stage = ""

    def add(self, now: float, done: float, *, stage: str = "") -> None:
        """Take in that at the time `now` [s] so much was done; every stage has a pace of its own."""
        if stage != self._stage:
            self._samples.clear()
            self._stage = stage
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= self._window:
            self._samples.popleft()

    @property
    def measured(self) -> tuple[float, float]:
        """The time that the pace is taken from [s], and what was done in it."""
        if not self._samples:
            return 0.0, 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return end - start, after - before

    @property
    def per_second(self) -> float | None:
        """What is done in a second, None before that is known."""
        seconds, done = self.measured
        return done / seconds if seconds > 0 and done > 0 else None


def remaining_text(seconds: float | None) -> str:
    """Return a remaining time [s] as ``"42 s left"`` or ``"2 h 5 min left"``; empty where it is None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s left"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s left"
    return f"{whole // 3600} h {whole % 3600 // 60} min left"
