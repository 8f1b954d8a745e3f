"""The part of `Explore` that writes files: always in sight, below what scrolls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_stinr.errors import StinrError
from napari_stinr.plugin.canvas.display import Shown
from napari_stinr.plugin.canvas.telling import show_error
from napari_stinr.plugin.docks.foot import Elided
from napari_stinr.plugin.session.exports import (
    FORMATS,
    Content,
    Export,
    check_format,
    contents_of,
    first_folder,
    suggested_name,
)
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.progress_bar import CalmProgressBar

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page

_MOST_TIMES = 1001
_OF_SHOWN = {Shown.CLEAN: Content.CLEAN, Shown.AT_T: Content.AT_T, Shown.CONTAMINATION: Content.CONTAMINATION}


class ExportPanel(QWidget):
    """What to export, in which format, with progress and cancel, and what was written."""

    def __init__(self, dock: Page) -> None:
        super().__init__(dock)
        self._dock = dock
        self._contents: tuple[Content, ...] = ()
        self._shows_running = False
        self._shown_file: Path | None = None
        self._make_inputs()
        self._make_buttons()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 2, 8, 2)
        column.setSpacing(4)
        line = QFrame(self)
        line.setFrameShape(QFrame.Shape.HLine)
        column.addWidget(line)
        column.addLayout(_row(self.content, self.file_format))
        column.addLayout(_row(self.times_label, self.n_times, self.button, self.bar, self.cancel_button))
        column.addWidget(self.result)
        self.content.currentIndexChanged.connect(self._on_content_changed)
        dock.binding.polled.connect(self._on_polled)
        dock.binding.reconstruction_changed.connect(self.update_contents)
        self.update_contents()
        self._show_running(False)
        self._show_written()

    def _make_inputs(self) -> None:
        self.content, self.file_format, self.n_times = QComboBox(self), QComboBox(self), QSpinBox(self)
        self.content.setToolTip("What to export. t is where the time slider stands.")
        self.file_format.addItems([kind.label for kind in FORMATS])
        self.file_format.setToolTip(
            "Format of the file. All of them keep the voxel size. OME-Zarr is a folder, for volumes larger than memory."
        )
        for box in (self.content, self.file_format):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.times_label = QLabel("Times", self)
        self.n_times.setRange(2, _MOST_TIMES)
        self.n_times.setValue(21)
        self.n_times.setToolTip("Volumes of a 4D series, evenly from the first projection to the last.")

    def _make_buttons(self) -> None:
        dock = self._dock
        self.button = dock.button("Export…", "Choose a file and write it.", self.ask_for_file, Action.EXPLORE)
        font = self.button.font()
        font.setBold(True)
        self.button.setFont(font)
        self.cancel_button = dock.button("Cancel", "Stop writing; no file is left.", self.cancel)
        self.bar = CalmProgressBar(self)
        self.result = QWidget(self)
        self.result_line = Elided(self.result)
        self.open_button = dock.button("Open result", "Show in the viewer what was written.", self.open_result)
        self.folder_button = dock.button("Folder", "Open the folder of what was written.", self.open_folder)
        row = QHBoxLayout(self.result)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.result_line, 1)
        row.addWidget(self.open_button)
        row.addWidget(self.folder_button)

    def update_contents(self) -> None:
        """Offer what there is of the reconstruction of the session."""
        contents = contents_of(self._dock.session.reconstruction)
        if contents == self._contents:
            return
        self._contents = contents
        with QSignalBlocker(self.content):
            self.content.clear()
            self.content.addItems([str(content) for content in contents])
        self._on_content_changed()

    def follow(self, shown: Shown) -> None:
        """Offer to export what a person has chosen to see."""
        content = _OF_SHOWN.get(shown)
        if content in self._contents:
            self.content.setCurrentText(str(content))

    def ask_for_file(self) -> None:
        """Let the person choose the file; Qt asks before one is replaced."""
        session = self._dock.session
        reconstruction = session.reconstruction
        if reconstruction is None:
            return
        kind, content = FORMATS[self.file_format.currentIndex()], Content(self.content.currentText())
        try:
            check_format(content, kind)
        except StinrError as error:
            show_error(str(error))
            return
        folder = first_folder(session.run_draft, self._dock.binding.exporter.written)
        dialog = QFileDialog(self, "Export", "" if folder is None else str(folder), f"{kind.name} (*{kind.ending})")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(kind.ending.lstrip("."))
        dialog.selectFile(suggested_name(reconstruction, content, self._dock.binding.slider.t, kind))
        if dialog.exec():
            self.export_to(Path(dialog.selectedFiles()[0]), may_replace=True)

    def export_to(self, path: Path, *, may_replace: bool = False) -> None:
        """Write what is chosen, in the background; `may_replace`: the person has agreed to that."""
        reconstruction = self._dock.session.reconstruction
        if reconstruction is None or self.is_running:
            return
        content = Content(self.content.currentText())
        export = Export(
            reconstruction,
            path,
            content=content,
            t=self._dock.binding.slider.t,
            n_times=self.n_times.value(),
            may_replace=may_replace,
        )
        self._dock.binding.exporter.start(export)
        self._on_polled()

    def cancel(self) -> None:
        """Stop writing."""
        task = self._dock.binding.exporter.task
        if task is not None:
            task.progress.cancel()
            self.cancel_button.setEnabled(False)

    def open_result(self) -> None:
        """Show in the viewer what was written last."""
        written = self._dock.binding.exporter.written
        if written is not None:
            self._dock.binding.open_files([written])

    def open_folder(self) -> None:
        """Open the folder of what was written last in the program that the system has for that."""
        written = self._dock.binding.exporter.written
        if written is not None and not QDesktopServices.openUrl(QUrl.fromLocalFile(str(written.parent))):
            show_error(f"No program opens folders here. The file is {written}")

    @property
    def is_running(self) -> bool:
        """Whether a file is being written."""
        return self._dock.binding.exporter.task is not None

    def _show_running(self, running: bool) -> None:
        self._shows_running = running
        self.bar.setVisible(running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(running)
        self.button.setVisible(not running)
        self.bar.setRange(0, 0)
        self._on_content_changed()

    def _show_written(self) -> None:
        self._shown_file = written = self._dock.binding.exporter.written
        self.result.setVisible(written is not None)
        if written is not None:
            self.result_line.set_text(written.name)
            self.result_line.setToolTip(f"Wrote {written}")

    def _on_polled(self) -> None:
        """Follow the export, also one that another panel has started."""
        exporter = self._dock.binding.exporter
        task = exporter.task
        if (task is not None) is not self._shows_running:
            self._show_running(task is not None)
        if task is not None and task.progress.total:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * task.progress.done / task.progress.total))
        if exporter.written != self._shown_file:
            self._show_written()

    def _on_content_changed(self, *_: Any) -> None:
        is_series = self.content.currentText() == Content.SERIES and not self._shows_running
        self.times_label.setVisible(is_series)
        self.n_times.setVisible(is_series)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, (QLabel, QSpinBox)) else 1)
    return row
