"""Projects by menu: choose where one is saved, which one is opened, and where files are that were moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_stinr.io.output.targets import PROJECT_ENDING
from napari_stinr.plugin.canvas.dock_opener import open_dock
from napari_stinr.plugin.session.exports import first_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_stinr.plugin.canvas.binding import ViewerBinding
    from napari_stinr.plugin.session.project_reading import OpenedProject

_FILTER = f"STINR project (*{PROJECT_ENDING})"


def save_project() -> None:
    """Let the person choose where the project of the current viewer is saved."""
    dock = _dock()
    if dock is not None:
        dock.project_files.ask_for_target()


def open_project() -> None:
    """Let the person choose a project to open in the current viewer."""
    dock = _dock()
    if dock is not None:
        dock.project_files.ask_for_project()


class ProjectFiles(QObject):
    """What a dock asks about projects.

    Parameters
    ----------
    dock : QWidget
        The dock.
    binding : ViewerBinding
        Of its viewer.
    """

    changed = Signal()
    """Files are missing, or are no longer."""

    def __init__(self, dock: QWidget, binding: ViewerBinding) -> None:
        super().__init__(dock)
        self._dock, self._binding = dock, binding
        self._incomplete: OpenedProject | None = None
        binding.project.missing.connect(self._on_missing)
        binding.draft_changed.connect(self._on_draft_changed)

    @property
    def warning(self) -> tuple[str, tuple[str, Callable[[], Any]]] | None:
        """What is missing, with the text and the deed of a button that cures it; None where nothing is."""
        if self._incomplete is None:
            return None
        first, *others = self._incomplete.missing
        more = f" and {len(others)} more" if others else ""
        return f"{first}{more} is not where it was when {self._incomplete.path.name} was saved.", ("Find…", self.find)

    def ask_for_target(self) -> None:
        """Let the person choose the file; Qt asks before one is replaced."""
        session, kept = self._binding.session, self._binding.project.path
        folder = first_folder(session.draft, kept)
        dialog = QFileDialog(self._dock, "Save the project", "" if folder is None else str(folder), _FILTER)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(PROJECT_ENDING.lstrip("."))
        name = "project" if session.draft is None else session.draft.name
        stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
        dialog.selectFile(f"{stem}{PROJECT_ENDING}" if kept is None else str(kept))
        if dialog.exec():
            self._binding.project.save(Path(dialog.selectedFiles()[0]))

    def ask_for_project(self) -> None:
        """Let the person choose a project."""
        name, _ = QFileDialog.getOpenFileName(self._dock, "Open a project", "", f"{_FILTER};;All files (*)")
        if name:
            self._binding.open_files([Path(name)])

    def find(self) -> None:
        """Let the person say where the files of the series are now."""
        incomplete = self._incomplete
        if incomplete is None:
            return
        title = f"Where is {incomplete.missing[0]}?"
        folder = QFileDialog.getExistingDirectory(self._dock, title, str(incomplete.path.parent))
        if folder:
            self._binding.project.find(incomplete, Path(folder))

    def _on_missing(self, opened: OpenedProject) -> None:
        self._incomplete = opened if opened.missing else None
        self.changed.emit()

    def _on_draft_changed(self) -> None:
        if self._incomplete is not None and self._binding.session.draft is not None:
            self._incomplete = None
            self.changed.emit()


def _dock() -> Any:
    from napari import current_viewer

    viewer = current_viewer()
    return None if viewer is None else open_dock(viewer)
