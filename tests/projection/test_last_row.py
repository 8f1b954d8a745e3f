"""A block with the last row moves its own rows only, as any other: not the whole grid at the voxels."""

from __future__ import annotations

import pytest
import torch

from napari_stinr.config import GrowthFieldConfig, StaticFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import GrowthField, StaticField
from napari_stinr.projection.backends.numba import CompiledProjector
from napari_stinr.projection.operator import project_field
from napari_stinr.projection.views import SliceShape, Views
from napari_stinr.reconstruction.rendering import lattice_of

GRID = VoxelGrid(21, 37, 21)
VIEWS = Views.at([-0.5, 0.1, 0.7], [0.0, 0.5, 1.0], n_pixels=21)


@pytest.mark.parametrize("rows", [[3, 9, 17], [3, 9, 36], [36], [35, 36], list(range(37))], ids=len)
@pytest.mark.parametrize("grows", [False, True], ids=["static", "growth"])
def test_gradients_are_of_the_rows_of_a_block(rows: list[int], grows: bool) -> None:
    torch.manual_seed(0)
    field = (
        GrowthField(GRID, GrowthFieldConfig(), scale=1.0)
        if grows
        else StaticField(GRID, StaticFieldConfig(), scale=1.0)
    )
    for parameter in field.parameters():
        parameter.data = torch.randn(parameter.shape)
    z, y, x = lattice_of(GRID)
    projector = CompiledProjector(SliceShape(21, 21, 21))

    def gradient(wanted: list[int]) -> torch.Tensor:
        field.zero_grad(set_to_none=True)
        project_field(projector, field, (z, y[wanted], x), VIEWS).square().sum().backward()
        *_, finest = field.density.grids
        assert finest.values.grad is not None
        assert finest.values.grad.is_sparse == (len(wanted) < GRID.height)
        return finest.values.grad.to_dense() if finest.values.grad.is_sparse else finest.values.grad

    # Rows are independent, so that those of a block have the gradient that they have among all.
    found, whole = gradient(rows), gradient(list(range(37)))
    others = [row for row in range(37) if row not in rows]
    assert not found[others].any()
    torch.testing.assert_close(found[rows], whole[rows], rtol=1e-5, atol=1e-5)
