"""Nothing is cut, squeezed, unreadable or blank on any page: small, large, dark, light, at 100 % and at 150 %."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from helpers.looks import faults, unreadable
from helpers.places import ROOT
from helpers.window_cases import add_series, open_window, settle, show, turn, wait
from napari_stinr.plugin.widgets.plots import Plot
from napari_stinr.plugin.widgets.theme import contrast_ratio

pytestmark = pytest.mark.qt


def unfold(page, *, is_unfolded: bool) -> None:
    for part in page.findChildren(QCollapsible):
        (part.expand if is_unfolded else part.collapse)(animate=False)


def look_at(qtbot, window, page) -> None:
    """Find nothing wrong with a page, with the foot below it and the tabs above it."""

    def wrong() -> list[str]:
        inside = page._scroll.widget()
        too_wide = [] if inside.width() <= page._scroll.viewport().width() else ["wider than the dock"]
        return [*too_wide, *faults(inside), *faults(window.dock)]

    # Qt lays out in turns of its own.
    for _ in range(200):
        if page.isVisible() and not wrong():
            break
        turn(qtbot, 1)
    assert page.isVisible()
    assert wrong() == []
    assert unreadable(window.dock) == []
    foot, outer = window.foot, window.viewer.window._qt_window
    assert outer.rect().contains(foot.rect().translated(foot.mapTo(outer, foot.rect().topLeft())))
    assert window.dock.width() < 0.4 * outer.width()


@pytest.mark.parametrize(
    ("theme", "size"), [("light", (1280, 800)), ("dark", (1920, 1080))], ids=["light-small", "dark-large"]
)
def test_every_page_can_be_read_before_while_and_after_a_training(make_napari_viewer, qtbot, tmp_path, theme, size):
    window = open_window(make_napari_viewer, tmp_path)
    window.viewer.window.resize(*size)
    window.viewer.theme = theme

    def look() -> None:
        for name, page in window.dock.pages.items():
            window.dock.show_page(name)
            look_at(qtbot, window, page)
            unfold(page, is_unfolded=True)
            look_at(qtbot, window, page)
            unfold(page, is_unfolded=False)
            picture = page.grab().toImage()
            colours = {
                picture.pixelColor(x, y).name()
                for x in range(0, picture.width(), 8)
                for y in range(0, picture.height(), 4)
            }
            assert len(colours) > 5, name

    look()
    add_series(window, steps=400)
    look()
    window.foot.start.click()
    wait(qtbot, lambda: " left" in window.foot.status.whole)
    assert " left" in window.foot.status.text()
    look_at(qtbot, window, window.reconstruct)
    window.foot.stop.click()
    wait(qtbot, lambda: not window.session.is_active)
    settle(qtbot, window)
    look()
    window.dock.show_page("Explore")
    for part in ("Clean", "At t", "Contamination", "Compare"):
        window.explore.switch.buttons[part].click()
        settle(qtbot, window)
        look_at(qtbot, window, window.explore)
    canvas = window.viewer.screenshot(canvas_only=True, flash=False)
    assert np.unique(canvas[..., :3].reshape(-1, 3), axis=0).shape[0] > 20
    colours = window.series.colours
    for colour in (colours.success, colours.warning, colours.error):
        assert contrast_ratio(colour, colours.background) > 4.5
    assert window.series.state.texts
    QApplication.processEvents()


@pytest.mark.slow
def test_every_page_can_be_read_at_150_percent():
    # Qt reads the factor once, when a program begins; 1920 x 1200 of these pixels are the small window.
    if shutil.which("xvfb-run") is None:
        pytest.skip("needs xvfb-run for a larger screen")
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1920x1200x24"]
    name = test_every_page_can_be_read_before_while_and_after_a_training.__name__
    test = f"{Path(__file__).relative_to(ROOT)}::{name}[light-small]"
    command = [*screen, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "QT_SCALE_FACTOR": "1.5"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_what_is_wrong_is_found(qtbot):
    page = QWidget()
    qtbot.addWidget(page)
    page.resize(300, 300)
    column = QVBoxLayout(page)
    cut, squeezed, pale, wide, one, other = (QPushButton(f"a button with a text {k}") for k in range(6))
    for button in (cut, squeezed, pale, wide, one, other):
        column.addWidget(button)
    cut.setMaximumWidth(30)
    squeezed.setMaximumHeight(8)
    pale.setStyleSheet("color: #808080; background: #8a8a8a; border: none")
    wide.setMinimumWidth(200)
    show(qtbot, page)
    other.setGeometry(one.geometry().translated(0, 5))
    wide.move(150, wide.y())
    found = faults(page)
    for kind, button in (("cut", cut), ("squeezed", squeezed), ("outside", wide)):
        assert [fault for fault in found if fault.startswith(kind) and button.text() in fault]
    assert [fault for fault in found if "lies over" in fault and one.text() in fault and other.text() in fault]
    assert [fault.partition(",")[0] for fault in unreadable(page)] == [f"unreadable: QPushButton {pale.text()!r}"]


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
