"""The part of `Explore` that chooses what is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QSizePolicy, QWidget

from napari_stinr.analysis.contamination import is_static
from napari_stinr.plugin.canvas.comparison import Side
from napari_stinr.plugin.widgets.segments import Segments

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.base import Page

_SIDE_BY_SIDE, _DIFFERENCE = "Side by side", "Difference"
_NAMES = ("Left", "Right")


class ComparePanel(QWidget):
    """Two runs or volumes with their times, side by side or their difference."""

    def __init__(self, dock: Page) -> None:
        super().__init__(dock)
        self._dock, self._comparison = dock, dock.binding.comparison
        self._sources: list[Any] = []
        self.boxes, self.times = [QComboBox(self) for _ in _NAMES], [QDoubleSpinBox(self) for _ in _NAMES]
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for row, (name, box, time) in enumerate(zip(_NAMES, self.boxes, self.times, strict=True)):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.setToolTip("A run, or another volume that is open.")
            time.setRange(0.0, 1.0)
            time.setSingleStep(0.1)
            time.setPrefix("t = ")
            time.setKeyboardTracking(False)
            time.setToolTip("Time of the volume, 0 (first projection) to 1 (last).")
            for column, widget in enumerate((QLabel(name, self), box, time)):
                grid.addWidget(widget, row, column)
            box.activated.connect(self._on_chosen)
            time.valueChanged.connect(self._on_chosen)
        tips = {
            _SIDE_BY_SIDE: "Both under one camera: what turns one turns the other.",
            _DIFFERENCE: "Right less left: orange where the right one has more, blue where it has less.",
        }
        self.switch = Segments({text: dock.button(text, tip, _nothing) for text, tip in tips.items()}, self)
        self.switch.chosen.connect(self._on_chosen)
        grid.addWidget(self.switch, len(_NAMES), 0, 1, 3)
        binding = dock.binding
        self._comparison.changed.connect(self.update_sources)
        binding.layers_changed.connect(self.update_sources)
        binding.reconstruction_changed.connect(self.update_sources)
        self.update_sources()

    def update_sources(self) -> None:
        """Offer the runs and volumes that there are now."""
        found, sides = self._comparison.sources(), self._comparison.current_sides()
        self._sources = list(found)
        with QSignalBlocker(self.switch):
            self.switch.set_current(_DIFFERENCE if self._comparison.is_difference else _SIDE_BY_SIDE)
        for position, (box, time) in enumerate(zip(self.boxes, self.times, strict=True)):
            with QSignalBlocker(box), QSignalBlocker(time):
                box.clear()
                box.addItems(list(found.values()))
                if sides is not None:
                    box.setCurrentIndex(self._sources.index(sides[position].source))
                    time.setValue(sides[position].t)
        self._gate_times()

    def _on_chosen(self, *_: Any) -> None:
        if not self._sources:
            return
        left, right = (
            Side(self._sources[box.currentIndex()], time.value())
            for box, time in zip(self.boxes, self.times, strict=True)
        )
        self._gate_times()
        self._comparison.choose(left, right, is_difference=self.switch.current == _DIFFERENCE)

    def _gate_times(self) -> None:
        """Let a time be chosen where there is more than one."""
        growing = {
            run.number
            for run in self._dock.session.runs.runs
            if run.reconstruction is not None and not is_static(run.reconstruction)
        }
        for box, time in zip(self.boxes, self.times, strict=True):
            source = self._sources[box.currentIndex()] if self._sources else None
            time.setEnabled(isinstance(source, int) and source in growing)


def _nothing() -> None:
    """Leave a button of the switch to the switch."""
