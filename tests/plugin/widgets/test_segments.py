"""A switch has one position pressed, whatever is clicked."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QWidget

from helpers.window_cases import show
from napari_stinr.plugin.widgets.segments import Segments

pytestmark = pytest.mark.qt


@pytest.fixture
def switch(qtbot):
    holder = QWidget()
    qtbot.addWidget(holder)
    made = Segments({name: QPushButton(name) for name in ("one", "two", "three")}, holder)
    show(qtbot, holder)
    yield made
    holder.close()


def pressed(switch: Segments) -> list[str]:
    return [name for name, button in switch.buttons.items() if button.isChecked()]


def test_exactly_one_is_pressed(switch: Segments) -> None:
    chosen: list[str] = []
    switch.chosen.connect(chosen.append)
    assert pressed(switch) == ["one"]
    for name in ("two", "two", "three"):
        QTest.mouseClick(switch.buttons[name], Qt.MouseButton.LeftButton)
        assert pressed(switch) == [name] == [switch.current]
    assert chosen == ["two", "two", "three"]


def test_setting_it_tells_nobody(switch: Segments) -> None:
    chosen: list[str] = []
    switch.chosen.connect(chosen.append)
    switch.set_current("three")
    assert pressed(switch) == ["three"]
    assert chosen == []
