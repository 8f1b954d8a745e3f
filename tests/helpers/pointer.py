"""A mouse that the X server moves: events come to Qt as from a hand, and climb from widget to widget as those do."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from contextlib import contextmanager
from ctypes.util import find_library
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QEvent, QObject, QPoint
from qtpy.QtWidgets import QApplication

from helpers.window_cases import turn, wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qtpy.QtWidgets import QWidget

_LEFT, _UP, _DOWN = 1, 4, 5
_SOURCE_SIZE = 60

_SOURCE = """
import sys
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDrag
from qtpy.QtWidgets import QApplication, QWidget

class Source(QWidget):
    def mousePressEvent(self, event):
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(path) for path in sys.argv[2:]])
        drag = QDrag(self)
        drag.setMimeData(data)
        # Only now the source knows that the files would be taken: what is let go before is dropped nowhere.
        drag.actionChanged.connect(lambda action: print(action.name, flush=True))
        drag.exec(Qt.DropAction.CopyAction)
        print("dropped", flush=True)

application = QApplication(sys.argv[:1])
source = Source()
x, y, size = map(int, sys.argv[1].split(","))
source.setWindowFlags(Qt.WindowType.X11BypassWindowManagerHint | Qt.WindowType.WindowStaysOnTopHint)
source.setGeometry(x, y, size, size)
source.show()
source.raise_()
print("shown", flush=True)
application.exec()
"""


class Pointer:
    """The pointer of the screen, moved through the XTEST extension."""

    def __init__(self, qtbot: Any) -> None:
        names = [find_library(name) for name in ("X11", "Xtst")]
        if None in names or QApplication.platformName() != "xcb":
            pytest.skip("needs an X server, and libXtst to move its pointer")
        self._qtbot = qtbot
        self._x11, self._xtst = (ctypes.CDLL(name) for name in names)
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(None))
        assert self._display.value, "no X display"

    def close(self) -> None:
        """Let go of the display."""
        self._x11.XCloseDisplay(self._display)

    def move(self, place: QPoint) -> None:
        """Move to a place on the screen."""
        self._xtst.XTestFakeMotionEvent(self._display, -1, place.x(), place.y(), 0)
        self._x11.XSync(self._display, 0)

    def button(self, number: int, *, down: bool) -> None:
        """Press a button, or let it go."""
        self._xtst.XTestFakeButtonEvent(self._display, number, int(down), 0)
        self._x11.XSync(self._display, 0)

    def press(self, number: int = _LEFT) -> None:
        """Press a button and let it go."""
        self.button(number, down=True)
        self.button(number, down=False)

    def click(self, widget: QWidget) -> None:
        """Click on the middle of a widget."""
        self.move(middle_of(widget))
        self.press()
        turn(self._qtbot)

    def wheel(self, widget: QWidget, notches: int) -> None:
        """Turn the wheel over a widget: away from the hand is positive."""
        self.move(middle_of(widget))
        for _ in range(abs(notches)):
            self.press(_UP if notches > 0 else _DOWN)
        turn(self._qtbot, 5)

    def drop(self, widget: QWidget, paths: Sequence[Path], *, source_at: QPoint) -> None:
        """Drag files out of another program's window and drop them on a widget, as from a file manager."""
        place = f"{source_at.x()},{source_at.y()},{_SOURCE_SIZE}"
        command = [sys.executable, "-c", _SOURCE, place, *map(str, paths)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            lines: list[str] = []
            reader = threading.Thread(target=lambda: lines.extend(program.stdout), daemon=True)
            reader.start()
            try:
                wait(self._qtbot, lambda: "shown\n" in lines)
                start, end = source_at + QPoint(_SOURCE_SIZE // 2, _SOURCE_SIZE // 2), middle_of(widget)
                turn(self._qtbot, 20)
                self.move(start)
                self.button(_LEFT, down=True)
                # Source and target talk to each other at every move.
                for part in range(1, 11):
                    self.move(start + (end - start) * (part / 10))
                    turn(self._qtbot, 10)
                with _drag_seen() as seen:
                    self._wait_for_drag(end, seen, lines)
                    self.button(_LEFT, down=False)
                    # The data are in the other program: it has to live until they were asked for.
                    wait(self._qtbot, lambda: lines[-1] == "dropped\n" and seen.n_drops > 0)
            finally:
                program.kill()

    def _wait_for_drag(self, place: QPoint, seen: _DragSeen, lines: list[str]) -> None:
        """Tremble at a place until Qt knows of the drag there, and the source knows that the files would be taken."""
        for shift in range(400):
            self.move(place + QPoint(shift % 2, 0))
            turn(self._qtbot, 3)
            if seen.n_moves > 2 and lines[-1] == "CopyAction\n":
                return
        msg = f"the files would not be taken; the source heard {lines}"
        raise AssertionError(msg)


class _DragSeen(QObject):
    """Counts what Qt hears of a drag."""

    n_moves = n_drops = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Count, and keep nothing back."""
        self.n_moves += event.type() in (QEvent.Type.DragEnter, QEvent.Type.DragMove)
        self.n_drops += event.type() == QEvent.Type.Drop
        return False


@contextmanager
def _drag_seen() -> Iterator[_DragSeen]:
    seen, application = _DragSeen(), QApplication.instance()
    assert application is not None
    application.installEventFilter(seen)
    try:
        yield seen
    finally:
        application.removeEventFilter(seen)


@contextmanager
def pointer(qtbot: Any) -> Iterator[Pointer]:
    """Give the pointer for a test."""
    made = Pointer(qtbot)
    try:
        yield made
    finally:
        made.close()


def middle_of(widget: QWidget) -> QPoint:
    """Return where the middle of a widget is on the screen."""
    return widget.mapToGlobal(widget.rect().center())
