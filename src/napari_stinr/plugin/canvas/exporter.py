"""Writes files in the background, one at a time; no dock needs to stay open for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_stinr.plugin.canvas.telling import show_error, show_info
from napari_stinr.plugin.session.failures import written_text

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.canvas.background import BackgroundTasks
    from napari_stinr.plugin.session.exports import Export
    from napari_stinr.plugin.session.tasks import Task


class Exporter:
    """The export of one viewer."""

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._tasks = tasks
        self.task: Task[Any] | None = None
        self.written: Path | None = None
        """The file that was written last."""

    def start(self, export: Export) -> None:
        """Write a file; while another one is being written, nothing happens."""
        if self.task is None:
            self.task = self._tasks.run(
                f"export {export.path.name}",
                export.write,
                self._on_written,
                on_error=self._on_failed,
                on_cancelled=self._on_ended,
            )

    def _on_written(self, path: Path) -> None:
        self.written = path
        self._on_ended()
        show_info(written_text(path))

    def _on_failed(self, problem: str) -> None:
        self._on_ended()
        show_error(problem)

    def _on_ended(self) -> None:
        self.task = None
