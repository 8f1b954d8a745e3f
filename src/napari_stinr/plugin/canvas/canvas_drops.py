"""Files dropped on the canvas that napari would take for bare numbers: volumes that this program wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt

from napari_stinr.plugin.canvas.written_volumes import split_written

if TYPE_CHECKING:
    from collections.abc import Callable


class CanvasDrops(QObject):
    """Takes such files before napari does; everything else is left to it.

    Parameters
    ----------
    canvas : QWidget
        What napari lets files be dropped on.
    open_files : callable
        Takes the paths.
    """

    def __init__(self, canvas: Any, open_files: Callable[[list[Path]], Any]) -> None:
        super().__init__(canvas)
        self._canvas, self._open_files = canvas, open_files
        canvas.installEventFilter(self)

    def close(self) -> None:
        """Let go of the canvas."""
        # A child that holds its parent keeps it alive: Python does not see that Qt holds the child.
        self._canvas.removeEventFilter(self)
        self._canvas = None
        self._open_files = lambda _: None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Open volumes of ours; whoever holds Shift or Alt asks napari to do something else with them."""
        if event.type() != QEvent.Type.Drop:
            return False
        drop: Any = event
        asked_otherwise = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier
        urls = drop.mimeData().urls()
        paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
        if len(paths) < len(urls) or not paths or drop.modifiers() & asked_otherwise or not split_written(paths)[0]:
            return False
        drop.acceptProposedAction()
        self._open_files(paths)
        return True
