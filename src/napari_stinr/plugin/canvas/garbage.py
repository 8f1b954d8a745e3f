"""Python's collection of garbage, in the thread of the window only.

Python collects in whatever thread makes the next object, and here that is as a rule one that trains or renders. What it
finds there can be a widget, which Qt lets nobody destroy elsewhere, or a connection of PySide's: taking that apart
holds a lock of Qt's and waits for Python's, while the window holds Python's and waits for Qt's, for ever.
"""

from __future__ import annotations

import gc
import time

_WHOLE_EVERY = 30.0
"""Shortest time between two collections of everything [s]: each takes a tenth of a second in a window of napari's."""

_WINDOWS: list[WindowGarbage] = []


class WindowGarbage:
    """Collects when it is asked to look, as often as Python would, and keeps Python from doing so by itself."""

    def __init__(self) -> None:
        self._next_whole = time.monotonic() + _WHOLE_EVERY
        # A person who has switched it off wants none.
        self._is_ours = bool(_WINDOWS) or gc.isenabled()
        if self._is_ours:
            _WINDOWS.append(self)
            gc.disable()

    def look(self) -> None:
        """Collect the oldest generation that is due, if one is."""
        if not self._is_ours:
            return
        for generation in (2, 1, 0):
            is_due = gc.get_count()[generation] > gc.get_threshold()[generation] > 0
            if is_due and (generation < 2 or time.monotonic() > self._next_whole):
                gc.collect(generation)
                if generation == 2:
                    self._next_whole = time.monotonic() + _WHOLE_EVERY
                return

    def close(self) -> None:
        """Leave it to Python again, with the last window."""
        if self in _WINDOWS:
            _WINDOWS.remove(self)
            if not _WINDOWS:
                gc.enable()
