"""What of a reconstruction is shown: clean, at t, or contamination over the clean specimen; one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_stinr.analysis.contamination import is_static
from napari_stinr.plugin.canvas.grown import GrownSince
from napari_stinr.plugin.canvas.layer_data import entry_of
from napari_stinr.plugin.canvas.telling import show_error, show_info

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.comparison import Comparison
    from napari_stinr.plugin.canvas.stage import Stage
    from napari_stinr.reconstruction import Reconstruction

_LEAST_OF_HIGHEST = 0.05
"""Part of the highest value below which there is no matter."""
_BRIGHT = 0.99
"""Part of the contamination that is not brighter than the brightest colour."""
_LEAST_LIMIT = 1e-6
_TURN = 20
"""Time between two layers that are added, in which the window is drawn [ms]."""


class Shown(StrEnum):
    """What the switch names."""

    CLEAN = "Clean"
    AT_T = "At t"
    CONTAMINATION = "Contamination"
    COMPARE = "Compare"


class Map(StrEnum):
    """What else can lie over the clean specimen."""

    ARRIVAL = "Arrival time"
    UNCERTAIN = "Uncertain"


@dataclass(frozen=True, eq=False)
class _Clean:
    """The clean specimen of a reconstruction `(z, y, x)` [V], and the limits in which its contamination is seen."""

    reconstruction: Reconstruction
    volume: NDArray[np.float32]
    grown_limits: tuple[float, float]

    @classmethod
    def of(cls, reconstruction: Reconstruction) -> _Clean:
        clean = reconstruction.render(0.0)
        grown = reconstruction.render(1.0)
        grown -= clean
        highest = float(grown.max())
        # Of what is there: a few atoms are less than a thousandth of all voxels.
        there = grown[grown > _LEAST_OF_HIGHEST * highest]
        bright = float(np.quantile(there, _BRIGHT)) if there.size else 0.0
        # Where nothing grew, what is left is rounding: it must not be stretched to the brightest colour.
        least = _LEAST_OF_HIGHEST * float(clean.max(initial=0.0))
        return cls(reconstruction, clean, (0.0, max(bright, least, _LEAST_LIMIT)))


class Display(QObject):
    """Shows one thing of the reconstruction of a session, and hides what else is ours."""

    changed = Signal()
    """Another thing is shown, or will be as soon as it is computed."""
    applied = Signal()
    """The layers show what they should."""

    def __init__(self, stage: Stage, comparison: Comparison, parent: QObject) -> None:
        super().__init__(parent)
        self._stage, self._session, self._comparison = stage, stage.session, comparison
        self.shown: Shown = Shown.AT_T
        self.map: Map | None = None
        self._clean: _Clean | None = None
        self._computing: Reconstruction | None = None
        self._mapping: set[Map] = set()
        self._opened: WeakSet[Reconstruction] = WeakSet()
        self._was_active = self._session.is_active
        stage.layers.volume_ready.connect(self._refresh_grown)
        comparison.shown.connect(self._on_compared)

    def show(self, shown: Shown) -> None:
        """Show what the switch names; a static reconstruction is never shown as clean.

        Parameters
        ----------
        shown : Shown
            What.
        """
        reconstruction = self._session.reconstruction
        if reconstruction is None:
            return
        if is_static(reconstruction) and shown in (Shown.CLEAN, Shown.CONTAMINATION):
            shown = Shown.AT_T
        self.shown, self.map = shown, None
        if shown is not Shown.COMPARE:
            self._comparison.leave()
        self.changed.emit()
        self._apply()

    def show_map(self, which: Map) -> None:
        """Show a map over the clean specimen.

        Parameters
        ----------
        which : Map
            Which one.
        """
        if self._session.reconstruction is None or not self._session.reconstruction.field.has_arrival:
            return
        self.shown, self.map = Shown.CLEAN, which
        self._comparison.leave()
        self.changed.emit()
        self._apply()

    def open(self) -> None:
        """Show a reconstruction for the first time: all that has grown over the specimen, to be removed by a button."""
        reconstruction = self._session.reconstruction
        if reconstruction is None:
            return
        if reconstruction in self._opened:
            # Who comes back to a run wants to see of it what was seen of the other one.
            self.show(Shown.AT_T if self.shown is Shown.COMPARE else self.shown)
            return
        self._opened.add(reconstruction)
        self._stage.slider.set_t(1.0)
        self.show(Shown.CONTAMINATION)

    def _apply(self) -> None:
        reconstruction = self._session.reconstruction
        if reconstruction is None:
            return
        if self.shown is Shown.COMPARE:
            self._comparison.show()
        elif self.shown is Shown.AT_T:
            self._stage.layers.show_reconstruction(reconstruction, self._session.run_draft, again=True)
            self._finish()
        elif self._clean is not None and self._clean.reconstruction is reconstruction:
            self._present(self._clean)
        else:
            self._compute(reconstruction)

    def _present(self, clean: _Clean) -> None:
        layers = self._stage.layers
        layers.add_clean(clean.volume, clean.reconstruction)
        if self.shown is Shown.CONTAMINATION:
            layers.add_grown(clean.volume, clean.grown_limits, clean.reconstruction)
        elif self.map is not None:
            self._compute_map(self.map, clean.reconstruction)
        self._finish()

    def _finish(self) -> None:
        for layer in self._stage.viewer.layers:
            if entry_of(layer, "draft") is not None:
                layer.visible = False
        self.applied.emit()

    def _compute(self, reconstruction: Reconstruction) -> None:
        if self._computing is not None:
            return
        self._computing = reconstruction

        def done(clean: _Clean) -> None:
            self._computing, self._clean = None, clean
            if not self._is_wanted(clean):
                self._apply()
            elif self.shown is Shown.CONTAMINATION:
                # Napari takes a tenth of a second for each layer: one at a time.
                self._stage.layers.add_clean(clean.volume, clean.reconstruction)
                QTimer.singleShot(_TURN, self._present_rest)
            else:
                self._present(clean)

        def failed(problem: str) -> None:
            self._computing = None
            show_error(problem)

        self._stage.run("render clean", lambda _: _Clean.of(reconstruction), done, on_error=failed)

    def _is_wanted(self, clean: _Clean) -> bool:
        now = self._session.reconstruction
        # Snapshots may come faster than this: the last but one is better than none.
        is_fresh = now is clean.reconstruction or (now is not None and self._session.is_active)
        return is_fresh and self.shown in (Shown.CLEAN, Shown.CONTAMINATION)

    def _present_rest(self) -> None:
        if self._clean is not None and self._is_wanted(self._clean):
            self._present(self._clean)

    def _compute_map(self, which: Map, reconstruction: Reconstruction) -> None:
        if which in self._mapping:
            return
        self._mapping.add(which)

        def work(_: Any) -> tuple[NDArray[np.float32], ...]:
            if which is Map.ARRIVAL:
                return reconstruction.arrival_time(), reconstruction.render(1.0)
            return (reconstruction.uncertain(),)

        def done(found: tuple[NDArray[np.float32], ...]) -> None:
            self._mapping.discard(which)
            if self.map is which and self._session.reconstruction is reconstruction:
                self._add_map(which, found, reconstruction)

        def failed(problem: str) -> None:
            self._mapping.discard(which)
            show_error(problem)

        self._stage.run(f"render {which.lower()}", work, done, on_error=failed)

    def _add_map(self, which: Map, found: tuple[NDArray[np.float32], ...], reconstruction: Reconstruction) -> None:
        if which is Map.ARRIVAL:
            self._stage.layers.add_arrival(found[0], found[1], reconstruction)
        elif found[0].any():
            self._stage.layers.add_uncertain(found[0], reconstruction)
        else:
            self.map = None
            self.changed.emit()
            show_info("No atom is uncertain: nothing grew, or the volume shows no atoms, or each was told clearly.")
        self._finish()

    def _on_compared(self) -> None:
        layers = self._stage.layers
        layers.hide_results()
        if layers.stream_layer is not None:
            layers.stream_layer.visible = False
        self._finish()

    def follow_state(self) -> None:
        """Show the result of a training that has ended."""
        was_active, self._was_active = self._was_active, self._session.is_active
        if was_active and not self._was_active:
            self.open()

    def follow_reconstruction(self) -> None:
        """Show a reconstruction that was opened, and of one in training the newest snapshot."""
        if self._session.reconstruction is None:
            # Its successor streams into the layer of the volume at t.
            self.shown, self.map, self._clean = Shown.AT_T, None, None
            self._comparison.leave()
            self.changed.emit()
        elif not self._session.is_active:
            self.open()
        elif self.map is None and self.shown in (Shown.CLEAN, Shown.CONTAMINATION):
            self._apply()

    def _refresh_grown(self) -> None:
        for layer in self._stage.viewer.layers:
            if layer.visible and isinstance(layer.data, GrownSince):
                layer.refresh(extent=False)
