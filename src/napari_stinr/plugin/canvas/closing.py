"""What happens when a person closes the window while a training runs: they are asked, and told what is saved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QMessageBox

from napari_stinr.plugin.session.run_words import running_text, saved_text
from napari_stinr.plugin.session.states import Action, RunState

if TYPE_CHECKING:
    from qtpy.QtCore import SignalInstance
    from qtpy.QtGui import QCloseEvent

    from napari_stinr.plugin.session.session import Session

GO_ON, STOP_AND_SAVE, CLOSE_ANYWAY = "Go on", "Stop and save", "Close anyway"


class CloseGuard(QObject):
    """Asks before a person closes the window of a training; a program that closes it is never asked.

    A person closes it by the cross of the window, which Qt tells by a spontaneous event, or by napari's menu and its
    keys, for which napari calls its window's `close` with ``confirm_need=True``.

    Parameters
    ----------
    window : QMainWindow
        Napari's.
    session : Session
        Of that window.
    polled : SignalInstance
        Emitted after each look at what the training has told.
    parent : QObject
        Owns the guard.
    """

    def __init__(self, window: Any, session: Session, polled: SignalInstance, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session = window, session
        self._box: QMessageBox | None = None
        self._quits, self._closes_when_saved = False, False
        window.close = self._on_close_asked
        polled.connect(self._close_when_saved)

    @property
    def box(self) -> QMessageBox | None:
        """The question, while it is open."""
        return self._box

    def let_go(self) -> None:
        """Forget the window."""
        if self._window is not None:
            # The method of the class comes back.
            vars(self._window).pop("close", None)
        self._window, self._closes_when_saved = None, False
        if self._box is not None:
            self._box.deleteLater()
            self._box = None

    def holds(self, event: QCloseEvent) -> bool:
        """Return whether a person who closes the window is asked first; the window stays then."""
        if not event.spontaneous() or not self._session.is_active:
            return False
        event.ignore()
        self._ask(quits=False)
        return True

    def _on_close_asked(self, quit_app: bool = False, confirm_need: bool = False) -> Any:
        """Stand in for napari's own `close` of its window."""
        if confirm_need and self._session.is_active:
            self._ask(quits=quit_app)
            return None
        return type(self._window).close(self._window, quit_app=quit_app, confirm_need=confirm_need)

    def _ask(self, *, quits: bool) -> None:
        self._quits = quits
        if self._box is not None:
            self._box.raise_()
            return
        session = self._session
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("A training is in progress")
        waiting = session.queue.n_waiting if session.queue.goes_on else 0
        lines = [running_text(session.log), saved_text(session.checkpoint, now=time.time())]
        box.setText("\n".join([*lines, *([f"Runs that wait in the queue are dropped: {waiting}."] if waiting else [])]))
        box.setInformativeText(
            "Stop and save keeps what was reached, to go on with it later by Resume from file…, and closes then."
        )
        go_on = box.addButton(GO_ON, QMessageBox.ButtonRole.RejectRole)
        box.addButton(STOP_AND_SAVE, QMessageBox.ButtonRole.AcceptRole)
        box.addButton(CLOSE_ANYWAY, QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(go_on)
        box.setEscapeButton(go_on)
        box.buttonClicked.connect(self._on_answer)
        box.finished.connect(self._forget_box)
        self._box = box
        # Not exec: the training goes on to be drawn, and a program may close the window meanwhile.
        box.open()

    def _on_answer(self, button: Any) -> None:
        answer = button.text().replace("&", "")
        if answer == STOP_AND_SAVE:
            if not self._session.why_not(Action.STOP):
                self._session.stop()
            self._closes_when_saved = True
        elif answer == CLOSE_ANYWAY:
            self._close()

    def _forget_box(self, _: int) -> None:
        if self._box is not None:
            self._box.deleteLater()
        self._box = None

    def _close_when_saved(self) -> None:
        if not self._closes_when_saved or self._session.is_active:
            return
        self._closes_when_saved = False
        session = self._session
        if session.state is RunState.FAILED or (session.last_said is not None and session.last_said[1]):
            show_error("The window stays open: not all is saved.\nSave what was reached with Save run….")
        else:
            self._close()

    def _close(self) -> None:
        # A program closes it now, so that nobody is asked again.
        type(self._window).close(self._window, quit_app=self._quits)
