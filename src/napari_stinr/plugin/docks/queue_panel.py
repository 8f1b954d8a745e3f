"""The queue on the page `Reconstruct`: what waits, what runs, what was reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_stinr.plugin.docks.run_files import ask_for_new_file
from napari_stinr.plugin.session.jobs_file import JOBS_FILTER, load_jobs, save_jobs
from napari_stinr.plugin.session.states import Action
from napari_stinr.training.jobs.queue import JobState

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page
    from napari_stinr.plugin.session.queue import Job

_SIGNS = {
    JobState.WAITING: "…",
    JobState.RUNNING: "▸",
    JobState.DONE: "✓",
    JobState.STOPPED: "■",
    JobState.FAILED: "✗",
}
_MOST_SEEDS = 20
_LINES = 4


class QueuePanel(QWidget):
    """Add the settings of now, once or with several seeds; start, remove, stop all."""

    title_changed = Signal(str)
    """What stands above the panel, also where it is folded."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page, self._binding, self._queue = page, page.binding, page.session.queue
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.add_button = page.button(
            "Add to queue", "Let a run with the settings of now wait.", self._on_add, Action.ADD_TO_QUEUE
        )
        self.seeds = QSpinBox(self)
        self.seeds.setRange(1, _MOST_SEEDS)
        self.seeds.setToolTip("So many runs, each with other random numbers: what they all show is no chance.")
        row = QHBoxLayout()
        row.addWidget(self.add_button, 1)
        row.addWidget(QLabel("Seeds", self))
        row.addWidget(self.seeds)
        row.addWidget(self._made_files_button())
        column.addLayout(row)
        self.list = _ShortList(self)
        self.list.setToolTip("Runs in the order in which they are done.")
        column.addWidget(self.list)
        self.start_button = page.button("Start queue", "Do what waits, one after the other.", self._on_start)
        self.remove_button = page.button("Remove", "Take the chosen run out of the list.", self._on_remove)
        self.stop_button = page.button(
            "Stop all", "End the run that is going on, keep what it has reached, and begin no other.", self._queue.stop
        )
        row = QHBoxLayout()
        for made in (self.start_button, self.remove_button, self.stop_button):
            row.addWidget(made)
        column.addLayout(row)
        self._queue.changed.connect(self.update_queue)
        self._binding.state_changed.connect(self.update_buttons)
        self.list.currentRowChanged.connect(self.update_buttons)
        self.update_queue()

    @property
    def title(self) -> str:
        """What stands above the panel, also where it is folded."""
        jobs = self._queue.jobs
        return f"Queue: {self._queue.n_waiting} of {len(jobs)} waiting" if jobs else "Queue"

    def update_queue(self) -> None:
        """Show the list as it is now."""
        jobs, row = self._queue.jobs, self.list.currentRow()
        names = {job.draft.name for job in jobs}
        self.list.blockSignals(True)
        self.list.clear()
        for job in jobs:
            self.list.addItem(_item(job, with_series=len(names) > 1))
        self.list.setCurrentRow(min(row, len(jobs) - 1))
        self.list.blockSignals(False)
        self.list.setVisible(bool(jobs))
        self.list.updateGeometry()
        self.title_changed.emit(self.title)
        self.update_buttons()

    def update_buttons(self, _: int = 0) -> None:
        """Enable what is possible now."""
        queue, session = self._queue, self._page.session
        for button in (self.start_button, self.remove_button, self.stop_button):
            button.setVisible(bool(queue.jobs))
        self.save_action.setEnabled(bool(queue.jobs))
        self.start_button.setEnabled(queue.n_waiting > 0 and not session.is_active)
        chosen = self._chosen()
        self.remove_button.setEnabled(chosen is not None and chosen.state is not JobState.RUNNING)
        self.stop_button.setEnabled(queue.is_running and not session.why_not(Action.STOP))

    def load(self, path: Path) -> None:
        """Add the jobs of a file, whose series are read in the background."""
        threads = self._page.session.threads
        self._binding.run(
            f"open {path.name}",
            lambda _: load_jobs(path, threads=threads),
            lambda jobs: self._queue.extend(*jobs),
            reads=path.name,
        )

    def save(self, path: Path) -> None:
        """Write the queue as a file of jobs; a StinrError says why that is not possible."""
        save_jobs(path, self._queue.jobs, known=self._page.session.known_pose)
        self._binding.said.emit(f"Saved as {path}. In a shell: stinr run {path.name}", False)

    def _made_files_button(self) -> QPushButton:
        self.files_button = QPushButton("File ▾", self)
        self.files_button.setToolTip("The queue as a file of jobs, which stinr run does without a window.")
        # The indicator of the style lies on the text.
        self.files_button.setStyleSheet("QPushButton::menu-indicator { image: none; width: 0px; }")
        menu = QMenu(self.files_button)
        self.load_action = menu.addAction("Load jobs…", self._on_load)
        self.save_action = menu.addAction("Save jobs…", self._on_save)
        self.files_button.setMenu(menu)
        return self.files_button

    def _on_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load jobs", "", f"{JOBS_FILTER};;All files (*)")
        if name:
            self.load(Path(name))

    def _on_save(self) -> None:
        path = ask_for_new_file(self, "Save the queue", JOBS_FILTER, ".yaml")
        if path is not None:
            self._binding.attempt(lambda: self.save(path))

    def _chosen(self) -> Job | None:
        row = self.list.currentRow()
        return self._queue.jobs[row] if 0 <= row < len(self._queue.jobs) else None

    def _on_add(self) -> None:
        self._binding.attempt(lambda: self._queue.add_chosen(n_seeds=self.seeds.value()))

    def _on_start(self) -> None:
        self._binding.attempt(self._queue.start)

    def _on_remove(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self._queue.remove(chosen)


class _ShortList(QListWidget):
    """A list as high as what is in it, to four lines; it scrolls beyond."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        lines = max(1, min(_LINES, self.count()))
        height = self.sizeHintForRow(0) if self.count() else self.fontMetrics().height()
        return QSize(200, lines * height + 2 * self.frameWidth() + 4)


def _item(job: Job, *, with_series: bool) -> QListWidgetItem:
    what = f"{job.draft.name}, {job.text}" if with_series else job.text
    item = QListWidgetItem(f"{_SIGNS[job.state]} {what}{': ' if job.remark else ''}{job.remark}")
    item.setToolTip(f"{job.draft.name}: {job.text}\n{job.state.capitalize()}. {job.remark}".strip())
    return item
