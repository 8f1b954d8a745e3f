"""The page `Explore`: scrub through time, remove the contamination, export."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget
from superqt import QLabeledDoubleSlider

from napari_stinr.analysis.contamination import Growth
from napari_stinr.plugin.canvas.display import Map, Shown
from napari_stinr.plugin.canvas.player import PLAY_KEY
from napari_stinr.plugin.canvas.views import View
from napari_stinr.plugin.docks.base import Page, text_label
from napari_stinr.plugin.docks.explore_compare import ComparePanel
from napari_stinr.plugin.docks.export_panel import ExportPanel
from napari_stinr.plugin.docks.foot import Elided
from napari_stinr.plugin.docks.movie_panel import MoviePanel
from napari_stinr.plugin.docks.run_list import RunList
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.plots import EMPTY_TEXT
from napari_stinr.plugin.widgets.segments import Segments
from napari_stinr.plugin.widgets.time_plots import GrowthPlot
from napari_stinr.plugin.widgets.wheel import WheelGuard

if TYPE_CHECKING:
    from napari_stinr.plugin.widgets.theme import ThemeColours
    from napari_stinr.reconstruction import Reconstruction

_CURVE_TIMES = 41
_FEW_TIMES = 11
"""Fewer for a network of time, which is asked anew for every one."""
_CURVE_EVERY = 5.0
"""Time between two growth curves while a training runs [s]."""
_SWITCH = {
    Shown.CLEAN: ("The specimen at t = 0, as it was before the beam touched it.", Action.TELL_CONTAMINATION),
    Shown.AT_T: ("All that is there at t; it follows the time slider.", Action.EXPLORE),
    Shown.CONTAMINATION: (
        "What has grown until t, in orange over the clean specimen; it follows the time slider.",
        Action.TELL_CONTAMINATION,
    ),
    Shown.COMPARE: ("Two runs or two times side by side, or their difference.", Action.EXPLORE),
}
_VIEWS = {
    View.SLICE: "One slice; the sliders below the canvas choose it.",
    View.ORTHOGONAL: "Three planes through the middle, in 3D. Shift and drag moves the plane of the selected layer.",
    View.MAXIMUM: "The highest value along the line of sight, in 3D.",
    View.ISOSURFACE: "The surface between matter and vacuum, in 3D; its threshold is found in the data.",
}
_MAPS = {
    Map.ARRIVAL: ("When matter arrived, over the clean specimen: dark early, bright late.", Action.SHOW_ARRIVAL),
    Map.UNCERTAIN: ("The atoms that might as well be specimen as contamination.", Action.SHOW_UNCERTAIN),
}


class ExplorePage(Page):
    """Look at a reconstruction in time, and take out of it what is wanted."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._curve_started = 0.0
        self._curve_is_stale = self._curve_is_busy = False
        self._growth: Growth | None = None
        self.display = self.binding.display
        self._add_time()
        self._add_switch()
        self.compare_panel = ComparePanel(self)
        self.column.addWidget(self.compare_panel)
        self._add_views()
        self.amount_line = Elided(self)
        self.column.addWidget(self.amount_line)
        self._add_maps()
        self.plot = GrowthPlot(self)
        self.column.addWidget(self.plot)
        self.run_list = RunList(napari_viewer)
        self.column.addWidget(self.run_list)
        self.movie_panel = MoviePanel(self)
        self.column.addWidget(self.movie_panel)
        self.column.addStretch(1)
        self.export_panel = ExportPanel(self)
        outer = self.layout()
        assert outer is not None
        # Below what scrolls, so that it is always in sight.
        outer.addWidget(self.export_panel)
        WheelGuard(self).watch(self.export_panel)
        self._connect()
        self.set_colours(self.colours)
        self._on_reconstruction_changed()
        self._on_shown_changed()
        self._on_view_changed()

    def _add_time(self) -> None:
        self.time_line = text_label(self)
        self.column.addWidget(self.time_line)
        self.slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal, self)
        self.slider.setToolTip("Time; the same as napari's slider t.")
        self.play_button = self.button(
            "Play", f"Let the time run ({PLAY_KEY}).", self.binding.player.toggle, Action.EXPLORE
        )
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.play_button)
        self.column.addLayout(row)

    def _add_switch(self) -> None:
        buttons = {str(shown): self.button(shown, tip, _nothing, action) for shown, (tip, action) in _SWITCH.items()}
        self.switch = Segments(buttons, self)
        self.column.addWidget(self.switch)
        self.remove_button = self.button(
            "Remove contamination",
            "Show the specimen at t = 0, as it was before the beam touched it.",
            self.remove_contamination,
            Action.TELL_CONTAMINATION,
        )
        font = self.remove_button.font()
        font.setBold(True)
        self.remove_button.setFont(font)
        self.remove_button.setMinimumHeight(34)
        self.column.addWidget(self.remove_button)

    def _add_views(self) -> None:
        buttons = {str(view): self.button(view, tip, _nothing, Action.EXPLORE) for view, tip in _VIEWS.items()}
        self.view_switch = Segments(buttons, self)
        self.column.addWidget(self.view_switch)

    def _add_maps(self) -> None:
        self.maps = QWidget(self)
        row = QHBoxLayout(self.maps)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("More", self.maps))
        self.map_buttons: dict[Map, QPushButton] = {}
        for which, (tip, action) in _MAPS.items():
            made = self.button(which, tip, self._on_map_pressed, action)
            made.setCheckable(True)
            self.map_buttons[which] = made
            row.addWidget(made, 1)
        self.column.addWidget(self.maps)

    @property
    def t(self) -> float:
        """Where the time slider stands, 0 to 1 [t]."""
        return self.binding.slider.t

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if hasattr(self, "export_panel"):
            self.plot.set_colours(colours)

    def update_buttons(self) -> None:
        """Enable what is possible now: planes would not cross beside each other."""
        super().update_buttons()
        if hasattr(self, "view_switch") and self.display.shown is Shown.COMPARE:
            planes = self.view_switch.buttons[View.ORTHOGONAL]
            planes.setEnabled(False)
            planes.setToolTip("Not in a comparison: choose another view, or leave Compare first.")

    def catch_up(self) -> None:
        """Compute the growth curve of the newest snapshot."""
        self._update_curve()

    def remove_contamination(self) -> None:
        """Show the clean specimen alone."""
        self.choose(Shown.CLEAN)

    def choose(self, shown: Shown) -> None:
        """Show what a person has chosen, and offer to export it."""
        self.display.show(shown)
        self.export_panel.follow(shown)

    def _connect(self) -> None:
        binding = self.binding
        self.slider.valueChanged.connect(self._on_slider_moved)
        self.plot.marker_moved.connect(self._on_slider_moved)
        self.switch.chosen.connect(lambda name: self.choose(Shown(name)))
        self.view_switch.chosen.connect(lambda name: binding.views.show(View(name)))
        binding.views.changed.connect(self._on_view_changed)
        self.display.changed.connect(self._on_shown_changed)
        binding.t_changed.connect(self._on_t_changed)
        binding.reconstruction_changed.connect(self._on_reconstruction_changed)
        binding.state_changed.connect(self._on_reconstruction_changed)
        binding.draft_changed.connect(self._on_reconstruction_changed)
        binding.player.changed.connect(self._on_playing)

    def _on_shown_changed(self) -> None:
        self.switch.set_current(self.display.shown)
        self.update_buttons()
        is_compared = self.display.shown is Shown.COMPARE
        self.compare_panel.setVisible(is_compared)
        # They are of the run and the time of the slider, and there is no room.
        for widget in (self.maps, self.amount_line):
            widget.setVisible(not is_compared)
        for which, made in self.map_buttons.items():
            made.setChecked(self.display.map is which)

    def _on_view_changed(self) -> None:
        self.view_switch.set_current(self.binding.views.view)

    def _on_map_pressed(self, is_on: bool) -> None:
        which = next(which for which, made in self.map_buttons.items() if made is self.sender())
        if is_on:
            self.display.show_map(which)
        else:
            self.display.show(Shown.CLEAN)

    def _on_slider_moved(self, time: float) -> None:
        self.binding.slider.set_t(self.binding.slider.axis.t_of_physical(time))

    def _on_t_changed(self, t: float) -> None:
        axis = self.binding.slider.axis
        with QSignalBlocker(self.slider):
            self.slider.setValue(axis.physical(t))
        self.plot.set_marker(axis.physical(t))
        self.time_line.setText(axis.text(t) if self.session.reconstruction is not None else "No reconstruction yet.")
        self._update_amount()

    def _update_amount(self) -> None:
        """Say how much contamination there is at the time of the slider."""
        growth = self._growth
        self.amount_line.set_text("" if growth is None else growth.line(self.t))
        self.amount_line.setToolTip("" if growth is None else growth.tip)

    def _on_reconstruction_changed(self) -> None:
        self.update_buttons()
        axis = self.binding.slider.axis
        first, last = axis.time_range
        with QSignalBlocker(self.slider):
            self.slider.setRange(first, last)
            self.slider.setSingleStep(axis.spacing)
            self.slider.setDecimals(int(np.clip(np.ceil(-np.log10(axis.spacing)), 0, 4)))
        self.slider.setEnabled(self.session.reconstruction is not None)
        self._on_t_changed(self.t)
        self._update_curve()

    def _on_playing(self, is_playing: bool) -> None:
        self.play_button.setText("Stop" if is_playing else "Play")

    def _update_curve(self) -> None:
        """Compute the growth curve; during a training not at every snapshot."""
        session, reconstruction = self.session, self.session.reconstruction
        if reconstruction is None:
            self._growth = None
            self.plot.set_empty_text(EMPTY_TEXT)
            self.plot.set_curve([], [], unit="", time_label="time")
            self._update_amount()
            return
        if not self.is_seen():
            return
        now = time.monotonic()
        if self._curve_is_busy or (session.is_active and now - self._curve_started < _CURVE_EVERY):
            self._curve_is_stale = True
            return
        self._curve_started, self._curve_is_busy, self._curve_is_stale = now, True, False
        n_times = _CURVE_TIMES if reconstruction.field.serves_all_times else _FEW_TIMES
        in_volts = self._is_in_volts()
        self.binding.run(
            "growth curve",
            lambda _: Growth.of(reconstruction, n_times, in_volts=in_volts),
            lambda growth: self._show_curve(growth, reconstruction),
            on_error=self._on_curve_error,
            bar=False,
        )

    def _is_in_volts(self) -> bool:
        """Whether the potential is one: only simulated projections are in V·Å, others are in the unit of their file."""
        draft = self.session.run_draft
        return draft is not None and draft.sample is not None

    def _show_curve(self, growth: Growth, measured: Reconstruction) -> None:
        self._curve_is_busy = False
        axis, reconstruction = self.binding.slider.axis, self.session.reconstruction
        run = self.session.runs.of(measured)
        if run is not None and run.contamination != growth.percent(1.0):
            self.session.runs.measure(run, growth.percent(1.0))
        if reconstruction is None:
            return
        self._growth = growth
        if growth.is_static:
            self.plot.set_empty_text("A static reconstruction has no growth curve")
            self.plot.set_curve([], [], unit="", time_label="time")
            self._update_amount()
            return
        unit = f"V·{reconstruction.length_unit}³" if self._is_in_volts() else ""
        times = [axis.physical(float(t)) for t in growth.times]
        specimen = None if growth.percent(1.0) is None else growth.specimen
        self.plot.set_curve(times, growth.added, unit=unit, time_label=axis.label, specimen=specimen)
        self.plot.set_marker(axis.physical(self.t))
        self._update_amount()
        if self._curve_is_stale:
            self._update_curve()

    def _on_curve_error(self, problem: str) -> None:
        self._curve_is_busy = False
        self.plot.set_empty_text(problem)


def _nothing() -> None:
    """Leave a button of the switch to the switch."""
