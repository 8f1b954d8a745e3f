"""A yardstick that can be believed: the engine comes close to the truth of a series that was never contaminated."""

from __future__ import annotations

import napari_stinr as stinr
from napari_stinr.analysis.metrics import nrmse


def test_a_never_contaminated_series_comes_out_near_its_truth() -> None:
    """Below this error, differences between settings can be seen; from abTEM's slices and projections it was 0.30."""
    config = stinr.SimulationConfig(grid=(64, 20, 64), pixel_size=0.4, tilt_step=2.0, seed=5)
    simulation = stinr.simulate(config)
    clean = stinr.TiltSeries(
        simulation.clean_projections, simulation.series.tilt_angles, simulation.series.times, pixel_size=0.4
    )
    reconstruction = stinr.reconstruct(clean, preset="static", steps=200, device="cpu", threads=1)
    assert nrmse(reconstruction.render(0.0), simulation.truth) < 0.13
