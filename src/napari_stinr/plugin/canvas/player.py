"""Plays the time slider: a step at a time, never ahead of the volume that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from napari_stinr.plugin.canvas.layers import ViewerLayers
    from napari_stinr.plugin.canvas.time_slider import TimeSlider
    from napari_stinr.plugin.session.session import Session

PLAY_KEY = "Alt-T"
_MILLISECONDS = 1000.0


class Player(QObject):
    """Moves the time slider to and past its end, and begins again."""

    changed = Signal(bool)

    def __init__(self, slider: TimeSlider, layers: ViewerLayers, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._slider, self._layers, self._session = slider, layers, session
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
        slider, stream = self._slider, self._layers.stream
        if stream is None:
            self.stop()
        elif not stream.is_busy:
            slider.set_step((slider.axis.step_of(slider.t) + 1) % slider.axis.n_steps)
