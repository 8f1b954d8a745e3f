"""The project of one viewer: saved and opened in the background, and saved by itself beside the checkpoints of runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from qtpy.QtCore import QObject, QTimer, Signal

from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import PROJECT_ENDING
from napari_stinr.plugin.canvas.telling import show_error, show_info, show_warning
from napari_stinr.plugin.canvas.view_state import ViewRestorer, view_state
from napari_stinr.plugin.session.autosave import AUTOSAVE_ENDING
from napari_stinr.plugin.session.failures import written_text
from napari_stinr.plugin.session.unsaved import Unsaved

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.project_reading import OpenedProject
    from napari_stinr.plugin.session.tasks import Task

logger = logging.getLogger(__name__)

_CALM = 2000
"""Time after the last change after which a project is saved by itself [ms]."""
_PAGE = "page"


class ProjectKeeper(QObject):
    """Saves and opens projects."""

    missing = Signal(object)
    """A project was opened (`OpenedProject`), and files of its series are not where they were."""

    saved = Signal(bool)
    """What a person has saved is on the disk, or could not be written."""

    def __init__(self, binding: Any) -> None:
        super().__init__(binding)
        self._binding = binding
        self.path: Path | None = None
        """The project that was saved or opened last by a person."""
        self.autosaved: Path | None = None
        """The one that was saved last by itself."""
        self._restorer = ViewRestorer(binding)
        self._dock: Any = lambda: None
        self._page = ""
        self._saving: Task[Any] | None = None
        self._saving_for_person: Task[Any] | None = None
        # How much had been changed when it was saved: what came later is not in it.
        self._n_changes, self._n_in_project, self._n_in_autosaved = 0, 0, 0
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(_CALM)
        self._calm.timeout.connect(self.autosave)
        binding.polled.connect(self._on_polled)
        binding.run_started.connect(self._restorer.forget)
        for changed in (binding.said, binding.draft_changed, binding.pose_changed, binding.reconstruction_changed):
            changed.connect(self._on_changed)

    def use_dock(self, dock: Any) -> None:
        """Let a dock tell which page is open, by `page`, and turn to it, by `show_page`."""
        self._dock = ref(dock)

    @property
    def is_busy(self) -> bool:
        """Whether a project is being brought back, so far that its view is still to come."""
        return self._restorer.is_waiting

    def save(self, path: Path) -> None:
        """Save all there is, with the runs, over a project that is there."""
        from napari_stinr.plugin.session.project import Project

        project, n_changes = Project.of(self._binding.session, self._view()), self._n_changes

        def ended(is_saved: bool) -> None:
            self._saving_for_person = None
            self.saved.emit(is_saved)

        def saved(_: Path) -> None:
            self.path, self._n_in_project = path, n_changes
            show_info(written_text(path, verb="Saved"))
            ended(True)

        def failed(problem: str) -> None:
            show_error(problem)
            ended(False)

        self._saving_for_person = self._binding.run(
            f"save {path.name}",
            lambda progress: project.save(path, progress=progress),
            saved,
            on_error=failed,
            on_cancelled=lambda: ended(False),
        )

    def ask_to_save(self) -> bool:
        """Save over the project that is there, or let the person choose where; tell whether that has begun."""
        dock = self._dock()
        if self.path is not None:
            self.save(self.path)
        elif dock is not None:
            dock.project_files.ask_for_target()
        return self._saving_for_person is not None

    def unsaved(self) -> Unsaved:
        """Return what is lost if the window closes now; what is to be saved by itself is saved before."""
        if self._calm.isActive() or self._saving is not None:
            self._calm.stop()
            self._autosave_at_once()
        is_kept = self.autosaved is not None and self._n_in_autosaved == self._n_changes
        is_changed = self.path is not None and self._n_in_project != self._n_changes
        if self.path is not None and not is_changed:
            return Unsaved()
        return Unsaved.of(
            self._binding.session,
            project=self.path if is_changed else None,
            autosaved=self.autosaved if is_kept else None,
        )

    def open(self, path: Path) -> None:
        """Open a project."""
        self._open(path)

    def find(self, incomplete: OpenedProject, folder: Path) -> None:
        """Open a project again whose series was not where it was, and look for that in a folder."""
        self._open(incomplete.path, look_in=folder, runs=incomplete.runs)

    def _open(self, path: Path, **known: Any) -> None:
        from napari_stinr.plugin.session.project_reading import open_project

        self._binding.run(
            f"open {path.name}",
            lambda progress: open_project(path, **known, progress=progress),
            self._on_opened,
            reads=path.name,
        )

    def autosave(self) -> None:
        """Save the project beside the checkpoint of the run, which it refers to; nothing where there is no such run."""
        from napari_stinr.plugin.session.project import Project

        path = self._autosave_path
        if path is None or self._saving is not None:
            return
        project, n_changes = Project.of(self._binding.session, self._view()), self._n_changes

        def saved(_: Path) -> None:
            self._saving, self.autosaved, self._n_in_autosaved = None, path, n_changes

        def failed(problem: str) -> None:
            # Nobody has asked for it, and the checkpoint is there.
            self._saving = None
            logger.warning("The project was not saved: %s", problem)

        self._saving = self._binding.run(
            f"save {path.name}",
            lambda progress: project.save(path, keep_runs=False, progress=progress),
            saved,
            on_error=failed,
            on_cancelled=lambda: failed("cancelled"),
            bar=False,
        )

    @property
    def _autosave_path(self) -> Path | None:
        checkpoint = self._binding.session.checkpoint
        if checkpoint is None or not checkpoint.name.endswith(AUTOSAVE_ENDING):
            return None
        return cast("Path", checkpoint.with_suffix(PROJECT_ENDING))

    def _autosave_at_once(self) -> None:
        from napari_stinr.plugin.session.project import Project

        path = self._autosave_path
        if path is None:
            return
        try:
            Project.of(self._binding.session, self._view()).save(path, keep_runs=False)
        except (StinrError, OSError) as error:
            logger.warning("The project was not saved: %s", error)
        else:
            self.autosaved, self._n_in_autosaved = path, self._n_changes

    def close(self) -> None:
        """Let go of the viewer."""
        self._calm.stop()
        self._restorer.forget()

    def _view(self) -> dict[str, Any]:
        dock = self._dock()
        return {**view_state(self._binding), _PAGE: self._page if dock is None else dock.page}

    def _on_opened(self, opened: OpenedProject) -> None:
        self._binding.attempt(lambda: self._give(opened))

    def _give(self, opened: OpenedProject) -> None:
        opened.give_to(self._binding.session)
        self.path = opened.path
        self._page = str(opened.view.get(_PAGE, ""))
        self._restorer.want(opened.view)
        for problem in opened.problems:
            show_warning(problem)
        self._n_in_project = self._n_changes
        # Also where nothing is: a dock may still ask for the files of the project before.
        self.missing.emit(opened)

    def _on_polled(self) -> None:
        if not self._restorer.is_waiting:
            return
        self._restorer.look()
        dock = self._dock()
        if not self._restorer.is_waiting and dock is not None and self._page in dock.pages:
            dock.show_page(self._page)

    def _on_changed(self, *_: Any) -> None:
        self._n_changes += 1
        if self._binding.session.checkpoint is not None:
            self._calm.start()
