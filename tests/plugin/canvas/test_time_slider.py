"""The slider of time: t, physical time and projections are three ways to say where it stands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from napari_stinr.plugin.canvas.player import Player
from napari_stinr.plugin.canvas.time_slider import TimeSlider
from napari_stinr.plugin.session.time_axis import TimeAxis

# Stack order is not the order in time, and the third gap is twice as long as the others.
SECONDS = np.array([30.0, 10.0, 20.0, 50.0])


def series_axis() -> TimeAxis:
    return TimeAxis.of_times((SECONDS - 10) / 40, time_range=(10.0, 50.0), unit="s")


def viewer_with(axis: TimeAxis) -> ViewerModel:
    viewer = ViewerModel()
    scale, translate = (axis.spacing, 1, 1, 1), (axis.time_range[0], 0, 0, 0)
    viewer.add_image(np.zeros((axis.n_steps, 1, 3, 4)), scale=scale, translate=translate)
    return viewer


@pytest.fixture
def slider() -> TimeSlider:
    made = TimeSlider(viewer_with(series_axis()))
    made.series_axis = series_axis()
    return made


@pytest.mark.parametrize("projection", range(4))
def test_a_projection_is_at_its_own_time(slider: TimeSlider, projection: int) -> None:
    slider.go_to(projection)
    assert slider.projection == projection
    assert slider.t == pytest.approx((SECONDS[projection] - 10) / 40)


def test_a_projection_that_is_not_there_moves_nothing(slider: TimeSlider) -> None:
    slider.go_to(3)
    slider.go_to(4)
    assert slider.projection == 3


@pytest.mark.parametrize("t", [0.0, 0.13, 0.5, 1.0, 7.0])
def test_t_goes_to_the_nearest_step(slider: TimeSlider, t: float) -> None:
    slider.set_t(t)
    assert slider.t == pytest.approx(round(4 * min(t, 1.0)) / 4)


def test_another_layer_beyond_the_series_leaves_t_within_0_and_1(slider: TimeSlider) -> None:
    viewer = slider._viewer
    viewer.add_image(np.zeros((200, 1, 3, 4)))
    viewer.dims.set_point(0, 150.0)
    assert slider.t == 1.0


def test_the_volume_divides_time_and_the_series_says_which_projection(slider: TimeSlider) -> None:
    slider.volume_axis = TimeAxis(n_steps=3, time_range=(10.0, 50.0), unit="s")
    slider.set_step(1)
    assert slider.axis is slider.volume_axis
    assert (slider.t, slider.projection) == (pytest.approx(0.5), 0)
    slider.volume_axis = None
    assert slider.axis is slider.series_axis


def test_without_a_series_there_is_no_projection() -> None:
    slider = TimeSlider(viewer_with(TimeAxis()))
    slider.set_t(0.5)
    assert (slider.t, slider.projection) == (pytest.approx(0.5), None)


def test_without_an_axis_of_time_it_stands_at_the_beginning() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 3, 4)))
    slider = TimeSlider(viewer)
    slider.series_axis = series_axis()
    before = viewer.dims.point
    slider.set_t(1.0)
    slider.go_to(3)
    assert (slider.t, slider.projection) == (0.0, None)
    assert viewer.dims.point == before


@pytest.mark.qt
def test_playing_goes_on_step_by_step_and_begins_again_but_never_ahead(slider: TimeSlider, qapp: Any) -> None:
    stream = SimpleNamespace(is_busy=False)
    layers: Any = SimpleNamespace(stream=stream)
    settings = SimpleNamespace(play_frames_per_second=1000.0)
    owner = QObject()
    player = Player(slider, layers, SimpleNamespace(settings=settings), owner)  # type: ignore[arg-type]
    slider.set_step(2)
    player.start()
    seen = []
    for _ in range(4):
        player._advance()
        seen.append(slider.t)
    assert seen == pytest.approx([0.75, 1.0, 0.0, 0.25])
    stream.is_busy = True
    player._advance()
    assert slider.t == pytest.approx(0.25)
    layers.stream = None
    player._advance()
    assert not player.is_playing
