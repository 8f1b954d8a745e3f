"""What is seen on every page: what must be decided first, how far the training is, and Start, Pause, Stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout

from napari_stinr.pace import remaining_text
from napari_stinr.plugin.docks.base import Part
from napari_stinr.plugin.session.states import ACTIVE, Action, RunState
from napari_stinr.plugin.widgets.progress_bar import CalmProgressBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QResizeEvent

_STATE_TEXT = {
    RunState.READY: "Ready.",
    RunState.RUNNING: "Preparing…",
    RunState.PAUSED: "Paused.",
    RunState.STOPPING: "Stopping…",
    RunState.DONE: "Done.",
    RunState.FAILED: "Failed.",
}


class Foot(Part):
    """The fixed foot of the dock."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 6)
        column.setSpacing(4)
        line = QFrame(self)
        line.setFrameShape(QFrame.Shape.HLine)
        column.addWidget(line)
        self._cure: Callable[[], Any] | None = None
        self.warning = Elided(self)
        self.cure_button = self.button("", "", self._on_cure)
        self.cure_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout()
        row.addWidget(self.warning, 1)
        row.addWidget(self.cure_button)
        column.addLayout(row)
        self.status = Elided(self)
        column.addWidget(self.status)
        self.bar = CalmProgressBar(self)
        self.bar.setTextVisible(True)
        column.addWidget(self.bar)
        grid = QGridLayout()
        self.start = self.button("Start", "Train a new field on the tilt series.", self._on_start, Action.START)
        self.pause = self.button("Pause", "Wait after the current step.", self._on_pause, Action.PAUSE)
        self.stop = self.button("Stop", "End the training and keep what it has reached.", self._on_stop, Action.STOP)
        font = self.start.font()
        font.setBold(True)
        self.start.setFont(font)
        for place, made in enumerate((self.start, self.pause, self.stop)):
            grid.addWidget(made, 0, place)
        column.addLayout(grid)
        self.warn("", is_wrong=False)
        binding = self.binding
        binding.state_changed.connect(self.update_state)
        binding.draft_changed.connect(self.update_state)
        binding.run_started.connect(self.update_state)
        binding.preparing.connect(self.update_progress)
        binding.reported.connect(self.update_progress)
        self.update_buttons()
        self.update_state()

    def warn(self, text: str, *, is_wrong: bool, cure: tuple[str, Callable[[], Any]] | None = None) -> None:
        """Show the most important warning with the button that cures it; "" for none."""
        self.warning.setVisible(bool(text))
        self.warning.set_text(f"{'✗' if is_wrong else '!'} {text}" if text else "")
        colour = self.colours.error if is_wrong else self.colours.warning
        self.warning.setStyleSheet(f"QLabel {{ color: {colour}; }}")
        label, self._cure = ("", None) if cure is None else cure
        self.cure_button.setText(label)
        self.cure_button.setVisible(bool(text) and cure is not None)

    def update_state(self) -> None:
        """Show the state of the session."""
        session = self.session
        if session.state is RunState.PAUSED:
            self.set_action(self.pause, "Go on", "Go on with the training.", Action.GO_ON)
        else:
            self.set_action(self.pause, "Pause", "Wait after the current step.", Action.PAUSE)
        if session.state is RunState.FAILED:
            self.status.setStyleSheet(f"QLabel {{ color: {self.colours.error}; }}")
            self.status.set_text(f"✗ {session.failure}")
        else:
            self.status.setStyleSheet("")
            self.update_progress()
        self.bar.setVisible(session.is_active or session.log.last is not None)

    def update_progress(self, _: object = None) -> None:
        """Show how far the training is."""
        session, last = self.session, self.session.log.last
        if session.state is RunState.EMPTY:
            self.bar.setRange(0, 1)
            self._move_bar(0)
            self.status.set_text("" if session.draft is None else "Not ready.")
            return
        if last is None:
            self._show_preparation()
            return
        self.bar.setRange(0, last.n_steps)
        self._move_bar(last.step)
        self.bar.setFormat(f"{100 * last.step / last.n_steps:.0f} %")
        state = "" if session.state is RunState.RUNNING else f"{_STATE_TEXT[session.state]} "
        progress = session.log.text(is_running=session.state in ACTIVE)
        self.status.set_text(f"{state}{progress[:1].upper()}{progress[1:]}")

    def _show_preparation(self) -> None:
        session, part = self.session, self.session.aligned_part
        is_aligning = part is not None and session.state is RunState.RUNNING
        # To and fro while data and kernels are prepared.
        self.bar.setRange(0, 100 if is_aligning else 0 if session.is_active else 1)
        self._move_bar(round(100 * part) if is_aligning and part is not None else 0)
        self.bar.setFormat("%p %")
        left = remaining_text(session.log.remaining) if is_aligning else ""
        aligning = f"{left} in all, aligning the projections…" if left else "Aligning the projections…"
        self.status.set_text(aligning if is_aligning else _STATE_TEXT[session.state])

    def _move_bar(self, value: int) -> None:
        # Else Qt draws the whole window at once, before anything else is done.
        self.bar.setUpdatesEnabled(False)
        self.bar.setValue(value)
        self.bar.setUpdatesEnabled(True)

    def _on_cure(self) -> None:
        if self._cure is not None:
            self._cure()

    def _on_start(self) -> None:
        self.binding.attempt(self.session.start)

    def _on_pause(self) -> None:
        session = self.session
        self.binding.attempt(session.go_on if session.state is RunState.PAUSED else session.pause)

    def _on_stop(self) -> None:
        self.binding.attempt(self.session.stop)


class Elided(QLabel):
    """One line of text; where it is longer than there is room, its tip has the whole."""

    def __init__(self, parent: Part) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def whole(self) -> str:
        """The text, whether there is room for it or not."""
        return self._whole

    def set_text(self, text: str) -> None:
        """Show a text."""
        self._whole = text
        self.setToolTip(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        """Show as much as there is room for now."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, max(40, self.width() - 4)))
