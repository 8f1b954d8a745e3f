"""Scale bar, tilt angle and time on the canvas: there by default, and gone for good once a person switches them off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_stinr.plugin.canvas.display import Shown

if TYPE_CHECKING:
    from napari_stinr.plugin.canvas.comparison import Comparison
    from napari_stinr.plugin.canvas.display import Display
    from napari_stinr.plugin.canvas.stage import Stage

_WHAT = {Shown.CONTAMINATION: "contamination until "}


class CanvasTexts(QObject):
    """Says on the canvas what is seen, when and from where."""

    def __init__(self, stage: Stage, display: Display, comparison: Comparison, parent: QObject) -> None:
        super().__init__(parent)
        self._stage, self._display, self._comparison = stage, display, comparison
        overlays = stage.viewer.canvas.overlays
        self._bar, self._text = overlays.scale_bar, overlays.text
        self._own_text = ""
        self._are_on = False
        display.applied.connect(self.update)

    def update(self) -> None:
        """Bring the text up to date."""
        session = self._stage.session
        if session.draft is None and session.reconstruction is None:
            self._write("")
            return
        if not self._are_on:
            # Once: whoever switches them off does not want them back with the next series.
            self._are_on = self._bar.visible = self._text.visible = True
            # On the right, napari tells what it has to tell.
            self._bar.position = "bottom_left"
            self._text.position = "top_left"
        self._write(self._line())

    def _line(self) -> str:
        slider, session, shown = self._stage.slider, self._stage.session, self._display.shown
        if session.reconstruction is not None:
            if shown is Shown.COMPARE:
                return self._comparison.legend
            if shown is Shown.CLEAN:
                return "clean specimen, t = 0"
        what = _WHAT.get(shown, "") if session.reconstruction is not None else ""
        time = what + slider.axis.text(slider.t)
        number = slider.projection
        draft = session.run_draft or session.draft
        if number is None or draft is None or number >= draft.n_tilts:
            return time
        # An angle that is not known is none.
        angle = float(draft.tilt_angles[number])
        return f"{time}, tilt {angle:.1f}°" if angle == angle else time

    def _write(self, text: str) -> None:
        # A text of somebody else is left alone.
        if self._text.text in ("", self._own_text):
            self._text.text = self._own_text = text
