"""What the instrument does to the intensity is told from growth."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr.data.acquisition_order import acquisition_rank
from napari_stinr.data.preprocessing.intensity import Intensity

ANGLES = np.arange(-60, 61, 2.0)
NO_NOISE = np.zeros(len(ANGLES))
COURSES = {
    "steady": lambda t: 1 + t,
    "nothing": np.ones_like,
    "burst": lambda t: 1 + np.minimum(t / 0.05, 1),
    "pause": lambda t: 1 + np.minimum(t, 0.3) + np.maximum(t - 0.7, 0),
    "steps": lambda t: 1 + np.floor(5 * t) / 5,
    "loss": lambda t: 1 - 0.2 * t,
}


def times_of(order: str) -> np.ndarray:
    return acquisition_rank(ANGLES, order) / (len(ANGLES) - 1)


@pytest.mark.parametrize("order", ["sequential", "dose-symmetric", "interleaved"])
@pytest.mark.parametrize("course", COURSES)
def test_growth_alone_is_not_touched(order: str, course: str) -> None:
    times = times_of(order)
    found = Intensity.of(COURSES[course](times), NO_NOISE, ANGLES, times)
    assert (found.gains == 1).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", ["sequential", "dose-symmetric"])
@pytest.mark.parametrize("course", ["steady", "nothing", "loss"])
def test_the_gain_of_single_projections_is_found(order: str, course: str, seed: int) -> None:
    times = times_of(order)
    gains = 1 + 0.03 * np.random.default_rng(seed).standard_normal(len(ANGLES))
    found = Intensity.of(gains * COURSES[course](times), NO_NOISE, ANGLES, times)
    left = found.gains / gains
    assert np.std(left) / np.mean(left) < 0.015


@pytest.mark.parametrize("order", ["sequential", "dose-symmetric", "interleaved"])
@pytest.mark.parametrize("course", ["steady", "nothing"])
@pytest.mark.parametrize("gain_error", [0.0, 0.02])
def test_exposures_that_follow_the_tilt_are_divided_out(order: str, course: str, gain_error: float) -> None:
    times, exposures = times_of(order), 1 / np.cos(np.deg2rad(ANGLES))
    gains = exposures * (1 + gain_error * np.random.default_rng(8).standard_normal(len(ANGLES)))
    found = Intensity.of(gains * COURSES[course](times), NO_NOISE, ANGLES, times)
    assert found.follows_tilt
    left = found.gains / gains
    assert np.std(left) / np.mean(left) < (0.012 if gain_error else 1e-6)


def test_exposures_over_one_side_are_no_growth() -> None:
    angles = np.arange(0, 61, 2.0)
    found = Intensity.of(1 / np.cos(np.deg2rad(angles)), np.zeros(len(angles)), angles, angles)
    assert found.follows_tilt


def test_noise_is_no_gain() -> None:
    errors = np.full(len(ANGLES), 0.02)
    masses = 1 + errors * np.random.default_rng(4).standard_normal(len(ANGLES))
    assert (Intensity.of(masses, errors, ANGLES, times_of("sequential")).gains == 1).all()


def test_projections_of_unknown_mass_keep_their_intensity() -> None:
    times = times_of("sequential")
    gains = 1 + 0.05 * np.random.default_rng(2).standard_normal(len(ANGLES))
    masses = gains * (1 + times)
    masses[10] = np.nan
    found = Intensity.of(masses, NO_NOISE, ANGLES, times)
    assert found.gains[10] == 1
    assert found.scatter > 0.03
    few = Intensity.of(masses[:6], NO_NOISE[:6], ANGLES[:6], times[:6])
    assert (few.gains == 1).all()
