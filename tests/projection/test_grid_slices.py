"""Grids that a projector samples itself: the same lines and gradients as of slices that are evaluated first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_stinr.config import GrowthFieldConfig, StaticFieldConfig, preset_config
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.fields import build_field
from napari_stinr.fields.atoms import Atoms
from napari_stinr.fields.base import GridSlices, Slices
from napari_stinr.fields.growth import GrowthField
from napari_stinr.fields.static import StaticField
from napari_stinr.projection.backends import KeepingProjector
from napari_stinr.projection.backends.numba import CompiledProjector
from napari_stinr.projection.backends.torch import BatchedProjector
from napari_stinr.projection.operator import project_field, project_slices
from napari_stinr.projection.views import SliceShape, Views
from napari_stinr.reconstruction.rendering import lattice_of

if TYPE_CHECKING:
    from napari_stinr.fields.base import Field

GRIDS = [VoxelGrid(13, 19, 13, 0.4), VoxelGrid(22, 40, 22, 1.0), VoxelGrid(9, 5, 9, 0.4, margin=4)]
BY_GRID = pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.depth}x{grid.height}+{grid.margin}")
KINDS = {
    "growth": GrowthFieldConfig(has_surface=False),
    "regions": GrowthFieldConfig(has_surface=True),
    "static": StaticFieldConfig(),
}
BY_KIND = pytest.mark.parametrize("kind", KINDS)


def field_on(grid: VoxelGrid, kind: str) -> GrowthField | StaticField:
    settings = KINDS[kind]
    field = (GrowthField if isinstance(settings, GrowthFieldConfig) else StaticField)(grid, settings, scale=2.3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for values in field.parameters():
            # Beyond 16, where the compiled exponential ends, too.
            values.copy_(6 * torch.randn(values.shape, generator=generator))
    if isinstance(field, GrowthField) and field.regions is not None:
        field.tell_regions(torch.randint(0, 4, field.regions.shape, generator=generator, dtype=torch.uint8))
    return field


def views_of(grid: VoxelGrid) -> Views:
    stack = np.ones((7, grid.height, grid.width), dtype=np.float32)
    return Views.of(TiltSeries(stack, np.linspace(-70, 65, 7), pixel_size=grid.voxel_size, axis_offset=0.7))


def part_of(field: Field, grid: VoxelGrid, rows: list[int] | None = None) -> GridSlices:
    z, y, x = lattice_of(grid.fitted)
    (part,) = field.projected(z, y if rows is None else y[rows], x, 0.0)
    assert isinstance(part, GridSlices)
    return part


def projector_of(grid: VoxelGrid, *, threads: int = 1) -> CompiledProjector:
    shape = SliceShape(grid.fitted.depth, grid.fitted.width, grid.width, grid.voxel_size)
    return CompiledProjector(shape, threads=threads)


def lines_and_gradients(
    projector: CompiledProjector, part: GridSlices | Slices, field: Field, views: Views
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    field.zero_grad()
    lines = project_slices(projector, [part], views)
    (lines * torch.rand(lines.shape, generator=torch.Generator().manual_seed(6))).sum().backward()
    gradients = [values.grad for values in field.parameters() if values.grad is not None]
    return lines.detach(), [values.to_dense() if values.is_sparse else values.clone() for values in gradients]


@BY_GRID
@BY_KIND
@pytest.mark.parametrize("rows", [None, [0, 2, 3, 4]], ids=["all rows", "some rows"])
def test_same_lines_and_gradients_as_slices(grid: VoxelGrid, kind: str, rows: list[int] | None) -> None:
    field, views = field_on(grid, kind), views_of(grid)
    part = replace(part_of(field, grid, rows), width=0.2)
    lines, gradients = lines_and_gradients(projector_of(grid), part, field, views)
    expected_lines, expected = lines_and_gradients(projector_of(grid), part.evaluated(), field, views)
    torch.testing.assert_close(lines, expected_lines, rtol=1e-5, atol=1e-5 * float(expected_lines.abs().max()))
    assert len(gradients) == len(expected) == len(part.values)
    for gradient, one in zip(gradients, expected, strict=True):
        assert float(one.abs().max()) > 0
        torch.testing.assert_close(gradient, one, rtol=1e-4, atol=1e-5 * float(one.abs().max()))


@BY_KIND
def test_rows_of_which_a_block_has_nothing_have_no_gradient_in_memory(kind: str) -> None:
    grid = GRIDS[0]
    field, rows = field_on(grid, kind), [0, 2, 3, 4]
    project_slices(projector_of(grid), [part_of(field, grid, rows)], views_of(grid)).sum().backward()
    *_, finest = field.density.grids
    gradient = finest.values.grad
    assert gradient is not None
    assert gradient.is_sparse
    assert gradient.coalesce().indices()[0].tolist() == rows


@BY_KIND
def test_number_of_threads_changes_nothing(kind: str) -> None:
    grid = GRIDS[1]
    field, views = field_on(grid, kind), views_of(grid)
    part = part_of(field, grid)
    one, three = (lines_and_gradients(projector_of(grid, threads=n), part, field, views) for n in (1, 3))
    assert torch.equal(one[0], three[0])
    assert all(torch.equal(a, b) for a, b in zip(one[1], three[1], strict=True))


def test_rows_that_are_not_in_the_block_get_no_gradient() -> None:
    grid, rows = GRIDS[1], [3, 17, 30]
    field = field_on(grid, "static")
    _, gradients = lines_and_gradients(projector_of(grid), part_of(field, grid, rows), field, views_of(grid))
    finest = max(gradients, key=torch.Tensor.numel)
    has_gradient = finest.abs().amax(dim=(1, 2, 3)) > 0
    assert torch.nonzero(has_gradient).flatten().tolist() == rows


def test_projector_that_samples_no_grids_gets_slices() -> None:
    grid = GRIDS[0]
    field, views = field_on(grid, "growth"), views_of(grid)
    shape = SliceShape(grid.depth, grid.width, grid.width, grid.voxel_size)
    other = BatchedProjector(shape, device=torch.device("cpu"))
    assert not isinstance(other, KeepingProjector)
    with torch.no_grad():
        lines = project_field(other, field, lattice_of(grid), views)
        expected = project_field(projector_of(grid), field, lattice_of(grid), views)
    torch.testing.assert_close(lines, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("stage", ["regions", "shares", "decided"])
@pytest.mark.parametrize("rows", [None, [0, 2, 3, 18]], ids=["all rows", "some rows"])
def test_regions_and_atoms_are_as_of_slices(stage: str, rows: list[int] | None) -> None:
    grid, generator = GRIDS[0], torch.Generator().manual_seed(7)
    field = GrowthField(grid, GrowthFieldConfig(has_surface=True), scale=1.7)
    for values in field.parameters():
        values.data.copy_(torch.randn(values.shape, generator=generator))
    shape = (grid.height, grid.depth, grid.width)
    field.tell_regions(torch.randint(0, 4, shape, generator=generator, dtype=torch.uint8))
    if stage != "regions":
        labels = torch.randint(0, 50, shape, generator=generator, dtype=torch.int32)
        share, arrival = torch.rand(50, generator=generator), torch.rand(50, generator=generator)
        field.tell_atoms(Atoms(labels, share=share, arrival=arrival))
    if stage == "decided":
        field.atoms.decide()  # type: ignore[union-attr]
    z, y, x = lattice_of(grid)
    y = y if rows is None else y[rows]
    (part,), (slices,) = field.projected(z, y, x), field.slices(z, y, x)
    assert isinstance(part, GridSlices)
    assert (part.share is not None) is (stage == "shares")
    lines, gradients = lines_and_gradients(projector_of(grid), part, field, views_of(grid))
    expected_lines, expected = lines_and_gradients(projector_of(grid), slices, field, views_of(grid))
    torch.testing.assert_close(lines, expected_lines, rtol=1e-5, atol=1e-5 * float(expected_lines.abs().max()))
    for gradient, one in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, one, rtol=1e-4, atol=1e-5 * float(one.abs().max()))


@pytest.mark.parametrize(
    ("preset", "changes"), [("growth", {"hidden": 4, "features": 2}), ("paper", {})], ids=["a network", "paper"]
)
def test_fields_that_are_no_sum_of_grids_give_slices(preset: str, changes: dict[str, object]) -> None:
    config = preset_config(preset).field.model_copy(update=changes)
    field = build_field(preset_config("growth").model_copy(update={"field": config}), GRIDS[0], scale=1.0)
    assert all(isinstance(part, Slices) for part in field.projected(*lattice_of(GRIDS[0]), 0.5))


def test_grids_of_another_lattice_are_refused() -> None:
    grid, other = GRIDS[0], GRIDS[1]
    with pytest.raises(ValueError, match="22 x 22 voxels, expected float32 for 13 x 13"):
        project_slices(projector_of(grid), [part_of(field_on(other, "static"), other)], views_of(grid))


def test_first_training_steps_are_those_of_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers.series_cases import VOXELWISE_GROWTH, growing_series
    from napari_stinr import Trainer

    def losses() -> list[float]:
        return [report.loss for report in Trainer(series, config, device="cpu", threads=1).run()]

    series, config = growing_series(n_tilts=11), VOXELWISE_GROWTH.with_training(steps=8)
    of_grids = losses()
    monkeypatch.setattr(GrowthField, "projected", GrowthField.slices)
    np.testing.assert_allclose(of_grids, losses(), rtol=1e-4)
