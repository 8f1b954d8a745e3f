"""Python's collection of garbage, in the thread of the window only, and of what is new only.

Python collects in whatever thread makes the next object, and here that is as a rule one that trains or renders. What it
finds there can be a widget, which Qt lets nobody destroy elsewhere, or a connection of PySide's: taking that apart
holds a lock of Qt's and waits for Python's, while the window holds Python's and waits for Qt's, for ever.

To go through all of napari, torch and the docks takes nearly half a second, in which the window does not answer. They
are put aside (`gc.freeze`), and a collection of the rest takes some milliseconds. What was put aside may become
garbage one day, with layers that a person removes: then all is gone through once more, when nobody moves the mouse.
"""

from __future__ import annotations

import gc
import time

from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QApplication

_WHOLE_EVERY = 30.0
"""Shortest time between two collections of the oldest generation, or of everything [s]."""
_STILL = 2.0
"""How long the mouse has to lie still before everything is gone through [s]."""
_MANY = 100_000
"""Old objects that take a collection a tenth of a second."""

_WINDOWS: list[WindowGarbage] = []


class WindowGarbage:
    """Collects when it is asked to look, as often as Python would, and keeps Python from doing so by itself."""

    def __init__(self) -> None:
        self._next_whole = time.monotonic() + _WHOLE_EVERY
        self._next_through = 0.0
        self._owes = False
        self._mouse, self._moved = QPoint(), 0.0
        # A person who has switched it off wants none.
        self._is_ours = bool(_WINDOWS) or gc.isenabled()
        if self._is_ours:
            _WINDOWS.append(self)
            gc.disable()
            self.put_aside()

    def put_aside(self) -> None:
        """Pass over all that there is now: to be called when much was loaded, and nothing large is about to end."""
        if self._is_ours:
            # What has just ended must not be kept with it.
            gc.collect(1)
            gc.freeze()

    def owe(self) -> None:
        """Go through all that was put aside as well once nobody waits: something of it has ended."""
        self._owes = True

    def look(self, *, is_training: bool = False) -> None:
        """Collect the oldest generation that is due, if one is."""
        if not self._is_ours:
            return
        now = time.monotonic()
        if self._owes and now > self._next_through and self._is_mouse_still(now):
            self._owes, self._next_through = False, now + _WHOLE_EVERY
            gc.unfreeze()
            self._collect_whole(is_training=is_training)
            return
        for generation in (2, 1, 0):
            is_due = gc.get_count()[generation] > gc.get_threshold()[generation] > 0
            if is_due and generation == 2 and now > self._next_whole:
                self._collect_whole(is_training=is_training)
                return
            if is_due and generation < 2:
                gc.collect(generation)
                return

    def _collect_whole(self, *, is_training: bool) -> None:
        gc.collect()
        self._next_whole = time.monotonic() + _WHOLE_EVERY
        # What belongs to a training has to be found when it ends.
        if not is_training and len(gc.get_objects(generation=2)) > _MANY:
            gc.freeze()

    def _is_mouse_still(self, now: float) -> bool:
        place = QCursor.pos()
        if place != self._mouse or QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._mouse, self._moved = place, now
        return now - self._moved > _STILL

    def close(self) -> None:
        """Leave it to Python again, with the last window."""
        if self not in _WINDOWS:
            return
        _WINDOWS.remove(self)
        if _WINDOWS:
            _WINDOWS[0].owe()
        else:
            gc.unfreeze()
            gc.enable()
