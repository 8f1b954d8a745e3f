"""The level of what is empty is found, and what is matter is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.recorded_cases import ANGLES, recorded
from napari_stinr.data.preprocessing.background import Background
from napari_stinr.simulation import SimulationConfig, simulate


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("level", [0.05, 0.3, -0.2, 1000.0])
def test_a_level_is_found(noise: float, level: float) -> None:
    found = Background.of(recorded(noise=noise) + np.float32(level))
    assert found.is_common
    assert found.common == pytest.approx(level, abs=0.005 * found.height)


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_nothing_is_found_where_there_is_none(noise: float) -> None:
    assert Background.of(recorded(noise=noise)).common == 0


def test_a_level_is_found_where_half_of_the_images_are_full() -> None:
    stack = recorded(noise=0.02) + np.float32(5)
    stack[::2] += np.linspace(0.5, 2, stack.shape[2], dtype=np.float32)
    found = Background.of(stack)
    assert found.common == pytest.approx(5, abs=0.005 * found.height)


def test_the_thickness_of_a_film_is_no_background() -> None:
    film = 1 / np.cos(np.deg2rad(ANGLES))[:, None, None]
    assert not Background.of((recorded(noise=0.02) + film).astype(np.float32)).is_common


def test_a_thin_layer_of_atoms_is_no_background() -> None:
    # Carbon all over the view from the first images on: its level is the same in all of them.
    config = SimulationConfig(grid=(48, 16, 48), pixel_size=0.55, tilt_step=9, seed=7, pace="burst")
    assert not Background.of(simulate(config).series.projections).is_known


def test_each_projection_may_have_its_own() -> None:
    levels = np.linspace(1, 3, len(ANGLES))
    found = Background.of((recorded(noise=0.02) + levels[:, None, None]).astype(np.float32))
    assert not found.is_common
    np.testing.assert_allclose(found.each, levels, atol=0.02 * found.height)


def test_pixels_that_do_not_count_tell_nothing() -> None:
    stack = recorded() + np.float32(7)
    mask = np.ones(stack.shape, dtype=bool)
    stack[:, :, :8], mask[:, :, :8] = 0, False
    stack[4], mask[4] = 0, False
    found = Background.of(stack, mask)
    assert found.common == pytest.approx(7, abs=1e-3)
    assert np.isnan(found.levels[4])


@pytest.mark.parametrize("shape", [(9, 1, 32), (9, 6, 1), (9, 2, 2), (3, 40, 1)])
def test_small_images_tell_nothing(shape: tuple[int, int, int]) -> None:
    assert not Background.of(np.random.default_rng(1).normal(5, 1, shape).astype(np.float32)).is_known
