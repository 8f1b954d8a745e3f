"""A yardstick that can be believed: the engine comes close to the truth of a series that was never contaminated."""

from __future__ import annotations

import numpy as np
import pytest

import napari_stinr as stinr
from napari_stinr.analysis.metrics import nrmse


@pytest.mark.parametrize(
    ("specimen", "grid", "pixel_size", "seed"),
    [
        ("nanotube", (56, 20, 56), 0.45, 311),
        ("particle", (48, 24, 48), 0.5, 312),
        ("glass", (48, 16, 48), 0.5, 313),
    ],
)
def test_a_never_contaminated_series_comes_out_near_its_truth(
    specimen: str, grid: tuple[int, int, int], pixel_size: float, seed: int
) -> None:
    """Below this error, differences between settings can be seen; from abTEM's slices and projections it was 0.30."""
    config = stinr.SimulationConfig(
        specimen=specimen,  # type: ignore[arg-type]
        grid=grid,
        pixel_size=pixel_size,
        tilt_step=2.0,
        seed=seed,
    )
    simulation = stinr.simulate(config)
    clean = stinr.TiltSeries(
        simulation.clean_projections, simulation.series.tilt_angles, simulation.series.times, pixel_size=pixel_size
    )
    reconstruction = stinr.reconstruct(clean, preset="static", steps=200, device="cpu", threads=1)
    volume = reconstruction.render(0.0)
    assert nrmse(volume, simulation.truth) < 0.13
    assert beyond_nyquist(volume) < 0.05


def beyond_nyquist(volume: np.ndarray) -> float:
    """Return what lies in the corners of the spectrum of each slice, relative to the volume."""
    spectrum = np.abs(np.fft.fft2(volume, axes=(0, 2))) ** 2
    z, x = (np.fft.fftfreq(n) for n in (volume.shape[0], volume.shape[2]))
    corners = np.hypot(z[:, None], x) > 0.5
    return float(np.sqrt(spectrum.sum(axis=1)[corners].sum() / spectrum.sum()))
