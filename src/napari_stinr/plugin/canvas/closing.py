"""What happens when a person closes the window while a training runs, or not all is saved: they are asked, once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QMessageBox

from napari_stinr.plugin.canvas.telling import show_error
from napari_stinr.plugin.session.run_words import running_text, saved_text
from napari_stinr.plugin.session.states import Action, RunState

if TYPE_CHECKING:
    from qtpy.QtCore import SignalInstance
    from qtpy.QtGui import QCloseEvent

    from napari_stinr.plugin.canvas.project import ProjectKeeper
    from napari_stinr.plugin.session.session import Session
    from napari_stinr.plugin.session.unsaved import Unsaved

GO_ON, STOP_AND_SAVE, CLOSE_ANYWAY, SAVE_PROJECT = "Go on", "Stop and save", "Close anyway", "Save project…"


class CloseGuard(QObject):
    """Asks before a person closes a window in which something would be lost; a program that closes it is never asked.

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
        self._project: ProjectKeeper | None = None
        self._closes_after_project = False
        window.close = self._on_close_asked
        polled.connect(self._close_when_saved)

    def use_project(self, project: ProjectKeeper) -> None:
        """Ask about what no project has, too, and let it be saved."""
        self._project = project
        project.saved.connect(self._on_project_saved)

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
        self._project, self._closes_after_project = None, False
        if self._box is not None:
            self._box.deleteLater()
            self._box = None

    def holds(self, event: QCloseEvent) -> bool:
        """Return whether a person who closes the window is asked first; the window stays then."""
        if not event.spontaneous() or not self._asks(quits=False):
            return False
        event.ignore()
        return True

    def _on_close_asked(self, quit_app: bool = False, confirm_need: bool = False) -> Any:
        """Stand in for napari's own `close` of its window."""
        if confirm_need and self._asks(quits=quit_app):
            return None
        return type(self._window).close(self._window, quit_app=quit_app, confirm_need=confirm_need)

    def _asks(self, *, quits: bool) -> bool:
        """Ask a person who closes the window, if there is a reason to."""
        if self._box is not None:
            self._quits = quits
            self._box.raise_()
            return True
        unsaved = None if self._session.is_active or self._project is None else self._project.unsaved()
        if not self._session.is_active and (unsaved is None or not unsaved.lost):
            return False
        self._quits, self._closes_after_project = quits, False
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        keep = STOP_AND_SAVE if unsaved is None else SAVE_PROJECT
        if unsaved is None:
            self._say_what_runs(box)
        else:
            _say_what_is_lost(box, unsaved)
        go_on = box.addButton(GO_ON, QMessageBox.ButtonRole.RejectRole)
        box.addButton(keep, QMessageBox.ButtonRole.AcceptRole)
        box.addButton(CLOSE_ANYWAY, QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(go_on)
        box.setEscapeButton(go_on)
        box.buttonClicked.connect(self._on_answer)
        box.finished.connect(self._forget_box)
        self._box = box
        # Not exec: the training goes on to be drawn, and a program may close the window meanwhile.
        box.open()
        return True

    def _say_what_runs(self, box: QMessageBox) -> None:
        session = self._session
        box.setWindowTitle("A training is in progress")
        waiting = session.queue.n_waiting if session.queue.goes_on else 0
        lines = [running_text(session.log), saved_text(session.checkpoint, now=time.time())]
        box.setText("\n".join([*lines, *([f"Runs that wait in the queue are dropped: {waiting}."] if waiting else [])]))
        box.setInformativeText(
            "Stop and save keeps what was reached, to go on with it later by Resume from file…, and closes then."
        )

    def _on_answer(self, button: Any) -> None:
        answer = button.text().replace("&", "")
        if answer == STOP_AND_SAVE:
            if not self._session.why_not(Action.STOP):
                self._session.stop()
            self._closes_when_saved = True
        elif answer == SAVE_PROJECT and self._project is not None:
            self._closes_after_project = self._project.ask_to_save()
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

    def _on_project_saved(self, is_saved: bool) -> None:
        closes, self._closes_after_project = self._closes_after_project and is_saved, False
        if closes:
            self._close()

    def _close(self) -> None:
        # A program closes it now, so that nobody is asked again.
        type(self._window).close(self._window, quit_app=self._quits)


def _say_what_is_lost(box: QMessageBox, unsaved: Unsaved) -> None:
    box.setWindowTitle("Not all is saved")
    box.setText("\n".join([*unsaved.lost, *unsaved.kept]))
    box.setInformativeText("A project keeps series, pose, settings and runs, to be opened again later.")
