"""The part of `Explore` that writes files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QGroupBox, QHBoxLayout, QProgressBar, QSpinBox

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.exports import FORMATS, Content, Export, check_format, suggested_name
from napari_stinr.plugin.session.states import Action

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page

_MOST_TIMES = 1001


class ExportPanel(QGroupBox):
    """What to export, in which format, with progress and cancel."""

    def __init__(self, dock: Page) -> None:
        super().__init__("Export", dock)
        self._dock = dock
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.content = QComboBox(self)
        self.content.addItems([str(content) for content in Content])
        self.content.setToolTip("t is where the time slider stands.")
        self.file_format = QComboBox(self)
        self.file_format.addItems([f"{kind.name} ({kind.ending})" for kind in FORMATS])
        self.file_format.setToolTip("All of them keep the voxel size.")
        self.n_times = QSpinBox(self)
        self.n_times.setRange(2, _MOST_TIMES)
        self.n_times.setValue(21)
        self.n_times.setToolTip("Volumes of a 4D series, evenly from the first projection to the last.")
        form.addRow("What", self.content)
        form.addRow("Format", self.file_format)
        form.addRow("Times", self.n_times)
        self.button = dock.button("Export…", "Choose a file and write it.", self.ask_for_file, Action.EXPLORE)
        self.cancel_button = dock.button("Cancel", "Stop writing; no file is left.", self.cancel)
        row = QHBoxLayout()
        row.addWidget(self.button, 1)
        row.addWidget(self.cancel_button)
        form.addRow(row)
        self.bar = QProgressBar(self)
        form.addRow(self.bar)
        self.content.currentIndexChanged.connect(self._on_content_changed)
        dock.binding.polled.connect(self._on_polled)
        self._on_content_changed()
        self._show_running(False)

    def ask_for_file(self) -> None:
        """Let the person choose the file; Qt asks before one is replaced."""
        reconstruction = self._dock.session.reconstruction
        if reconstruction is None:
            return
        kind, content = FORMATS[self.file_format.currentIndex()], Content(self.content.currentText())
        try:
            check_format(content, kind)
        except StinrError as error:
            show_error(str(error))
            return
        dialog = QFileDialog(self, "Export", "", f"{kind.name} (*{kind.ending})")
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

    def _on_polled(self) -> None:
        """Follow the export, also one that another panel has started."""
        task = self._dock.binding.exporter.task
        if (task is not None) is not self._shows_running:
            self._show_running(task is not None)
        if task is not None and task.progress.total:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * task.progress.done / task.progress.total))

    def _on_content_changed(self, *_: Any) -> None:
        self.n_times.setEnabled(self.content.currentText() == Content.SERIES)
