"""White noise is found at its level, of whatever numbers images are made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stinr.data.measurements import signal_fraction
from napari_stinr.data.white_noise import white_noise
from napari_stinr.simulation import SimulationConfig, simulate

SHAPE = (30, 64, 64)


@pytest.mark.parametrize("mean", [0.01, 0.03, 0.1, 0.3, 0.6, 1.08, 1.7, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("background", [0.0, 1.078, 0.3337])
def test_single_electrons(mean: float, background: float) -> None:
    counts = np.random.default_rng(3).poisson(mean, SHAPE).astype(np.float32) - np.float32(background)
    assert white_noise(counts) == pytest.approx(np.sqrt(mean), rel=0.12)


@pytest.mark.parametrize("deviation", [0.4, 0.7, 1.0, 2.0, 5.0])
def test_noise_that_was_rounded_to_whole_numbers(deviation: float) -> None:
    noise = np.round(np.random.default_rng(4).normal(0, deviation, SHAPE)).astype(np.float32)
    assert white_noise(noise) == pytest.approx(noise.std(), rel=0.1)


@pytest.mark.parametrize("factor", [1e-20, 1.0, 1e20])
def test_noise_of_any_size_beside_a_specimen(factor: float) -> None:
    clean = simulate(SimulationConfig(grid=(64, 32, 64), tilt_step=10.0)).series.projections
    level = 0.05 * float(clean.max())
    noise = np.random.default_rng(5).normal(0, level, clean.shape).astype(np.float32)
    assert white_noise((clean + noise) * np.float32(factor)) == pytest.approx(level * factor, rel=0.1)


def test_none_without_noise_in_mostly_empty_images() -> None:
    clean = simulate(SimulationConfig(grid=(64, 32, 64), tilt_step=10.0)).series.projections
    empty = np.pad(clean, ((0, 0), (20, 20), (40, 40)))
    assert white_noise(empty) == 0.0


@pytest.mark.parametrize("mean", [0.03, 1.08])
def test_hot_pixels_are_no_noise(mean: float) -> None:
    counts = np.random.default_rng(7).poisson(mean, SHAPE).astype(np.float32)
    counts[::3, 5, 6] = 900
    assert white_noise(counts) == pytest.approx(np.sqrt(mean), rel=0.15)


def test_beside_a_flat_box_with_sharp_corners() -> None:
    clean = np.zeros((20, 40, 60), dtype=np.float32)
    clean[:, 15:25, 20:40] = 50.0
    noise = np.random.default_rng(2).normal(0, 1.7, clean.shape).astype(np.float32)
    assert white_noise(clean + noise) == pytest.approx(1.7, rel=0.05)
    assert white_noise(clean) == 0.0


def test_the_finest_details_of_counts_are_not_taken_for_signal() -> None:
    counts = np.random.default_rng(6).poisson(1.08, SHAPE).astype(np.float32) - np.float32(1.08)
    assert float(signal_fraction(torch.from_numpy(counts))[8:].max()) < 0.15


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 1, 5), (3, 5, 1)])
def test_images_without_diagonal_details_have_none(shape: tuple[int, int, int]) -> None:
    assert white_noise(np.ones(shape, dtype=np.float32)) == 0.0
