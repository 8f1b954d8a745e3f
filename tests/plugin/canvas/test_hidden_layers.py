"""What is hidden does not stretch sliders and view, and is shown again as it was; in a real window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from helpers.series_cases import growing_series
from helpers.window_cases import open_window, train, turn
from napari_stinr.plugin.canvas.layer_data import series_layer
from napari_stinr.plugin.session.new_draft import draft_of_series

pytestmark = pytest.mark.qt

UNITS = "Inconsistent units"


def add(window, name, **options):
    """Add a series as a reader would."""
    pixel_size = options.pop("pixel_size", 1.0)
    draft = replace(draft_of_series(growing_series(**options)), name=name, pixel_size=pixel_size)
    window.viewer._add_layer_from_data(*series_layer(draft))
    return draft


def warned() -> bool:
    return any(UNITS in record.message for record in notification_manager.records)


def press_right(window, n: int) -> None:
    canvas = window.viewer.window._qt_viewer.canvas.native
    for _ in range(n):
        QTest.keyClick(canvas, Qt.Key.Key_Right)


@pytest.fixture
def window(make_napari_viewer, tmp_path):
    notification_manager.records.clear()
    return open_window(make_napari_viewer, tmp_path)


def test_a_second_series_of_another_number_unit_and_size_has_sliders_and_view_for_itself(window, qtbot):
    add(window, "first", n_tilts=41)
    turn(qtbot)
    add(window, "second", n_tilts=29, width=70, height=20, pixel_size=None)
    turn(qtbot, 10)
    viewer = window.viewer
    assert tuple(viewer.dims.nsteps) == (29, 1, 20, 70)
    assert viewer.window._qt_viewer.dims.slider_widgets[0].slider.maximum() == 28
    assert not warned()
    before = window.binding.slider.projection
    press_right(window, 5)
    assert window.binding.slider.projection == before + 5
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center
    viewer.reset_view(layers=[viewer.layers["second"]])
    assert viewer.scene.camera.zoom == pytest.approx(zoom, rel=0.1)
    np.testing.assert_allclose(viewer.scene.camera.center, center, atol=0.5)


def test_an_earlier_series_chosen_in_the_dock_is_shown_with_its_own_sliders(window, qtbot):
    add(window, "first", n_tilts=41)
    add(window, "second", n_tilts=29, width=70, pixel_size=None)
    turn(qtbot)
    choice = window.series.layer_choice
    choice.setFocus()
    place = choice.findText("first")
    # As a person does it with the keyboard: the list, the line, Enter.
    choice.showPopup()
    choice.view().setCurrentIndex(choice.model().index(place, 0))
    QTest.keyClick(choice.view(), Qt.Key.Key_Return)
    turn(qtbot, 10)
    layers = window.viewer.layers
    assert (layers["first"].visible, layers["second"].visible) == (True, False)
    assert window.session.draft.name == "first"
    assert window.viewer.dims.nsteps[0] == 41
    assert not warned()


def test_a_hidden_layer_is_as_it_was_when_a_person_shows_it_again(window, qtbot):
    add(window, "first", n_tilts=41)
    layer = window.viewer.layers["first"]
    extent, data = layer.extent.world.copy(), np.asarray(layer.data)
    add(window, "second", n_tilts=29, width=70, height=20)
    turn(qtbot)
    assert not layer.visible
    assert not np.array_equal(layer.extent.world, extent)
    np.testing.assert_array_equal(np.asarray(layer.data), data)
    layer.visible = True
    turn(qtbot)
    np.testing.assert_array_equal(layer.extent.world, extent)
    assert window.viewer.dims.nsteps[0] == 41
    layer.visible = False
    assert window.viewer.dims.nsteps[0] == 29


def test_moved_while_hidden_it_still_does_not_count(window, qtbot):
    add(window, "first", n_tilts=41)
    add(window, "second", n_tilts=29)
    layer = window.viewer.layers["first"]
    layer.translate = (0, 0, 500, 0)
    turn(qtbot)
    assert window.viewer.dims.range[2].stop < 10
    layer.visible = True
    assert window.viewer.dims.range[2].stop > 400


def test_another_pixel_size_after_a_run_says_nothing_of_units(window, qtbot):
    add(window, "first", n_tilts=21)
    window.session.customise(window.session.config.with_training(steps=5))
    train(qtbot, window)
    window.session.set_draft(replace(window.session.draft, pixel_size=None))
    turn(qtbot, 10)
    window.session.set_draft(replace(window.session.draft, pixel_size=2.0))
    turn(qtbot, 10)
    assert not warned()


def test_with_the_series_deleted_what_is_left_counts(window, qtbot):
    add(window, "first", n_tilts=41)
    add(window, "second", n_tilts=29)
    turn(qtbot)
    window.viewer.layers.remove("second")
    turn(qtbot)
    assert window.viewer.dims.nsteps[0] == 41
