"""A part of a page that folds away under its title: ▸ folded, ▾ unfolded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QSizePolicy
from superqt import QCollapsible

if TYPE_CHECKING:
    from qtpy.QtCore import QEvent, QObject
    from qtpy.QtWidgets import QWidget

FOLDED, UNFOLDED = "▸", "▾"
_ANY_HEIGHT = 2**24 - 1
_LIKE_A_HEADING = (
    "QPushButton, QPushButton:checked { text-align: left; border: none; padding: 2px 0px; background: transparent; }"
)
"""napari draws a pressed button in the colour of what is chosen, and unfolded is no choice."""


class Folding(QCollapsible):
    """The collapsible part that all pages use.

    superqt draws its arrows as pictures, in the colour that the theme had when they were made, and gives the content
    the height that it asked for when it was unfolded, which cuts what grows later. Here the arrow is text, and the
    content is as high as it needs.

    Parameters
    ----------
    title : str
        Stands behind the arrow.
    parent : QWidget
        Where it stands.
    is_folded : bool
        Whether it begins folded.
    """

    def __init__(self, title: str, parent: QWidget, *, is_folded: bool = True) -> None:
        super().__init__(title, parent)
        self._title = title
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(2)
        self.content().layout().setContentsMargins(0, 2, 0, 2)
        self.content().layout().setSpacing(6)
        self.toggleButton().setStyleSheet(_LIKE_A_HEADING)
        self.toggleButton().setToolTip("Fold or unfold.")
        self.toggleButton().setCursor(Qt.CursorShape.PointingHandCursor)
        self.toggled.connect(self._fit)
        if not is_folded:
            self.expand(animate=False)
        self._fit(not is_folded)

    def setText(self, text: str) -> None:  # Qt's name
        """Change the title."""
        self._title = text
        self._fit(self.isExpanded())

    def text(self) -> str:
        """Return the title."""
        return self._title

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Leave the height to the layout."""
        return False

    def _fit(self, is_unfolded: bool) -> None:
        super().setText(f"{UNFOLDED if is_unfolded else FOLDED} {self._title}")
        # Not given to superqt as its icons: an empty icon is false in PySide6, and superqt then has none to set.
        self.toggleButton().setIcon(QIcon())
        content = self.content()
        content.setMaximumHeight(_ANY_HEIGHT if is_unfolded else 0)
        # Or the tab key would walk through what cannot be seen.
        content.setVisible(is_unfolded)
