"""The runs of the session, to come back to: when, how near to the data, how much contamination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QAbstractItemView, QHBoxLayout, QHeaderView, QTreeWidget, QTreeWidgetItem, QVBoxLayout

from napari_stinr.analysis.contamination import Growth, is_static
from napari_stinr.plugin.docks.base import Part
from napari_stinr.plugin.session.states import Action

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_stinr.plugin.session.runs import Run

_COLUMNS = ("Run", "Began", "Residual", "Grown")
_COLUMN_TIPS = (
    "Preset and number, or the name that you gave; its layers are named after it.",
    "When the training began, or the file was opened.",
    "How far the projections of the reconstruction are from the measured ones, of these.",
    "Contamination at t = 1, of the specimen.",
)
_RUN, _BEGAN, _RESIDUAL, _GROWN = range(4)
_MOST_ROWS = 6
_NUMBER = Qt.ItemDataRole.UserRole
_NOT_KNOWN = "–"


class RunList(Part):
    """A line for every run; a click shows its layers, and hides those of the others."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._measured: set[int] = set()
        self._is_measuring = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.list = QTreeWidget(self)
        self.list.setColumnCount(len(_COLUMNS))
        self.list.setHeaderLabels(list(_COLUMNS))
        self.list.setRootIsDecorated(False)
        self.list.setStyleSheet("QTreeView::item { padding: 2px 0; }")
        self.list.setUniformRowHeights(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        header = self.list.header()
        assert header is not None
        header.setStretchLastSection(False)
        for place, tip in enumerate(_COLUMN_TIPS):
            is_name = place == _RUN
            mode = QHeaderView.ResizeMode.Stretch if is_name else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(place, mode)
            self.list.headerItem().setToolTip(place, tip)
        column.addWidget(self.list)
        row = QHBoxLayout()
        self.rename_button = self.button("Rename", "Give the run that is marked a name (F2).", self.edit_name)
        self.forget_button = self.button(
            "Forget", "Let the run that is marked go, with its layers. Its file stays.", self.forget, Action.LOAD_RUN
        )
        row.addWidget(self.rename_button)
        row.addWidget(self.forget_button)
        column.addLayout(row)
        self.gate(self.list, Action.LOAD_RUN)
        self.list.itemClicked.connect(self._on_chosen)
        self.list.itemActivated.connect(self._on_chosen)
        self.list.itemChanged.connect(self._on_edited)
        self.binding.runs_changed.connect(self.update_runs)
        self.binding.reconstruction_changed.connect(self.update_runs)
        self.binding.state_changed.connect(self._measure)
        self.update_buttons()
        self.update_runs()

    def update_runs(self) -> None:
        """Show the runs there are, the newest first, with the one that is worked on marked."""
        runs = self.session.runs.runs
        current = self.session.runs.of(self.session.reconstruction)
        with QSignalBlocker(self.list):
            self.list.clear()
            for run in reversed(runs):
                item = self._item(run)
                self.list.addTopLevelItem(item)
                if run is current:
                    self.list.setCurrentItem(item)
        header, first = self.list.header(), self.list.sizeHintForRow(0)
        assert header is not None
        frame = 2 * self.list.frameWidth()
        self.list.setFixedHeight(header.sizeHint().height() + max(1, min(len(runs), _MOST_ROWS)) * first + frame)
        self.setVisible(bool(runs))
        self._measure()

    def edit_name(self) -> None:
        """Let the person type a name for the run that is marked."""
        item = self.list.currentItem()
        if item is not None:
            with QSignalBlocker(self.list):
                item.setText(_RUN, self._run_of(item).label)
            self.list.editItem(item, _RUN)

    def forget(self) -> None:
        """Let go of the run that is marked."""
        item = self.list.currentItem()
        if item is not None:
            run = self._run_of(item)
            self.binding.attempt(lambda: self.session.forget(run))

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        """Measure what is not known yet, now that somebody can see it."""
        super().showEvent(event)
        self._measure()

    def _item(self, run: Run) -> QTreeWidgetItem:
        reconstruction = run.reconstruction
        assert reconstruction is not None
        residual = _NOT_KNOWN if run.residual is None else f"{100 * run.residual:.3g} %"
        grown = _NOT_KNOWN if run.contamination is None else f"{run.contamination:.3g} %"
        item = QTreeWidgetItem([run.title, f"{run.when:%H:%M}", residual, grown])
        item.setData(_RUN, _NUMBER, run.number)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        how = "opened" if run.is_opened else "trained"
        lines = [run.title, f"{run.series}, {how} {run.when:%d %b %H:%M}", f"{reconstruction.step} steps"]
        lines += [f"saved as {run.checkpoint}"] if run.checkpoint is not None else []
        lines += ["contamination is in it: static"] if is_static(reconstruction) else []
        for place in range(len(_COLUMNS)):
            item.setToolTip(place, "\n".join(lines))
            if place > _BEGAN:
                item.setTextAlignment(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return item

    def _run_of(self, item: QTreeWidgetItem) -> Run:
        number = item.data(_RUN, _NUMBER)
        return next(run for run in self.session.runs.runs if run.number == number)

    def _on_chosen(self, item: QTreeWidgetItem) -> None:
        run = self._run_of(item)
        if run is not self.session.runs.of(self.session.reconstruction):
            self.binding.attempt(lambda: self.session.come_back(run))

    def _on_edited(self, item: QTreeWidgetItem, column: int) -> None:
        run, text = self._run_of(item), item.text(_RUN).strip()
        self.session.runs.rename(run, "" if text in (run.title, f"#{run.number}") and not run.name else text)

    def _measure(self) -> None:
        """Measure the contamination of one run after the other, beside nothing else."""
        if self._is_measuring or self.session.is_active or not self.isVisible():
            return
        run = next((run for run in self.session.runs.runs if self._is_to_be_measured(run)), None)
        if run is None:
            return
        reconstruction = run.reconstruction
        assert reconstruction is not None
        self._is_measuring = True
        self._measured.add(run.number)

        def done(percent: float | None) -> None:
            self._is_measuring = False
            self.session.runs.measure(run, percent)

        def failed(_: str) -> None:
            self._is_measuring = False

        self.binding.run(
            "measure contamination",
            lambda _: Growth.of(reconstruction, 2, in_volts=False).percent(1.0),
            done,
            on_error=failed,
            bar=False,
        )

    def _is_to_be_measured(self, run: Run) -> bool:
        reconstruction = run.reconstruction
        is_new = run.contamination is None and run.number not in self._measured
        return is_new and reconstruction is not None and not is_static(reconstruction)
