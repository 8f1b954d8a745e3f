"""The part of `Align` for the hand: the tilt axis with a slice that follows it, and projections moved by arrow keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QPushButton, QSpinBox, QWidget

from napari_stinr.plugin.canvas.nudging import DIFFERENCE_KEY, NEIGHBOUR_KEY, SMALL_STEP, STEP, Shown
from napari_stinr.plugin.docks.base import text_label
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.widgets.pictures import Picture, grey_image, spread
from napari_stinr.plugin.widgets.segments import Segments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.plugin.docks.base import Page
    from napari_stinr.plugin.widgets.theme import ThemeColours

_NOT_YET = "The projections are being looked at: wait a moment."
_AXIS_TIP = (
    "Draw the tilt axis over all projections. Drag the line to shift it, a knob to turn it: the slice below follows, "
    "and is sharpest where the axis is right."
)
_MOVE_TIP = (
    f"Show the aligned projections. Arrow keys move the one that is shown by {STEP:g} pixel, with Shift by "
    f"{SMALL_STEP:g}; {NEIGHBOUR_KEY} shows its neighbour, {DIFFERENCE_KEY} the difference."
)
_STEEPEST, _FARTHEST = 45.0, 1e5


class HandPanel(QWidget):
    """Tilt axis and single projections by hand."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page, self._aligner, self._hand = page, page.binding.aligner, page.binding.by_hand
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self._add_axis(grid)
        self._add_slice(grid)
        self._add_projections(grid)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(2, 1)
        self._connect()
        self.update_panel()

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        self.slice.setStyleSheet(f"background: {colours.foreground}; color: {colours.text};")

    def update_panel(self) -> None:
        """Show what is done by hand now, and the axis as it is."""
        hand, view, pose = self._hand, self._aligner.view, self._aligner.pose
        reason = self._page.session.why_not(Action.ALIGN) or ("" if view is not None else _NOT_YET)
        is_axis, is_moving = hand.axis.is_shown, hand.nudging.is_on
        for button, tip, is_on in (
            (self.axis_button, _AXIS_TIP, is_axis),
            (self.move_button, _MOVE_TIP, is_moving),
        ):
            button.setEnabled(is_on or not reason)
            button.setToolTip(tip if is_on or not reason else reason)
            button.setChecked(is_on)
        for widget in (self.offset, self.turn, self.picture):
            widget.setEnabled(not reason)
        self.shown.setVisible(is_moving)
        self.current.setVisible(is_moving)
        self.shown.set_current(str(hand.nudging.shown))
        for widget in (self.slice, self.row_label, self.row):
            widget.setVisible(is_axis)
        if pose is not None:
            self._show_axis(pose.axis_offset, pose.axis_rotation)
        if view is not None and self.row.maximum() != view.shape[0]:
            with QSignalBlocker(self.row):
                self.row.setRange(1, view.shape[0])
                self.row.setValue(view.shape[0] // 2 + 1)
            hand.row = None
        self._show_current()
        if is_axis:
            hand.want_slice()

    def _add_axis(self, grid: QGridLayout) -> None:
        self.axis_button = QPushButton("Tilt axis", self)
        self.axis_button.setCheckable(True)
        self.picture = QComboBox(self)
        self.picture.addItems(["over the sum", "over the maximum"])
        self.picture.setToolTip("On what the axis is drawn: all projections added up, or the brightest of each pixel.")
        self.offset = _number(self, -_FARTHEST, _FARTHEST, 0.5, " px", "Distance of the axis from the centre [pixel].")
        self.turn = _number(self, -_STEEPEST, _STEEPEST, 0.1, "°", "Turn of the axis, clockwise [degrees].")
        grid.addWidget(self.axis_button, 0, 0)
        grid.addWidget(self.picture, 0, 1, 1, 2)
        grid.addWidget(QLabel("Offset, turn", self), 1, 0)
        grid.addWidget(self.offset, 1, 1)
        grid.addWidget(self.turn, 1, 2)

    def _add_slice(self, grid: QGridLayout) -> None:
        self.row_label = QLabel("Slice at row", self)
        self.row = QSpinBox(self)
        self.row.setToolTip("Row of the aligned projections that the slice belongs to, from the top.")
        self.row.setKeyboardTracking(False)
        self.slice = Picture(self, empty_text="being computed…")
        self.slice.setFixedHeight(220)
        self.slice.setToolTip(
            "The slice that this row sees, by filtered back-projection: points are points and no arcs where the axis "
            "is right."
        )
        grid.addWidget(self.row_label, 2, 0)
        grid.addWidget(self.row, 2, 1, 1, 2)
        grid.addWidget(self.slice, 3, 0, 1, 3)

    def _add_projections(self, grid: QGridLayout) -> None:
        self.move_button = QPushButton("Move projections", self)
        self.move_button.setCheckable(True)
        tips = {
            Shown.ITSELF: "The projection at the time slider.",
            Shown.NEIGHBOUR: f"The projection before it in tilt angle ({NEIGHBOUR_KEY} on the canvas).",
            Shown.DIFFERENCE: f"The projection less its neighbour: grey where they are the same ({DIFFERENCE_KEY}).",
        }
        buttons = {}
        for name, tip in tips.items():
            buttons[str(name)] = QPushButton(str(name), self)
            buttons[str(name)].setToolTip(tip)
        self.shown = Segments(buttons, self)
        self.current = text_label(self)
        grid.addWidget(self.move_button, 4, 0, 1, 3)
        grid.addWidget(self.shown, 5, 0, 1, 3)
        grid.addWidget(self.current, 6, 0, 1, 3)

    def _connect(self) -> None:
        hand = self._hand
        self.axis_button.clicked.connect(self._on_axis)
        self.move_button.clicked.connect(self._on_move)
        self.picture.activated.connect(self._on_picture)
        self.offset.valueChanged.connect(self._on_typed)
        self.turn.valueChanged.connect(self._on_typed)
        self.row.valueChanged.connect(self._on_row)
        self.shown.chosen.connect(self._on_shown)
        hand.changed.connect(self.update_panel)
        hand.axis_moved.connect(self._show_axis)
        hand.slice_ready.connect(self._show_slice)
        self._page.binding.t_changed.connect(self._show_current)

    def _on_axis(self, is_on: bool) -> None:
        if is_on:
            self._hand.show_axis()
        else:
            self._hand.axis.end()
        self.update_panel()

    def _on_move(self, is_on: bool) -> None:
        if is_on:
            self._hand.move_projections()
        else:
            self._hand.nudging.end()
        self.update_panel()

    def _on_picture(self, index: int) -> None:
        self._hand.is_maximum = index == 1
        if self._hand.axis.is_shown:
            self._hand.show_axis()

    def _on_typed(self, *_: Any) -> None:
        self._page.binding.attempt(lambda: self._hand.set_axis(self.offset.value(), self.turn.value()))

    def _on_row(self, row: int) -> None:
        self._hand.row = row - 1
        self._hand.want_slice()

    def _on_shown(self, name: str) -> None:
        self._hand.nudging.show(Shown(name))
        # Arrow keys are for the projection, not for the switch.
        self._hand.nudging.focus()

    def _show_axis(self, offset: float, turn: float) -> None:
        for widget, value in ((self.offset, offset), (self.turn, turn)):
            with QSignalBlocker(widget):
                widget.setValue(value)

    def _show_slice(self, image: NDArray[np.float32]) -> None:
        low, high = spread(image)
        self.slice.set_image(grey_image(image, max(low, 0.0) if high > 0 else low, high))

    def _show_current(self, *_: Any) -> None:
        projection, pose, stack = (
            self._page.binding.slider.projection,
            self._aligner.pose,
            self._hand.nudging.stack,
        )
        if projection is None or pose is None or stack is None or projection >= pose.n_tilts:
            return
        angles = stack.view.series.tilt_angles
        neighbour = stack.neighbour(projection)
        self.current.setText(
            f"Projection {projection + 1} at {angles[projection]:.4g}°, moved back by {pose.dx[projection]:.2f} and "
            f"{pose.dy[projection]:.2f} pixels (x, y). Neighbour: {neighbour + 1} at {angles[neighbour]:.4g}°. Arrow "
            "keys on the canvas move it."
        )


def _number(parent: QWidget, low: float, high: float, step: float, unit: str, tip: str) -> QDoubleSpinBox:
    made = QDoubleSpinBox(parent)
    made.setRange(low, high)
    made.setDecimals(2)
    made.setSingleStep(step)
    made.setSuffix(unit)
    made.setToolTip(tip)
    made.setKeyboardTracking(False)
    made.setMinimumWidth(70)
    return made
