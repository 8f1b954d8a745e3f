"""More than one clean experiment: ways and paces of growth, loss of atoms, a glass, a specimen larger than the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stinr.errors import StinrError
from napari_stinr.simulation import (
    Simulation,
    SimulationConfig,
    build_specimen,
    grow_contamination,
    simulate,
    write_simulation,
)
from napari_stinr.simulation.atoms_file import read_atoms
from napari_stinr.simulation.loss import departure_times
from napari_stinr.simulation.potential import potential

if TYPE_CHECKING:
    from pathlib import Path

GRID = (48, 24, 48)
TINY = (32, 16, 32)


def mass_over_time(simulation: Simulation) -> np.ndarray:
    """Return added mass `(n_tilts,)` in the order of the times, as a fraction of all of the contamination."""
    added = (simulation.series.projections - simulation.clean_projections).sum(axis=(1, 2), dtype=float)
    whole = simulation.contamination.sum(dtype=float) * simulation.config.pixel_size
    return added[np.argsort(simulation.series.times)] / whole


@pytest.mark.parametrize(("distance", "fewest"), [(1.45, 0.95), (2.0, 0.65)])
def test_carbon_keeps_the_distances_that_are_asked_for(distance: float, fewest: float) -> None:
    specimen = build_specimen("nanotube", GRID, 0.5, seed=1)
    carbon = grow_contamination(specimen, minimum_distance=distance, gap=1.45, seed=1).positions
    assert cKDTree(carbon).query(carbon, 2)[0][:, 1].min() >= distance
    nearest = cKDTree(specimen.atoms.positions).query(carbon)[0].min()
    assert 1.45 <= nearest < 1.6
    dense = grow_contamination(specimen, minimum_distance=1.2, gap=1.45, seed=1).positions
    assert fewest * len(dense) <= len(carbon) <= len(dense)


def test_carbon_from_both_sides_meets_in_the_middle() -> None:
    specimen = build_specimen("particle", GRID, 0.5)
    carbon = grow_contamination(specimen, growth="both-sides")
    x = carbon.positions[:, 0] - (GRID[2] - 1) / 2 * 0.5
    early, late = carbon.arrival < 0.3, carbon.arrival > 0.7
    assert np.abs(x[early]).min() >= np.abs(x[late]).max()
    assert 0.35 < (x[early] > 0).mean() < 0.65


@pytest.mark.parametrize("growth", ["side", "radial", "both-sides"])
def test_the_pace_decides_when_the_mass_arrives(growth: str) -> None:
    steady, burst, pause = (
        mass_over_time(simulate(SimulationConfig(grid=TINY, tilt_step=5, growth=growth, pace=pace)))
        for pace in ("steady", "burst", "pause")
    )
    time = np.linspace(0, 1, len(steady))
    for mass in (steady, burst, pause):
        assert mass[0] == 0
        assert mass[-1] == pytest.approx(1, abs=2e-3)
    np.testing.assert_allclose(steady, time, atol=0.03)
    assert 0 < burst[1] < 1
    np.testing.assert_allclose(burst[time >= 0.05], 1, atol=2e-3)
    np.testing.assert_allclose(pause[(time > 0.34) & (time < 0.66)], 0.5, atol=0.03)
    assert pause[time < 0.3].max() < 0.47
    assert pause[time > 0.7].min() > 0.53


def test_a_loss_lowers_the_mass_of_the_specimen_in_proportion_to_the_time() -> None:
    config = SimulationConfig(grid=(64, 24, 64), tilt_step=15, specimen="particle", loss=0.4, seed=2)
    lossy, whole = simulate(config), simulate(config.model_copy(update={"loss": 0.0}))
    assert np.array_equal(lossy.clean_projections, whole.clean_projections)
    assert np.array_equal(lossy.truth, whole.truth)
    mass = (whole.series.projections - lossy.series.projections).sum(axis=(1, 2), dtype=float)
    time = lossy.series.times
    assert mass[0] == 0
    assert (np.diff(mass) >= 0).all()
    np.testing.assert_allclose(mass, mass[-1] * time, atol=0.1 * mass[-1])
    atoms = lossy.specimen.atoms
    gone = np.isfinite(departure_times(lossy.specimen, lossy.carbon, 0.4, seed=2))
    lost = potential(atoms.positions[gone], atoms.numbers[gone], config.grid, config.sampling)
    assert mass[-1] == pytest.approx(lost.sum(dtype=float) * 0.5, rel=2e-3)


@pytest.mark.parametrize("name", ["nanotube", "particle", "glass"])
def test_atoms_leave_from_outside(name: str) -> None:
    specimen = build_specimen(name, (88, 40, 88), 0.5, seed=1)
    carbon = grow_contamination(specimen, seed=1)
    leaves = departure_times(specimen, carbon, 0.2, seed=1)
    lost = np.isfinite(leaves)
    assert lost.mean() == pytest.approx(0.2, abs=0.01)
    assert leaves.min() > 0
    assert leaves[lost].max() == 1
    depth = cKDTree(carbon.positions).query(specimen.atoms.positions)[0]
    assert depth[lost].max() <= np.median(depth) + 1e-9
    assert not np.array_equal(lost, np.isfinite(departure_times(specimen, carbon, 0.2, seed=2)))


def test_the_glass_is_dense_uneven_and_without_a_lattice() -> None:
    grid, voxel_size = (96, 64, 96), 0.5
    specimen = build_specimen("glass", grid, voxel_size, seed=3)
    positions = specimen.atoms.positions
    tree = cKDTree(positions)
    nearest = tree.query(positions, 2)[0][:, 1]
    assert nearest.min() > 2.35
    assert np.median(nearest) < 2.9
    assert set(specimen.groups) == {"Zr", "Cu"}
    # It ends inside the grid along the tilt axis, with carbon outside it.
    assert positions[:, 1].min() > 1
    assert positions[:, 1].max() < grid[1] * voxel_size - 2
    # A lattice has Bragg peaks: in Fe-Pt all atoms scatter in phase in some direction, here no more than by chance.
    directions = np.random.default_rng(0).standard_normal((2000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]

    def strongest(atoms: np.ndarray, spacing: float) -> float:
        return float(np.abs(np.exp(2j * np.pi * (directions @ atoms.T) / spacing).mean(axis=1)).max())

    crystal = build_specimen("particle", grid, voxel_size, seed=3).atoms.positions
    assert max(strongest(crystal, spacing) for spacing in (1.925, 2.223)) > 0.5
    assert max(strongest(positions, spacing) for spacing in np.arange(1.5, 3, 0.05)) < 0.35
    # Rounded, not a sphere: as seen along the tilt axis its radius differs between directions.
    x, _, z = (positions - positions.mean(axis=0)).T
    sector = ((np.arctan2(z, x) + np.pi) / (np.pi / 4)).astype(int) % 8
    reach = np.array([np.hypot(z, x)[sector == each].max() for each in range(8)])
    assert reach.max() > 1.1 * reach.min()


def test_a_view_is_the_middle_of_the_same_experiment() -> None:
    config = SimulationConfig(grid=(64, 24, 64), tilt_step=30, seed=3, loss=0.1)
    whole, seen = simulate(config), simulate(config.model_copy(update={"view": 20}))
    middle = slice(22, 42)
    assert seen.series.projections.shape == (7, 24, 20)
    for cut, full, part in (
        (seen.series.projections, whole.series.projections, np.s_[:, :, middle]),
        (seen.clean_projections, whole.clean_projections, np.s_[:, :, middle]),
        (seen.truth, whole.truth, np.s_[middle, :, middle]),
        (seen.contamination, whole.contamination, np.s_[middle, :, middle]),
    ):
        assert np.linalg.norm(cut - full[part]) < 0.01 * np.linalg.norm(full)
    # Atoms are where the truth has its peaks, and those outside are not asked for.
    assert 0 < len(seen.specimen.groups) == len(seen.specimen.atoms) < len(whole.specimen.atoms)
    index = np.rint(seen.specimen.indices).astype(int)
    assert index[:, [0, 2]].min() >= 0
    assert index[:, [0, 2]].max() < 20
    index[:, 1] %= 24
    assert seen.truth[tuple(index.T)].min() > 3 * seen.truth.mean()
    assert len(seen.carbon.positions) < len(whole.carbon.positions)


def test_a_view_in_files(tmp_path: Path) -> None:
    simulation = simulate(SimulationConfig(grid=(20, 16, 40), pixel_size=0.8, tilt_step=60, view=24))
    assert simulation.truth.shape == (20, 16, 24)
    write_simulation(tmp_path, simulation)
    positions, groups = read_atoms(tmp_path / "atoms.xyz")
    np.testing.assert_allclose(positions / 0.8, simulation.specimen.indices, atol=1e-6)
    assert groups == simulation.specimen.groups


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"view": 49}, "view is 49 pixels of a grid of 48 x 48"),
        ({"view": 47}, "view is 47 pixels .* Give 46"),
        ({"view": 4}, "view is 4 pixels"),
        ({"grid": (47, 24, 48), "view": 40}, "view is 40 pixels of a grid of 47 x 48"),
        ({"loss": 0.6}, "loss of the simulation is 0.6"),
        ({"gap": 1.0}, "gap of the simulation is 1.0"),
        ({"minimum_distance": 0.5}, "minimum_distance of the simulation is 0.5"),
        ({"pace": "slow"}, "pace of the simulation is 'slow'"),
    ],
)
def test_what_cannot_be_is_named(values: dict[str, object], found: str) -> None:
    with pytest.raises(StinrError, match=found):
        SimulationConfig(**{"grid": GRID, **values})
    with pytest.raises(StinrError, match="pace is 'slow'"):
        grow_contamination(build_specimen("nanotube", TINY, 0.5), pace="slow")
