"""Let a coarse boundary between two regions run where there is least matter: the minimum cut of a graph of voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REACH = 3.0
"""Distance from the boundary at which a voxel resists a change as much as its density [voxel]."""
_MOST_RESISTANCE = 3.0
_STIFFNESS = 0.3
"""What a boundary between two voxels costs, as a part of the smaller of their densities."""
_ROWS_TOGETHER = 16
_CAPACITY = 1e4
"""Whole number that stands for the largest cost: flows are counted in whole numbers."""


def valley_boundary(inside: NDArray[np.bool_], density: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Move the boundary of a region to where the density around it is lowest.

    The result minimises the sum of two costs (Boykov, Veksler and Zabih, IEEE PAMI 23, 1222 (2001)): matter that
    changes sides, more the farther it is from the boundary, and the density that the boundary runs through. So an atom
    is on one side or on the other, and what is far from the boundary stays.

    Parameters
    ----------
    inside : ndarray
        `(rows, depth, width)` bool, the region.
    density : ndarray
        `(rows, depth, width)` density, not negative [any unit].

    Returns
    -------
    ndarray
        `(rows, depth, width)` bool, the region with its new boundary.
    """
    largest = float(density.max(initial=0.0))
    if largest <= 0 or inside.all() or not inside.any():
        return inside.copy()
    # To the nearest voxel of the other side, half a voxel nearer than its centre.
    distance = np.where(inside, distance_transform_edt(inside), distance_transform_edt(~inside)) - 0.5
    resistance = density * np.minimum(distance / _REACH, _MOST_RESISTANCE)
    moved = np.empty_like(inside)
    for start in range(0, len(inside), _ROWS_TOGETHER):
        rows = slice(start, start + _ROWS_TOGETHER)
        moved[rows] = _minimum_cut(inside[rows], resistance[rows], density[rows], largest)
    return moved


def _minimum_cut(
    inside: NDArray[np.bool_], resistance: NDArray[np.float64], density: NDArray[np.float32], largest: float
) -> NDArray[np.bool_]:
    """Voxels on the side of the source: it is tied to those inside, the sink to those outside."""
    n_voxels = inside.size
    scale = _CAPACITY / (_MOST_RESISTANCE * largest)
    first, second = _neighbours(inside.shape)
    flat = density.ravel()
    between = _capacities(_STIFFNESS * np.minimum(flat[first], flat[second]), scale)
    ties = _capacities(resistance.ravel(), scale)
    source, sink = n_voxels, n_voxels + 1
    index, is_inside = np.arange(n_voxels), inside.ravel()
    rows = np.concatenate([first, second, np.where(is_inside, source, index)])
    columns = np.concatenate([second, first, np.where(is_inside, index, sink)])
    capacities = np.concatenate([between, between, ties])
    graph = csr_matrix((capacities, (rows, columns)), shape=(n_voxels + 2,) * 2)
    left = graph - maximum_flow(graph, source, sink).flow
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    reached = np.zeros(n_voxels + 2, dtype=bool)
    reached[breadth_first_order(left, source, return_predecessors=False)] = True
    return reached[:n_voxels].reshape(inside.shape)


def _capacities(costs: NDArray[np.floating], scale: float) -> NDArray[np.int32]:
    return np.round(costs * scale).astype(np.int32)


def _neighbours(shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of voxels that share a face."""
    index = np.arange(np.prod(shape)).reshape(shape)
    pairs = [
        (np.take(index, range(n - 1), axis).ravel(), np.take(index, range(1, n), axis).ravel())
        for axis, n in enumerate(shape)
    ]
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return first, second
