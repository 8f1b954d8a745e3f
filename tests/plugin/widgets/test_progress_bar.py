"""A new value of a bar is painted later: it does not paint the window at once."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QProgressBar

from helpers.window_cases import show, turn, wait
from napari_stinr.plugin.widgets.progress_bar import CalmProgressBar

pytestmark = pytest.mark.qt


def made(qtbot, kind: type[QProgressBar]) -> tuple[QProgressBar, list[int]]:
    painted: list[int] = []

    class Counting(kind):
        def paintEvent(self, event):
            painted.append(self.value())
            super().paintEvent(event)

    bar = Counting()
    qtbot.addWidget(bar)
    bar.setRange(0, 10)
    show(qtbot, bar)
    wait(qtbot, lambda: bool(painted))
    turn(qtbot, 10)
    painted.clear()
    return bar, painted


def test_values_and_ranges_are_painted_when_qt_has_time(qtbot):
    bar, painted = made(qtbot, CalmProgressBar)
    bar.setValue(4)
    bar.setValue(5)
    assert painted == []
    wait(qtbot, lambda: 5 in painted)
    painted.clear()
    bar.setRange(0, 3)
    bar.setValue(2)
    assert painted == []
    wait(qtbot, lambda: 2 in painted)
    assert (bar.maximum(), bar.text()) == (3, "66%")


def test_qts_own_bar_paints_at_once(qtbot):
    bar, painted = made(qtbot, QProgressBar)
    bar.setValue(5)
    assert painted == [5]
