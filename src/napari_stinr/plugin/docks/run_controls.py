"""The buttons, the bar and the lines that tell how a training is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QProgressBar, QWidget

from napari_stinr.pace import remaining_text
from napari_stinr.plugin.docks.base import text_label
from napari_stinr.plugin.session.states import ACTIVE, Action, RunState

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Dock

_STATE_TEXT = {
    RunState.READY: "Ready.",
    RunState.RUNNING: "Preparing…",
    RunState.PAUSED: "Paused.",
    RunState.STOPPING: "Stopping…",
    RunState.DONE: "Done.",
    RunState.FAILED: "Failed.",
}


class RunControls(QWidget):
    """Start, Pause, Stop, Resume from file; progress; what was saved where."""

    start_pressed = Signal()
    pause_pressed = Signal()
    stop_pressed = Signal()
    resume_pressed = Signal()
    save_pressed = Signal()

    def __init__(self, dock: Dock) -> None:
        super().__init__(dock)
        self._dock, self._session = dock, dock.session
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.start = dock.button("Start", "Train a new field on the tilt series.", self.start_pressed, Action.START)
        self.pause = dock.button("Pause", "Wait after the current step.", self.pause_pressed, Action.PAUSE)
        self.stop = dock.button(
            "Stop", "End the training and keep what it has reached.", self.stop_pressed, Action.STOP
        )
        self.resume = dock.button(
            "Resume from file…",
            "Go on with a saved run of this tilt series.",
            self.resume_pressed,
            Action.RESUME_FROM_FILE,
        )
        self.save = dock.button(
            "Save run…",
            "Save the reconstruction, to be resumed or explored later.",
            self.save_pressed,
            Action.SAVE_RUN,
        )
        for column, made in enumerate((self.start, self.pause, self.stop)):
            grid.addWidget(made, 0, 2 * column, 1, 2)
        grid.addWidget(self.resume, 1, 0, 1, 3)
        grid.addWidget(self.save, 1, 3, 1, 3)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(True)
        grid.addWidget(self.bar, 2, 0, 1, 6)
        self.status = text_label(self)
        grid.addWidget(self.status, 3, 0, 1, 6)
        self.saved = text_label(self)
        grid.addWidget(self.saved, 4, 0, 1, 6)
        self.notes = text_label(self)
        self.notes.setTextFormat(Qt.TextFormat.PlainText)
        self.notes.setToolTip("What was done to the projections before the training, and what was noticed.")
        grid.addWidget(self.notes, 5, 0, 1, 6)
        self.saved.hide()
        if self._session.last_said is not None:
            self.say(*self._session.last_said)

    def update_state(self) -> None:
        """Show the state of the session."""
        session = self._session
        if session.state is RunState.PAUSED:
            self._dock.set_action(self.pause, "Go on", "Go on with the training.", Action.GO_ON)
        else:
            self._dock.set_action(self.pause, "Pause", "Wait after the current step.", Action.PAUSE)
        if session.state is RunState.FAILED:
            self._dock.verdict(self.status, session.failure, False)
        else:
            self.status.setStyleSheet("")
            self.update_progress()
        self.bar.setVisible(session.is_active or session.log.last is not None)

    def update_progress(self) -> None:
        """Show how far the training is."""
        session, last = self._session, self._session.log.last
        self.notes.setText("\n".join(f"· {note}" for note in session.run_notes))
        self.notes.setVisible(bool(session.run_notes))
        if session.state is RunState.EMPTY:
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
            self.status.setText(session.facts.problem)
            return
        if last is None:
            self._show_preparation()
            return
        self.bar.setRange(0, last.n_steps)
        self.bar.setValue(last.step)
        self.bar.setFormat(f"{100 * last.step / last.n_steps:.0f} %")
        state = "" if session.state is RunState.RUNNING else f"{_STATE_TEXT[session.state]} "
        self.status.setText(f"{state}{session.log.text(is_running=session.state in ACTIVE)}")

    def _show_preparation(self) -> None:
        session, part = self._session, self._session.aligned_part
        is_aligning = part is not None and session.state is RunState.RUNNING
        # To and fro while data and kernels are prepared.
        self.bar.setRange(0, 100 if is_aligning else 0 if session.is_active else 1)
        self.bar.setValue(round(100 * part) if is_aligning and part is not None else 0)
        self.bar.setFormat("%p %")
        left = remaining_text(session.log.remaining) if is_aligning else ""
        aligning = f"Aligning the projections… {left} with the training" if left else "Aligning the projections…"
        self.status.setText(aligning if is_aligning else _STATE_TEXT[session.state])

    def say(self, text: str, is_problem: bool) -> None:
        """Show where the run was saved, or why it was not."""
        self.saved.show()
        self.saved.setToolTip(text)
        if is_problem:
            self._dock.verdict(self.saved, text, False)
        else:
            self.saved.setStyleSheet("")
            # A path has no blanks to break at.
            metrics, width = self.saved.fontMetrics(), max(200, self.saved.width() - 8)
            self.saved.setText(metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width))
