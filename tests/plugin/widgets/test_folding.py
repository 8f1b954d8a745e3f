"""A part that folds: its arrow is the right way round, and it is as high as what is in it."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from helpers.window_cases import show, wait
from napari_stinr.plugin.widgets.folding import Folding

pytestmark = pytest.mark.qt


@pytest.fixture
def page(qtbot):
    widget = QWidget()
    QVBoxLayout(widget)
    qtbot.addWidget(widget)
    widget.resize(300, 600)
    return widget


def folding_on(page: QWidget, *, is_folded: bool) -> tuple[Folding, QLabel]:
    part = Folding("Advanced", page, is_folded=is_folded)
    label = QLabel("one line", part)
    part.addWidget(label)
    page.layout().addWidget(part)
    return part, label


@pytest.mark.parametrize("is_folded", [True, False])
def test_a_click_folds_and_unfolds_and_the_arrow_says_which(page, qtbot, is_folded):
    part, label = folding_on(page, is_folded=is_folded)
    show(qtbot, page)
    for turned in (is_folded, not is_folded, is_folded):
        assert part.toggleButton().text() == ("▸ Advanced" if turned else "▾ Advanced")
        wait(qtbot, lambda turned=turned: label.isVisible() is not turned)
        assert part.isExpanded() is not turned
        QTest.mouseClick(part.toggleButton(), Qt.MouseButton.LeftButton)


def test_it_grows_with_what_is_in_it_also_where_that_folds_itself(page, qtbot):
    outer = Folding("Settings", page, is_folded=False)
    inner, label = folding_on(page, is_folded=True)
    outer.addWidget(inner)
    page.layout().addWidget(outer)
    page.layout().addStretch(1)
    show(qtbot, page)
    low = outer.height()
    QTest.mouseClick(inner.toggleButton(), Qt.MouseButton.LeftButton)
    label.setText("\n".join(["one line of many"] * 12))
    wait(qtbot, lambda: label.height() >= label.sizeHint().height() > 100)
    wait(qtbot, lambda: outer.height() >= low + label.height())
    outer.collapse(animate=False)
    wait(qtbot, lambda: outer.height() < 40)


def test_its_title_can_change_in_either_state(page, qtbot):
    part, _ = folding_on(page, is_folded=True)
    part.setText("Settings: growth")
    assert part.text() == "Settings: growth"
    assert part.toggleButton().text() == "▸ Settings: growth"
    part.expand(animate=False)
    assert part.toggleButton().text() == "▾ Settings: growth"
