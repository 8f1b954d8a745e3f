"""The part of `Reconstruct` about files of runs, and what was noticed about the one that is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QWidget

from napari_stinr.plugin.docks.base import text_label
from napari_stinr.plugin.session.states import Action

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page


class RunFiles(QWidget):
    """Resume from file, Save run; what was saved where."""

    resume_pressed = Signal()
    save_pressed = Signal()

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page, self._session = page, page.session
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.resume = page.button(
            "Resume from file…",
            "Go on with a saved run of this tilt series.",
            self.resume_pressed,
            Action.RESUME_FROM_FILE,
        )
        self.save = page.button(
            "Save run…",
            "Save the reconstruction, to be resumed or explored later.",
            self.save_pressed,
            Action.SAVE_RUN,
        )
        grid.addWidget(self.resume, 0, 0)
        grid.addWidget(self.save, 0, 1)
        self.saved = text_label(self)
        grid.addWidget(self.saved, 1, 0, 1, 2)
        self.notes = text_label(self)
        self.notes.setTextFormat(Qt.TextFormat.PlainText)
        self.notes.setToolTip("What was done to the projections before the training, and what was noticed.")
        grid.addWidget(self.notes, 2, 0, 1, 2)
        self.saved.hide()
        self.update_notes()
        if self._session.last_said is not None:
            self.say(*self._session.last_said)

    def update_notes(self) -> None:
        """Show what was done to the projections, and noticed."""
        self.notes.setText("\n".join(f"· {note}" for note in self._session.run_notes))
        self.notes.setVisible(bool(self._session.run_notes))

    def say(self, text: str, is_problem: bool) -> None:
        """Show where the run was saved, or why it was not."""
        self.saved.show()
        self.saved.setToolTip(text)
        if is_problem:
            self._page.verdict(self.saved, text, False)
        else:
            self.saved.setStyleSheet("")
            # A path has no blanks to break at.
            metrics, width = self.saved.fontMetrics(), max(200, self.saved.width() - 8)
            self.saved.setText(metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width))


def ask_for_new_file(parent: QWidget, title: str, file_filter: str, ending: str) -> Path | None:
    """Let a person choose a file to write; Qt asks before one is replaced, also where it adds the ending."""
    dialog = QFileDialog(parent, title, "", file_filter)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(ending.lstrip("."))
    return Path(dialog.selectedFiles()[0]) if dialog.exec() else None
