"""The simulated experiment: geometry, scale and growth by physics, files byte for byte."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import ase.io
import mrcfile
import numpy as np
import pytest
import yaml
from scipy.spatial import cKDTree

from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError
from napari_stinr.simulation import (
    Instrument,
    Simulation,
    SimulationConfig,
    build_specimen,
    grow_contamination,
    simulate,
    write_simulation,
)
from napari_stinr.simulation.acquisition import measurement_noise, project_atoms
from napari_stinr.simulation.potential import Sampling, potential

if TYPE_CHECKING:
    from pathlib import Path

SMALL = (48, 24, 48)
CARBON = np.array([6])


@functools.cache
def small_simulation(order: str = "sequential", noise: float = 0.0) -> Simulation:
    return simulate(
        SimulationConfig(grid=SMALL, tilt_start=-90, tilt_stop=90, tilt_step=15, order=order, noise=noise, seed=3)
    )


def centre_of_mass(values: np.ndarray) -> np.ndarray:
    return np.array([(np.indices(values.shape)[axis] * values).sum() / values.sum() for axis in range(values.ndim)])


def test_an_atom_stays_on_its_sine_at_every_tilt() -> None:
    grid, voxel_size = (61, 24, 54), 0.5
    z, y, x = 7.3, 11.0, -4.6  # voxels; z and x from the axis
    position = np.array([[x + (grid[2] - 1) / 2, y, z + (grid[0] - 1) / 2]]) * voxel_size
    for theta_rad in np.deg2rad([-90, -37, 0, 45, 90, 133, 180]):
        image = project_atoms(position, CARBON, theta_rad, grid, Sampling(voxel_size))
        assert image.shape == (24, 54)
        expected = x * np.cos(theta_rad) + z * np.sin(theta_rad) + (grid[2] - 1) / 2
        np.testing.assert_allclose(centre_of_mass(image), [y, expected], atol=0.02)


@pytest.mark.parametrize("voxel_size", [0.5, 0.37])
def test_the_true_volume_is_centred_on_the_atom_in_all_three_axes(voxel_size: float) -> None:
    grid, index = (40, 30, 44), np.array([19.3, 14.6, 22.8])
    volume = potential(index[None, ::-1] * voxel_size, CARBON, grid, Sampling(voxel_size))
    assert volume.shape == grid
    near = tuple(slice(round(i) - 6, round(i) + 7) for i in index)
    centre = centre_of_mass(volume[near]) + [part.start for part in near]
    np.testing.assert_allclose(centre, index, atol=0.05)


def test_truth_and_projections_agree_from_both_sides() -> None:
    simulation = small_simulation()
    voxel_size = simulation.config.pixel_size
    angles = list(simulation.series.tilt_angles)
    for angle, summed in ((0, simulation.truth.sum(axis=0)), (90, simulation.truth.sum(axis=2).T)):
        projection = simulation.clean_projections[angles.index(angle)]
        assert np.corrcoef(summed.ravel(), projection.ravel())[0, 1] > 0.99
        np.testing.assert_allclose(summed.sum() * voxel_size, projection.sum(), rtol=1e-4)
    # From below, +z lies on the other side: the mirrored image must fit worse.
    from_below = simulation.clean_projections[angles.index(-90)]
    summed = simulation.truth.sum(axis=2).T
    right, wrong = (np.corrcoef(view.ravel(), from_below.ravel())[0, 1] for view in (summed[:, ::-1], summed))
    assert right > 0.99
    assert wrong < right - 0.01


def test_every_element_of_the_truth_is_on_the_scale_of_its_projection() -> None:
    grid = (32, 24, 32)
    centre = (np.array(grid[::-1]) - 1)[None] / 4
    for number in (6, 40, 52, 78):
        volume = potential(centre, np.array([number]), grid, Sampling(0.5))
        projection = project_atoms(centre, np.array([number]), 0.3, grid, Sampling(0.5))
        np.testing.assert_allclose(volume.sum(dtype=float) * 0.5, projection.sum(dtype=float), rtol=1e-3)


def test_rows_at_the_border_hold_what_the_projections_show() -> None:
    simulation = small_simulation()
    projection = simulation.clean_projections[list(simulation.series.tilt_angles).index(0)]
    rows = simulation.truth.sum(axis=(0, 2)) * simulation.config.pixel_size
    for row in (0, 1, -2, -1):
        np.testing.assert_allclose(rows[row], projection[row].sum(), rtol=0.08)


def test_contamination_is_absent_in_the_first_projection_and_grows_to_all_of_it() -> None:
    simulation = small_simulation()
    added = simulation.series.projections - simulation.clean_projections
    mass = added.sum(axis=(1, 2))
    assert np.abs(added[0]).max() == 0
    assert (np.diff(mass) > 0).all()
    np.testing.assert_allclose(mass[-1], simulation.contamination.sum() * simulation.config.pixel_size, rtol=1e-3)


def test_the_acquisition_order_decides_the_times() -> None:
    simulation = small_simulation("dose-symmetric")
    mass = (simulation.series.projections - simulation.clean_projections).sum(axis=(1, 2))
    first = int(np.argmin(simulation.series.times))
    assert simulation.series.tilt_angles[first] == 0
    assert (np.diff(mass[np.argsort(simulation.series.times)]) > 0).all()


@pytest.mark.parametrize("growth", ["side", "radial"])
@pytest.mark.parametrize("name", ["nanotube", "particle"])
def test_carbon_keeps_its_distances_and_stays_in_sight_of_every_tilt(name: str, growth: str) -> None:
    specimen = build_specimen(name, (88, 40, 88), 0.5, seed=1)
    carbon = grow_contamination(specimen, growth=growth, seed=1)
    atoms, grown = specimen.atoms.positions, carbon.positions
    assert 900 < len(grown) < 1200
    assert cKDTree(grown).query(grown, 2)[0][:, 1].min() >= 1.45
    distance = cKDTree(atoms).query(grown)[0]
    assert distance.min() >= 2.5
    assert distance.max() < 7.5
    centre = 43.5 * 0.5
    for positions in (atoms, grown):
        assert np.hypot(positions[:, 0] - centre, positions[:, 2] - centre).max() < 19
        assert positions[:, 1].min() >= -0.25
        assert positions[:, 1].max() < 19.75
    assert carbon.arrival.min() > 0
    assert carbon.arrival.max() == 1
    assert len(carbon.arrived(0.0)) == 0
    assert len(carbon.arrived(1.0)) == len(grown)
    early, late = carbon.arrival < 0.3, carbon.arrival > 0.7
    place = grown[:, 0] if growth == "side" else distance
    assert place[early].max() <= place[late].min()


def test_the_default_specimen_is_a_sandwich_in_two_walls() -> None:
    specimen = build_specimen("nanotube", (88, 40, 88), 0.5)
    radius = np.hypot(specimen.indices[:, 0] - 43.5, specimen.indices[:, 2] - 43.5) * 0.5
    of = {group: np.array(specimen.groups) == group for group in ("sandwich", "inner wall", "outer wall")}
    assert sum(chosen.sum() for chosen in of.values()) == len(specimen.atoms)
    assert set(specimen.atoms.numbers[of["sandwich"]]) == {40, 52}
    assert set(specimen.atoms.numbers[~of["sandwich"]]) == {6}
    assert radius[of["inner wall"]].mean() - radius[of["sandwich"]].max() > 2.9
    assert 3.2 < radius[of["outer wall"]].mean() - radius[of["inner wall"]].mean() < 3.6
    # Every atom of a wall has its three bonds, across the border in y too.
    wall = specimen.atoms[of["inner wall"]]
    tree = cKDTree((wall.positions + 0.25) % wall.cell.lengths(), boxsize=wall.cell.lengths())
    assert {len(neighbours) - 1 for neighbours in tree.query_ball_point(tree.data, 1.9)} == {3}


@pytest.mark.parametrize("name", ["nanotube", "particle"])
@pytest.mark.parametrize(("grid", "voxel_size"), [((32, 16, 32), 0.5), ((32, 16, 32), 1.0), ((40, 24, 56), 0.7)])
def test_specimen_and_carbon_shrink_to_small_grids(name: str, grid: tuple[int, int, int], voxel_size: float) -> None:
    specimen = build_specimen(name, grid, voxel_size)
    carbon = grow_contamination(specimen)
    assert len(specimen.groups) == len(specimen.atoms) > 0
    assert len(carbon.positions) > 20
    centre = (np.array([grid[2], grid[0]]) - 1) / 2 * voxel_size
    for positions in (specimen.atoms.positions, carbon.positions):
        radius = np.hypot(*(positions[:, [0, 2]] - centre).T)
        assert radius.max() <= 0.9 * (min(grid[0], grid[2]) - 1) / 2 * voxel_size


def test_noise_is_measured_against_the_foreground_and_is_the_same_in_both_series() -> None:
    clean, noisy = small_simulation(), small_simulation(noise=0.05)
    drawn = noisy.series.projections - clean.series.projections
    foreground = clean.series.projections[clean.series.projections > 0.05 * clean.series.projections.max()].mean()
    assert drawn.std() / foreground == pytest.approx(0.05, rel=0.03)
    np.testing.assert_allclose(noisy.clean_projections - clean.clean_projections, drawn, atol=1e-3)
    with pytest.raises(StinrError, match=r"noise is -0\.1"):
        measurement_noise(clean.series.projections, -0.1, seed=0)


def test_a_never_contaminated_series_does_not_depend_on_the_growth() -> None:
    side, radial = (
        simulate(SimulationConfig(grid=(32, 16, 32), tilt_step=60, growth=growth)) for growth in ("side", "radial")
    )
    assert np.array_equal(side.clean_projections, radial.clean_projections)
    # The same atoms in another order: the last projection, and what has grown by then, are the same too.
    np.testing.assert_allclose(side.contamination, radial.contamination, atol=1e-3)
    assert not np.allclose(side.series.projections[1], radial.series.projections[1])


def test_progress_counts_every_tilt() -> None:
    seen: list[tuple[int, int]] = []
    simulate(SimulationConfig(grid=(32, 16, 32), tilt_step=45), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(1, 6)]


def test_seeds_decide() -> None:
    first, same, other = (
        simulate(SimulationConfig(grid=(32, 16, 32), tilt_step=60, noise=0.1, seed=seed)) for seed in (1, 1, 2)
    )
    assert isinstance(first.series, TiltSeries)
    assert first.series.fingerprint() == same.series.fingerprint() != other.series.fingerprint()
    assert np.array_equal(first.truth, same.truth)
    assert not np.array_equal(first.contamination, other.contamination)


def test_the_last_tilt_is_not_lost_to_rounding() -> None:
    angles = SimulationConfig(tilt_start=-60, tilt_stop=60, tilt_step=0.1).tilt_angles
    assert len(angles) == 1201
    assert angles[-1] == pytest.approx(60)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"growth": "sideways"}, "growth of the simulation is 'sideways'"),
        ({"tilt_step": 0.0}, "tilt_step of the simulation is 0.0"),
        ({"noise": -1.0}, "noise of the simulation is -1.0"),
        ({"specimens": "nanotube"}, "specimens of the simulation"),
    ],
)
def test_impossible_settings_are_named(values: dict[str, object], found: str) -> None:
    with pytest.raises(StinrError, match=found):
        SimulationConfig(**values)


def test_what_cannot_be_simulated_says_why() -> None:
    with pytest.raises(StinrError, match="6 x 10 x 6 Å large; expected at least 12 x 8 x 12 Å"):
        simulate(SimulationConfig(grid=(12, 20, 12)))
    with pytest.raises(StinrError, match="makes 2 tilts; expected at least 3"):
        simulate(SimulationConfig(tilt_step=100))
    with pytest.raises(StinrError, match="specimen is 'virus'"):
        build_specimen("virus", SMALL, 0.5)
    with pytest.raises(StinrError, match="growth is 'never'"):
        grow_contamination(build_specimen("nanotube", SMALL, 0.5), growth="never")


def test_importing_the_simulation_costs_neither_abtem_nor_ase() -> None:
    code = "import sys, napari_stinr.simulation; sys.exit(bool({'abtem', 'ase', 'torch'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    instrument = Instrument(drift_x=2, jitter=0.3, axis_rotation=1, angle_error=1, gain_error=0.1, hot_pixels=0.01)
    config = SimulationConfig(grid=(32, 16, 32), tilt_step=30, noise=0.1, seed=4, loss=0.1, instrument=instrument)
    write_simulation(tmp_path / "first", simulate(config))
    # In another process: FFTW remembers in this one what it found to be the fastest, and does the same again.
    code = (
        "import sys; from napari_stinr.simulation import SimulationConfig, simulate, write_simulation\n"
        f"write_simulation(sys.argv[1], simulate(SimulationConfig(**{config.model_dump()!r})))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "second")], check=True, env=os.environ)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    series = {"stack.mrc", "stack.rawtlt", "times.csv", "uncontaminated_stack.mrc", "uncontaminated_stack.rawtlt"}
    assert set(names) == series | {"truth.mrc", "contamination.mrc", "atoms.xyz", "instrument.csv", "simulation.yaml"}
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_written_files_hold_the_simulation(tmp_path: Path) -> None:
    simulation = small_simulation("bidirectional")
    write_simulation(tmp_path, simulation)
    for name, values in {
        "stack": simulation.series.projections,
        "uncontaminated_stack": simulation.clean_projections,
        "truth": simulation.truth,
        "contamination": simulation.contamination,
    }.items():
        with mrcfile.open(tmp_path / f"{name}.mrc") as file:
            np.testing.assert_array_equal(file.data, values)
            assert file.voxel_size.x == pytest.approx(0.5)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "stack.rawtlt"), simulation.series.tilt_angles)
    times = np.loadtxt(tmp_path / "times.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(times.T, [simulation.series.tilt_angles, simulation.series.times], atol=1e-6)
    atoms = ase.io.read(tmp_path / "atoms.xyz")
    np.testing.assert_allclose(atoms.positions[:, ::-1] / 0.5, simulation.specimen.indices, atol=1e-6)
    assert [str(group).replace("_", " ") for group in atoms.arrays["group"]] == list(simulation.specimen.groups)
    settings = yaml.safe_load((tmp_path / "simulation.yaml").read_text())
    assert SimulationConfig(**settings) == simulation.config


def test_settings_written_before_there_were_more_are_still_valid() -> None:
    old = {
        "tilt_start": 0.0,
        "tilt_stop": 180.0,
        "tilt_step": 1.0,
        "order": "sequential",
        "growth": "side",
        "noise": 0.0,
    }
    old |= {"seed": 0, "specimen": "nanotube", "grid": [88, 40, 88], "pixel_size": 0.5}
    assert SimulationConfig(**old) == SimulationConfig()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StinrError, match="folder"):
        write_simulation(tmp_path / "file" / "folder", small_simulation())
