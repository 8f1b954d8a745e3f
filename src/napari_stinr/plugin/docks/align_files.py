"""The part of `Align` about files: load and save a pose, and give it to another channel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QPushButton, QWidget

from napari_stinr.plugin.session.alignment_files import POSE_FILTER, STACK_FILTER
from napari_stinr.plugin.session.file_filters import series_filter
from napari_stinr.plugin.session.states import Action

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page

_NO_POSE = "There is no pose of this series yet: press Align, or load one."
_HIDDEN = QFileDialog.Option.HideNameFilterDetails


class PoseFilesPanel(QWidget):
    """Load, Save, and another channel."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page, self._aligner = page, page.binding.aligner
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.load_button = page.button(
            "Load…", "Take the pose from a file: .yaml, .xf (IMOD) or .aln (AreTomo).", self.ask_for_pose, Action.ALIGN
        )
        self._tips = {
            self._needs_pose("Save…", self.ask_for_target): "Write the pose: .yaml, .xf (IMOD) or .aln (AreTomo).",
            self._needs_pose("Write…", self.ask_for_channel): "Choose a stack that was recorded together with "
            "this one, and write it as an aligned stack with the same pose.",
            self._needs_pose("Open…", self.ask_for_series): "Choose a stack that was recorded together with "
            "this one: it becomes the tilt series, with the same angles, times and pose.",
        }
        self.save_button, self.write_button, self.open_button = self._tips
        grid.addWidget(QLabel("Pose", self), 0, 0)
        grid.addWidget(self.load_button, 0, 1)
        grid.addWidget(self.save_button, 0, 2)
        grid.addWidget(QLabel("Other channel", self), 1, 0)
        grid.addWidget(self.write_button, 1, 1)
        grid.addWidget(self.open_button, 1, 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(2, 1)
        self.update_buttons()

    def update_buttons(self) -> None:
        """Enable what is possible now, and say why the rest is not."""
        busy = self._page.session.why_not(Action.EDIT_SERIES)
        reason = busy or ("" if self._aligner.known is not None else _NO_POSE)
        for button, tip in self._tips.items():
            button.setEnabled(not reason)
            button.setToolTip(reason or tip)

    def ask_for_pose(self) -> None:
        """Let the person choose a pose."""
        name, _ = QFileDialog.getOpenFileName(self, "Load a pose", self._folder(), POSE_FILTER, options=_HIDDEN)
        if name:
            self._aligner.files.load(Path(name))

    def ask_for_target(self) -> None:
        """Let the person choose where the pose is saved."""
        path = self._new_file("Save the pose", POSE_FILTER, "yaml", f"{self._stem()}_pose.yaml")
        if path is not None:
            self._page.binding.attempt(lambda: self._aligner.files.save(path))

    def ask_for_channel(self) -> None:
        """Let the person choose another channel, and where it is written once it is aligned."""
        channel = self._channel()
        if channel is None:
            return
        out = self._new_file("Write the aligned stack", STACK_FILTER, "mrc", f"{channel.stem}_aligned.mrc")
        if out is not None:
            self._aligner.files.write_channel(channel, out)

    def ask_for_series(self) -> None:
        """Let the person choose another channel to be the tilt series."""
        channel = self._channel()
        if channel is not None:
            self._aligner.files.open_channel(channel)

    def _channel(self) -> Path | None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Choose the other channel", self._folder(), series_filter(), options=_HIDDEN
        )
        return Path(name) if name else None

    def _new_file(self, title: str, filters: str, ending: str, name: str) -> Path | None:
        """Let the person choose a file to write; Qt asks before one is replaced, also where it adds the ending."""
        dialog = QFileDialog(self, title, self._folder(), filters)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(ending)
        dialog.selectFile(name)
        return Path(dialog.selectedFiles()[0]) if dialog.exec() else None

    def _needs_pose(self, text: str, pressed: object) -> QPushButton:
        return self._page.button(text, "", pressed)

    def _folder(self) -> str:
        draft = self._page.session.draft
        return "" if draft is None or draft.path is None else str(draft.path.parent)

    def _stem(self) -> str:
        draft = self._page.session.draft
        return "series" if draft is None else draft.path.stem if draft.path is not None else draft.name
