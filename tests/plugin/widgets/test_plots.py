"""The plots as a person sees and uses them: colours, what is drawn, the marker under the mouse."""

from __future__ import annotations

import time

import numpy as np
import pytest
from napari.utils.theme import available_themes
from pyqtgraph import InfiniteLine
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QImage, QWheelEvent
from qtpy.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget

from helpers.window_cases import show
from napari_stinr.plugin.widgets.loss_plot import MOST_BINS, LossPlot
from napari_stinr.plugin.widgets.theme import READABLE_CONTRAST, contrast_ratio, theme_colours
from napari_stinr.plugin.widgets.time_plots import GrowthPlot, IntensityPlot

pytestmark = pytest.mark.qt

PLOTS = pytest.mark.parametrize("kind", [LossPlot, IntensityPlot, GrowthPlot])


def shown(widget, qtbot, size=(300, 170)):
    qtbot.addWidget(widget)
    widget.resize(*size)
    show(qtbot, widget)
    return widget


def filled(plot):
    if isinstance(plot, LossPlot):
        plot.append([1, 2, 3], [1.0, 0.5, 0.25], [np.nan, 0.6, 0.4])
    elif isinstance(plot, IntensityPlot):
        plot.set_data([0, 1, 2], [5.0, 6.0, 7.0], unit="V·Å", used=[True, False, True])
    else:
        plot.set_curve([0.0, 50.0, 100.0], [0.0, 1.0, 2.0], unit="V", time_label="time [s]")
    return plot


def pixels(widget):
    """`(height, width, 3)` what is on the screen."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    raw = image.constBits()
    raw = raw.asstring(image.sizeInBytes()) if hasattr(raw, "asstring") else bytes(raw)
    return np.frombuffer(raw, np.uint8).reshape(image.height(), image.width(), 4)[..., 2::-1].astype(int)


def amount_of(colour, widget):
    """Count the pixels of about this colour."""
    wanted = QColor(colour)
    away = np.abs(pixels(widget) - [wanted.red(), wanted.green(), wanted.blue()]).max(axis=-1)
    return int((away < 25).sum())


def empty_text(plot):
    return [label.text() for label in plot.findChildren(QLabel) if label.isVisible()]


@pytest.mark.parametrize("theme", available_themes())
@pytest.mark.parametrize("name", ["text", "error", "warning", "success", "total", "held_out", "marker", "second"])
def test_colours_are_readable_in_every_theme(theme, name):
    colours = theme_colours(theme)
    assert contrast_ratio(getattr(colours, name), colours.background) >= READABLE_CONTRAST


def test_contrast_ratio_is_that_of_wcag():
    assert contrast_ratio("#000000", "#ffffff") == pytest.approx(21)
    assert contrast_ratio("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@PLOTS
def test_an_empty_plot_says_so_until_there_are_data(kind, qtbot):
    plot = shown(kind(), qtbot)
    assert empty_text(plot)[0].startswith("No ")
    plot.set_empty_text("Train first")
    assert empty_text(plot) == ["Train first"]
    filled(plot)
    assert empty_text(plot) == []


@PLOTS
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_data_are_drawn_in_the_colours_of_the_theme(kind, theme, qtbot):
    colours = theme_colours(theme)
    plot = shown(kind(), qtbot)
    plot.set_colours(colours)
    assert amount_of(colours.total, plot) == 0
    filled(plot)
    assert amount_of(colours.total, plot) > 20
    assert amount_of(colours.background, plot) > 10_000


@PLOTS
def test_a_closed_plot_takes_no_harm(kind, qtbot):
    plot = filled(shown(kind(), qtbot))
    plot.close()
    plot.close()
    filled(plot)
    plot.set_colours(theme_colours("light"))
    plot.set_labels("a", "b")
    assert not plot.isVisible()


@PLOTS
def test_a_plot_is_small_but_never_too_small(kind, qtbot):
    plot = kind()
    qtbot.addWidget(plot)
    assert (plot.sizeHint().width(), plot.sizeHint().height()) == (300, 170)
    holder = QWidget()
    qtbot.addWidget(holder)
    QVBoxLayout(holder).addWidget(plot)
    holder.resize(20, 20)
    holder.show()
    assert plot.width() >= 200
    assert plot.height() >= 120


@PLOTS
def test_the_wheel_is_left_to_the_dock(kind, qtbot):
    plot = filled(shown(kind(), qtbot))
    before = plot.viewRange()
    middle = QPointF(plot.viewport().rect().center())
    no_button, no_key = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    down, phase = QPoint(0, -120), Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(middle, plot.mapToGlobal(middle), QPoint(0, 0), down, no_button, no_key, phase, False)
    QApplication.sendEvent(plot.viewport(), event)
    assert not event.isAccepted()
    assert plot.viewRange() == before


def test_held_out_is_named_only_when_it_is_there(qtbot):
    plot = shown(LossPlot(), qtbot)
    orange = theme_colours("dark").held_out
    plot.append([1, 2], [1.0, 0.5], [np.nan, np.nan])
    assert amount_of(orange, plot) == 0
    plot.append([3, 4], [0.3, 0.2], [0.35, 0.3])
    assert amount_of(orange, plot) > 20
    plot.clear_curves()
    assert empty_text(plot) == ["No reconstruction yet"]
    plot.append([1], [1.0], [np.nan])
    assert amount_of(orange, plot) == 0


def test_losses_that_are_no_numbers_are_left_out(qtbot):
    plot = shown(LossPlot(), qtbot)
    plot.append([1, 2, 3], [np.nan, np.inf, 0.0], [np.nan] * 3)
    assert empty_text(plot) == ["No reconstruction yet"]
    plot.append(range(4, 40), [0.5] * 36, [np.nan] * 36)
    assert amount_of(theme_colours("dark").total, plot) > 20


def test_losses_need_their_steps(qtbot):
    plot = shown(LossPlot(), qtbot)
    with pytest.raises(ValueError, match="2 steps, 1 losses"):
        plot.append([1, 2], [1.0], [np.nan])


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.001, 1.0, {"0.001", "0.01", "0.1", "1"}),
        (0.03, 0.6, {"0.05", "0.1", "0.2", "0.5"}),
        (0.0312, 0.0341, {"0.032", "0.034"}),
    ],
)
def test_the_loss_axis_has_round_numbers_at_its_ticks(low, high, wanted, qtbot):
    axis = shown(LossPlot(), qtbot).getAxis("left")
    ((_, ticks),) = axis.tickValues(np.log10(low), np.log10(high), 130)
    texts = axis.tickStrings(ticks, 1.0, 1.0)
    assert wanted <= set(texts)
    assert len(texts) <= 8
    assert [float(text) for text in texts] == pytest.approx([10**tick for tick in ticks])


def test_a_long_run_costs_no_more_to_draw_than_a_short_one(qtbot):
    rng = np.random.default_rng(0)
    plot = shown(LossPlot(), qtbot, (420, 200))
    n = 20_000
    plot.append(range(n), np.exp(rng.normal(size=n) - np.arange(n) / 5000), np.exp(rng.normal(size=n)))
    plot.grab()
    curves = plot.plotItem.listDataItems()
    assert len(curves) == 3
    assert all(100 < len(curve.xData) <= 2 * MOST_BINS for curve in curves)


STAGES = [(1, "surface 1 of 3"), (101, "surface 2 of 3"), (201, "volume")]


def with_stages(plot, n=300, stages=STAGES):
    """Losses that fall from 1 to 0.01 in every stage."""
    ends = [*(first - 1 for first, _ in stages[1:]), n]
    losses = [np.geomspace(1, 0.01, end - first + 1) for (first, _), end in zip(stages, ends, strict=True)]
    plot.append(range(1, n + 1), np.concatenate(losses), [np.nan] * n, stages=stages)
    return plot


def lines_of(plot):
    return [item for item in plot.plotItem.items if isinstance(item, InfiniteLine)]


def test_stages_are_named_at_their_borders_and_their_curves_are_not_joined(qtbot):
    plot = with_stages(shown(LossPlot(), qtbot))
    assert [(line.value(), line.label.format) for line in lines_of(plot)] == STAGES
    for curve in (plot._every_step, plot._smoothed):
        gaps = np.flatnonzero(np.isnan(curve.yData))
        assert curve.xData[gaps].tolist() == [101, 201]
        # Neither is mixed across a border: every stage begins at 1 and ends near 0.01.
        assert curve.yData[gaps + 1] == pytest.approx(0, abs=1e-6)
        assert (curve.yData[gaps - 1] < -1.9).all()
    (low, high), _ = plot.plotItem.viewRange()
    assert low > -30
    assert high < 330


def test_one_stage_needs_no_line_and_a_new_run_has_none(qtbot):
    plot = shown(LossPlot(), qtbot)
    plot.append([1, 2], [1.0, 0.5], [np.nan] * 2, stages=[(1, "volume")])
    assert not lines_of(plot)
    plot.clear_curves()
    with_stages(plot)
    assert len(lines_of(plot)) == 3
    plot.clear_curves()
    assert not lines_of(plot)


def test_a_border_comes_with_the_first_step_of_its_stage(qtbot):
    plot = shown(LossPlot(), qtbot)
    plot.append([1, 2, 3], [1.0, 0.5, 0.3], [np.nan] * 3, stages=STAGES[:1])
    assert not lines_of(plot)
    told = [*STAGES[:1], (4, "volume")]
    plot.append([4, 5], [1.0, 0.5], [np.nan] * 2, stages=told)
    assert [line.value() for line in lines_of(plot)] == [1, 4]
    assert np.flatnonzero(np.isnan(plot._smoothed.yData)).tolist() == [3]


def test_lines_of_stages_have_the_colours_of_the_theme(qtbot):
    plot = with_stages(shown(LossPlot(), qtbot))
    light = theme_colours("light")
    plot.set_colours(light)
    assert {line.label.color.name() for line in lines_of(plot)} == {light.text}
    assert {line.pen.color().name() for line in lines_of(plot)} == {light.text}


def test_a_long_run_of_stages_is_quickly_drawn(qtbot):
    n = 200_000
    stages = [(1, "surface 1 of 3"), (40_001, "surface 2 of 3"), (80_001, "surface 3 of 3"), (120_001, "volume")]
    start = time.process_time()
    plot = with_stages(shown(LossPlot(), qtbot), n, stages)
    assert time.process_time() - start < 2.0
    for curve in (plot._every_step, plot._smoothed):
        assert 400 < len(curve.xData) <= 2 * MOST_BINS
        assert np.isnan(curve.yData).sum() == 3


def test_unused_and_unknown_projections_do_not_pass_for_used_ones(qtbot):
    blue = theme_colours("dark").total
    all_used, some_unused = shown(IntensityPlot(), qtbot), shown(IntensityPlot(), qtbot)
    times, intensity = np.arange(20.0), np.arange(20.0) ** 2
    all_used.set_data(times, intensity, unit="", used=np.ones(20, bool))
    some_unused.set_data(times, intensity, unit="", used=times < 10)
    assert 0.3 < amount_of(blue, some_unused) / amount_of(blue, all_used) < 0.7
    some_unused.set_data(times * np.nan, intensity, unit="", used=times < 10)
    assert empty_text(some_unused) == ["No tilt series yet"]


def column_of_marker(plot):
    marker = QColor(theme_colours("dark").marker)
    away = np.abs(pixels(plot) - [marker.red(), marker.green(), marker.blue()]).max(axis=-1)
    columns = np.flatnonzero((away < 40).sum(axis=0) > 50)
    return columns.mean() if len(columns) else None


def test_the_marker_follows_the_mouse_and_tells_the_time(qtbot):
    plot = filled(shown(GrowthPlot(), qtbot))
    moved = []
    plot.marker_moved.connect(moved.append)
    plot.set_marker(0.0)
    start = column_of_marker(plot)
    plot.set_marker(100.0)
    end = column_of_marker(plot)
    assert moved == []
    middle = QPoint(round((start + end) / 2), 60)
    qtbot.mousePress(plot.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    assert moved[-1] == pytest.approx(50, abs=2)
    assert column_of_marker(plot) == pytest.approx(middle.x(), abs=2)
    qtbot.mouseMove(plot.viewport(), QPoint(plot.width() - 2, 60))
    qtbot.mouseRelease(plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(plot.width() - 2, 60))
    qtbot.mousePress(plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(plot.width() - 2, 60))
    assert moved[-1] == 100.0, "the marker stays within the curve"
    n_moves = len(moved)
    qtbot.mousePress(plot.viewport(), Qt.MouseButton.RightButton, pos=middle)
    assert len(moved) == n_moves


def test_growth_is_read_in_its_unit_and_as_a_part_of_the_specimen(qtbot):
    plot = shown(GrowthPlot(), qtbot)
    plot.set_curve([0.0, 1.0], [0.0, 50.0], unit="V·Å³", time_label="time", specimen=200.0)
    left, right = (plot.plotItem.getAxis(side) for side in ("left", "right"))
    assert right.isVisible()
    assert right.scale == pytest.approx(100 / 200)
    assert "V·Å³" in left.labelText
    assert "% of specimen" in right.labelText
    # Without a unit, the part is all that can be read.
    plot.set_curve([0.0, 1.0], [0.0, 50.0], unit="", time_label="time", specimen=200.0)
    assert not right.isVisible()
    assert "% of specimen" in left.labelText
    assert plot._curve.getData()[1][-1] == pytest.approx(25.0)


def test_an_empty_growth_plot_has_no_marker_to_move(qtbot):
    plot = shown(GrowthPlot(), qtbot)
    moved = []
    plot.marker_moved.connect(moved.append)
    qtbot.mousePress(plot.viewport(), Qt.MouseButton.LeftButton)
    filled(plot).set_curve([], [], unit="V", time_label="time [s]")
    qtbot.mousePress(plot.viewport(), Qt.MouseButton.LeftButton)
    assert moved == []
    assert empty_text(plot) == ["No reconstruction yet"]


def test_docked_plots_leave_with_their_viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    holder = QWidget()
    layout = QVBoxLayout(holder)
    for kind in (LossPlot, IntensityPlot, GrowthPlot):
        layout.addWidget(filled(kind(holder)))
    viewer.window.add_dock_widget(holder)
    viewer.close()
