"""Nothing is clipped, squeezed or blank in a window of 1280 x 800, in napari's dark and light theme."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QComboBox, QLabel, QPushButton
from superqt import QCollapsible

from helpers.window_cases import add_series, open_window, settle, train, turn
from napari_stinr.plugin.widgets.plots import Plot
from napari_stinr.plugin.widgets.theme import contrast_ratio

pytestmark = pytest.mark.qt


def labels(widget) -> list[QLabel]:
    return widget.findChildren(QLabel)


def clipped(dock) -> list[str]:
    """Texts that do not fit into their button, choice or label."""
    found = []
    for widget in dock.findChildren(QPushButton) + dock.findChildren(QComboBox):
        text = widget.text() if isinstance(widget, QPushButton) else widget.currentText()
        if widget.isVisible() and widget.fontMetrics().horizontalAdvance(text) > widget.width():
            found.append(text)
    folded = [label for part in dock.findChildren(QCollapsible) if not part.isExpanded() for label in labels(part)]
    for label in labels(dock):
        if not label.isVisible() or not label.text() or label in folded:
            continue
        if label.wordWrap():
            fits = label.heightForWidth(label.width()) <= label.height() + 2
        else:
            fits = label.sizeHint().width() <= label.width() + 2
        if not fits:
            found.append(label.text())
    return found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_dock_is_readable_before_and_after_a_training(make_napari_viewer, qtbot, tmp_path, theme):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.theme = theme

    def look() -> None:
        for name, dock in window.dock.pages.items():
            window.dock.show_page(name)
            # Qt lays out in turns of its own.
            for _ in range(200):
                inside = dock._scroll.widget()
                if dock.isVisible() and not clipped(dock) and inside.width() <= dock._scroll.viewport().width():
                    break
                turn(qtbot, 1)
            assert dock.isVisible(), name
            assert clipped(dock) == []
            # The scroll area takes what does not fit in height; nothing may need more width than there is.
            inside = dock._scroll.widget()
            assert inside.width() <= dock._scroll.viewport().width(), name
            picture = dock.grab().toImage()
            colours = {
                picture.pixelColor(x, y).name()
                for x in range(0, picture.width(), 8)
                for y in range(0, picture.height(), 4)
            }
            assert len(colours) > 5, name
        assert clipped(window.foot) == []
        assert window.dock.width() < 0.4 * window.viewer.window._qt_window.width()

    look()
    add_series(window, steps=20)
    look()
    train(qtbot, window)
    settle(qtbot, window)
    look()
    canvas = window.viewer.screenshot(canvas_only=True, flash=False)
    assert np.unique(canvas[..., :3].reshape(-1, 3), axis=0).shape[0] > 20
    colours = window.series.colours
    for colour in (colours.success, colours.warning, colours.error):
        assert contrast_ratio(colour, colours.background) > 4.5
    assert window.series.state.texts
    QApplication.processEvents()


def test_plots_follow_the_theme(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    for theme in ("light", "dark"):
        window.viewer.theme = theme
        for page in window.dock.pages.values():
            for plot in page.findChildren(Plot):
                background = plot.backgroundBrush().color()
                assert background.name() == page.colours.background
        is_dark = background.lightnessF() < 0.5
        assert is_dark is (theme == "dark")
