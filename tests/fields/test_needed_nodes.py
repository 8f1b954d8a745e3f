"""Of a large grid only the nodes are looked at that are needed."""

from __future__ import annotations

import pytest
import torch

from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import encoding
from napari_stinr.fields.encoding import FeatureGrid

GRID = VoxelGrid(26, 31, 24, voxel_size=0.5)
EVERYTHING = slice(None)
PARTS = [
    (EVERYTHING, slice(4, 7), EVERYTHING),
    (slice(9, 10), EVERYTHING, EVERYTHING),
    (slice(3, 20, 4), slice(0, 31, 7), slice(22, 24)),
    (EVERYTHING, slice(30, 31), slice(5, 6)),
]


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.0, 8.0])
@pytest.mark.parametrize("part", PARTS)
def test_what_is_rendered_is_the_same(
    spacing: float, part: tuple[slice, slice, slice], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = FeatureGrid(GRID, spacing=spacing)
    generator = torch.Generator().manual_seed(1)
    grid.values.data = torch.randn(grid.values.shape, generator=generator)
    z, y, x = (torch.from_numpy(GRID.axis_positions(axis)[part[axis]].copy()) for axis in range(3))
    with torch.no_grad():
        whole = grid.on_lattice(z, y, x)
        monkeypatch.setattr(encoding, "_LARGE", 0)
        monkeypatch.setattr(encoding, "_interpolated", _only_what_is_needed(grid, encoding._interpolated))
        torch.testing.assert_close(grid.on_lattice(z, y, x), whole, rtol=0, atol=1e-6)


def _only_what_is_needed(grid: FeatureGrid, interpolated):  # type: ignore[no-untyped-def]
    """Check that fewer values than all are taken."""

    def checked(values: torch.Tensor, weights: torch.Tensor | None, *, axis: int) -> torch.Tensor:
        assert axis or values.numel() < grid.values.numel()
        return interpolated(values, weights, axis=axis)

    return checked
