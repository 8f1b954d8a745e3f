"""The rows behind the table of projections: what a cell shows, and what may be written into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QColor

from napari_stinr.plugin.widgets.theme import theme_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

USE, ANGLE, TIME = range(3)
LARGEST_ANGLE = 180.0
_NAMES = ("use", "tilt angle", "time")
_MISSING = "#d02f3f"
_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}

Cell = tuple[int, int, str]
"""Row, column and what was typed or pasted there."""


@dataclass(frozen=True, slots=True, eq=False)
class TableRows:
    """What the table holds.

    Parameters
    ----------
    angles : ndarray
        `(n_tilts,)` float64 tilt angles, NaN where unknown [degrees].
    times : ndarray
        `(n_tilts,)` float64 times, NaN where unknown, in the unit of the table.
    used : ndarray
        `(n_tilts,)` bool, whether each projection is used.
    """

    angles: NDArray[np.float64]
    times: NDArray[np.float64]
    used: NDArray[np.bool_]


class RowsModel(QAbstractTableModel):
    """The projections of a tilt series as Qt's views ask for them."""

    changed = Signal()
    """A person has changed something."""
    refused = Signal(str)
    """Why what was typed or pasted was not taken."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.columns: list[NDArray[Any]] = [np.empty(0, dtype=bool), np.empty(0), np.empty(0)]
        self.headings = ["Use", "Tilt angle (°)", "Time"]
        self.files: tuple[str, ...] = ()
        self.current = -1
        self.colours = theme_colours("dark")

    def replace(self, rows: TableRows, *, time_unit: str, files: Sequence[str] = ()) -> None:
        """Take copies of other rows; the selection stays where their number does."""
        columns: list[NDArray[Any]] = [np.array(part) for part in (rows.used, rows.angles, rows.times)]
        same_length = len(rows.used) == self.rowCount()
        if not same_length:
            self.beginResetModel()
            self.current = -1
        self.columns, self.files = columns, tuple(files)
        self.headings[TIME] = f"Time ({time_unit})" if time_unit else "Time"
        if same_length:
            self.redraw()
        else:
            self.endResetModel()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, TIME)

    def redraw(self) -> None:
        """Let the views ask for everything again."""
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, TIME))

    def change(self, cells: Sequence[Cell]) -> bool:
        """Write all of these cells, or none and say why; return whether they were written."""
        try:
            values = [(row, column, self._parsed(row, column, text)) for row, column, text in cells]
        except ValueError as error:
            self.refused.emit(str(error))
            return False
        # What a cell shows is rounded: confirming it must not change the number behind it.
        news = [cell for cell, (row, column, text) in zip(values, cells, strict=True) if text != self.text(row, column)]
        for row, column, value in news:
            self.columns[column][row] = value
        if news:
            self.redraw()
            self.changed.emit()
        return True

    def use(self, rows: Sequence[int], used: bool) -> None:
        """Use the projections of these rows, or leave them out."""
        self.columns[USE][list(rows)] = used
        self.redraw()
        self.changed.emit()

    def text(self, row: int, column: int) -> str:
        """Return what a cell says: a number, empty where it is unknown; 0 or 1 in the column Use."""
        value = self.columns[column][row]
        if column == USE:
            return str(int(value))
        return f"{value:.12g}" if np.isfinite(value) else ""

    def _parsed(self, row: int, column: int, text: str) -> float:
        if row >= self.rowCount() or column > TIME:
            raise ValueError("there is no cell for some of what was pasted; nothing was changed")
        where = f"the {_NAMES[column]} of projection {row + 1} stays {self.text(row, column) or 'empty'}"
        word = text.strip().lower()
        if column == USE and word in _YES | _NO:
            return float(word in _YES)
        try:
            # Spreadsheets write a minus sign and, in many languages, a decimal comma.
            number = float(word.replace("\N{MINUS SIGN}", "-").replace(",", "."))
        except ValueError:
            number = np.nan
        if column == USE or not np.isfinite(number):
            raise ValueError(f"{text.strip()!r} is not {'0 or 1' if column == USE else 'a number'}; {where}")
        if column == ANGLE and abs(number) > LARGEST_ANGLE:
            raise ValueError(f"{number:g}° is not within ±{LARGEST_ANGLE:g}°; {where}")
        return number

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of projections."""
        return 0 if parent is not None and parent.isValid() else len(self.columns[USE])

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_NAMES)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        extra = Qt.ItemFlag.ItemIsUserCheckable if index.column() == USE else Qt.ItemFlag.ItemIsEditable
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | extra

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heading of a column, with its unit, or the number of a row, from 1, with its file as the tip."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.headings[section]
        if orientation == Qt.Orientation.Vertical and role == Qt.ItemDataRole.ToolTipRole:
            return self.files[section] if section < len(self.files) else None
        return super().headerData(section, orientation, role)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, and how."""
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.CheckStateRole and column == USE:
            return Qt.CheckState.Checked if self.columns[USE][row] else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.EditRole and column != USE:
            return self.text(row, column)
        if role == Qt.ItemDataRole.DisplayRole and column != USE:
            text = self.text(row, column)
            # Four decimals are enough for the eye; who edits or copies gets all of them.
            return f"{round(float(text), 4):.12g}" if text else text
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole and not self.columns[USE][row]:
            return _with_opacity(self.colours.text, 120)
        if role == Qt.ItemDataRole.BackgroundRole:
            return self._background(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._remark(row, column)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take what a person typed or ticked, or say why not."""
        if role == Qt.ItemDataRole.CheckStateRole:
            self.use([index.row()], Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        return role == Qt.ItemDataRole.EditRole and self.change([(index.row(), index.column(), str(value))])

    def _background(self, row: int, column: int) -> QColor | None:
        if self._remark(row, column) is not None:
            return _with_opacity(_MISSING, 140)
        # Not the colour of the theme for what is selected: the two rows can differ.
        return _with_opacity(self.colours.total, 90) if row == self.current else None

    def _remark(self, row: int, column: int) -> str | None:
        if column != USE and not np.isfinite(self.columns[column][row]):
            return f"The {_NAMES[column]} is not known: type or paste it."
        return None


def _with_opacity(colour: str, opacity: int) -> QColor:
    """Return the colour with an opacity of 0 to 255."""
    faint = QColor(colour)
    faint.setAlpha(opacity)
    return faint
