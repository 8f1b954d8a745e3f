"""Says that a training has ended: in napari, and by the system where its window is not in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication, QSystemTrayIcon

from napari_stinr.plugin.canvas.telling import show_info
from napari_stinr.plugin.session.run_words import HEADLINE, reached_texts
from napari_stinr.plugin.session.states import RunState

if TYPE_CHECKING:
    from napari_stinr.plugin.session.session import Session

_SHOWN_FOR = 10_000
"""How long a message of the system stays, and the icon that it comes from [ms]."""
_TITLE = "STINR"


class EndNotices(QObject):
    """Watches one session; whoever has pressed Stop is not told of it.

    Parameters
    ----------
    window : QMainWindow
        Napari's.
    session : Session
        Of that window.
    parent : QObject
        Owns the notices.
    """

    def __init__(self, window: Any, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session = window, session
        self._before = session.state
        self._tray: QSystemTrayIcon | None = None
        self._away = QTimer(self)
        self._away.setSingleShot(True)
        self._away.timeout.connect(self._put_away)

    def update(self) -> None:
        """Look at the state of the session, which has changed."""
        before, self._before = self._before, self._session.state
        if self._window is None or before not in (RunState.RUNNING, RunState.PAUSED):
            return
        if self._session.state is RunState.DONE:
            headline, rest = self._reached()
            show_info(f"{headline}\n{rest}")
            # Of a queue, only its end calls anybody back.
            if not self._session.queue.goes_on:
                self._tell_outside(headline, rest)
        elif self._session.state is RunState.FAILED and not self._session.queue.goes_on:
            # In napari, its text is shown as an error already.
            self._tell_outside("The training has failed", self._session.failure)

    def let_go(self) -> None:
        """Forget the window."""
        self._window = None
        self._away.stop()
        self._put_away()

    def _reached(self) -> tuple[str, str]:
        session = self._session
        run = session.runs.of(session.reconstruction)
        if run is None:
            return "The training is done"[:HEADLINE], "The page Explore shows it."
        return reached_texts(session.log, preset=run.preset, series=run.series, residual=run.residual)

    def _tell_outside(self, headline: str, rest: str) -> None:
        """Tell somebody who works in another window."""
        if self._window.isActiveWindow():
            return
        QApplication.alert(self._window)
        if not QSystemTrayIcon.isSystemTrayAvailable() or not QSystemTrayIcon.supportsMessages():
            return
        if self._tray is None:
            self._tray = QSystemTrayIcon(self._window.windowIcon(), self)
            self._tray.setToolTip(_TITLE)
            self._tray.messageClicked.connect(self._come_to_front)
            self._tray.activated.connect(self._come_to_front)
        # A message comes from an icon that is shown, and needs none afterwards.
        self._tray.show()
        self._tray.showMessage(f"{_TITLE}: {headline}", rest, QSystemTrayIcon.MessageIcon.Information, _SHOWN_FOR)
        self._away.start(_SHOWN_FOR)

    def _come_to_front(self, *_: Any) -> None:
        if self._window is not None:
            self._window.showNormal() if self._window.isMinimized() else self._window.show()
            self._window.raise_()
            self._window.activateWindow()
        self._put_away()

    def _put_away(self) -> None:
        if self._tray is not None:
            self._tray.hide()
