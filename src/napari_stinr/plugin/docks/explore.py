"""The page `Explore`: scrub through time, remove the contamination, export."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QGridLayout, QHBoxLayout
from superqt import QLabeledDoubleSlider

from napari_stinr.plugin.canvas.player import PLAY_KEY
from napari_stinr.plugin.docks.base import Page, text_label
from napari_stinr.plugin.docks.export_panel import ExportPanel
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.time_plots import GrowthPlot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.tasks import Progress
    from napari_stinr.plugin.widgets.theme import ThemeColours
    from napari_stinr.reconstruction import Reconstruction

_CURVE_TIMES = 41
_FEW_TIMES = 11
"""Fewer for a network of time, which is asked anew for every one."""
_CURVE_EVERY = 5.0
"""Time between two growth curves while a training runs [s]."""


class ExplorePage(Page):
    """Look at a reconstruction in time, and take out of it what is wanted."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._curve_started = 0.0
        self._curve_is_stale = self._curve_is_busy = False
        self._rendering: set[str] = set()
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
        self.remove_button = self.button(
            "Remove contamination",
            "Add the specimen at t = 0, as it was before the beam touched it.",
            self.remove_contamination,
            Action.EXPLORE,
        )
        font = self.remove_button.font()
        font.setBold(True)
        self.remove_button.setFont(font)
        self.remove_button.setMinimumHeight(34)
        self.column.addWidget(self.remove_button)
        self.column.addLayout(self._more_buttons())
        self.plot = GrowthPlot(self)
        self.column.addWidget(self.plot)
        self.export_panel = ExportPanel(self)
        self.column.addWidget(self.export_panel)
        self.column.addStretch(1)
        self._connect()
        self.set_colours(self.colours)
        self._on_reconstruction_changed()

    @property
    def t(self) -> float:
        """Where the time slider stands, 0 to 1 [t]."""
        return self.binding.slider.t

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        super().set_colours(colours)
        if hasattr(self, "export_panel"):
            self.plot.set_colours(colours)

    def catch_up(self) -> None:
        """Compute the growth curve of the newest snapshot."""
        self._update_curve()

    def remove_contamination(self) -> None:
        """Add the layer `clean (t = 0)`."""
        reconstruction = self.session.reconstruction
        if reconstruction is not None:
            self._render("clean", lambda: reconstruction.render(0.0), self.binding.layers.add_clean)

    def show_contamination(self) -> None:
        """Add what has grown until the time of the slider."""
        reconstruction, t = self.session.reconstruction, self.t
        if t == 0:
            show_info("Nothing has grown at t = 0: move the time slider first.")
        elif reconstruction is not None:
            self._render(
                "contamination",
                lambda: reconstruction.contamination(t),
                lambda volume, made: self.binding.layers.add_contamination(volume, t, made),
            )

    def show_arrival_time(self) -> None:
        """Add the map of arrival times."""
        reconstruction = self.session.reconstruction
        if reconstruction is not None:
            self._render(
                "arrival time",
                lambda: (reconstruction.arrival_time(), reconstruction.render(1.0)),
                lambda found, made: self.binding.layers.add_arrival(found[0], found[1], made),
            )

    def show_uncertain(self) -> None:
        """Add the atoms that might as well be on the other side."""
        reconstruction = self.session.reconstruction
        if reconstruction is None:
            return

        def add(volume: NDArray[np.float32], made: Reconstruction) -> None:
            if volume.any():
                self.binding.layers.add_uncertain(volume, made)
            else:
                show_info("No atom is uncertain: nothing grew, or the volume shows no atoms, or each was told clearly.")

        self._render("uncertain", reconstruction.uncertain, add)

    def show_4d(self) -> None:
        """Show the 4D layer, also where it was deleted."""
        if self.session.reconstruction is not None:
            self.binding.layers.show_reconstruction(self.session.reconstruction, self.session.run_draft, again=True)

    def _more_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        for column, (text, tip, pressed, action) in enumerate(
            (
                ("Contamination", "Add what has grown until t.", self.show_contamination, Action.EXPLORE),
                ("Arrival time", "Add the map of when matter arrived.", self.show_arrival_time, Action.SHOW_ARRIVAL),
                (
                    "Uncertain",
                    "Add the atoms that might as well be specimen as contamination.",
                    self.show_uncertain,
                    Action.SHOW_UNCERTAIN,
                ),
                ("4D volume", "Show the layer that follows the time slider.", self.show_4d, Action.EXPLORE),
            )
        ):
            grid.addWidget(self.button(text, tip, pressed, action), column // 2, column % 2)
        return grid

    def _connect(self) -> None:
        binding = self.binding
        self.slider.valueChanged.connect(self._on_slider_moved)
        self.plot.marker_moved.connect(self._on_slider_moved)
        binding.t_changed.connect(self._on_t_changed)
        binding.reconstruction_changed.connect(self._on_reconstruction_changed)
        binding.state_changed.connect(self._on_reconstruction_changed)
        binding.draft_changed.connect(self._on_reconstruction_changed)
        binding.player.changed.connect(self._on_playing)

    def _on_slider_moved(self, time: float) -> None:
        self.binding.slider.set_t(self.binding.slider.axis.t_of_physical(time))

    def _on_t_changed(self, t: float) -> None:
        axis = self.binding.slider.axis
        with QSignalBlocker(self.slider):
            self.slider.setValue(axis.physical(t))
        self.plot.set_marker(axis.physical(t))
        self.time_line.setText(axis.text(t) if self.session.reconstruction is not None else "No reconstruction yet.")

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
            self.plot.set_curve([], [], unit="", time_label="time")
            return
        if not self.is_seen():
            return
        now = time.monotonic()
        if self._curve_is_busy or (session.is_active and now - self._curve_started < _CURVE_EVERY):
            self._curve_is_stale = True
            return
        self._curve_started, self._curve_is_busy, self._curve_is_stale = now, True, False

        def curve(_: Progress) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return reconstruction.growth_curve(_CURVE_TIMES if reconstruction.field.serves_all_times else _FEW_TIMES)

        self.binding.run("growth curve", curve, self._show_curve, on_error=self._on_curve_error, bar=False)

    def _show_curve(self, curve: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
        self._curve_is_busy = False
        axis, reconstruction = self.binding.slider.axis, self.session.reconstruction
        if reconstruction is None:
            return
        # Only simulated projections are in V·Å; others are in the unit of their file.
        draft = self.session.run_draft
        unit = f"V·{reconstruction.length_unit}³" if draft is not None and draft.sample is not None else ""
        times = [axis.physical(float(t)) for t in curve[0]]
        self.plot.set_curve(times, curve[1], unit=unit, time_label=axis.label)
        self.plot.set_marker(axis.physical(self.t))
        if self._curve_is_stale:
            self._update_curve()

    def _on_curve_error(self, problem: str) -> None:
        self._curve_is_busy = False
        self.plot.set_empty_text(problem)

    def _render(self, what: str, render: Any, add: Any) -> None:
        """Compute volumes in the background and add them; a double click asks once."""
        reconstruction = self.session.reconstruction
        if what in self._rendering:
            return
        self._rendering.add(what)

        def done(volume: Any) -> None:
            self._rendering.discard(what)
            add(volume, reconstruction)

        def failed(problem: str) -> None:
            self._rendering.discard(what)
            show_error(problem)

        self.binding.run(f"render {what}", lambda _: render(), done, on_error=failed)
