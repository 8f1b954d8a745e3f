"""The projections of a tilt series as a table: which are used, their tilt angles and times, all of them editable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QToolTip

from napari_stinr.plugin.widgets.table_rows import USE, RowsModel, TableRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from qtpy.QtCore import QModelIndex
    from qtpy.QtWidgets import QWidget

    from napari_stinr.plugin.widgets.theme import ThemeColours

__all__ = ["SeriesTable", "TableRows"]


class SeriesTable(QTableView):
    """Table of the projections with the columns Use, Tilt angle and Time."""

    # Space switches Use of all selected rows; a column can be copied from and to a spreadsheet.

    edited = Signal(object)
    """:class:`TableRows` after a person has changed something."""
    refused = Signal(str)
    """Why what was typed or pasted was not taken."""
    row_selected = Signal(int)
    """Row that a person has gone to, from 0."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = RowsModel(self)
        self.setModel(self._model)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        triggers = QAbstractItemView.EditTrigger
        self.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed | triggers.AnyKeyPressed)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setSectionResizeMode(USE, QHeaderView.ResizeMode.ResizeToContents)
        self.verticalHeader().setDefaultSectionSize(22)
        self.setMinimumHeight(110)
        self.setToolTip("Space: use the selected projections or not. Ctrl+C and Ctrl+V: copy and paste a column.")
        self._model.changed.connect(self._on_changed)
        self._model.refused.connect(self._on_refused)
        self.clicked.connect(self._on_clicked)

    def sizeHint(self) -> QSize:
        """Return a size that shows some rows and leaves room for other widgets."""
        return QSize(300, 200)

    def set_rows(
        self, angles: ArrayLike, times: ArrayLike, used: ArrayLike, *, time_unit: str, files: Sequence[str] = ()
    ) -> None:
        """Show these projections, without a signal.

        Parameters
        ----------
        angles : array_like
            `(n_tilts,)` tilt angles; NaN: shown as an empty cell on red [degrees].
        times : array_like
            `(n_tilts,)` times; NaN: shown as an empty cell on red.
        used : array_like
            `(n_tilts,)` whether each projection is used.
        time_unit : str
            Unit of the times; empty: they have none.
        files : sequence of str
            Name of the file of each row, where they have files of their own: the tip of the number of the row.

        Raises
        ------
        ValueError
            The lengths differ.
        """
        rows = TableRows(np.asarray(angles, dtype=float), np.asarray(times, dtype=float), np.asarray(used, dtype=bool))
        if not len(rows.angles) == len(rows.times) == len(rows.used):
            raise ValueError(f"{len(rows.angles)} tilt angles, {len(rows.times)} times, {len(rows.used)} times used")
        self._model.replace(rows, time_unit=time_unit, files=files)

    def rows(self) -> TableRows:
        """Return copies of what the table holds."""
        used, angles, times = (column.copy() for column in self._model.columns)
        return TableRows(angles, times, used)

    def set_current(self, row: int) -> None:
        """Highlight the row of the projection that is shown elsewhere, without a signal; outside: none."""
        self._model.current = row
        self._model.redraw()
        if 0 <= row < self._model.rowCount():
            # Rows that have just come have no place yet.
            self.executeDelayedItemsLayout()
            self.scrollTo(self._model.index(row, USE))

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        self._model.colours = colours
        self._model.redraw()

    def event(self, event: QEvent) -> bool:
        """Keep the keys of the table from napari, which has other uses for some of them."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and _is_ours(event):
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Switch Use, copy, paste, or go to another row."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self._copy()
        elif event.matches(QKeySequence.StandardKey.Paste):
            self._paste()
        elif event.key() == Qt.Key.Key_Space:
            self._switch_use()
        else:
            before = self.currentIndex().row()
            super().keyPressEvent(event)
            if self.currentIndex().row() not in (before, -1):
                self.row_selected.emit(self.currentIndex().row())

    def _switch_use(self) -> None:
        rows = sorted({index.row() for index in self.selectedIndexes()})
        if rows:
            self._model.use(rows, not self.rows().used[rows].all())

    def _copy(self) -> None:
        cells = sorted((index.row(), index.column()) for index in self.selectedIndexes())
        lines: dict[int, list[str]] = {}
        for row, column in cells:
            lines.setdefault(row, []).append(self._model.text(row, column))
        if cells:
            QGuiApplication.clipboard().setText("\n".join("\t".join(line) for line in lines.values()))

    def _paste(self) -> None:
        selected = self.selectedIndexes() or [self.currentIndex()]
        first_row, first_column = (min(part) for part in zip(*((i.row(), i.column()) for i in selected), strict=True))
        lines = QGuiApplication.clipboard().text().splitlines()
        while lines and not lines[-1].strip():
            lines.pop()
        if first_row < 0 or not lines:
            self._on_refused("there is nothing to paste, or no cell is selected to paste it into")
            return
        self._model.change(
            [
                (first_row + row, first_column + column, text)
                for row, line in enumerate(lines)
                for column, text in enumerate(line.split("\t"))
            ]
        )

    def _on_changed(self) -> None:
        self.edited.emit(self.rows())

    def _on_refused(self, reason: str) -> None:
        place = self.visualRect(self.currentIndex()).bottomLeft()
        QToolTip.showText(self.viewport().mapToGlobal(place), reason, self)
        self.refused.emit(reason)

    def _on_clicked(self, index: QModelIndex) -> None:
        self.row_selected.emit(index.row())


def _is_ours(event: QKeyEvent) -> bool:
    standard = QKeySequence.StandardKey
    return event.key() == Qt.Key.Key_Space or event.matches(standard.Copy) or event.matches(standard.Paste)
