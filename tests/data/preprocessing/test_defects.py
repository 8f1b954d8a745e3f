"""What shows nothing of the specimen is found, and what is specimen is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.recorded_cases import ANGLES, recorded
from napari_stinr.data.preprocessing.defects import Defects, ranges

TIMES = np.linspace(0, 1, len(ANGLES))
NOISE = [0.0, 0.05]


def found_in(stack: np.ndarray, mask: np.ndarray | None = None) -> Defects:
    return Defects.of(stack, mask, TIMES)


def is_clean(found: Defects) -> bool:
    return not found.blank.any() and found.pixels is None


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("grows", [True, False])
def test_a_good_series_has_none(noise: float, grows: bool) -> None:
    assert is_clean(found_in(recorded(noise=noise, grows=grows)))


@pytest.mark.parametrize("seed", range(5))
def test_narrow_atoms_are_no_hot_pixels(seed: int) -> None:
    # Every second row and column: the deviation of an atom is 0.7 pixels.
    stack = recorded(height=48, width=80, seed=seed)[:, ::2, ::2]
    assert is_clean(found_in(np.ascontiguousarray(stack)))


@pytest.mark.parametrize("counts", [0.05, 1.0, 20.0])
def test_counts_are_no_spikes(counts: float) -> None:
    stack = np.random.default_rng(1).poisson(counts * recorded()).astype(np.float32)
    assert found_in(stack).pixels is None


def test_a_specimen_of_a_single_pixel_stays() -> None:
    stack = np.zeros((len(ANGLES), 24, 40), dtype=np.float32)
    stack[:, 12, 20] = 3
    assert is_clean(found_in(stack))


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("which", [[6, 7], [0], [24], [3, 11, 12, 13, 20]])
def test_blank_images_are_found(noise: float, which: list[int]) -> None:
    stack = recorded(noise=noise)
    stack[which] = 0.5 + np.random.default_rng(5).normal(0, noise, stack[which].shape)
    np.testing.assert_array_equal(np.flatnonzero(found_in(stack).blank), which)


def test_first_images_with_little_to_see_are_not_blank() -> None:
    # Contamination may be far more than the specimen.
    stack = recorded(grows=False) * np.linspace(0.05, 4, len(ANGLES), dtype=np.float32)[:, None, None]
    assert not found_in(stack).blank.any()


def test_noise_alone_is_not_judged() -> None:
    stack = np.random.default_rng(1).normal(0, 1, (len(ANGLES), 64, 64)).astype(np.float32)
    assert is_clean(found_in(stack))


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("value", [30.0, 300.0, -40.0])
def test_a_pixel_that_is_hot_once_is_found(noise: float, value: float) -> None:
    stack = recorded(noise=noise)
    stack[12, 9, 5], stack[3, 0, 0], stack[3, 0, 1] = value, value, 0.8 * value
    found = found_in(stack)
    assert found.n_spikes == 3
    assert found.pixels is not None
    assert {tuple(map(int, place)) for place in np.argwhere(found.pixels)} == {(12, 9, 5), (3, 0, 0), (3, 0, 1)}


@pytest.mark.parametrize("noise", NOISE)
def test_pixels_that_are_always_hot_or_dark_are_found_also_in_the_specimen(noise: float) -> None:
    stack = recorded(noise=noise)
    stack[:, 12, 20], stack[:, 5, 30], stack[:, 7, 8] = 25, 40, -20
    found = found_in(stack)
    assert (found.n_hot, found.n_spikes) == (3, 0)
    assert found.pixels is not None
    np.testing.assert_array_equal(found.pixels.sum(axis=(1, 2)), 3)


def test_a_dead_pixel_is_found() -> None:
    stack = recorded(noise=0.3)
    stack[:, 12, 20] = 0
    found = found_in(stack)
    assert (found.n_dead, found.n_hot) == (1, 0)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_half_written_image_loses_its_rows(value: float) -> None:
    stack = recorded(noise=0.02)
    stack[5, 15:], stack[9, :4] = value, value
    found = found_in(stack)
    assert found.cut == {5: 9 * 40, 9: 4 * 40}
    assert found.pixels is not None
    assert found.pixels[5, 15:].all()
    assert not found.pixels[5, :15].any()


def test_rows_of_a_half_written_image_without_noise_are_found_where_others_see_something() -> None:
    stack = recorded()
    stack[5, 12:] = 0
    pixels = found_in(stack).pixels
    assert pixels is not None
    assert pixels[5].any()
    assert not pixels[np.arange(len(ANGLES)) != 5].any()


def test_edges_that_an_alignment_leaves_empty_are_found() -> None:
    stack = recorded(noise=0.02) + np.float32(5)
    stack[3, :, :6], stack[4, :, -5:], stack[4, :3] = 0, 0, 0
    pixels = found_in(stack).pixels
    assert pixels is not None
    np.testing.assert_array_equal(pixels, stack == 0)


def test_what_the_detector_cannot_count_is_found() -> None:
    stack = np.minimum(recorded(noise=0.05), 1.8)
    found = found_in(stack)
    assert found.n_saturated == int((stack == np.float32(1.8)).sum()) > 10
    assert found.pixels is not None
    np.testing.assert_array_equal(found.pixels, stack == np.float32(1.8))


def test_what_does_not_count_already_is_not_looked_at() -> None:
    stack, mask = recorded(noise=0.05), np.ones((len(ANGLES), 24, 40), dtype=bool)
    stack[4], mask[4] = 1e6, False
    assert is_clean(found_in(stack, mask))


def test_positions_are_written_as_people_do() -> None:
    assert ranges([3, 7, 8, 9, 12]) == "3, 7-9, 12"
    assert ranges(range(0, 40, 2)) == "0, 2, 4, 6, 8, 10 and 14 more"
