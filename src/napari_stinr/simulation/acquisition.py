"""Projections of atoms, in the geometry of the package.

A projection is never taken from a volume and never made by our own projector: the atoms are rotated, and their
potential is summed from structure factors. Errors of our projector can therefore not cancel in a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.simulation.potential import projected_potential

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.simulation.contamination import Contamination
    from napari_stinr.simulation.potential import Sampling
    from napari_stinr.simulation.specimen import Specimen

FOREGROUND = 0.05
"""Pixels above this fraction of the maximum are the foreground that noise is measured against."""


def rotate_about_axis(
    positions: NDArray[np.float64], theta_rad: float, grid: tuple[int, int, int], voxel_size: float
) -> NDArray[np.float64]:
    """Turn positions `(n_atoms, 3)` (x, y, z) [Å] as the stage does: afterwards x is u, z along the beam."""
    centre = (np.array(grid[::-1]) - 1) / 2 * voxel_size
    x, _, z = (positions - centre).T
    cosine, sine = np.cos(theta_rad), np.sin(theta_rad)
    return np.stack([x * cosine + z * sine + centre[0], positions[:, 1], z * cosine - x * sine + centre[2]], axis=1)


def project_atoms(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    theta_rad: float,
    grid: tuple[int, int, int],
    sampling: Sampling,
) -> NDArray[np.float32]:
    """Return the projected potential `(height, width)` [V·Å] of atoms at `(n_atoms, 3)` (x, y, z) [Å] at one tilt."""
    rotated = rotate_about_axis(positions, theta_rad, grid, sampling.pixel_size)
    return projected_potential(rotated[:, :2], numbers, grid[1:], sampling)


def record_tilt_series(
    specimen: Specimen,
    contamination: Contamination,
    tilt_angles: NDArray[np.float64],
    times: NDArray[np.float64],
    sampling: Sampling,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two stacks `(n_tilts, height, width)` [V·Å]: with the carbon that has arrived, and clean."""
    grid = specimen.grid
    positions, numbers = specimen.atoms.positions, specimen.atoms.numbers
    clean = np.empty((len(tilt_angles), grid[1], grid[2]), dtype=np.float32)
    carbon = np.empty_like(clean)
    for index, (theta_rad, t) in enumerate(zip(np.deg2rad(tilt_angles), times, strict=True)):
        arrived = contamination.arrived(t)
        clean[index] = project_atoms(positions, numbers, theta_rad, grid, sampling)
        carbon[index] = project_atoms(arrived, np.full(len(arrived), 6), theta_rad, grid, sampling)
        if progress is not None:
            progress(index + 1, len(tilt_angles))
    return clean + carbon, clean


def measurement_noise(projections: NDArray[np.float32], noise: float, *, seed: int) -> NDArray[np.float32]:
    """Draw noise `(n_tilts, height, width)` [V·Å] of `noise` times the mean foreground of the stack."""
    # The foreground is all pixels above 5 % of the maximum of the stack.
    if not np.isfinite(noise) or noise < 0:
        raise StinrError(
            f"the noise is {noise:g}", expected="0 or more", cure="Give 0.03 for noise of 3 % of the mean foreground."
        )
    if noise == 0:
        return np.zeros_like(projections)
    foreground = projections[projections > FOREGROUND * projections.max()]
    sigma = noise * float(foreground.mean(dtype=float))
    drawn = np.random.default_rng(seed).normal(scale=sigma, size=projections.shape)
    return drawn.astype(np.float32)
