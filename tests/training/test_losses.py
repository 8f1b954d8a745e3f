"""The frequency-balanced loss: Parseval, the weights, and their floor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stinr.training.losses import balanced_loss, frequency_weights


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
