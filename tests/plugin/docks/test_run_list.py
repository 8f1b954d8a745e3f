"""The runs of a session, side by side: each keeps its layers, and a click brings it back."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from helpers.series_cases import growing_series
from helpers.window_cases import add_series, open_window, settle, train, turn, wait
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.session.new_draft import draft_of_series

pytestmark = pytest.mark.qt

LONG_NAME = "tomogram_of_a_platinum_particle_on_carbon_2024_11_27_series_42"


def visible(window) -> set[str]:
    return {layer.name for layer in window.viewer.layers if layer.visible}


def shown_runs(window) -> set[str]:
    """Titles of what is visible, whatever of a run the page shows."""
    return {name.partition(" · ")[2] for name in visible(window)}


def streaming() -> int:
    return sum(thread.name == "stinr-streaming" for thread in threading.enumerate())


def lines(window) -> list[list[str]]:
    made = window.explore.run_list.list
    return [[made.topLevelItem(row).text(column) for column in range(4)] for row in range(made.topLevelItemCount())]


def click(qtbot, window, row: int) -> None:
    made = window.explore.run_list.list
    place = made.visualItemRect(made.topLevelItem(row)).center()
    QTest.mouseClick(made.viewport(), Qt.MouseButton.LeftButton, pos=place)
    turn(qtbot)
    settle(qtbot, window)


@pytest.fixture
def two_runs(make_napari_viewer, qtbot, tmp_path):
    """Open a window with a growth run and a static one of the same series, on the page Explore."""
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window, steps=6)
    train(qtbot, window)
    window.session.choose(preset="static")
    window.session.customise(window.session.config.with_training(steps=6))
    train(qtbot, window)
    window.dock.show_page("Explore")
    settle(qtbot, window)
    return window


def test_a_click_brings_an_earlier_run_back_and_neither_replaces_the_other(two_runs, qtbot):
    window = two_runs
    static, growth = window.session.reconstruction, window.session.runs.runs[0].reconstruction
    assert [line[0] for line in lines(window)] == ["static · #2", "growth · #1"]
    wait(qtbot, lambda: visible(window) == {"reconstruction · static · #2"})
    wait(qtbot, lambda: streaming() == 1)
    click(qtbot, window, 1)
    assert window.session.reconstruction is growth
    wait(qtbot, lambda: shown_runs(window) == {"growth · #1"})
    click(qtbot, window, 0)
    assert window.session.reconstruction is static
    wait(qtbot, lambda: visible(window) == {"reconstruction · static · #2"})
    wait(qtbot, lambda: streaming() == 1)


def test_the_volume_of_an_earlier_run_can_be_looked_at_beside_and_rests_again(two_runs, qtbot):
    window = two_runs
    layer, static = window.viewer.layers["reconstruction · growth · #1"], window.session.reconstruction
    growth = window.session.runs.runs[0].reconstruction
    assert layer.data.is_resting
    layer.visible = True
    wait(qtbot, lambda: layer.data.field is not None and not layer.data.is_busy)
    turn(qtbot)
    z = int(window.viewer.dims.current_step[1])
    np.testing.assert_allclose(layer._slice.image.view, growth.render(1.0)[z], atol=1e-4)
    assert window.session.reconstruction is static
    assert streaming() == 2
    layer.visible = False
    wait(qtbot, lambda: streaming() == 1)
    assert layer.data.is_resting


def test_a_run_is_renamed_by_hand_with_its_layers(two_runs, qtbot):
    window = two_runs
    made = window.explore.run_list.list
    QTest.mouseClick(window.explore.run_list.rename_button, Qt.MouseButton.LeftButton)
    turn(qtbot)
    (editor,) = made.findChildren(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "before aligning")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    turn(qtbot)
    assert lines(window)[0][0] == "static · before aligning"
    assert visible(window) == {"reconstruction · static · before aligning"}


def test_a_forgotten_run_takes_its_layers_with_it_and_the_series_is_shown(two_runs, qtbot):
    window = two_runs
    number = len(window.viewer.layers)
    QTest.mouseClick(window.explore.run_list.forget_button, Qt.MouseButton.LeftButton)
    turn(qtbot)
    assert [line[0] for line in lines(window)] == ["growth · #1"]
    assert len(window.viewer.layers) == number - 1
    assert visible(window) == {"tilt series"}
    wait(qtbot, lambda: streaming() == 0)
    click(qtbot, window, 0)
    assert window.session.runs.of(window.session.reconstruction).number == 1


def test_what_grew_is_measured_for_the_list(two_runs, qtbot):
    window = two_runs
    wait(qtbot, lambda: lines(window)[1][3] != "–")
    run = window.session.runs.runs[0]
    growth = run.reconstruction
    whole, clean = growth.render(1.0).sum(dtype=float), growth.render(0.0).sum(dtype=float)
    assert run.contamination == pytest.approx(100 * (whole / clean - 1), rel=0.02)
    assert lines(window)[0][3] == "–"


def test_a_run_of_another_series_comes_back_with_it(two_runs, qtbot):
    window = two_runs
    first = window.session.draft
    other = replace(draft_of_series(growing_series(n_tilts=21, width=31)), name="other")
    window.viewer._add_layer_from_data(*series_layer(other))
    turn(qtbot, 10)
    assert visible(window) == {"other"}
    assert window.session.reconstruction is None
    window.dock.show_page("Explore")
    turn(qtbot)
    click(qtbot, window, 1)
    assert window.session.draft is first
    wait(qtbot, lambda: shown_runs(window) == {"growth · #1"})
    assert window.viewer.dims.nsteps[0] == 31


def test_names_of_any_length_leave_the_dock_as_wide_as_it_is(make_napari_viewer, qtbot, tmp_path):
    window = open_window(make_napari_viewer, tmp_path)
    add_series(window)
    turn(qtbot)
    width = window.dock.minimumSizeHint().width()
    for first in "ab":
        draft = replace(draft_of_series(growing_series(n_tilts=31)), name=first + LONG_NAME)
        window.viewer._add_layer_from_data(*series_layer(draft))
    turn(qtbot, 10)
    assert window.series.layer_choice.findText("a" + LONG_NAME) > 0
    assert window.dock.minimumSizeHint().width() == width
    assert window.dock.width() < 380
