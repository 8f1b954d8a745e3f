"""What a person says about a whole tilt series: where angles and times come from, pixel size, handedness, binning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS
from napari_stinr.plugin.session.draft import EDITED
from napari_stinr.plugin.session.file_filters import list_filter
from napari_stinr.plugin.session.preview import MOST_BINNING

if TYPE_CHECKING:
    from napari_stinr.plugin.session.draft import SeriesDraft

AS_FOUND, FROM_FILE, TYPED = "as found", "from file…", "as typed below"


class SeriesForm(QWidget):
    """The form above the table of projections."""

    changed = Signal(dict)
    """Names and values of :class:`SeriesDraft` that a person has changed."""
    # A file, ``START:STEP`` or an acquisition order; "" for what was found.
    angles_chosen = Signal(str)
    times_chosen = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Tilt angles", self._angles_row())
        self.times = QComboBox(self)
        self.times.addItems([AS_FOUND, *ACQUISITION_ORDERS, FROM_FILE])
        self.times.setToolTip("When the projections were taken: from the file, from a table, or in which order.")
        self.times.activated.connect(self._on_times_chosen)
        form.addRow("Time", _shrinkable(self.times))
        self.pixel_size = _number(self, 0.0, 1e6, 4, "Å", "Width of a detector pixel. 0: not known.")
        self.pixel_size.setSpecialValueText("not known")
        form.addRow("Pixel size", self.pixel_size)
        self.binning = QSpinBox(self)
        self.binning.setRange(1, MOST_BINNING)
        self.binning.setToolTip("Average so many pixels along each edge into one: less memory and time, less detail.")
        form.addRow("Binning", self.binning)
        self.axis_offset = _number(
            self, -1e5, 1e5, 2, "pixels", "Where the tilt axis (vertical) lies, from the centre of the image."
        )
        form.addRow("Axis offset", self.axis_offset)
        self.flip_tilt = QCheckBox("flip tilt (opposite handedness)", self)
        self.flip_tilt.setToolTip(
            "The wrong sign gives the mirror image in z and fits the data equally well: only the microscope can tell."
        )
        form.addRow("", self.flip_tilt)
        self.invert_contrast = QCheckBox("dark specimen (invert contrast)", self)
        self.invert_contrast.setToolTip("Background minus projections: for bright field, and for phases of that sign.")
        form.addRow("", self.invert_contrast)
        self.pixel_size.editingFinished.connect(self._on_pixel_size)
        self.binning.valueChanged.connect(self._on_binning)
        self.axis_offset.editingFinished.connect(self._on_axis_offset)
        self.flip_tilt.toggled.connect(self._on_flip_tilt)
        self.invert_contrast.toggled.connect(self._on_invert_contrast)
        self._draft: SeriesDraft | None = None

    def show_draft(self, draft: SeriesDraft | None) -> None:
        """Show what is known about a series, without a signal."""
        self._draft = draft
        self.setVisible(draft is not None)
        if draft is None:
            return
        inputs = (self.times, self.pixel_size, self.binning, self.axis_offset, self.flip_tilt, self.invert_contrast)
        blockers = [QSignalBlocker(widget) for widget in (*inputs, self.angles)]
        self.angles.setText("" if draft.angles_argument == EDITED else draft.angles_argument)
        self.angles.setPlaceholderText(_angles_hint(draft))
        self._show_times(draft)
        self.pixel_size.setValue(draft.pixel_size or 0.0)
        self.binning.setValue(draft.binning)
        self.axis_offset.setValue(draft.axis_offset)
        self.flip_tilt.setChecked(draft.flip_tilt)
        self.invert_contrast.setChecked(draft.invert_contrast)
        del blockers

    def _angles_row(self) -> QWidget:
        row = QWidget(self)
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.angles = QLineEdit(row)
        self.angles.setToolTip(
            "First angle and step in degrees as START:STEP, such as -60:2, or a file; empty: what was found."
        )
        self.angles.editingFinished.connect(self._on_angles_typed)
        self.angles_file = QPushButton("File…", row)
        self.angles_file.setToolTip("Read the angles from .rawtlt, .tlt, .mdoc, .mat, .npy or a table.")
        self.angles_file.clicked.connect(self._ask_for_angles)
        layout.addWidget(self.angles, 1)
        layout.addWidget(self.angles_file)
        return row

    def _show_times(self, draft: SeriesDraft) -> None:
        while self.times.count() > len(ACQUISITION_ORDERS) + 2:
            self.times.removeItem(self.times.count() - 1)
        argument = draft.times_argument
        if argument == EDITED:
            self.times.addItem(TYPED)
            self.times.setCurrentText(TYPED)
        elif argument and argument not in ACQUISITION_ORDERS:
            self.times.addItem(argument)
            self.times.setCurrentText(argument)
        else:
            self.times.setCurrentText(argument or AS_FOUND)

    def _on_angles_typed(self) -> None:
        text = self.angles.text().strip()
        known = "" if self._draft is None or self._draft.angles_argument == EDITED else self._draft.angles_argument
        # Leaving the field is no reason to throw away what was typed into the table.
        if text != known:
            self.angles_chosen.emit(text)

    def _ask_for_angles(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Tilt angles", "", list_filter("Tilt angles"))
        if name:
            self.angles_chosen.emit(name)

    def _on_times_chosen(self, index: int) -> None:
        text = self.times.itemText(index)
        if text == FROM_FILE:
            text, _ = QFileDialog.getOpenFileName(self, "Times", "", list_filter("Times"))
            if not text:
                self.show_draft(self._draft)
                return
        if text != TYPED:
            self.times_chosen.emit("" if text == AS_FOUND else text)

    def _on_pixel_size(self) -> None:
        shown = 0.0 if self._draft is None else self._draft.pixel_size or 0.0
        # The box shows four digits: leaving it must not round what the file says.
        if abs(self.pixel_size.value() - shown) > 0.5 * 10.0 ** -self.pixel_size.decimals():
            value = self.pixel_size.value() or None
            self._emit(pixel_size=value, pixel_size_given=True)

    def _on_binning(self, value: int) -> None:
        self._emit(binning=value)

    def _on_axis_offset(self) -> None:
        if self._draft is not None and self.axis_offset.value() != self._draft.axis_offset:
            self._emit(axis_offset=self.axis_offset.value())

    def _on_flip_tilt(self, flipped: bool) -> None:
        self._emit(flip_tilt=flipped)

    def _on_invert_contrast(self, inverted: bool) -> None:
        self._emit(invert_contrast=inverted)

    def _emit(self, **values: Any) -> None:
        self.changed.emit(values)


def _angles_hint(draft: SeriesDraft) -> str:
    known = draft.tilt_angles[np.isfinite(draft.tilt_angles)]
    if not len(known):
        return "START:STEP, such as -60:2"
    return f"{known.min():.4g} to {known.max():.4g}° " + ("as typed below" if draft.angles_argument else "as found")


def _number(parent: QWidget, low: float, high: float, decimals: int, unit: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox(parent)
    box.setRange(low, high)
    box.setDecimals(decimals)
    box.setSuffix(f" {unit}")
    box.setToolTip(tip)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    box.setKeyboardTracking(False)
    return _shrinkable(box)


def _shrinkable(widget: Any) -> Any:
    """Let a widget be narrower than its longest text: a file name must not widen the dock."""
    widget.setSizePolicy(QSizePolicy.Policy.Ignored, widget.sizePolicy().verticalPolicy())
    widget.setMinimumWidth(120)
    return widget
