"""Key frames: what lies between them, whole turns, there and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.movies import KeyFrame, Movie

START = KeyFrame(0.0, ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0)), 1.0, (0.0, 0.0, 0.0))
QUARTER = KeyFrame(1.0, ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)), 4.0, (2.0, 4.0, 6.0))


def views(movie: Movie) -> np.ndarray:
    return np.array([frame.directions[0] for frame in movie.frames()])


def test_first_and_last_frame_are_the_key_frames():
    frames = Movie(START, QUARTER, seconds=1, frames_per_second=9).frames()
    assert (len(frames), frames[0], frames[-1]) == (9, START, QUARTER)


def test_between_them_time_turn_zoom_and_centre_are_even():
    middle = Movie(START, QUARTER).at(0.5)
    assert (middle.t, middle.center) == (0.5, (1.0, 2.0, 3.0))
    assert middle.zoom == pytest.approx(2.0)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(middle.directions, [[half, 0, half], [0, -1, 0]], atol=1e-12)


def test_whole_turn_goes_round_at_an_even_pace_and_shows_no_view_twice():
    movie = Movie(START, START, seconds=1, frames_per_second=8, turn=360)
    angles = np.unwrap([np.arctan2(view[2], view[0]) for view in views(movie)])
    np.testing.assert_allclose(np.abs(np.diff(angles)), np.pi / 4)
    assert abs(angles[-1] - angles[0]) == pytest.approx(7 * np.pi / 4)
    turned = Movie(START, replace(START, t=1.0), seconds=1, frames_per_second=9, turn=360).frames()
    assert turned[-1].t == 1.0
    np.testing.assert_allclose(turned[-1].directions, START.directions, atol=1e-12)


def test_there_and_back_ends_one_frame_before_it_began():
    times = [frame.t for frame in Movie(START, QUARTER, seconds=1, frames_per_second=8, there_and_back=True).frames()]
    np.testing.assert_allclose(times, [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("length", [{"seconds": 0}, {"seconds": 1000}, {"frames_per_second": 0}])
def test_too_long_and_too_short_are_refused(length):
    with pytest.raises(StinrError, match="frames"):
        Movie(START, QUARTER, **length)
