"""Which way the axis lies is told from what does not move along it, also where nothing stands still."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from napari_stinr.data.preprocessing.axis import AxisDirection
from napari_stinr.simulation import SimulationConfig, simulate
from napari_stinr.simulation.instrument import Instrument

SHAKEN = Instrument(drift_x=7, drift_y=3, jitter=0.7, axis_offset=3, axis_rotation=1.5, angle_error=0.3)


# Round particles whose sums of rows differed more than those of columns while they were compared at whole pixels.
@pytest.mark.parametrize(("seed", "growth"), [(94, "radial"), (95, "radial"), (95, "side"), (96, "radial")])
def test_a_round_particle_that_drifts_is_not_turned_and_one_on_its_side_is(
    seed: int, growth: Literal["radial", "side"]
) -> None:
    config = SimulationConfig(
        specimen="particle", growth=growth, noise=0.03, seed=seed, grid=(72, 40, 72), pixel_size=0.5, tilt_start=-60,
        tilt_stop=60, tilt_step=3, instrument=SHAKEN,
    )  # fmt: skip
    series = simulate(config).series
    upright = AxisDirection.of(series.projections, series.tilt_angles)
    assert not upright.is_horizontal
    assert not upright.is_doubtful
    assert AxisDirection.of(np.swapaxes(series.projections, 1, 2), series.tilt_angles).is_horizontal


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_makes_no_axis_of_a_needle_that_looks_the_same_at_all_tilts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:24, :56]
    angles = np.linspace(-60, 60, 41)
    # Upright, thicker than deep: nothing moves along the axis, and what moves across it, moves little.
    widths = 4 + 0.5 * np.cos(np.radians(2 * angles))
    needle = np.exp(-(((x - 27.5) / widths[:, None, None]) ** 4)) * (1 + 0.5 * np.sin(y))
    noisy = needle + 0.12 * rng.standard_normal(needle.shape)
    assert not AxisDirection.of(noisy, angles).is_horizontal
    assert not AxisDirection.of(noisy, angles).is_doubtful
