"""The bars in napari's activity dock: one for the training, one for each task in the background."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari.utils import progress

if TYPE_CHECKING:
    from collections.abc import Hashable

_EVERY = 0.3
"""Time between two updates of a bar [s]; each of them lets Qt handle everything that waits."""


class ActivityBars:
    """Bars by what they belong to. To be used in the thread of the window only."""

    def __init__(self) -> None:
        self._bars: dict[Hashable, Any] = {}
        self._updated: dict[Hashable, float] = {}

    def open(self, owner: Hashable, title: str) -> None:
        """Show a bar that runs to and fro until something is reported."""
        self.close(owner)
        self._bars[owner] = progress(total=0, desc=title)

    def update(self, owner: Hashable, done: float, total: float) -> None:
        """Move a bar; calls in quick succession are passed over."""
        bar, now = self._bars.get(owner), time.monotonic()
        if bar is None or not total or now - self._updated.get(owner, 0.0) < _EVERY:
            return
        self._updated[owner] = now
        if bar.total != round(total):
            bar.total = round(total)
        bar.update(round(done) - bar.n)

    def close(self, owner: Hashable) -> None:
        """Take a bar away, if it is there."""
        bar = self._bars.pop(owner, None)
        self._updated.pop(owner, None)
        if bar is not None:
            bar.close()

    def close_all(self) -> None:
        """Take every bar away."""
        for owner in list(self._bars):
            self.close(owner)

    @property
    def owners(self) -> tuple[Hashable, ...]:
        """What has a bar."""
        return tuple(self._bars)
