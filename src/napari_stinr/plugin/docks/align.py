"""The page `Align`: find how the projections were shifted and turned, and see what that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel

from napari_stinr.plugin.docks.align_files import PoseFilesPanel
from napari_stinr.plugin.docks.align_hand import HandPanel
from napari_stinr.plugin.docks.base import Page, text_label
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.align_plots import AlignmentPlots
from napari_stinr.plugin.widgets.folding import Folding
from napari_stinr.plugin.widgets.progress_bar import CalmProgressBar

if TYPE_CHECKING:
    from qtpy.QtGui import QHideEvent

    from napari_stinr.plugin.session.alignment_run import PoseLook
    from napari_stinr.plugin.widgets.theme import ThemeColours

_BEFORE_START = (
    "Start looks for the pose itself where none is known here. coarse: shifts and tilt axis; joint, with the quality "
    "High: tilt angles, too. Off: the projections are taken as they lie."
)


class AlignPage(Page):
    """Align the projections, by a button, from a file or by hand."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.aligner = self.binding.aligner
        self._shown: tuple[PoseLook | None, bool] = None, False
        self._fill_column()
        self._connect()
        self.set_colours(self.colours)
        self.update_buttons()
        self.update_page()
        self._has_missed = True

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if hasattr(self, "plots"):
            self.plots.set_colours(colours)
            self.hand.set_colours(colours)
            self._update_texts()

    def catch_up(self) -> None:
        """Compare the projections as they are now, and show that."""
        self.aligner.look_again()
        self.update_page()

    def hideEvent(self, event: QHideEvent) -> None:  # Qt's name
        """End what is done by hand: on another page, arrow keys are napari's again."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.binding.by_hand.end()

    def update_page(self) -> None:
        """Show what is known of the pose now."""
        task = self.aligner.task
        self.align_button.setVisible(task is None)
        self.stop_button.setVisible(task is not None)
        self.stop_button.setEnabled(task is not None and not task.progress.is_cancelled)
        self.stop_button.setText("Stop" if task is None or not task.progress.is_cancelled else "Stopping…")
        self.bar.setVisible(task is not None)
        with QSignalBlocker(self.before_start):
            self.before_start.setChecked(self.session.aligns_first)
        self.files.update_buttons()
        self.hand.update_panel()
        self._update_undo()
        self._update_texts()
        self._update_plots()

    def update_buttons(self) -> None:
        """Enable what is possible now."""
        super().update_buttons()
        if hasattr(self, "stop_button") and self.is_seen():
            self.update_page()

    def _fill_column(self) -> None:
        tip = "Find how the projections were shifted, and where the tilt axis lies. Takes seconds to minutes."
        self.align_button = self.button("Align", tip, self.aligner.align, Action.ALIGN)
        font = self.align_button.font()
        font.setBold(True)
        self.align_button.setFont(font)
        self.align_button.setMinimumHeight(34)
        self.stop_button = self.button("Stop", "End the search; nothing is changed by it.", self.aligner.stop)
        self.stop_button.setMinimumHeight(34)
        self.undo_button = self.button("Undo", "", self._on_undo)
        self.undo_button.setMinimumHeight(34)
        row = QHBoxLayout()
        row.addWidget(self.align_button, 1)
        row.addWidget(self.stop_button, 1)
        row.addWidget(self.undo_button)
        self.column.addLayout(row)
        self.bar = CalmProgressBar(self)
        self.bar.setRange(0, 0)
        self.column.addWidget(self.bar)
        self.before_start = QCheckBox("Align before Start", self)
        self.before_start.setToolTip(_BEFORE_START)
        self.gate(self.before_start, Action.EDIT_SETTINGS)
        self.column.addWidget(self.before_start)
        self.start_line, self.found, self.warnings = (text_label(self) for _ in range(3))
        for label in (self.start_line, self.found, self.warnings):
            self.column.addWidget(label)
        self.plots = AlignmentPlots(self)
        self.column.addWidget(self.plots)
        by_hand = Folding("By hand", self, is_folded=False)
        self.hand = HandPanel(self)
        by_hand.addWidget(self.hand)
        self.column.addWidget(by_hand)
        folding = Folding("Files and other channels", self, is_folded=False)
        self.files = PoseFilesPanel(self)
        folding.addWidget(self.files)
        self.column.addWidget(folding)
        self.column.addStretch(1)

    def _connect(self) -> None:
        binding = self.binding
        self.before_start.toggled.connect(lambda on: binding.attempt(lambda: self.session.align_first(on)))
        self.aligner.changed.connect(self._on_changed)
        # A new series turns the dock to the page Series; who gives it a pose here stays here.
        self.aligner.series_swapped.connect(self._on_series_swapped)
        binding.config_changed.connect(self._on_changed)
        binding.draft_changed.connect(self._on_changed)
        binding.polled.connect(self._follow)

    def _on_undo(self) -> None:
        self.binding.attempt(self.aligner.undo)

    def _on_series_swapped(self) -> None:
        self.page_wanted.emit("Align")

    def _on_changed(self) -> None:
        if self.is_seen():
            self.catch_up()

    def _follow(self) -> None:
        """Follow the search for a pose."""
        task = self.aligner.task
        if task is not None and task.progress.total:
            self.bar.setRange(0, 100)
            self.bar.setValue(round(100 * task.progress.done / task.progress.total))
        elif self.bar.maximum():
            self.bar.setRange(0, 0)

    def _update_undo(self) -> None:
        act, busy = self.aligner.history.newest, self.session.why_not(Action.EDIT_SERIES)
        reason = busy or ("" if act is not None else "Nothing was done here yet.")
        self.undo_button.setEnabled(not reason and self.aligner.task is None)
        self.undo_button.setToolTip(reason or f"Take back: {'' if act is None else act.title}.")

    def _update_texts(self) -> None:
        colour, text = self._what_start_does()
        self.start_line.setStyleSheet(f"QLabel {{ color: {colour}; }}" if colour else "")
        self.start_line.setText(text)
        self.start_line.setVisible(bool(text))
        known, look = self.aligner.known, self.aligner.look
        self.found.setText("" if known is None else "\n".join(known.describe()))
        self.found.setVisible(known is not None)
        warnings = [] if known is None else list(known.warnings)
        if look is not None and look.warning and self.aligner.task is None:
            warnings.append(look.warning)
        if self.aligner.problem:
            warnings.append(self.aligner.problem)
        self._warn(self.warnings, warnings)

    def _what_start_does(self) -> tuple[str, str]:
        """Return a colour, and in words what a training does that begins now."""
        session, colours = self.session, self.colours
        if session.draft is None:
            return "", "There is no tilt series yet: open one on the page Series."
        if session.draft.problem:
            return colours.error, f"✗ {session.draft.problem}"
        if self.aligner.task is not None:
            return "", f"Aligning the projections ({session.method})…"
        if session.is_active:
            return "", "A training is in progress."
        known = self.aligner.known
        if not session.aligns_first:
            unused = "" if known is None else ", and this pose is not used"
            return colours.warning, f"! Start takes the projections as they lie{unused}."
        if known is not None:
            return colours.success, "✓ Start takes this pose and does not align again."
        if session.known_pose is not None:
            return colours.warning, "! The series was changed since it was aligned: Start aligns it again."
        return "", f"Start aligns the projections first ({session.method})."

    def _warn(self, label: QLabel, warnings: list[str]) -> None:
        label.setStyleSheet(f"QLabel {{ color: {self.colours.warning}; }}")
        label.setText("\n".join(f"! {text}" for text in dict.fromkeys(warnings)))
        label.setVisible(bool(warnings))

    def _update_plots(self) -> None:
        look, is_known = self.aligner.look, self.aligner.known is not None
        if (look, is_known) == self._shown:
            if look is None:
                self.plots.set_empty_text(
                    "Comparing the projections…" if self.aligner.is_looking else "Nothing was compared yet"
                )
            return
        self._shown = look, is_known
        if look is None:
            # The last ones stay until there are others of the same series.
            if self.aligner.view is None:
                self.plots.clear()
            return
        angles = look.angles
        self.plots.set_shifts(angles, look.shifts(aligned=False), look.shifts(aligned=True) if is_known else None)
        self.plots.set_correlations(
            angles, look.correlation(aligned=False), look.correlation(aligned=True) if is_known else None
        )
        self.plots.set_sinograms(
            angles, look.sinogram(aligned=False), look.sinogram(aligned=True) if is_known else None
        )
