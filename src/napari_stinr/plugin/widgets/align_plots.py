"""What an alignment did, over the tilt angle: shifts, correlations and the central sinogram, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_stinr.plugin.widgets.pictures import Picture, grey_image, spread
from napari_stinr.plugin.widgets.plots import Plot
from napari_stinr.plugin.widgets.theme import theme_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.widgets.theme import ThemeColours

_FAINT = 130
_NOT_YET = "Nothing was compared yet"
_ROWS_OF_SINOGRAM = 160
RECORDED, ALIGNED = "as recorded", "aligned"


class BeforeAfterPlot(Plot):
    """Values of every projection over its tilt angle: faint dots as recorded, lines once aligned."""

    def __init__(self, y_label: str, n_curves: int, parent: QWidget) -> None:
        super().__init__("tilt angle [°]", y_label, parent, empty_text=_NOT_YET)
        self._before = [self.plotItem.plot(connect="finite") for _ in range(n_curves)]
        self._after = [self.plotItem.plot(connect="finite", antialias=True) for _ in range(n_curves)]
        self.setMinimumHeight(130)
        self.set_colours(self._colours)

    def sizeHint(self) -> QSize:  # Qt's name
        """Return a size that two of them have room with."""
        return QSize(300, 140)

    def set_values(
        self,
        angles: NDArray[np.float64],
        before: tuple[NDArray[np.float64], ...] | None,
        after: tuple[NDArray[np.float64], ...] | None,
    ) -> None:
        """Show values.

        Parameters
        ----------
        angles : ndarray
            `(n,)` tilt angles, ascending [degrees].
        before, after : tuple of ndarray or None
            `(n,)` values of every curve, as recorded and once aligned; None where they are not known.
        """
        if self.closed:
            return
        empty = np.empty(0)
        for curves, values in ((self._before, before), (self._after, after)):
            for number, curve in enumerate(curves):
                curve.setData(*((angles, values[number]) if values is not None else (empty, empty)))
        self._show_data(before is not None or after is not None)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if self.closed:
            return
        for number, name in enumerate(_curve_colours(colours)[: len(self._after)]):
            faint = pyqtgraph.mkColor(name)
            faint.setAlpha(_FAINT)
            before = self._before[number]
            before.setPen(None)
            before.setSymbol("o")
            before.setSymbolSize(4)
            before.setSymbolPen(None)
            before.setSymbolBrush(faint)
            self._after[number].setPen(pyqtgraph.mkPen(name, width=2))


class AlignmentPlots(QWidget):
    """Shifts, correlation and central sinogram of a series, as recorded and aligned."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._colours = theme_colours("dark")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        self._legend = QLabel(self)
        self._legend.setWordWrap(True)
        self._legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.shifts = BeforeAfterPlot("shift [pixel]", 2, self)
        self.shifts.setToolTip(
            "How the projections lie to each other, each found from its neighbours in angle, without what a move of "
            "the specimen does. Dots: as recorded. Lines: aligned."
        )
        self.correlation = BeforeAfterPlot("correlation [1]", 1, self)
        self.correlation.setToolTip(
            "How much every projection is like its neighbour in angle: 1 is the same. Dots: as recorded. Line: aligned."
        )
        grid.addWidget(self._legend, 0, 0, 1, 2)
        grid.addWidget(self.shifts, 1, 0, 1, 2)
        grid.addWidget(self.correlation, 2, 0, 1, 2)
        self.sinograms = {name: Picture(self, keeps_sides=False, empty_text="not yet") for name in (RECORDED, ALIGNED)}
        for column, (name, picture) in enumerate(self.sinograms.items()):
            heading = QLabel(f"Central row, {name}", self)
            heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
            picture.setFixedHeight(120)
            picture.setToolTip(
                f"The middle row of every projection, {name}, smallest tilt angle on top: an aligned point is a smooth "
                "wave."
            )
            grid.addWidget(heading, 3, column)
            grid.addWidget(picture, 4, column)
            grid.setColumnStretch(column, 1)
        self.clear()
        self.set_colours(self._colours)

    def set_shifts(
        self,
        angles: NDArray[np.float64],
        before: tuple[NDArray[np.float64], ...] | None,
        after: tuple[NDArray[np.float64], ...] | None,
    ) -> None:
        """Show `(n,)` shifts along x and along y [pixel]; see :meth:`BeforeAfterPlot.set_values`."""
        self.shifts.set_values(angles, before, after)

    def set_correlations(
        self, angles: NDArray[np.float64], before: NDArray[np.float64] | None, after: NDArray[np.float64] | None
    ) -> None:
        """Show `(n,)` correlations with the neighbour in angle [1]; see :meth:`BeforeAfterPlot.set_values`."""
        self.correlation.set_values(angles, None if before is None else (before,), None if after is None else (after,))

    def set_sinograms(
        self, angles: NDArray[np.float64], before: NDArray[np.float32] | None, after: NDArray[np.float32] | None
    ) -> None:
        """Show `(n, width)` central rows at `(n,)` ascending tilt angles [degrees], in the same greys."""
        known = before if before is not None else after
        low, high = (0.0, 1.0) if known is None else spread(known)
        for picture, rows in zip(self.sinograms.values(), (before, after), strict=True):
            picture.set_image(None if rows is None else grey_image(_even(rows, angles), low, high))

    def clear(self) -> None:
        """Show nothing."""
        nothing = np.empty(0)
        self.set_shifts(nothing, None, None)
        self.set_correlations(nothing, None, None)
        self.set_sinograms(nothing, None, None)

    def set_empty_text(self, text: str) -> None:
        """Say why there is nothing to show."""
        self.shifts.set_empty_text(text)
        self.correlation.set_empty_text(text)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        self._colours = colours
        for plot in (self.shifts, self.correlation):
            plot.set_colours(colours)
        for picture in self.sinograms.values():
            picture.setStyleSheet(f"background: {colours.foreground}; color: {colours.text};")
        x, y = _curve_colours(colours)
        self._legend.setText(
            f"Dots {RECORDED}, lines {ALIGNED}; <span style='color:{x}'>along x</span>, "
            f"<span style='color:{y}'>along y</span>"
        )


def _curve_colours(colours: ThemeColours) -> tuple[str, str]:
    return colours.total, colours.held_out


def _even(rows: NDArray[np.float32], angles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the row that is nearest in angle, at evenly spaced angles."""
    n = max(_ROWS_OF_SINOGRAM, len(rows))
    wanted = np.linspace(angles[0], angles[-1], n)
    after = np.searchsorted(angles, wanted).clip(1, len(angles) - 1)
    nearest = after - (wanted - angles[after - 1] < angles[after] - wanted)
    return rows[nearest]
