"""Grids into the tiles of the compiled projector, and gradients back to their nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.fields.regions import RegionGrids
from napari_stinr.projection.backends import ROWS_TOGETHER
from napari_stinr.projection.backends import nodes_kernels as kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.fields.base import GridSlices
    from napari_stinr.fields.encoding import FeatureGrid, FeatureGrids, Nodes
    from napari_stinr.projection.backends import Job

    Share = Callable[[Job, int], None]


def sampled(
    part: GridSlices, share: Share
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Evaluate grids in the order of the kernels.

    Parameters
    ----------
    part : GridSlices
        The grids.
    share : callable
        Does a job for so many indices.

    Returns
    -------
    raw, density, arrival, outside : ndarray or None
        `(tiles, depth * width * LANES)` float32 sum of the grids of the density [1], density [V], arrival time where
        there are grids of it [t], and the sum of those for outside where there are regions [t].
    """
    depth, n = len(part.lattice[0]), _line(part)
    n_tiles = -(-len(part.lattice[1]) // ROWS_TOGETHER)
    raw = np.empty((n_tiles, depth * n), dtype=np.float32)
    density, scale, of_density = np.empty_like(raw), np.float32(part.scale), _Levels.of(part.density, part)
    grids = None if isinstance(part.arrival, torch.Tensor) else part.arrival
    by_region = grids if isinstance(grids, RegionGrids) else None
    # What is near the surface comes first into the memory of what is made of it.
    summed = grids.near if isinstance(grids, RegionGrids) else grids
    of_arrival = None if summed is None else _Levels.of(summed, part)
    arrival = None if of_arrival is None else np.empty_like(raw)
    of_outside = None if by_region is None else _Levels.of(by_region.outside, part)
    outside = None if by_region is None else np.empty_like(raw)

    def job(first: int, stop: int) -> None:
        of_density.sample(first, stop, raw)
        kernels.activate(raw.ravel(), scale, n, first, stop, density.ravel())
        if of_arrival is not None and arrival is not None:
            of_arrival.sample(first, stop, arrival)
        if by_region is not None and of_outside is not None and outside is not None:
            of_outside.sample(first, stop, outside)
            kernels.arrive_by_region(outside, arrival, by_region.regions.numpy(), first, stop, arrival)

    share(job, n_tiles * depth)
    return raw, density, arrival, outside


def gathered(
    part: GridSlices, raw: NDArray[np.float32], by_density: NDArray[np.float32], share: Share
) -> list[torch.Tensor]:
    """Bring the gradient by the density back to the nodes of its grids.

    Parameters
    ----------
    part : GridSlices
        The grids.
    raw : ndarray
        From :func:`sampled` [1].
    by_density : ndarray
        `(tiles, depth * width * LANES)` float32 gradient by the density; overwritten.
    share : callable
        Does a job for so many indices.

    Returns
    -------
    list of Tensor
        For the values at the nodes of each grid, with their shape.
    """
    scale, n = np.float32(part.scale), _line(part)
    share(
        lambda first, stop: kernels.back_through_activation(raw.ravel(), scale, n, first, stop, by_density.ravel()),
        raw.size // n,
    )
    return gathered_sum(part.density, part, by_density, share)


def gathered_by_region(
    grids: RegionGrids, part: GridSlices, outside: NDArray[np.float32], by_arrival: NDArray[np.float32], share: Share
) -> list[torch.Tensor]:
    """Bring the gradient by the arrival time back to the nodes for outside and near; see :func:`gathered`."""
    by_near, regions = np.empty_like(by_arrival), grids.regions.numpy()
    share(
        lambda first, stop: kernels.back_to_regions(outside, regions, first, stop, by_arrival, by_near),
        by_arrival.size // _line(part),
    )
    return gathered_sum(grids.outside, part, by_arrival, share) + gathered_sum(grids.near, part, by_near, share)


def gathered_sum(
    grids: FeatureGrids, part: GridSlices, by_sum: NDArray[np.float32], share: Share
) -> list[torch.Tensor]:
    """Bring the gradient by the sum of some grids back to their nodes; see :func:`gathered`."""
    return _Levels.of(grids, part).gathered(by_sum, share)


@dataclass(frozen=True, eq=False)
class _Levels:
    """Grids that add up, each with the nodes between which the voxels are."""

    values: list[NDArray[np.float32]]  # `(n_y, n_z, n_x)` of every grid, in its own memory
    nodes: list[tuple[Nodes, Nodes, Nodes]]  # along y, z and x
    voxels: int | None  # the grid whose nodes are the voxels
    rows: NDArray[np.int64]  # the nodes along y of that one

    @classmethod
    def of(cls, grids: FeatureGrids, part: GridSlices) -> _Levels:
        values, nodes = [_values(level) for level in grids], [level.nodes(*part.lattice) for level in grids]
        finest = (k for k, level in enumerate(zip(values, nodes, strict=True)) if _are_voxels(*level))
        voxels = next(finest, None)
        rows = nodes[voxels or 0][0]
        # The last node is told by the weight of an upper one.
        return cls(values, nodes, voxels, rows.lower + rows.weight.astype(np.int64))

    def sample(self, first: int, stop: int, tiles: NDArray[np.float32]) -> None:
        """Set lines `first` to `stop` of tiles to the sum."""
        # With the last row, the grids are added up in their order, as that has always been.
        set_first = None if self.voxels is None or self.nodes[self.voxels][0].weight.any() else self.voxels
        if set_first is None:
            depth = len(self.nodes[0][1].lower)
            tiles.reshape(len(tiles) * depth, -1)[first:stop] = 0
        else:
            kernels.set_voxels(self.values[set_first], self.rows, first, stop, tiles)
        for k, (values, nodes) in enumerate(zip(self.values, self.nodes, strict=True)):
            if k != set_first:
                kernels.add_nodes(values, *_arrays(nodes), first, stop, tiles)  # type: ignore[call-arg]

    def gathered(self, by_tiles: NDArray[np.float32], share: Share) -> list[torch.Tensor]:
        """`(n_y, 1, n_z, n_x)` gradient by the nodes of every grid, from that by tiles."""
        # Of the voxels only for the rows of the lattice, which are set: the others have no gradient, and no memory.
        rows = self.rows
        gradients = [
            np.empty((len(rows), *values.shape[1:]), dtype=np.float32) if k == self.voxels else np.zeros_like(values)
            for k, values in enumerate(self.values)
        ]
        counts = [len(by_tiles) * v.shape[1] if k == self.voxels else v.shape[1] for k, v in enumerate(self.values)]
        ends = np.cumsum(counts).tolist()
        places = np.arange(len(rows))

        def job(first: int, stop: int) -> None:
            for k, (by_nodes, nodes, end) in enumerate(zip(gradients, self.nodes, ends, strict=True)):
                a, b = max(first, end - counts[k]) - end + counts[k], min(stop, end) - end + counts[k]
                if a < b and k == self.voxels:
                    kernels.gather_voxels(by_tiles, places, a, b, by_nodes)
                elif a < b:
                    kernels.gather_nodes(by_tiles, *_arrays(nodes), a, b, by_nodes)  # type: ignore[call-arg]

        share(job, ends[-1])
        return [self._as_gradient(k, torch.from_numpy(by_nodes)[:, None]) for k, by_nodes in enumerate(gradients)]

    def _as_gradient(self, k: int, by_nodes: torch.Tensor) -> torch.Tensor:
        """Gradient by all values of a grid from that by those in `(rows, 1, n_z, n_x)`; sparse where some are none."""
        rows, n_rows = self.rows, len(self.values[k])
        if k != self.voxels or np.array_equal(rows, np.arange(n_rows)):
            return by_nodes
        shape = (n_rows, *by_nodes.shape[1:])
        in_order = bool((np.diff(rows) > 0).all())
        return torch.sparse_coo_tensor(
            torch.from_numpy(rows)[None], by_nodes, shape, is_coalesced=in_order, check_invariants=False
        )


def _values(level: FeatureGrid) -> NDArray[np.float32]:
    """`(n_y, n_z, n_x)` values at the nodes, in the same memory."""
    n_y, _, n_z, n_x = level.values.shape
    values: NDArray[np.float32] = level.values.detach().numpy().reshape(n_y, n_z, n_x)
    return values


def _are_voxels(values: NDArray[np.float32], nodes: tuple[Nodes, Nodes, Nodes]) -> bool:
    rows, along_z, along_x = nodes
    on_rows = bool(((rows.weight == 0) | (rows.weight == 1)).all())
    return on_rows and along_z.are_all_of(values.shape[1]) and along_x.are_all_of(values.shape[2])


def _arrays(nodes: tuple[Nodes, Nodes, Nodes]) -> list[NDArray[np.float32] | NDArray[np.int64]]:
    y, z, x = nodes
    return [y.lower, y.upper, y.weight, z.lower, z.upper, z.weight, x.lower, x.weight]


def _line(part: GridSlices) -> int:
    """Numbers of a line of voxels along x in a tile."""
    return len(part.lattice[2]) * ROWS_TOGETHER
