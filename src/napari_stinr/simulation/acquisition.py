"""Projections and true volumes of atoms, both from abTEM and both in the geometry of the package.

A projection is never taken from a volume and never made by our own projector: the atoms are rotated, and abTEM
integrates the potential of the rotated atoms. Errors of our projector can therefore not cancel in a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.simulation.contamination import Contamination
    from napari_stinr.simulation.specimen import Specimen

PARAMETRIZATION = "lobato"
"""Lobato and Van Dyck, Acta Cryst. A 70, 636 (2014): the scattering factors abTEM takes by default."""
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
    voxel_size: float,
) -> NDArray[np.float32]:
    """Return the projected potential `(height, width)` [V·Å] of atoms at one tilt, integrated over all of z."""
    rotated = rotate_about_axis(positions, theta_rad, grid, voxel_size)
    # Which z an atom is at does not matter to an infinite projection, only that it is in the box.
    rotated[:, 2] = grid[0] * voxel_size / 2
    sliced = _abtem_slices(rotated, numbers, grid, voxel_size, projection="infinite", n_slices=1)
    return np.ascontiguousarray(sliced.sum(axis=0).T)


def true_volume(
    positions: NDArray[np.float64], numbers: NDArray[np.int64], grid: tuple[int, int, int], voxel_size: float
) -> NDArray[np.float32]:
    """Return the potential `(z, y, x)` [V] of atoms, so that its sum times the voxel size is that of a projection."""
    # abTEM's finite slices are integrals over one voxel in z, cut off at a distance where an infinite projection is
    # not: they sum to 9-16 % less. Each element is therefore scaled to the sum of its projection.
    volume = np.zeros(grid, dtype=np.float32)
    # Slice j of abTEM reaches from j to j + 1 voxels, and voxel j is centred on j.
    shifted = positions + np.array([0, 0, voxel_size / 2])
    for number in np.unique(numbers):
        chosen = numbers == number
        slices = _abtem_slices(
            shifted[chosen], numbers[chosen], grid, voxel_size, projection="finite", n_slices=grid[0]
        )
        projection = project_atoms(positions[chosen], numbers[chosen], 0.0, grid, voxel_size)
        volume += slices.transpose(0, 2, 1) * (projection.sum(dtype=float) / slices.sum(dtype=float) / voxel_size)
    return volume


def record_tilt_series(
    specimen: Specimen,
    contamination: Contamination,
    tilt_angles: NDArray[np.float64],
    times: NDArray[np.float64],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two stacks `(n_tilts, height, width)` [V·Å]: with the carbon that has arrived, and clean."""
    grid, voxel_size = specimen.grid, specimen.voxel_size
    positions, numbers = specimen.atoms.positions, specimen.atoms.numbers
    clean = np.empty((len(tilt_angles), grid[1], grid[2]), dtype=np.float32)
    carbon = np.empty_like(clean)
    for index, (theta_rad, t) in enumerate(zip(np.deg2rad(tilt_angles), times, strict=True)):
        arrived = contamination.arrived(t)
        clean[index] = project_atoms(positions, numbers, theta_rad, grid, voxel_size)
        carbon[index] = project_atoms(arrived, np.full(len(arrived), 6), theta_rad, grid, voxel_size)
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


def _abtem_slices(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    grid: tuple[int, int, int],
    voxel_size: float,
    *,
    projection: str,
    n_slices: int,
) -> NDArray[np.float32]:
    """Potential of atoms in abTEM's slices, `(slices, x, y)` [V·Å]; pixel i is at i * voxel_size."""
    import abtem
    from ase import Atoms

    if not len(positions):
        return np.zeros((1, grid[2], grid[1]), dtype=np.float32)
    atoms = Atoms(numbers=numbers, positions=positions, cell=np.array(grid[::-1]) * voxel_size, pbc=True)
    potential: Any = abtem.Potential(
        atoms,
        gpts=(grid[2], grid[1]),
        # One number would be divided into the box by abTEM, with rounding.
        slice_thickness=(grid[0] * voxel_size / n_slices,) * n_slices,
        parametrization=PARAMETRIZATION,
        projection=projection,
        device="cpu",
    )
    # abTEM lets FFTW time several ways and take the fastest, so that the last bit depends on what else is running.
    with abtem.config.set({"fftw.planning_effort": "FFTW_ESTIMATE"}):
        return np.asarray(potential.build(lazy=False).array, dtype=np.float32)
