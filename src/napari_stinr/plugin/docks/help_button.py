"""The `?` beside the tabs: the part of the guide about the page that is shown, and the keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QToolButton

from napari_stinr.plugin.canvas.shortcuts import shortcut_lines
from napari_stinr.plugin.session.guide_text import guide_text, heading_of
from napari_stinr.plugin.widgets.guide_window import GuideWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget


class HelpButton(QToolButton):
    """Opens the guide at the page that is shown.

    Parameters
    ----------
    parent : QWidget
        The dock.
    page : callable
        Gives the name of the page that is shown.
    """

    def __init__(self, parent: QWidget, page: Callable[[], str]) -> None:
        super().__init__(parent)
        self._page = page
        self.guide: GuideWindow | None = None
        self.setText("?")
        self.setToolTip("Read about this page, and which keys there are.")
        self.setFixedWidth(24)
        self.clicked.connect(self._on_clicked)

    def _on_clicked(self) -> None:
        if self.guide is None:
            self.guide = GuideWindow(self)
        self.guide.show_part(guide_text(shortcut_lines()), partial(heading_of, self._page()))
