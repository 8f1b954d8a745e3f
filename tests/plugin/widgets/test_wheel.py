"""The guard of the wheel also knows inputs that are added, alone or in a box, when it has long been watching."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QSlider, QSpinBox, QVBoxLayout, QWidget

from helpers.window_cases import show, wait
from napari_stinr.plugin.widgets.wheel import WheelGuard

pytestmark = pytest.mark.qt


def turn_wheel(widget: QWidget, notches: int) -> None:
    middle = QPointF(widget.rect().center())
    where, turned = widget.mapToGlobal(middle), QPoint(0, 120 * notches)
    button, keys, phase = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    QApplication.sendEvent(widget, QWheelEvent(middle, where, QPoint(), turned, button, keys, phase, False))


def value_of(widget: QWidget) -> int:
    return widget.currentIndex() if isinstance(widget, QComboBox) else widget.value()


def make(kind: type[QWidget]) -> QWidget:
    made = kind()
    if isinstance(made, QComboBox):
        made.addItems(["a", "b", "c"])
        made.setCurrentIndex(1)
    else:
        made.setValue(5)
    return made


@pytest.mark.parametrize("kind", [QSpinBox, QComboBox, QSlider])
@pytest.mark.parametrize("is_nested", [False, True])
def test_an_input_that_is_added_later_takes_no_wheel_without_the_focus(qtbot, kind, is_nested):
    root = QWidget()
    qtbot.addWidget(root)
    QVBoxLayout(root)
    unguarded = make(kind)
    qtbot.addWidget(unguarded)
    WheelGuard(root).watch(root)
    added = make(kind)
    if is_nested:
        box = QWidget()
        QVBoxLayout(box).addWidget(added)
        root.layout().addWidget(box)
    else:
        root.layout().addWidget(added)
    show(qtbot, root)
    before = value_of(added)
    turn_wheel(added, -1)
    turn_wheel(added, -1)
    assert value_of(added) == before
    turn_wheel(unguarded, -1)
    assert value_of(unguarded) != before
    root.activateWindow()
    added.setFocus()
    wait(qtbot, added.hasFocus)
    turn_wheel(added, -1)
    assert value_of(added) != before


def test_an_event_that_comes_as_one_of_another_class_is_understood(qtbot):
    root = QWidget()
    qtbot.addWidget(root)
    guard = WheelGuard(root)
    guard.watch(root)
    added = QSpinBox(root)
    assert added.focusPolicy() == Qt.FocusPolicy.WheelFocus
    # PyQt has given one that says so the class of a paint event.
    guard.eventFilter(root, QEvent(QEvent.Type.ChildPolished))
    assert added.focusPolicy() == Qt.FocusPolicy.StrongFocus
