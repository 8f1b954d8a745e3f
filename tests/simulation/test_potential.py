"""Truth and projections of a simulation belong together: by a projector of this file, not of the package."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from napari_stinr.simulation import SimulationConfig, simulate
from napari_stinr.simulation.potential import Sampling, potential, projected_potential


def projected(volume: np.ndarray, theta_rad: float, voxel_size: float, *, finer: int = 4) -> np.ndarray:
    """Project a volume `(z, y, x)` to `(y, x)`: splines of fifth order, sampled four times finer along the ray."""
    depth, height, width = volume.shape
    half = int(np.ceil(np.hypot(depth, width) / 2)) + 2
    along, u = np.meshgrid(np.arange(-half, half, 1 / finer), np.arange(width) - (width - 1) / 2, indexing="ij")
    x = u * np.cos(theta_rad) - along * np.sin(theta_rad) + (width - 1) / 2
    z = u * np.sin(theta_rad) + along * np.cos(theta_rad) + (depth - 1) / 2
    rows = [map_coordinates(volume[:, y], [z, x], order=5, mode="grid-constant").sum(axis=0) for y in range(height)]
    return np.stack(rows) / finer * voxel_size


@pytest.mark.parametrize("specimen", ["nanotube", "particle", "glass"])
@pytest.mark.parametrize(("voxel_size", "grid"), [(0.35, (60, 24, 60)), (0.5, (50, 16, 50)), (0.6, (42, 14, 42))])
def test_the_truth_projected_by_another_projector_is_the_stack_within_two_percent(
    specimen: str, voxel_size: float, grid: tuple[int, int, int]
) -> None:
    config = SimulationConfig(specimen=specimen, grid=grid, pixel_size=voxel_size, tilt_step=37.0, seed=5)
    simulation = simulate(config)
    for theta_rad, image in zip(np.deg2rad(config.tilt_angles), simulation.clean_projections, strict=True):
        difference = projected(simulation.truth, theta_rad, voxel_size) - image
        assert np.linalg.norm(difference) < 0.02 * np.linalg.norm(image)


def test_the_contamination_belongs_to_its_projections_as_well() -> None:
    config = SimulationConfig(grid=(50, 16, 50), tilt_start=10, tilt_stop=100, tilt_step=45.0)
    simulation = simulate(config)
    added = (simulation.series.projections - simulation.clean_projections)[-1]
    difference = projected(simulation.contamination, np.deg2rad(100), 0.5) - added
    assert np.linalg.norm(difference) < 0.02 * np.linalg.norm(added)


def test_a_wider_thermal_motion_blurs_and_keeps_the_mass() -> None:
    atom, carbon = np.array([[12.0, 6.0]]), np.array([6])
    sharp, wide = (projected_potential(atom, carbon, (24, 48), Sampling(0.5, width)) for width in (0.35, 0.7))
    assert wide.max() < 0.6 * sharp.max()
    np.testing.assert_allclose(wide.sum(), sharp.sum(), rtol=1e-3)


def test_atoms_outside_come_into_the_image_by_their_tails_alone() -> None:
    """One that lies far outside must not come in again on the other side, where the sums repeat."""
    carbon, sampling = np.array([6]), Sampling(0.5)
    inside = projected_potential(np.array([[6.0, 6.0]]), carbon, (24, 24), sampling)
    for place in ([16.0, 6.0], [40.0, 6.0], [-20.0, 6.0], [6.0, -9.0], [6.0, 33.0]):
        image = projected_potential(np.array([place]), carbon, (24, 24), sampling, is_periodic=False)
        assert np.abs(image).max() < 2e-3 * inside.max()
    # The left half of a wide image is the image of its left half.
    place = np.array([[12.4, 6.0]])
    wide = projected_potential(place, carbon, (24, 48), sampling)
    cut = projected_potential(place, carbon, (24, 24), sampling)
    np.testing.assert_allclose(cut, wide[:, :24], atol=2e-3 * wide.max())


def test_a_volume_cut_out_is_the_volume_of_the_cut() -> None:
    place, carbon, sampling = np.array([[12.2, 3.0, 7.0]]), np.array([6]), Sampling(0.5)
    whole = potential(place, carbon, (40, 12, 48), sampling)
    cut = potential(place, carbon, (40, 12, 24), sampling)
    np.testing.assert_allclose(cut, whole[:, :, :24], atol=2e-3 * whole.max())
