"""Plots against the time: how much there is in every projection, and how much contamination a reconstruction finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph
from qtpy.QtCore import Qt, Signal

from napari_stinr.plugin.widgets.plots import LABEL_STYLE, Plot

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QWidget

    from napari_stinr.plugin.widgets.theme import ThemeColours


class IntensityPlot(Plot):
    """Total intensity of each projection against its time: it rises where contamination grows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("time", "total intensity", parent, empty_text="No tilt series yet")
        self._used = pyqtgraph.ScatterPlotItem(size=6, pen=None)
        self._unused = pyqtgraph.ScatterPlotItem(size=7, symbol="x", pen=None)
        for dots in (self._unused, self._used):
            self.plotItem.addItem(dots)
        self.setToolTip("Total intensity of each projection. Faint crosses: projections that are not used.")
        self.set_colours(self._colours)

    def set_data(
        self, times: ArrayLike, intensity: ArrayLike, *, unit: str, used: ArrayLike, time_label: str = "time"
    ) -> None:
        """Show these projections.

        Parameters
        ----------
        times : array_like
            `(n_tilts,)` times, in the unit that `time_label` names.
        intensity : array_like
            `(n_tilts,)` total intensity of each projection [`unit`].
        unit : str
            Unit of the intensity; empty: it has none.
        used : array_like
            `(n_tilts,)` whether each projection is used.
        time_label : str
            Label of the time axis, with its unit.
        """
        if self.closed:
            return
        x, y, kept = np.asarray(times, dtype=float), np.asarray(intensity, dtype=float), np.asarray(used, dtype=bool)
        known = np.isfinite(x) & np.isfinite(y)
        self.set_labels(time_label, f"total intensity [{unit}]" if unit else "total intensity")
        self._used.setData(x[known & kept], y[known & kept])
        self._unused.setData(x[known & ~kept], y[known & ~kept])
        self._show_data(bool(known.any()))

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if self.closed:
            return
        faint = pyqtgraph.mkColor(colours.text)
        faint.setAlpha(110)
        self._used.setBrush(colours.total)
        self._unused.setBrush(faint)


class GrowthPlot(Plot):
    """Contamination against time, with a marker at the time that is shown; the marker can be dragged."""

    marker_moved = Signal(float)
    """Where a person has put the marker, in the unit of the curve."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("time", "contamination", parent)
        self._curve = self.plotItem.plot(antialias=True, connect="finite")
        self._marker = pyqtgraph.InfiniteLine(angle=90)
        self.plotItem.addItem(self._marker, ignoreBounds=True)
        self._time_range: tuple[float, float] | None = None
        self._percent = self.plotItem.getAxis("right")
        self._percent.setStyle(tickFont=self.plotItem.getAxis("left").style["tickFont"], tickTextOffset=3)
        self.setToolTip("Contamination against time. Click or drag to show another time.")
        self.set_colours(self._colours)

    def set_curve(
        self, times: ArrayLike, amounts: ArrayLike, *, unit: str, time_label: str, specimen: float | None = None
    ) -> None:
        """Show how much contamination there was at each time.

        Parameters
        ----------
        times : array_like
            `(n,)` times, in the unit that `time_label` names; none: there is nothing to show.
        amounts : array_like
            `(n,)` contamination [`unit`].
        unit : str
            Unit of the contamination; empty: it has none, and only its part of the specimen can be read.
        time_label : str
            Label of the time axis, with its unit.
        specimen : float, optional
            How much specimen there is: the contamination is read as a part of it, too [`unit`].
        """
        if self.closed:
            return
        x, y = np.asarray(times, dtype=float), np.asarray(amounts, dtype=float)
        has_two = bool(unit) and specimen is not None
        if specimen is not None and not has_two:
            y, unit = 100 * y / specimen, "% of specimen"
        self.plotItem.showAxis("right", has_two)
        if specimen is not None and has_two:
            self._percent.setScale(100 / specimen)
            self._percent.setLabel("% of specimen", **LABEL_STYLE, color=self._colours.text)
        known = np.isfinite(x) & np.isfinite(y)
        self._time_range = (float(x[known].min()), float(x[known].max())) if known.any() else None
        self.set_labels(time_label, f"contamination [{unit}]" if unit else "contamination")
        self._curve.setData(x[known], y[known])
        self.viewport().setCursor(Qt.CursorShape.SplitHCursor if known.any() else Qt.CursorShape.ArrowCursor)
        self._show_data(bool(known.any()))

    def set_marker(self, time: float) -> None:
        """Put the marker at a time in the unit of the curve, without a signal."""
        self._marker.setValue(time)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if self.closed:
            return
        self._percent.setPen(colours.text)
        self._percent.setTextPen(colours.text)
        self._curve.setPen(pyqtgraph.mkPen(colours.total, width=2))
        self._marker.setPen(pyqtgraph.mkPen(colours.marker, width=2))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the marker to where the mouse was pressed: a line of two pixels is hard to grasp."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag_to(event)
        else:
            event.ignore()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Let the marker follow the mouse while it is pressed."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag_to(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Leave the marker where it is."""
        event.accept()

    def _drag_to(self, event: QMouseEvent) -> None:
        if self._time_range is None or self.closed:
            return
        in_scene = self.mapToScene(event.position().toPoint())
        time = float(np.clip(self.plotItem.vb.mapSceneToView(in_scene).x(), *self._time_range))
        event.accept()
        if time != self._marker.value():
            self._marker.setValue(time)
            self.marker_moved.emit(time)
