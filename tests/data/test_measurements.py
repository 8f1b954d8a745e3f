"""A series as tensors: what counts, how large it is, how noisy, and that nothing is copied that need not be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.series_cases import growing_series
from napari_stinr.data.geometry import grid_of
from napari_stinr.data.measurements import Measurements, signal_fraction


def masked_series():
    series = growing_series(n_tilts=13, width=15, height=7)
    mask = np.random.default_rng(1).random(series.projections.shape) > 0.2
    return replace(series, projections=np.where(mask, series.projections - 3, 1e4), mask=mask).exclude([2, 9])


def test_a_whole_series_is_not_copied() -> None:
    series = growing_series(n_tilts=11, width=9, height=3)
    data = Measurements.of(series)
    assert data.measured.data_ptr() == series.projections.ctypes.data
    assert data.mask is None
    assert data.tilts.tolist() == list(range(11))
    np.testing.assert_array_equal(data.measured.numpy(), series.projections)
    del series
    assert bool(torch.isfinite(data.measured).all())  # it holds the memory


def test_only_what_counts_is_there() -> None:
    series = masked_series()
    data = Measurements.of(series)
    assert data.tilts.tolist() == [k for k in range(13) if k not in (2, 9)]
    np.testing.assert_array_equal(data.measured.numpy(), series.measured[series.used])
    np.testing.assert_array_equal(data.mask.numpy(), series.mask[series.used])
    np.testing.assert_allclose(data.times.numpy(), series.times[series.used], rtol=1e-6)
    counted = np.abs(series.projections[series.mask])
    assert data.contrast == pytest.approx(np.percentile(counted, 99.9) / counted.mean(dtype=float))
    assert data.mean_absolute == pytest.approx(counted.mean(dtype=float))
    assert data.power * data.unit**2 == pytest.approx(np.square(series.measured[series.used]).mean(), rel=1e-5)


@pytest.mark.parametrize("series", [growing_series(n_tilts=13, width=15, height=7), masked_series()])
def test_projections_left_out_count_as_if_they_were_excluded(series) -> None:
    without = np.array([4, 7])
    one, other = Measurements.of(series, without=without), Measurements.of(series.exclude(without))
    assert (one.contrast, one.mean_absolute, one.power) == (other.contrast, other.mean_absolute, other.power)
    for name in ("tilts", "measured", "times", "signal_fraction"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0)
    assert (one.mask is None) is (other.mask is None) is (series.mask is None)
    assert {4, 7} & set(Measurements.of(series).tilts.tolist()) == {4, 7}


def test_typical_potential_fills_the_grid() -> None:
    series = growing_series(n_tilts=11, width=9, height=3, pixel_size=0.5)
    data, grid = Measurements.of(series), grid_of(series)
    assert data.typical_potential(grid) * 9 * 0.5 == pytest.approx(np.abs(series.projections).mean(), rel=1e-5)
    dark = Measurements.of(replace(series, projections=0 * series.projections))
    assert dark.typical_potential(grid) == dark.contrast == 1.0


def test_weight_rolls_off_where_noise_takes_over() -> None:
    generator = torch.Generator().manual_seed(3)
    u = torch.arange(64.0)
    clean = torch.exp(-((u - 32) ** 2) / (2 * 3.0**2)).expand(30, 20, 64) * 10
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=generator)
    fraction = signal_fraction(noisy)
    assert float(fraction[2:6].min()) > 0.9
    assert float(fraction[40:].max()) < 0.25
    assert float(signal_fraction(clean).min()) == 1.0
