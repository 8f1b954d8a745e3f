"""The search for the surface: it separates specimen from contamination on simulated specimens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.series_cases import growing_series
from napari_stinr import SimulationConfig, Trainer, preset_config, simulate
from napari_stinr.data.geometry import VoxelGrid, grid_of
from napari_stinr.data.measurements import Measurements
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.fields.regions import OUTSIDE
from napari_stinr.projection.views import Views
from napari_stinr.training.stages import stages_of, total_steps
from napari_stinr.training.surface import SurfaceSearch, coarse_grid, coarse_series, coarsening, first_guess

GRID = (48, 20, 48)


def labels(simulation, projections=None) -> tuple[float, float]:
    """Parts of the atoms of specimen and carbon that are taken for specimen."""
    series = simulation.series if projections is None else replace(simulation.series, projections=projections)
    trainer = Trainer(series, preset_config("growth"), device="cpu", threads=1)
    for report in trainer.run():
        if report.stage == "volume":
            break
    is_specimen = trainer.field.regions.permute(1, 0, 2).numpy() != OUTSIDE

    def part(positions: np.ndarray) -> float:
        index = np.clip(np.round(positions).astype(int), 0, np.array(GRID) - 1)
        return float(is_specimen[tuple(index.T)].mean())

    voxel_size = simulation.config.pixel_size
    return part(simulation.specimen.indices), part(simulation.carbon.positions[:, ::-1] / voxel_size)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        {"seed": 61},
        {"seed": 62, "growth": "radial", "specimen": "particle"},
        {"seed": 63, "tilt_start": -60, "tilt_stop": 60, "tilt_step": 3, "noise": 0.03},
    ],
    ids=["side", "particle, all round", "wedge"],
)
def test_atoms_are_on_their_side_of_the_surface(case: dict) -> None:
    specimen, carbon = labels(simulate(SimulationConfig(grid=GRID, **{"tilt_step": 4, **case})))
    assert specimen > 0.95
    assert carbon < 0.3


@pytest.mark.slow
def test_specimen_is_kept_where_nothing_grows_and_where_all_grew_at_once() -> None:
    burst = simulate(SimulationConfig(grid=GRID, tilt_step=2, pace="burst", seed=64))
    specimen, carbon = labels(burst)
    assert specimen > 0.95
    assert carbon < 0.3
    assert labels(burst, burst.clean_projections)[0] > 0.95


@pytest.mark.parametrize(
    ("width", "height", "voxel_size", "expected"),
    [(88, 40, 0.5, 2), (124, 56, 0.35, 3), (256, 256, None, 4), (256, 256, 33.6, 4), (16, 8, 0.5, 1), (40, 1, 0.5, 1)],
)
def test_coarse_voxels_are_no_larger_than_atoms_are_apart(width, height, voxel_size, expected) -> None:
    assert coarsening(width, height, voxel_size) == expected


def test_coarse_projections_hold_the_same_matter() -> None:
    series = growing_series(width=33, height=10)
    binning = Binning.of(10, 33, 2)
    coarse = coarse_series(series, binning)
    assert coarse.projections.shape == (61, 5, 16)
    np.testing.assert_allclose(4 * coarse.projections.sum((1, 2)), series.projections.sum((1, 2)), rtol=0.02)


def test_positions_of_the_volume_lie_where_the_search_has_them() -> None:
    series = growing_series(width=49, height=11)
    grid = grid_of(series)
    search = SurfaceSearch(
        replace(series, pixel_size=0.5),
        replace(grid, voxel_size=0.5),
        preset_config("growth").field,
        preset_config("growth").training,
        device=torch.device("cpu"),
        threads=1,
        without=np.array([], dtype=np.int64),
    )
    assert search.grid == VoxelGrid(24, 5, 24, length_unit="pixel")
    z, y, x = search.positions()
    # Rows 0 and 1 are the first of the binned ones, at -2 from its centre; row 10 is left out.
    np.testing.assert_allclose(y.numpy()[:2].mean(), -2.0)
    np.testing.assert_allclose(z.numpy(), (np.arange(49) - 24) / 2)
    corner = torch.tensor([float(axis[0]) * 1.0 for axis in (z, y, x)])
    fine = torch.tensor([-24 * 0.5, -5 * 0.5, -24 * 0.5])
    torch.testing.assert_close(search.coarse(fine), corner.float())


def test_first_guess_is_the_centre_of_all_matter() -> None:
    angles = np.linspace(0, 180, 31)
    u = np.arange(41) - 20.0
    centres = 3.0 * np.cos(np.deg2rad(angles)) - 4.0 * np.sin(np.deg2rad(angles))
    lines = np.exp(-((u - centres[:, None]) ** 2) / (2 * 2.0**2)).astype(np.float32)
    series = replace(
        growing_series(n_tilts=31, width=41, height=4), projections=np.repeat(lines[:, None], 4, axis=1).copy()
    )
    guess = first_guess(Measurements.of(series), Views.of(series))
    np.testing.assert_allclose(guess.centre, (-4.0, 3.0), atol=0.05)
    # 98 % of a normal distribution lie within 2.33 standard deviations; the surface begins at 0.75 of that.
    assert guess.radius == pytest.approx(0.75 * 2.33 * 2.0, abs=0.8)


def test_stages_are_as_long_as_the_settings_say() -> None:
    config, grid = preset_config("growth"), VoxelGrid(88, 40, 88, voxel_size=0.5)
    assert coarse_grid(grid).shape == (44, 20, 44)
    names = [stage.name for stage in stages_of(config, grid)]
    assert names == ["surface 1 of 3", "surface 2 of 3", "surface 3 of 3", "volume"]
    assert total_steps(config, grid) == 3 * 150 + 400
    assert total_steps(config.with_training(steps=17), grid) == 17
    assert sum(stage.time for stage in stages_of(config, grid)) == pytest.approx(1)
    assert [stage.name for stage in stages_of(preset_config("paper"), grid)] == ["volume"]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 17])
def test_even_the_shortest_run_ends_with_the_volume(steps: int) -> None:
    trainer = Trainer(growing_series(n_tilts=21, width=16, height=7), preset_config("growth"), device="cpu", threads=1)
    reports = list(trainer.run(steps=steps))
    assert len(reports) == steps
    assert reports[-1].stage == "volume"


@pytest.mark.parametrize("density", [{}, {"features": 2, "hidden": 8}], ids=["grids", "network"])
def test_a_preview_of_the_search_shows_matter_on_the_scale_of_the_data(density: dict[str, int]) -> None:
    series = growing_series(n_tilts=31, width=32, height=10)
    config = preset_config("growth")
    config = config.model_copy(update={"field": config.field.model_copy(update=density)})
    trainer = Trainer(series, config, device="cpu", threads=1)
    for report in trainer.run(steps=150):
        if report.step == 70:
            trainer.stop()
    assert report.stage.startswith("surface")
    volume = trainer.reconstruction().render(1.0)
    assert volume.sum() == pytest.approx(series.projections[-1].sum(), rel=0.25)
