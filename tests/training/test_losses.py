"""The frequency-balanced loss: Parseval, the weights, and where it rolls off."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stinr.training.losses import balanced_loss, frequency_weights, noise_level, signal_fraction


def test_equal_weights_give_the_mean_square() -> None:
    residual = torch.randn(5, 3, 21, generator=torch.Generator().manual_seed(1))
    loss = balanced_loss(residual, torch.ones(22))
    assert float(loss) == pytest.approx(float(residual.square().mean()), rel=1e-5)


def test_fine_detail_weighs_more_than_coarse() -> None:
    u = torch.arange(64) / 64
    coarse, fine = torch.sin(2 * np.pi * 2 * u)[None], torch.sin(2 * np.pi * 28 * u)[None]
    weights = frequency_weights(64, balance=0.05)
    ratio = float(balanced_loss(fine, weights) / balanced_loss(coarse, weights))
    assert ratio == pytest.approx((28 / 32 + 0.05) / (2 / 32 + 0.05), rel=0.15)


def test_large_balance_is_plain_least_squares() -> None:
    assert float(frequency_weights(30, balance=1e6).min()) == pytest.approx(1, abs=1e-5)


def test_noise_level_is_found_beside_a_specimen() -> None:
    generator = torch.Generator().manual_seed(2)
    clean = torch.zeros(20, 40, 60)
    clean[:, 15:25, 20:40] = 50.0
    noisy = clean + 1.7 * torch.randn(clean.shape, generator=generator)
    assert noise_level(noisy) == pytest.approx(1.7, rel=0.05)
    assert noise_level(clean) == 0.0


def test_weight_rolls_off_where_noise_takes_over() -> None:
    generator = torch.Generator().manual_seed(3)
    u = torch.arange(64.0)
    clean = torch.exp(-((u - 32) ** 2) / (2 * 3.0**2)).expand(30, 20, 64) * 10
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=generator)
    fraction = signal_fraction(noisy)
    assert float(fraction[2:6].min()) > 0.9
    assert float(fraction[40:].max()) < 0.25
    assert float(signal_fraction(clean).min()) == 1.0
