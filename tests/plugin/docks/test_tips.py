"""Every input and button of every page says what it is for, in lines that fit on a screen."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QWidget,
)

from helpers.window_cases import add_series, open_window, turn
from napari_stinr.config import PRESETS, preset_config

pytestmark = pytest.mark.qt
INPUTS = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)


def tip_of(widget: QWidget) -> str:
    """Return what Qt shows: a part without a tip of its own passes the question on to what it is in."""
    while widget is not None and not widget.isWindow():
        if widget.toolTip():
            return widget.toolTip()
        widget = widget.parentWidget()
    return ""


@pytest.mark.parametrize("preset", PRESETS)
def test_every_input_has_a_tip(make_napari_viewer, qtbot, tmp_path, preset):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    window.session.customise(preset_config(preset))
    window.reconstruct.settings.advanced.expand(animate=False)
    turn(qtbot)
    inputs = [
        widget
        for kind in INPUTS
        for widget in window.dock.findChildren(kind)
        if not isinstance(widget, (QScrollBar, QTabBar)) and not isinstance(widget.parentWidget(), QTabBar)
    ]
    assert len(inputs) > 60
    without = [(type(each).__name__, each.parentWidget()) for each in inputs if len(tip_of(each)) < 8]
    # A warning that nobody has given yet has a button without a text and a tip.
    assert [who for who in without if who[1] is not window.foot] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_setting_is_stands_in_plain_lines(make_napari_viewer, qtbot, tmp_path, preset):
    window = open_window(make_napari_viewer, tmp_path)
    window.session.customise(preset_config(preset))
    tips = {tip_of(widget) for widget in window.reconstruct.settings.form.findChildren(QLineEdit)}
    assert tips
    for tip in tips:
        assert max(map(len, tip.splitlines())) <= 64
        assert tip.rstrip("]").endswith((".", "]."))
        for jargon in ("Adam", "gradient", "nyquist", "|q|", "octave", "betas", "Learning rate", "encoding"):
            assert jargon.lower() not in tip.lower()
