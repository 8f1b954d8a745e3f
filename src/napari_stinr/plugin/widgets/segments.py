"""A row of buttons of which one is pressed: a switch whose positions can all be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractButton, QButtonGroup, QHBoxLayout, QPushButton, QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping


class Segments(QWidget):
    """A switch.

    Parameters
    ----------
    buttons : mapping of str to QPushButton
        The positions by their names, from left to right; the first is pressed.
    parent : QWidget
        Holds the switch.
    """

    chosen = Signal(str)
    """A person has pressed a position, which may be the one that was pressed already."""

    def __init__(self, buttons: Mapping[str, QPushButton], parent: QWidget) -> None:
        super().__init__(parent)
        self.buttons = dict(buttons)
        self._group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(1)
        for button in self.buttons.values():
            button.setCheckable(True)
            # As wide as its text asks for: four of the same width do not fit into a dock.
            button.setSizePolicy(QSizePolicy.Policy.MinimumExpanding, QSizePolicy.Policy.Fixed)
            self._group.addButton(button)
            row.addWidget(button)
        next(iter(self.buttons.values())).setChecked(True)
        self._group.buttonClicked.connect(self._on_clicked)

    @property
    def current(self) -> str:
        """Name of the position that is pressed."""
        return next(name for name, button in self.buttons.items() if button.isChecked())

    def set_current(self, name: str) -> None:
        """Press a position, without a signal.

        Parameters
        ----------
        name : str
            Its name.
        """
        self.buttons[name].setChecked(True)

    def _on_clicked(self, pressed: QAbstractButton) -> None:
        self.chosen.emit(next(name for name, button in self.buttons.items() if button is pressed))
