"""The state of a tilt series at a glance: sentences in three colours, each with the buttons that cure it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_stinr.plugin.docks.base import text_label
from napari_stinr.plugin.session.findings import Cure, Finding, Level

if TYPE_CHECKING:
    from napari_stinr.plugin.widgets.theme import ThemeColours

MARKS = {Level.RIGHT: "✓", Level.TO_DECIDE: "!", Level.WRONG: "✗"}


class SeriesState(QWidget):
    """A list of findings."""

    cured = Signal(object)
    """:class:`Cure` whose button was pressed."""

    def __init__(self, parent: QWidget, colours: ThemeColours) -> None:
        super().__init__(parent)
        self._colours, self._findings = colours, tuple[Finding, ...]()
        self._reason = ""
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(3)
        self.texts: list[QLabel] = []
        self.buttons: list[QPushButton] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is shown."""
        return self._findings

    def show_findings(self, findings: tuple[Finding, ...]) -> None:
        """Show these; rows that stay the same are made anew, too, since a cure may stand for another draft."""
        self._findings = findings
        while (item := self._column.takeAt(0)) is not None:
            # A button in it may be the one that is being pressed.
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self.texts, self.buttons = [], []
        for finding in findings:
            self._column.addWidget(self._row(finding))
        self.setVisible(bool(findings))
        self.permit(self._reason)

    def permit(self, reason: str) -> None:
        """Let the buttons be pressed, or say why not."""
        self._reason = reason
        for button in self.buttons:
            button.setEnabled(not reason)
            button.setToolTip(reason or str(button.property("own_tip")))

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme."""
        self._colours = colours
        self.show_findings(self._findings)

    def text_of(self, level: Level) -> str:
        """Return what is said at a level, a line for each."""
        return "\n".join(one.text for one in self._findings if one.level is level)

    def button(self, label: str) -> QPushButton:
        """Return the first button with this label; a KeyError says that there is none."""
        for made in self.buttons:
            if made.text() == label:
                return made
        raise KeyError(label)

    def _colour(self, level: Level) -> str:
        colours = self._colours
        return {Level.RIGHT: colours.success, Level.TO_DECIDE: colours.warning, Level.WRONG: colours.error}[level]

    def _row(self, finding: Finding) -> QWidget:
        row = QWidget(self)
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        mark, text = QLabel(MARKS[finding.level], row), text_label(row, finding.text)
        mark.setMinimumWidth(max(map(mark.fontMetrics().horizontalAdvance, MARKS.values())) + 8)
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setToolTip(finding.tip)
        for label in (mark, text):
            label.setAlignment(Qt.AlignmentFlag.AlignTop if not finding.cures else Qt.AlignmentFlag.AlignVCenter)
            label.setStyleSheet(f"QLabel {{ color: {self._colour(finding.level)}; }}")
        self.texts.append(text)
        line.addWidget(mark)
        line.addWidget(text, 1)
        has_choice = any(cure.is_chosen for cure in finding.cures)
        for cure in finding.cures:
            line.addWidget(self._button(row, cure, has_choice=has_choice))
        return row

    def _button(self, row: QWidget, cure: Cure, *, has_choice: bool) -> QPushButton:
        made = QPushButton(cure.label, row)
        made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        made.setProperty("own_tip", cure.tip)
        made.setCheckable(has_choice)
        made.setChecked(cure.is_chosen)
        made.clicked.connect(lambda: self.cured.emit(cure))
        self.buttons.append(made)
        return made
