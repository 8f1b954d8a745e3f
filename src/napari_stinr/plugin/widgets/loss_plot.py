"""The projection loss while a reconstruction is trained, of the training data and of the held-out data, by stages."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph
from qtpy.QtGui import QFont

from napari_stinr.plugin.widgets.plots import Plot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

    from napari_stinr.plugin.widgets.theme import ThemeColours

    _Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

MOST_BINS = 300
"""A curve is drawn with two points for every bin: more than the plot has pixels, and few enough to be quick."""
SMOOTHED_SHARE = 50
"""The smoothed curve is a mean over this fraction of the run."""


class LogAxis(pyqtgraph.AxisItem):
    """An axis of decimal logarithms, with the numbers themselves at its ticks, also within one decade."""

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """Choose ticks: spacing and decimal logarithms, for logarithms of the ends and a length [pixels]."""
        low, high = sorted((minVal, maxVal))
        most = max(2, int(size / 25))
        decades = 10.0 ** np.arange(np.floor(low), np.ceil(high) + 1)
        for steps in (range(1, 10), (1, 2, 5), (1, 3), (1,)):
            ticks = np.log10(np.multiply.outer(decades, steps).ravel())
            ticks = ticks[(ticks >= low) & (ticks <= high)]
            if 2 <= len(ticks) <= most:
                return [(1.0, ticks.tolist())]
        if high - low > 1:
            every = int(np.ceil((high - low) / most))
            return [(1.0, [float(power) for power in range(int(np.ceil(low)), int(np.floor(high)) + 1, every)])]
        return [(1.0, self._even_ticks(10.0**low, 10.0**high, most))]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Write the numbers whose logarithms the ticks are."""
        return [f"{10.0**value:.4g}" for value in values]

    @staticmethod
    def _even_ticks(low: float, high: float, most: int) -> list[float]:
        """Logarithms of round, evenly spaced numbers, for a range without enough of 1, 2, 3, ..."""
        unit = 10.0 ** np.floor(np.log10((high - low) / most))
        every = next(unit * step for step in (1, 2, 5, 10) if (high - low) / (unit * step) <= most)
        return [float(np.log10(n * every)) for n in range(int(np.ceil(low / every)), int(high / every) + 1)]


class LossPlot(Plot):
    """Loss against steps: every one faint, their running mean, and the held-out data where evaluated.

    Losses of two stages cannot be compared: the curves are broken between them, at a line with the name of the next.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("step", "projection loss (relative)", parent, y_axis=LogAxis("left"))
        self._steps, self._losses, self._held_out = (np.empty(0) for _ in range(3))
        self._stages: list[tuple[int, str]] = []
        self._borders: list[pyqtgraph.InfiniteLine] = []
        self._every_step = self.plotItem.plot(connect="finite")
        self._legend = self.plotItem.addLegend(offset=(-4, 2), verSpacing=-6)
        self._smoothed = self.plotItem.plot(name="training", connect="finite", antialias=True)
        self._evaluated = self.plotItem.plot(symbol="o", symbolSize=5, antialias=True)
        self.setToolTip("Lower is better. Held-out data are not trained on: training has gone too far where they rise.")
        self.set_colours(self._colours)

    def append(
        self,
        steps: Sequence[int],
        losses: Sequence[float],
        held_out: Sequence[float],
        *,
        stages: Sequence[tuple[int, str]] = (),
    ) -> None:
        """Add steps at the right.

        Parameters
        ----------
        steps : sequence of int
            `(n,)` numbers of the steps.
        losses : sequence of float
            `(n,)` loss of each step [1].
        held_out : sequence of float
            `(n,)` loss of the held-out data after the step, NaN where it was not evaluated [1].
        stages : sequence of (int, str)
            First step and name of every stage so far, also of those that were told before.

        Raises
        ------
        ValueError
            The lengths differ.
        """
        if not len(steps) == len(losses) == len(held_out):
            raise ValueError(f"{len(steps)} steps, {len(losses)} losses, {len(held_out)} held-out losses")
        self._steps = np.concatenate([self._steps, np.asarray(steps, dtype=float)])
        self._losses = np.concatenate([self._losses, _logarithm(losses)])
        self._held_out = np.concatenate([self._held_out, _logarithm(held_out)])
        self._show_stages(stages)
        self._draw()

    def clear_curves(self) -> None:
        """Start anew."""
        self._steps, self._losses, self._held_out = (np.empty(0) for _ in range(3))
        self._show_stages(())
        self._draw()

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if self.closed:
            return
        faint = pyqtgraph.mkColor(colours.total)
        faint.setAlpha(70)
        self._every_step.setPen(pyqtgraph.mkPen(faint, width=1))
        self._smoothed.setPen(pyqtgraph.mkPen(colours.total, width=2))
        self._evaluated.setPen(pyqtgraph.mkPen(colours.held_out, width=2))
        self._evaluated.setSymbolBrush(colours.held_out)
        self._evaluated.setSymbolPen(None)
        # Over a curve, its words would be hard to read.
        behind = pyqtgraph.mkColor(colours.background)
        behind.setAlpha(220)
        self._legend.setBrush(pyqtgraph.mkBrush(behind))
        self._legend.setLabelTextColor(colours.text)
        # pyqtgraph keeps the colour of a label that it has already drawn.
        for _, label in self._legend.items:
            label.setText(label.text, color=colours.text)
        for border in self._borders:
            _colour_border(border, colours)

    def _show_stages(self, stages: Sequence[tuple[int, str]]) -> None:
        """Draw a line at the first step of every stage; none where there is only one."""
        if self.closed or list(stages) == self._stages:
            return
        self._stages = list(stages)
        for border in self._borders:
            self.plotItem.removeItem(border)
        self._borders = [_border(*stage) for stage in self._stages] if len(self._stages) > 1 else []
        for border in self._borders:
            _colour_border(border, self._colours)
            self.plotItem.addItem(border, ignoreBounds=True)

    def _draw(self) -> None:
        if self.closed:
            return
        starts = np.searchsorted(self._steps, [first for first, _ in self._stages])
        half = len(self._losses) // SMOOTHED_SHARE // 2
        evaluated = np.isfinite(self._held_out)
        self._every_step.setData(*_by_parts(self._steps, self._losses, starts, _outline))
        self._smoothed.setData(
            *_by_parts(self._steps, self._losses, starts, lambda x, y, most: _thinned(x, _running_mean(y, half), most))
        )
        self._evaluated.setData(*_thinned(self._steps[evaluated], self._held_out[evaluated], MOST_BINS))
        if evaluated.any() and len(self._legend.items) == 1:
            self._legend.addItem(self._evaluated, "held-out")
        elif not evaluated.any():
            self._legend.removeItem(self._evaluated)
        self._show_data(bool(np.isfinite(self._losses).any()))


def _border(step: int, name: str) -> pyqtgraph.InfiniteLine:
    """Return the line where a stage begins, with its name along the line: across, names of short stages overlap."""
    options = {"position": 0.03, "rotateAxis": (1, 0), "anchors": [(0.0, 0.0), (0.0, 0.0)]}
    line = pyqtgraph.InfiniteLine(step, angle=90, label=name, labelOpts=options)
    small = QFont()
    small.setPointSizeF(7.5)
    line.label.setFont(small)
    return line


def _colour_border(border: pyqtgraph.InfiniteLine, colours: ThemeColours) -> None:
    faint = pyqtgraph.mkColor(colours.text)
    faint.setAlpha(110)
    border.setPen(pyqtgraph.mkPen(faint, width=1))
    border.label.setColor(colours.text)
    # The curve of a stage falls steeply beside its line: the name stays readable on it.
    behind = pyqtgraph.mkColor(colours.background)
    behind.setAlpha(150)
    border.label.fill = pyqtgraph.mkBrush(behind)
    border.label.update()


def _by_parts(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    starts: NDArray[np.int64],
    thinned: Callable[[NDArray[np.float64], NDArray[np.float64], int], _Curve],
) -> _Curve:
    """Thin a curve part by part, each with its share of the bins, and put a gap between two parts."""
    borders = np.unique(np.concatenate([[0], starts, [len(x)]]))
    xs: list[NDArray[np.float64]] = []
    ys: list[NDArray[np.float64]] = []
    for first, end in pairwise(borders):
        if xs:
            xs.append(x[first : first + 1])
            ys.append(np.array([np.nan]))
        # A few bins less, so that the curve with its gaps has no more points than one without parts.
        most = max(1, (MOST_BINS - 2 * len(borders)) * (end - first) // len(x))
        thinner = thinned(x[first:end], y[first:end], most if len(borders) > 2 else MOST_BINS)
        xs.append(thinner[0])
        ys.append(thinner[1])
    return (np.concatenate(xs), np.concatenate(ys)) if xs else (x, y)


def _logarithm(values: Sequence[float]) -> NDArray[np.float64]:
    """Decimal logarithms, NaN where there is none."""
    numbers = np.asarray(values, dtype=float)
    positive = np.isfinite(numbers) & (numbers > 0)
    return np.where(positive, np.log10(np.where(positive, numbers, 1.0)), np.nan)


def _running_mean(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Mean over each value and `half` on both sides of it, as far as there are values; NaN is left out."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    centre = np.arange(len(values))
    # Symmetric at the start, where the loss falls steeply; at the end a single value would look like a trend.
    reach = np.minimum(centre, half)
    first, last = centre - reach, np.minimum(centre + reach + 1, len(values))
    n_known = counts[last] - counts[first]
    return np.where(n_known > 0, (sums[last] - sums[first]) / np.maximum(n_known, 1), np.nan)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64], most_bins: int) -> _Curve:
    """Evenly chosen points, the last among them, where there are too many to draw."""
    if len(x) <= 2 * most_bins:
        return x, y
    chosen = np.linspace(0, len(x) - 1, 2 * most_bins).round().astype(int)
    return x[chosen], y[chosen]


def _outline(x: NDArray[np.float64], y: NDArray[np.float64], most_bins: int) -> _Curve:
    """Lowest and highest value of every bin, where there are too many points to draw: looks like all of them."""
    if len(x) <= 2 * most_bins:
        return x, y
    starts = np.linspace(0, len(x), most_bins, endpoint=False).astype(int)
    lowest = np.fmin.reduceat(y, starts)
    highest = np.fmax.reduceat(y, starts)
    return np.repeat(x[starts], 2), np.column_stack([lowest, highest]).ravel()
