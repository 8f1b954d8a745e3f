"""A window with the guide, opened at one of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QDesktopServices, QTextCursor, QTextOption
from qtpy.QtWidgets import QDialog, QTextBrowser, QVBoxLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qtpy.QtCore import QUrl
    from qtpy.QtGui import QTextBlock
    from qtpy.QtWidgets import QWidget


class GuideWindow(QDialog):
    """Shows Markdown, and scrolls to a heading; stays open beside the work.

    Parameters
    ----------
    parent : QWidget
        Whose window it stays above.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("STINR: guide")
        self.setModal(False)
        self.resize(640, 620)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.text = QTextBrowser(self)
        self.text.setOpenLinks(False)
        self.text.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.text.anchorClicked.connect(_open_outside)
        column.addWidget(self.text)

    def show_part(self, markdown: str, choose: Callable[[Sequence[str]], int]) -> None:
        """Show a text from one of its headings on.

        Parameters
        ----------
        markdown : str
            The whole text.
        choose : callable
            Takes all headings, and gives the place of one of them.
        """
        self.text.setMarkdown(markdown)
        self._break_lines_of_code()
        self.show()
        self.raise_()
        headings = self._headings()
        if headings:
            block = headings[choose([each.text() for each in headings])]
            self.text.setTextCursor(QTextCursor(block))
            # The layout knows where it is only after it was shown.
            top = self.text.document().documentLayout().blockBoundingRect(block).top()
            self.text.verticalScrollBar().setValue(int(top))

    @property
    def heading(self) -> str:
        """The heading at which the text was opened."""
        return str(self.text.textCursor().block().text())

    def _break_lines_of_code(self) -> None:
        """Let them end at the right edge of the window, too."""
        block = self.text.document().begin()
        while block.isValid():
            format_ = block.blockFormat()
            if format_.nonBreakableLines():
                format_.setNonBreakableLines(False)
                QTextCursor(block).setBlockFormat(format_)
            block = block.next()

    def _headings(self) -> list[QTextBlock]:
        found, block = [], self.text.document().begin()
        while block.isValid():
            if block.blockFormat().headingLevel():
                found.append(block)
            block = block.next()
        return found


def _open_outside(url: QUrl) -> None:
    if url.scheme() in ("http", "https"):
        QDesktopServices.openUrl(url)
