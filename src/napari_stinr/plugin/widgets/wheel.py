"""The wheel over a form scrolls the form: only a field that has the focus takes it."""

from __future__ import annotations

from qtpy.QtCore import QChildEvent, QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QTabBar, QWidget

_TAKES_WHEEL = (QAbstractSpinBox, QComboBox, QAbstractSlider, QTabBar)
_GUARDED = "stinr_wheel_guarded"


class WheelGuard(QObject):
    """Keeps the wheel from the inputs below some widgets, also from those that are added later.

    Parameters
    ----------
    parent : QObject
        Owns the guard.
    """

    def watch(self, root: QWidget) -> None:
        """Guard a widget and everything in it."""
        for widget in (root, *root.findChildren(QWidget)):
            self._guard(widget)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Pass the wheel on to what scrolls, unless the person has chosen this input."""
        kind = event.type()
        if kind == QEvent.Type.Wheel and _is_input(watched) and not watched.hasFocus():
            event.ignore()
            return True
        # Each widget tells of each of its children as it is shown, most of which have been seen to with their parents.
        if kind == QEvent.Type.ChildPolished:
            # PyQt may hand over the event as one of another class that lay at its address before.
            children = [event.child()] if isinstance(event, QChildEvent) else watched.children()
            for child in children:
                if isinstance(child, QWidget) and not child.property(_GUARDED):
                    self.watch(child)
        return False

    def _guard(self, widget: QWidget) -> None:
        # A filter that is installed twice is called once.
        widget.installEventFilter(self)
        widget.setProperty(_GUARDED, True)
        if _is_input(widget) and widget.focusPolicy() == Qt.FocusPolicy.WheelFocus:
            # Or the wheel would give it the focus first.
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


def _is_input(widget: QObject) -> bool:
    return isinstance(widget, _TAKES_WHEEL) and not isinstance(widget, QScrollBar)
