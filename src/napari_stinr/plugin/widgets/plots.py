"""What all plots of the plugin have in common: size, axes, colours, and a text where there is nothing to show yet."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pyqtgraph
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QLabel

from napari_stinr.plugin.widgets.theme import ThemeColours, theme_colours

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent, QWheelEvent
    from qtpy.QtWidgets import QWidget

EMPTY_TEXT = "No reconstruction yet"
LABEL_STYLE = {"font-size": "8pt"}


class Plot(pyqtgraph.PlotWidget):
    """A small plot with labelled axes [unit in brackets] that always shows all of its data, or why there are none."""

    def __init__(
        self,
        x_label: str,
        y_label: str,
        parent: QWidget | None = None,
        *,
        empty_text: str = EMPTY_TEXT,
        y_axis: pyqtgraph.AxisItem | None = None,
    ) -> None:
        super().__init__(parent, axisItems={"left": y_axis} if y_axis else None)
        self._colours = theme_colours("dark")
        self._empty = QLabel(empty_text, self)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        # A plot that is zoomed or dragged by accident in a narrow dock no longer shows what comes next.
        self.plotItem.setMouseEnabled(x=False, y=False)
        self.plotItem.setMenuEnabled(False)
        self.plotItem.hideButtons()
        self.plotItem.showGrid(x=True, y=True, alpha=0.15)
        small = QFont(self.font())
        small.setPointSizeF(8)
        for side in ("bottom", "left"):
            axis = self.plotItem.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickFont=small, tickTextOffset=3)
        self.plotItem.getAxis("bottom").setHeight(34)
        # Half of the last number stands beyond the end of its axis, and pyqtgraph puts labels 5 pixels outside theirs.
        self.plotItem.layout.setContentsMargins(4, 4, 14, 6)
        self.set_labels(x_label, y_label)
        self.setMinimumSize(220, 140)
        self._show_data(False)

    def __del__(self) -> None:
        # Of a dock that was closed, nobody but Python's garbage collection takes a plot apart, which comes here first:
        # afterwards it would empty labels that Qt still asks for their sizes.
        with contextlib.suppress(RuntimeError, AttributeError):  # Qt has done so, or it was never whole
            self.scene().clear()

    def sizeHint(self) -> QSize:
        """Return a size that leaves the canvas of napari its room."""
        return QSize(300, 170)

    def set_labels(self, x_label: str, y_label: str) -> None:
        """Name the axes, with the unit in brackets."""
        if self.closed:
            return
        # Without its colour a new label is black, whatever the axis was given before.
        style = {**LABEL_STYLE, "color": self._colours.text}
        self.plotItem.setLabel("bottom", x_label, **style)
        self.plotItem.setLabel("left", y_label, **style)

    def set_empty_text(self, text: str) -> None:
        """Say why there is nothing to show."""
        self._empty.setText(text)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        self._colours = colours
        if self.closed:
            return
        self.setBackground(colours.background)
        # napari's style sheet gives every label a background of its own, which would hide the frame of the plot.
        self._empty.setStyleSheet(f"background: transparent; color: {colours.text};")
        for side in ("bottom", "left"):
            axis = self.plotItem.getAxis(side)
            axis.setPen(colours.text)
            axis.setTextPen(colours.text)

    def close(self) -> bool:
        """Take the plot apart; what is drawn afterwards is ignored."""
        # The second call of pyqtgraph's own fails: it has forgotten its items.
        if not self.closed:
            super().close()
        return True

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the text in the middle."""
        super().resizeEvent(event)
        # Called by Qt also while pyqtgraph's constructor runs.
        if hasattr(self, "_empty"):
            self._empty.setGeometry(self.rect().adjusted(8, 8, -8, -8))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the scroll area around the plot."""
        event.ignore()

    def _show_data(self, there_are_data: bool) -> None:
        """Show the axes and curves, or the text in their place."""
        self.plotItem.setVisible(there_are_data)
        self._empty.setVisible(not there_are_data)
