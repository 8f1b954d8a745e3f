"""Short filters: their response, their gradient, and what goes on beyond the ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_stinr.fields import filters
from napari_stinr.fields.filters import (
    BAND_LIMIT,
    AxisFilter,
    filtered,
    gain,
    gaussian_taps,
    one_after_the_other,
)


def test_band_limit_passes_what_pixels_show_and_stops_what_they_cannot() -> None:
    position = torch.arange(400, dtype=torch.float64)
    for frequency, least, most in (
        (0.0, 1.0, 1.0),
        (0.1, 0.9, 1.1),
        (0.3, 0.9, 1.1),
        (0.33, 0.8, 1.0),
        (0.5, 0.0, 0.1),
    ):
        wave = torch.cos(2 * math.pi * frequency * position)
        gain = filtered(wave, BAND_LIMIT, axis=0)[100:300] @ wave[100:300] / wave[100:300].square().sum()
        assert least - 1e-6 <= abs(float(gain)) <= most + 1e-6, frequency


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("longest_product", [0, 128], ids=["shifts", "products"])
def test_values_go_on_beyond_the_ends_and_the_gradient_is_that_of_differences(
    axis: int, longest_product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "_LONGEST_PRODUCT", longest_product)
    values = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    taps = (0.7, 0.3, -0.2, 0.05)
    padding = [(3, 3) if other == axis else (0, 0) for other in range(3)]
    padded = np.pad(values.detach().numpy(), padding, mode="edge")
    expected = np.apply_along_axis(np.convolve, axis, padded, [*taps[:0:-1], *taps], mode="valid")
    np.testing.assert_allclose(filtered(values, taps, axis=axis).detach().numpy(), expected, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: filtered(x, taps, axis=axis), values)


def test_an_axis_shorter_than_the_filter_keeps_its_mean_value() -> None:
    torch.testing.assert_close(filtered(torch.full((1, 2), 3.0), BAND_LIMIT, axis=1), torch.full((1, 2), 3.0))


@pytest.mark.parametrize("sigma", [0.6, 0.7, 1.5])
def test_a_gaussian_damps_every_frequency_up_to_nyquist_as_it_should(sigma: float) -> None:
    frequencies = torch.linspace(0, 1, 50, dtype=torch.float64)
    expected = torch.exp(-((sigma * math.pi * frequencies) ** 2) / 2)
    torch.testing.assert_close(gain(gaussian_taps(sigma), frequencies), expected, rtol=0, atol=0.03)


def test_one_filter_does_what_two_do_one_after_the_other() -> None:
    values = torch.zeros(31, dtype=torch.float64)
    values[15] = 1.0
    first, second = (0.7, 0.3, -0.15), gaussian_taps(0.6)
    both = filtered(values, one_after_the_other(first, second), axis=0)
    torch.testing.assert_close(both, filtered(filtered(values, first, axis=0), second, axis=0))


@pytest.mark.parametrize("positions", [(-0.25, 0.5), tuple(np.arange(-2.0, 2.5, 0.5))], ids=["between", "all voxels"])
def test_what_a_value_has_of_the_sum_is_what_it_adds_to_it(positions: tuple[float, ...]) -> None:
    limit = AxisFilter.at(torch.tensor(positions), gaussian_taps(0.7), n_voxels=9, voxel_size=0.5)
    values = torch.rand(1, len(limit.positions), 1, generator=torch.Generator().manual_seed(3))
    expected = limit.shares @ values[0, :, 0].double()
    torch.testing.assert_close(limit.apply(values, axis=1).double().sum(), expected, rtol=1e-5, atol=1e-5)


def test_between_voxels_the_limited_values_are_weighted_sums_of_few() -> None:
    limit = AxisFilter.at(torch.tensor([-0.25, 0.5], dtype=torch.float64), BAND_LIMIT, n_voxels=9, voxel_size=0.5)
    assert limit.weights is not None
    assert limit.weights.shape == (2, len(limit.positions))
    torch.testing.assert_close(limit.weights.sum(1), torch.ones(2))
    assert float(limit.positions.abs().max()) <= 2.0


def test_a_filter_that_a_renderer_used_first_can_still_be_trained_through() -> None:
    taps, values = (0.9, 0.04, 0.01), torch.rand(2, 31).requires_grad_()
    with torch.inference_mode():
        filtered(torch.rand(3, 31), taps, axis=1)
    filtered(values, taps, axis=1).square().sum().backward()
    assert values.grad is not None
