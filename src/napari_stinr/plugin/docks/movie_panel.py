"""The part of `Explore` that makes movies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
)

from napari_stinr.errors import StinrError
from napari_stinr.io.output.movies import MOVIE_ENDINGS, ffmpeg
from napari_stinr.plugin.canvas.telling import show_error
from napari_stinr.plugin.docks.base import text_label
from napari_stinr.plugin.session.exports import first_folder
from napari_stinr.plugin.session.movies import KeyFrame, Movie
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.folding import Folding
from napari_stinr.plugin.widgets.progress_bar import CalmProgressBar

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page

_LONGEST, _FRAMES_PER_SECOND = 120.0, 20.0
_NAMES = {".mp4": "MP4", ".gif": "GIF"}
_NOW = "From the first time to the last, as the canvas is now."


class MoviePanel(Folding):
    """Key frames, length, format; make, progress, cancel."""

    def __init__(self, page: Page) -> None:
        super().__init__("Movie", page)
        self._page, self.maker = page, page.binding.movies
        self.start = page.button("Set start", "Begin with the time and the view of now.", self.maker.set_start)
        self.end = page.button("Set end", "End with the time and the view of now.", self.maker.set_end)
        self.forget = page.button("Reset", _NOW, self.maker.forget_frames)
        self.frames_line = text_label(page)
        self.seconds, self.turn = QDoubleSpinBox(page), QSpinBox(page)
        self.seconds.setRange(0.5, _LONGEST)
        self.seconds.setDecimals(1)
        self.seconds.setValue(6.0)
        self.seconds.setSuffix(" s")
        self.seconds.setToolTip(f"How long it plays, with {_FRAMES_PER_SECOND:g} frames per second.")
        self.turn.setRange(-3600, 3600)
        self.turn.setSingleStep(90)
        self.turn.setSuffix("°")
        self.turn.setToolTip("Turn the specimen meanwhile, in 3D: 360 is once around. Key frames cannot say that.")
        self.back = QCheckBox("and back", page)
        self.back.setToolTip("To the end in half of the time, and back to the start.")
        self.file_format = QComboBox(page)
        self.file_format.addItems([_NAMES[ending] for ending in MOVIE_ENDINGS])
        self.file_format.setToolTip("MP4 plays everywhere. GIF is for web pages; it is at most 640 pixels wide.")
        self.make_button = page.button(
            "Make movie…", "Choose a file, and film the canvas as it is.", self.ask_for_file, Action.EXPLORE
        )
        self.cancel_button = page.button("Cancel", "Stop filming; no file is left.", self.maker.cancel)
        self.bar = CalmProgressBar(page)
        self._lay_out()
        # A widget that is hidden at once must have its place in the layout first.
        self.maker.changed.connect(self.update_state)
        self.update_state()

    def ask_for_file(self) -> None:
        """Let the person choose the file; Qt asks before one is replaced."""
        session = self._page.session
        ending = MOVIE_ENDINGS[self.file_format.currentIndex()]
        try:
            ffmpeg()
        except StinrError as error:
            show_error(str(error))
            return
        folder = first_folder(session.run_draft, self.maker.written or self._page.binding.exporter.written)
        dialog = QFileDialog(self._page, "Make a movie", "" if folder is None else str(folder), f"Movie (*{ending})")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(ending.lstrip("."))
        dialog.selectFile(f"{self._stem()}{ending}")
        if dialog.exec():
            self.make(Path(dialog.selectedFiles()[0]))

    def make(self, path: Path) -> None:
        """Make the movie that is chosen, in the background."""
        self._page.binding.player.stop()
        self._page.binding.attempt(lambda: self.maker.make(self.movie(), path))

    def movie(self) -> Movie:
        """Return the movie that is chosen."""
        start, end = self._key_frames()
        return Movie(
            start,
            end,
            seconds=self.seconds.value(),
            frames_per_second=_FRAMES_PER_SECOND,
            turn=float(self.turn.value()),
            there_and_back=self.back.isChecked(),
        )

    def update_state(self) -> None:
        """Show the key frames, and how far the movie is."""
        maker = self.maker
        if maker.start_frame is None and maker.end_frame is None:
            self.frames_line.setText(_NOW)
        else:
            axis = self._page.binding.slider.axis
            start, end = self._key_frames()
            self.frames_line.setText(f"From {axis.text(start.t)} to {axis.text(end.t)}.")
        self.forget.setEnabled(maker.start_frame is not None or maker.end_frame is not None)
        for widget in (self.bar, self.cancel_button):
            widget.setVisible(maker.is_running)
        for widget in (self.make_button, self.back):
            widget.setVisible(not maker.is_running)
        done, total = maker.progress
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)

    def _key_frames(self) -> tuple[KeyFrame, KeyFrame]:
        now, maker = self.maker.view(), self.maker
        return maker.start_frame or replace(now, t=0.0), maker.end_frame or replace(now, t=1.0)

    def _stem(self) -> str:
        reconstruction = self._page.session.reconstruction
        name = "movie" if reconstruction is None else reconstruction.provenance.get("series", "movie")
        return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)

    def _lay_out(self) -> None:
        page = self._page
        frames, length, making = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for row, *widgets in (
            (frames, self.start, self.end, self.forget),
            (length, QLabel("Length", page), self.seconds, QLabel("Turn", page), self.turn),
            (making, self.file_format, self.back, self.make_button, self.bar, self.cancel_button),
        ):
            for widget in widgets:
                is_text = isinstance(widget, (QLabel, QCheckBox))
                if not is_text:
                    # The dock is narrow, and none of them needs its longest text.
                    widget.setSizePolicy(QSizePolicy.Policy.Ignored, widget.sizePolicy().verticalPolicy())
                row.addWidget(widget, 0 if is_text else 2 if widget in (self.make_button, self.bar) else 1)
        column = self.content().layout()
        column.addLayout(frames)
        column.addWidget(self.frames_line)
        column.addLayout(length)
        column.addLayout(making)
