"""Plays the time slider: a step at a time, never ahead of the volume that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from napari_stinr.plugin.canvas.layers import ViewerLayers
    from napari_stinr.plugin.session.session import Session

PLAY_KEY = "Alt-T"
_MILLISECONDS = 1000.0


class Player(QObject):
    """Moves the time slider to and past its end, and begins again."""

    changed = Signal(bool)

    def __init__(self, layers: ViewerLayers, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._layers, self._session = layers, session
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._advance)

    @property
    def is_playing(self) -> bool:
        """Whether the slider moves by itself."""
        return self._timer.isActive()

    def toggle(self, *_: Any) -> None:
        """Start, or stop."""
        self.stop() if self.is_playing else self.start()

    def start(self) -> None:
        """Start at the current time."""
        if self._layers.stream is None:
            return
        self._timer.start(round(_MILLISECONDS / self._session.settings.play_frames_per_second))
        self.changed.emit(True)

    def stop(self) -> None:
        """Stop at the current time."""
        self._timer.stop()
        self.changed.emit(False)

    def _advance(self) -> None:
        layers = self._layers
        if layers.stream is None:
            self.stop()
        elif not layers.stream.is_busy:
            axis = layers.axis
            layers.set_t(axis.t_of((axis.step_of(layers.t) + 1) % axis.n_steps))
