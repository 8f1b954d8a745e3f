"""Volumes of many times: the field is sampled once for all of them, and each is that of one time alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch

from napari_stinr import Reconstruction
from napari_stinr.config import (
    FieldSettings,
    GrowthFieldConfig,
    JointFieldConfig,
    ReconstructionConfig,
    StaticFieldConfig,
    TrainingConfig,
)
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import GrowthField, build_field
from napari_stinr.fields.atoms import Atoms
from napari_stinr.reconstruction import rendering
from napari_stinr.reconstruction.export import export_volumes
from napari_stinr.reconstruction.rendering import lattice_of, potential_at, potentials_at

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.fields import Field

GRID = VoxelGrid(17, 9, 21, voxel_size=0.8, margin=3)
TIMES = (0.0, 0.3, 1.0, 0.3)
KINDS: dict[str, FieldSettings] = {
    "static": StaticFieldConfig(),
    "static without blur": StaticFieldConfig(blur=0.0),
    "neural": StaticFieldConfig(hidden=16, features=2),
    "growth": GrowthFieldConfig(),
    "growth without blur": GrowthFieldConfig(blur=0.0),
    "regions": GrowthFieldConfig(has_surface=True),
    "atoms": GrowthFieldConfig(has_surface=True),
    "shares": GrowthFieldConfig(has_surface=True),
    "joint": JointFieldConfig(hidden=16, layers=2),
}


def a_field(kind: str, grid: VoxelGrid = GRID) -> Field:
    """Return a field of a kind that shows something everywhere."""
    torch.manual_seed(0)
    settings = KINDS[kind]
    training = TrainingConfig(batches=settings.batches[0])
    field = build_field(ReconstructionConfig(field=settings, training=training), grid, scale=1.0)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.normal_(std=0.5)
    if isinstance(field, GrowthField) and field.regions is not None:
        field.tell_regions(torch.randint(0, 4, field.regions.shape, dtype=torch.uint8))
        if kind != "regions":
            labels = torch.randint(0, 30, field.regions.shape, dtype=torch.int32)
            field.tell_atoms(Atoms(labels, share=torch.rand(30), arrival=torch.rand(30)))
    # Shares are there until they are decided on.
    return field.requires_grad_(False).train(mode=kind == "shares")


def counted(field: Field, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every call that samples a field."""
    sampled: list[int] = []
    slices = field.slices

    def spy(z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> object:
        sampled.append(len(y))
        return slices(z, y, x, t)

    monkeypatch.setattr(field, "slices", spy)
    return sampled


def as_asked_for_one(field: Field, grid: VoxelGrid, t: float) -> NDArray[np.float32]:
    """`(z, y, x)` potential in the blocks of rows of a volume, from the field itself."""
    z, y, x = lattice_of(grid)
    with torch.inference_mode():
        blocks = [field.potential(z, y[rows], x, t) for rows in rendering.rows_at_a_time(grid)]
    return torch.cat(blocks).transpose(0, 1).numpy()


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "RENDERED_AT_ONCE", 2 * 17 * 21)


@pytest.mark.parametrize("grid", [GRID, GRID.fitted, GRID.resampled(1.3)], ids=["shown", "fitted", "resampled"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_volume_is_bit_by_bit_that_of_its_time_alone(kind: str, grid: VoxelGrid) -> None:
    field = a_field(kind)
    volumes = [volume.copy() for volume in potentials_at(field, grid, TIMES)]
    for volume, t in zip(volumes, TIMES, strict=True):
        np.testing.assert_array_equal(volume, potential_at(field, grid, t))
        np.testing.assert_array_equal(volume, as_asked_for_one(field, grid, t))
    assert np.ptp(volumes[0]) > 0
    assert np.array_equal(volumes[0], volumes[2]) == (kind in ("static", "static without blur", "neural"))


def test_lines_too_long_for_a_product_with_a_matrix() -> None:
    grid = VoxelGrid(140, 3, 150)
    field = a_field("growth", grid)
    for volume, t in zip(potentials_at(field, grid, TIMES), TIMES, strict=True):
        np.testing.assert_array_equal(volume, as_asked_for_one(field, grid, t))


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_is_sampled_once_where_it_serves_all_times(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field = a_field(kind)
    sampled = counted(field, monkeypatch)
    for _ in potentials_at(field, GRID, TIMES):
        pass
    assert sum(sampled) == GRID.height * (len(TIMES) if kind == "joint" else 1)


def test_a_field_is_sampled_for_every_time_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    field = a_field("growth")
    kept = [volume.copy() for volume in potentials_at(field, GRID, TIMES)]
    # Two volumes and density and arrival time of some more voxels, of 4 bytes each, do not fit into it.
    free = 4 * (2 + 2) * GRID.depth * GRID.height * GRID.width
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))
    sampled = counted(field, monkeypatch)
    np.testing.assert_array_equal([volume.copy() for volume in potentials_at(field, GRID, TIMES)], kept)
    assert sum(sampled) == GRID.height * len(TIMES)


@pytest.mark.parametrize("contamination", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_film_has_the_numbers_of_volumes_that_are_exported_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, contamination: bool
) -> None:
    field = a_field(kind)
    run = Reconstruction(field, ReconstructionConfig(), GRID)
    alone = []
    for t in TIMES:
        export_volumes(run, tmp_path / "one.tif", times=[t], contamination=contamination)
        alone.append(tifffile.imread(tmp_path / "one.tif"))
    sampled = counted(field, monkeypatch)
    export_volumes(run, tmp_path / "film.tif", times=TIMES, contamination=contamination)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "film.tif"), alone)
    n_passes = len(TIMES) + contamination if kind == "joint" else 1
    assert sum(sampled) == GRID.height * n_passes


def test_all_times_are_checked_before_anything_is_rendered() -> None:
    with pytest.raises(ValueError, match="the time is nan"):
        potentials_at(a_field("static"), GRID, [0.0, np.nan])
