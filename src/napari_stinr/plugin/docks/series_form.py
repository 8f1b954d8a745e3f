"""What a person says about a whole tilt series: where angles and times come from, pixel size, handedness, binning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS
from napari_stinr.plugin.session.draft import EDITED
from napari_stinr.plugin.session.file_filters import list_filter
from napari_stinr.plugin.session.preview import MOST_BINNING
from napari_stinr.plugin.widgets.file_drop import FileDrop, leave_drops_to_parents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.widgets.theme import ThemeColours

AS_FOUND, FROM_FILE, TYPED = "as found", "from file…", "as typed below"
_ONE_LIST = "{n} files were dropped here; expected one list."


class SeriesForm(QWidget):
    """The form between the state of a series and the table of its projections."""

    changed = Signal(dict)
    """Names and values of :class:`SeriesDraft` that a person has changed."""
    # A file, ``START:STEP`` or an acquisition order; "" for what was found.
    angles_chosen = Signal(str)
    times_chosen = Signal(str)
    crop_wanted = Signal(bool)
    """The rectangle of the crop is to be drawn on the canvas, or no longer."""

    def __init__(self, parent: QWidget, colours: ThemeColours) -> None:
        super().__init__(parent)
        self._draft: SeriesDraft | None = None
        self._refused = ""
        self._colours = colours
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.angles = QLineEdit(self)
        self.angles_problem, self.times_problem = _Problem(self), _Problem(self)
        form.addRow("Tilt angles", self._above(self._angles_row(), self.angles_problem))
        self.times = QComboBox(self)
        self.times.addItems([AS_FOUND, *ACQUISITION_ORDERS, FROM_FILE])
        self.times.setToolTip(
            "When the projections were taken: from the file, from a table that can be dropped here, or in which order."
        )
        self.times.activated.connect(self._on_times_chosen)
        FileDrop(self.times).dropped.connect(self._on_times_dropped)
        form.addRow("Time", self._above(_shrinkable(self.times), self.times_problem))
        self.pixel_size = _number(self, 0.0, 1e6, 4, "Å", "Width of a detector pixel. 0: not known.")
        self.pixel_size.setSpecialValueText("not known")
        form.addRow("Pixel size", self.pixel_size)
        form.addRow("Crop", self._crop_row())
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
        leave_drops_to_parents(self)
        self.set_colours(colours)

    def show_draft(self, draft: SeriesDraft | None) -> None:
        """Show what is known about a series, without a signal; what was refused stays until there is something else."""
        self._draft = draft
        self.setVisible(draft is not None)
        if draft is None:
            self.set_cropping(False)
            return
        inputs = (self.times, self.pixel_size, self.binning, self.axis_offset, self.flip_tilt, self.invert_contrast)
        blockers = [QSignalBlocker(widget) for widget in (*inputs, self.angles)]
        if self.angles_problem.is_over(draft.tilt_angles):
            self.angles.setText(_angles_argument(draft))
            self.angles.setPlaceholderText(_angles_hint(draft))
        self.times_problem.is_over(draft.times)
        self._mark_angles()
        self._show_times(draft)
        self.pixel_size.setValue(draft.pixel_size or 0.0)
        height, width = draft.cropped_shape[1:]
        self.crop_size.setText("whole image" if draft.crop is None else f"{height} × {width}")
        self.whole.setVisible(draft.crop is not None)
        self.binning.setValue(draft.binning)
        self.axis_offset.setValue(draft.axis_offset)
        self.flip_tilt.setChecked(draft.flip_tilt)
        self.invert_contrast.setChecked(draft.invert_contrast)
        del blockers

    def refuse_angles(self, problem: str) -> None:
        """Say below the field what is wrong with what is in it."""
        if self._draft is not None:
            self._refused = self.angles.text().strip()
            self.angles_problem.tell(problem, self._draft.tilt_angles)
            self._mark_angles()

    def refuse_times(self, problem: str) -> None:
        """Say below the choice what is wrong with the times that were given."""
        if self._draft is not None:
            self.times_problem.tell(problem, self._draft.times)
            self.show_draft(self._draft)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        self._colours = colours
        for problem in (self.angles_problem, self.times_problem):
            problem.setStyleSheet(f"QLabel {{ color: {colours.error}; }}")
        self._mark_angles()

    def set_cropping(self, is_drawn: bool) -> None:
        """Show whether the rectangle of the crop is drawn, without a signal."""
        with QSignalBlocker(self.crop):
            self.crop.setChecked(is_drawn)
        self.crop.setText("Done" if is_drawn else "Draw")

    def _angles_row(self) -> QWidget:
        row = QWidget(self)
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.angles.setToolTip(
            "First angle and step in degrees as START:STEP, such as -60:2, or a file, which can be dropped here; "
            "empty: what was found."
        )
        self.angles.editingFinished.connect(self._on_angles_typed)
        FileDrop(self.angles).dropped.connect(self._on_angles_dropped)
        self.angles_file = QPushButton("File…", row)
        self.angles_file.setToolTip("Read the angles from .rawtlt, .tlt, .mdoc, .mat, .npy or a table.")
        self.angles_file.clicked.connect(self._ask_for_angles)
        layout.addWidget(self.angles, 1)
        layout.addWidget(self.angles_file)
        return row

    def _crop_row(self) -> QWidget:
        row = QWidget(self)
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.crop_size = QLabel("whole image", row)
        self.crop_size.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.crop = QPushButton("Draw", row)
        self.crop.setCheckable(True)
        self.crop.setToolTip(
            "Draw a rectangle on the canvas, of what is to be reconstructed: less memory and time. Across the tilt "
            "axis, leave as much on both sides of it."
        )
        self.crop.toggled.connect(self._on_crop)
        self.whole = QPushButton("Whole", row)
        self.whole.setToolTip("Use the whole images.")
        self.whole.clicked.connect(lambda: self._emit(crop=None))
        layout.addWidget(self.crop_size, 1)
        layout.addWidget(self.whole)
        layout.addWidget(self.crop)
        return row

    def _above(self, widget: QWidget, problem: QLabel) -> QWidget:
        """Return a field with what is wrong with it below."""
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(widget)
        column.addWidget(problem)
        return holder

    def _mark_angles(self) -> None:
        is_wrong = bool(self.angles_problem.text())
        self.angles.setStyleSheet(f"QLineEdit {{ border: 1px solid {self._colours.error}; }}" if is_wrong else "")

    def _show_times(self, draft: SeriesDraft) -> None:
        while self.times.count() > len(ACQUISITION_ORDERS) + 2:
            self.times.removeItem(self.times.count() - 1)
        argument = draft.times_argument
        if argument == EDITED:
            self.times.addItem(TYPED)
            self.times.setCurrentText(TYPED)
        elif argument and argument not in ACQUISITION_ORDERS:
            # A path is longer than the dock is wide.
            self.times.addItem(Path(argument).name, argument)
            self.times.setCurrentIndex(self.times.count() - 1)
        else:
            self.times.setCurrentText(argument or AS_FOUND)

    def _on_angles_typed(self) -> None:
        text = self.angles.text().strip()
        known = "" if self._draft is None else _angles_argument(self._draft)
        # Leaving the field is no reason to throw away what was typed into the table, or to read again what was refused.
        if text == known:
            self.angles_problem.clear()
            self._mark_angles()
        elif text != self._refused or not self.angles_problem.text():
            self.angles_chosen.emit(text)

    def _on_angles_dropped(self, paths: list[Path]) -> None:
        self.angles.setText(str(paths[0]))
        if len(paths) > 1:
            self.refuse_angles(_ONE_LIST.format(n=len(paths)))
        else:
            self.angles_chosen.emit(str(paths[0]))

    def _on_times_dropped(self, paths: list[Path]) -> None:
        if len(paths) > 1:
            self.refuse_times(_ONE_LIST.format(n=len(paths)))
        else:
            self.times_chosen.emit(str(paths[0]))

    def _ask_for_angles(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Tilt angles", "", list_filter("Tilt angles"))
        if name:
            self._on_angles_dropped([Path(name)])

    def _on_times_chosen(self, index: int) -> None:
        text = self.times.itemText(index)
        if text == FROM_FILE:
            text, _ = QFileDialog.getOpenFileName(self, "Times", "", list_filter("Times"))
            if not text:
                self.show_draft(self._draft)
                return
        if text != TYPED:
            self.times_chosen.emit("" if text == AS_FOUND else self.times.itemData(index) or text)

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

    def _on_crop(self, is_wanted: bool) -> None:
        self.set_cropping(is_wanted)
        self.crop_wanted.emit(is_wanted)

    def _emit(self, **values: Any) -> None:
        self.changed.emit(values)


class _Problem(QLabel):
    """What is wrong with a field, for as long as nothing else is taken in its place."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._instead: NDArray[np.float64] | None = None
        self.hide()

    def tell(self, problem: str, instead: NDArray[np.float64]) -> None:
        """Say what is wrong, while these values are kept."""
        self._instead = instead
        self.setText(problem)
        self.show()

    def is_over(self, values: NDArray[np.float64]) -> bool:
        """Return whether there is nothing wrong any more, now that there are these values."""
        if self.text() and values is self._instead:
            return False
        self.clear()
        return True

    def clear(self) -> None:
        """Say nothing."""
        self._instead = None
        self.setText("")
        self.hide()


def _angles_argument(draft: SeriesDraft) -> str:
    return "" if draft.angles_argument == EDITED else draft.angles_argument


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
