"""A field that takes files which are dropped on it, instead of their names as text."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from qtpy.QtWidgets import QLineEdit, QWidget


class FileDrop(QObject):
    """Takes the files that are dropped on a widget.

    Parameters
    ----------
    target : QWidget
        Where they may be dropped.
    """

    dropped = Signal(list)
    """Paths of the files."""

    def __init__(self, target: QWidget) -> None:
        super().__init__(target)
        target.setAcceptDrops(True)
        target.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Take files before the widget reads their names as text."""
        if not isinstance(event, (QDragEnterEvent, QDragMoveEvent, QDropEvent)):
            return False
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if not paths:
            return False
        event.acceptProposedAction()
        # The type tells: a drop is the base of the others.
        if event.type() == QEvent.Type.Drop:
            self.dropped.emit(paths)
        return True


def leave_drops_to_parents(root: QWidget) -> None:
    """Let what is dropped on a field of text below a widget go to the widgets around it, but where files are taken."""
    for field in root.findChildren(QLineEdit):
        if field.findChild(FileDrop) is None:
            field.setAcceptDrops(False)
