"""Numbers of any size give the same volume: 1e-20 as well as 1e20; what is beyond is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.series_cases import growing_series


@pytest.mark.parametrize("preset", ["growth", "static", "paper"])
@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_numbers_of_any_size(preset: str, factor: float) -> None:
    series = growing_series()
    scaled = replace(series, projections=np.float32(factor) * series.projections)
    reference, volume = (
        stinr.reconstruct(data, preset=preset, steps=20, threads=1).render(t=0.0).astype(float)
        for data in (series, scaled)
    )
    # Roundings grow in the network of rays, which is not convex.
    assert np.abs(volume / factor - reference).max() < 1e-2 * reference.max()


@pytest.mark.parametrize("preset", ["static", "paper"])
def test_powers_of_two_change_no_bit(preset: str) -> None:
    series = growing_series()
    scaled = replace(series, projections=np.float32(2.0**-60) * series.projections)
    reference, volume = (
        stinr.reconstruct(data, preset=preset, steps=20, threads=1).render(t=0.0) for data in (series, scaled)
    )
    np.testing.assert_array_equal(volume * np.float32(2.0**60), reference)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_numbers_that_single_precision_does_not_hold_are_named(factor: float) -> None:
    series = growing_series()
    scaled = replace(series, projections=np.float32(factor) * series.projections)
    with pytest.raises(stinr.StinrError, match=r"e[-+](29|30|31)"):
        stinr.reconstruct(scaled, steps=2, threads=1)
