"""What nobody should have to put up with on a page: cut texts, squeezed inputs, colours that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtGui import QImage
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTabBar,
    QWidget,
)
from superqt import QCollapsible

from napari_stinr.plugin.widgets.theme import contrast_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtCore import QRect
    from qtpy.QtGui import QPixmap

READABLE = 3.0
"""Lowest contrast of the strongest pixel of a text: letters are drawn with soft edges, and weaker than their colour."""


def faults(root: QWidget) -> list[str]:
    """Return what is wrong with what is seen of a widget and of all in it."""
    parts = list(seen_in(root))
    return [*cut(parts), *squeezed(parts), *outside(root, parts), *overlapping(parts)]


def seen_in(root: QWidget) -> Iterator[QWidget]:
    """Yield what can be seen in a widget, with what only scrolling brings into sight."""
    hidden = {
        widget
        for part in root.findChildren(QCollapsible)
        if not part.isExpanded()
        for widget in part.content().findChildren(QWidget)
    }
    for widget in root.findChildren(QWidget):
        if widget.isVisible() and widget not in hidden and not widget.isWindow():
            yield widget


def cut(parts: list[QWidget]) -> list[str]:
    """Return texts that do not fit into their widget."""
    return [f"cut: {type(part).__name__} {text!r}" for part in parts for text in cut_texts(part)]


def cut_texts(part: QWidget) -> list[str]:
    """Return texts of one widget that do not fit into it."""
    if isinstance(part, QLabel):
        return [] if not part.text() or _label_fits(part) else [part.text()]
    if isinstance(part, QTabBar):
        room, texts = part.width(), [(part.tabText(k), part.tabRect(k)) for k in range(part.count())]
        return [text for text, place in texts if _advance(part, text) > place.width() or place.right() >= room]
    if isinstance(part, QHeaderView):
        return [
            str(part.model().headerData(k, part.orientation()))
            for k in range(part.count())
            if not part.isSectionHidden(k) and _advance(part, _header(part, k)) > part.sectionSize(k)
        ]
    if isinstance(part, QComboBox):
        return [part.currentText()] if _advance(part, part.currentText()) > part.width() - part.height() // 2 else []
    if isinstance(part, QCheckBox):
        return [part.text()] if part.sizeHint().width() > part.width() + 2 else []
    if isinstance(part, QPushButton):
        return [part.text()] if _advance(part, part.text()) > part.width() else []
    if isinstance(part, QLineEdit) and isinstance(part.parentWidget(), QAbstractSpinBox):
        return [part.text()] if _advance(part, part.text()) > part.width() else []
    if isinstance(part, QLineEdit):
        return [part.placeholderText()] if _advance(part, part.placeholderText()) > part.width() else []
    return []


def squeezed(parts: list[QWidget]) -> list[str]:
    """Return inputs that have less room than they need at least."""
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QProgressBar)
    return [
        f"squeezed: {_name(part)} {part.width()} x {part.height()}, needs {least.width()} x {least.height()}"
        for part in parts
        if isinstance(part, kinds) and part.parentWidget().layout() is not None
        for least in [part.minimumSizeHint()]
        # What asks for the widest of its values does not need it for the one that it shows: that is looked at above.
        if part.height() < least.height() - 1
        or (isinstance(part, QAbstractButton) and part.width() < min(least.width(), part.maximumWidth()) - 1)
    ]


def outside(root: QWidget, parts: list[QWidget]) -> list[str]:
    """Return what reaches out of a widget to the left or right, where nothing scrolls."""
    room = range(-1, root.width() + 2)
    found = []
    for part in parts:
        left = part.mapTo(root, part.rect().topLeft()).x()
        if part.parentWidget().layout() is not None and not {left, left + part.width()} <= set(room):
            found.append(f"outside: {_name(part)} from {left} to {left + part.width()} of {root.width()}")
    return found


def overlapping(parts: list[QWidget]) -> list[str]:
    """Return widgets of one layout that lie over each other."""
    found, families = [], {}
    for part in parts:
        parent = part.parentWidget()
        if parent.layout() is not None and part.width() > 0 and part.height() > 0:
            families.setdefault(parent, []).append(part)
    for family in families.values():
        for number, one in enumerate(family):
            found += [
                f"{_name(one)} lies over {_name(other)}"
                for other in family[number + 1 :]
                if not _shrunk(one.geometry()).intersected(_shrunk(other.geometry())).isEmpty()
            ]
    return found


def unreadable(root: QWidget) -> list[str]:
    """Return texts in sight that hardly stand out from what is behind them."""
    found, picture = [], root.grab()
    scale, colours = picture.devicePixelRatio(), _pixels(picture)
    for part in seen_in(root):
        text = part.text() if isinstance(part, (QLabel, QAbstractButton)) else ""
        place = part.rect().translated(part.mapTo(root, part.rect().topLeft()))
        # What is half scrolled out of sight is none of this.
        if not text.strip() or not part.isEnabled() or part.visibleRegion().boundingRect() != part.rect():
            continue
        top, left, bottom, right = (
            round(scale * edge) for edge in (place.top(), place.left(), place.bottom(), place.right())
        )
        values, counts = np.unique(colours[top:bottom, left:right], return_counts=True)
        names = [f"#{value & 0xFFFFFF:06x}" for value in values.tolist()]
        behind = names[int(counts.argmax())]
        if (best := max(contrast_ratio(behind, name) for name in names)) < READABLE:
            found.append(f"unreadable: {_name(part)}, contrast {best:.1f}")
    return found


def _pixels(picture: QPixmap) -> np.ndarray:
    image = picture.toImage().convertToFormat(QImage.Format.Format_RGB32)
    bits = image.constBits()
    if hasattr(bits, "setsize"):  # PyQt's, which does not know its size
        bits.setsize(image.sizeInBytes())
    return np.frombuffer(bits, np.uint32).reshape(image.height(), -1)[:, : image.width()].copy()


def _label_fits(label: QLabel) -> bool:
    if label.wordWrap():
        return label.heightForWidth(label.width()) <= label.height() + 2
    return label.sizeHint().width() <= label.width() + 2


def _header(header: QHeaderView, section: int) -> str:
    return str(header.model().headerData(section, header.orientation()) or "")


def _advance(part: QWidget, text: str) -> int:
    return int(part.fontMetrics().horizontalAdvance(text))


def _shrunk(place: QRect) -> Any:
    # Napari's style draws borders that touch.
    return place.adjusted(1, 1, -1, -1)


def _name(part: QWidget) -> str:
    text = (
        part.text() if isinstance(part, (QLabel, QAbstractButton, QLineEdit, QAbstractSpinBox)) else part.objectName()
    )
    return f"{type(part).__name__} {text!r}"
