"""Small tilt series of a known growing specimen, made without the program's own projector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_stinr.config import GrowthFieldConfig, ReconstructionConfig
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.data.tilt_series import TiltSeries

SPECIMEN = ((0.0, 0.0, 0.0, 9.0), (3.0, 1.0, -2.0, 6.0), (-2.0, -2.0, 3.0, 6.0))
CONTAMINATION = ((0.0, 1.0, 9.0, 5.0, 0.3), (8.0, -1.0, 0.0, 5.0, 0.5), (-8.0, 0.0, -2.0, 5.0, 0.75))
SIGMA = 1.2
VOXELWISE_GROWTH = ReconstructionConfig(field=GrowthFieldConfig())
"""Growth without a search for a surface, as runs had it before: one stage."""


def blob_volume(shape: tuple[int, int, int], blobs: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """`(z, y, x)` sum of Gaussian blobs (z, y, x, height, ...) around the centre, in voxels."""
    axes = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij")
    volume = np.zeros(shape)
    for z, y, x, height, *_ in blobs:
        distance = (axes[0] - z) ** 2 + (axes[1] - y) ** 2 + (axes[2] - x) ** 2
        volume += height * np.exp(-distance / (2 * SIGMA**2))
    return volume


def blob_projection(height: int, width: int, blobs: tuple[tuple[float, ...], ...], angle_deg: float) -> np.ndarray:
    """`(height, width)` analytic projection of the blobs."""
    y, u = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    image = np.zeros((height, width))
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    for z0, y0, x0, peak, *_ in blobs:
        distance = (u - x0 * cosine - z0 * sine) ** 2 + (y - y0) ** 2
        image += peak * SIGMA * np.sqrt(2 * np.pi) * np.exp(-distance / (2 * SIGMA**2))
    return image


def growing_series(n_tilts: int = 61, width: int = 25, height: int = 9, **options: object) -> TiltSeries:
    """Blobs that are there from the start, and blobs that arrive one after the other; 0 to 180 degrees, in order."""
    angles = np.linspace(0, 180, n_tilts)
    times = np.linspace(0, 1, n_tilts)
    projections = np.stack(
        [
            blob_projection(height, width, SPECIMEN + tuple(c for c in CONTAMINATION if c[4] <= t), angle)
            for angle, t in zip(angles, times, strict=True)
        ]
    )
    return TiltSeries(projections, angles, times, **{"pixel_size": 1.0, **options})  # type: ignore[arg-type]


def bin_series(series: TiltSeries, factor: int) -> TiltSeries:
    """Return a series in memory with larger pixels, as reading with a binning gives it; 1 gives the series itself."""
    binning = Binning.of(series.height, series.width, factor)
    if factor == 1:
        return series
    projections = np.empty((series.n_tilts, *binning.shape), dtype=np.float32)
    mask = None if series.mask is None else np.empty(projections.shape, dtype=bool)
    for k, image in enumerate(series.projections):
        projections[k], counts = binning.image(image, None if series.mask is None else series.mask[k])
        if mask is not None:
            mask[k] = counts
    return replace(
        series,
        projections=projections,
        mask=mask,
        pixel_size=None if series.pixel_size is None else series.pixel_size * factor,
        axis_offset=binning.axis_offset(series.axis_offset),
        notes=(*series.notes, *binning.notes),
    )
