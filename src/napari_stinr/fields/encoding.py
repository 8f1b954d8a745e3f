"""Where a position is, in the form that a field can learn from: grids of nodes, and sines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from napari_stinr.fields.storage import large, let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid

_LARGE = 2**26
"""Values of a grid from which those are left out that are not needed: others may then differ in their last digit."""
_ON_NODE = 1e-4
"""Distance from a node below which a position counts as on it [spacings]."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """Between which nodes of one axis positions are.

    Parameters
    ----------
    lower, upper : ndarray
        `(n,)` int64 nodes on both sides; the same where there is only one.
    weight : ndarray
        `(n,)` float32 weight of the upper one, 0 on a node [1].
    """

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    weight: NDArray[np.float32]

    @classmethod
    def at(cls, positions: torch.Tensor, n_nodes: int, distance: float) -> Nodes:
        """Find the nodes, `distance` from each other, for `(n,)` positions from the centre."""
        index = _index(positions, n_nodes, distance).numpy()
        nearest = np.round(index)
        index = np.where(np.abs(index - nearest) < _ON_NODE, nearest, index)
        lower = np.minimum(np.floor(index), max(n_nodes - 2, 0)).astype(np.int64)
        return cls(lower, np.minimum(lower + 1, n_nodes - 1), (index - lower).astype(np.float32))

    def within(self, rows: range) -> Nodes:
        """Count the nodes from the first of some rows, in which all those with a weight have to lie."""
        is_upper = (self.lower < rows.start) & (self.weight == 1)  # the last row of all, which is no lower one
        lower, weight = np.where(is_upper, self.upper, self.lower), np.where(is_upper, np.float32(0), self.weight)
        upper = np.minimum(self.upper, rows.stop - 1)
        is_outside = (lower < rows.start) | (lower >= rows.stop) | ((upper < self.upper) & (weight > 0))
        _refuse(bool(is_outside.any()))
        return Nodes(lower - rows.start, upper - rows.start, weight)

    def are_all_of(self, n_nodes: int) -> bool:
        """Whether they are the nodes themselves, each of them once and in order."""
        whole = self.lower + self.weight
        return len(whole) == n_nodes and bool((whole == np.arange(n_nodes)).all())


class FeatureGrid(nn.Module):
    """Values at the nodes of a regular grid over the voxels, linear between them and constant outside."""

    def __init__(
        self, grid: VoxelGrid, *, spacing: float, features: int = 1, start: float = 0.0, by_rows: bool = False
    ) -> None:
        """Take the distance of the nodes [voxels] and their value before training; they cover the margin, too.

        `by_rows`: a step takes the rows of its block only, so that the values may lie on a file.
        """
        super().__init__()
        self.node_distance = spacing * grid.voxel_size
        nodes = [math.ceil((n - 1) / spacing - _ON_NODE) + 1 for n in grid.fitted.shape]
        rows = grid.held if by_rows else range(nodes[1])
        self._rows, self._n_rows = rows, nodes[1]  # rows of nodes that are held, and how many there are
        self._is_band = len(rows) < nodes[1]
        # Rows first, so that a block of rows is one contiguous piece of memory.
        shape = (len(rows), features, nodes[0], nodes[2])
        self.values = nn.Parameter(large(shape, start) if by_rows else torch.full(shape, float(start)))

    def on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(rows, features, depth, width)` values at `(depth,)`, `(rows,)`, `(width,)` positions on the CPU."""
        values: torch.Tensor = self.values
        places = ((y, 0), (z, 2), (x, 3))
        weights = [self._weights(positions, values, axis=axis) for positions, axis in places]
        if values.numel() >= _LARGE and not torch.is_grad_enabled():
            # What is rendered needs a small part of it; a gradient would be padded again.
            for k, (_, axis) in enumerate(places):
                weights[k], first, stop = _needed(weights[k], values.shape[axis])
                values = values.narrow(axis, first, stop - first)
        for of_axis, (_, axis) in zip(weights, places, strict=True):
            values = _interpolated(values, of_axis, axis=axis)
        let_go(self.values)
        return values

    @property
    def _middle(self) -> float:
        """Place of the middle of the rows that are held, from that of all."""
        return (self._rows.start + self._rows.stop - self._n_rows) / 2 * self.node_distance

    def nodes(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> tuple[Nodes, Nodes, Nodes]:
        """Nodes along y, z and x between which the positions of a lattice are; see :meth:`on_lattice`."""
        _, _, n_z, n_x = self.values.shape
        y_nodes, z_nodes, x_nodes = (
            _remembered(positions, (n, self.node_distance), lambda p, n=n: Nodes.at(p, n, self.node_distance))  # type: ignore[misc]
            for positions, n in ((y, self._n_rows), (z, n_z), (x, n_x))
        )
        return y_nodes.within(self._rows) if self._is_band else y_nodes, z_nodes, x_nodes

    def node_positions(self) -> torch.Tensor:
        """`(rows, depth, width, 3)` float32 positions (z, y, x) of the nodes from the centre, on the CPU."""
        n_y, _, n_z, n_x = self.values.shape
        y, z, x = ((torch.arange(n) - (n - 1) / 2) * self.node_distance for n in (n_y, n_z, n_x))
        y = y + self._middle
        y, z, x = torch.meshgrid(y, z, x, indexing="ij")
        return torch.stack([z, y, x], dim=-1)

    def at(self, coordinates: torch.Tensor) -> torch.Tensor:
        """`(..., features)` values at `(..., 3)` positions (z, y, x) from the centre."""
        if self._is_band:
            y = coordinates[..., 1] - self._middle
            _refuse(float(y.abs().max()) / self.node_distance > (len(self._rows) - 1) / 2 + _ON_NODE)
            coordinates = torch.stack([coordinates[..., 0], y, coordinates[..., 2]], dim=-1)
        n_y, _, n_z, n_x = self.values.shape
        half = torch.tensor([max(n - 1, 1) / 2 for n in (n_z, n_y, n_x)], device=coordinates.device)
        relative = (coordinates / (half * self.node_distance)).flip(-1).reshape(1, 1, 1, -1, 3)
        volume = self.values.permute(1, 2, 0, 3)[None]
        sampled = functional.grid_sample(volume, relative, padding_mode="border", align_corners=True)
        return sampled[0, :, 0, 0].T.reshape(*coordinates.shape[:-1], -1)

    def _weights(self, positions: torch.Tensor, like: torch.Tensor, *, axis: int) -> torch.Tensor | None:
        """`(n, n_nodes)` weights of the nodes at `(n,)` positions, or `(n,)` nodes if all are on one; None: on all."""
        n_nodes, distance = self._n_rows if axis == 0 else like.shape[axis], self.node_distance
        key = (n_nodes, distance, like.dtype, like.device)
        weights: torch.Tensor | None = _remembered(positions, key, lambda p: _new_weights(p, n_nodes, distance, like))
        return _weights_within(weights, self._rows, n_nodes) if self._is_band and axis == 0 else weights


def _interpolated(values: torch.Tensor, weights: torch.Tensor | None, *, axis: int) -> torch.Tensor:
    """Interpolate `(rows, features, depth, width)` values along one axis; see :meth:`FeatureGrid._weights`."""
    if weights is None:
        return values
    if weights.ndim == 1:
        return values.index_select(axis, weights)
    if axis == 0:
        return (weights @ values.flatten(1)).view(-1, *values.shape[1:])
    return torch.matmul(weights, values) if axis == 2 else torch.matmul(values, weights.T)


def _weights_within(weights: torch.Tensor | None, rows: range, n_nodes: int) -> torch.Tensor | None:
    """Return the weights, or nodes, of rows that are held: nothing else is asked for."""
    if weights is None:
        weights = torch.arange(n_nodes)
    if weights.ndim == 1:
        _refuse(bool(((weights < rows.start) | (weights >= rows.stop)).any()))
        return weights - rows.start
    _refuse(bool(weights[:, : rows.start].any()) or bool(weights[:, rows.stop :].any()))
    return weights[:, rows.start : rows.stop]


def _refuse(is_elsewhere: bool) -> None:
    if is_elsewhere:
        raise ValueError("rows are asked for that another process holds")


def _needed(weights: torch.Tensor | None, n_nodes: int) -> tuple[torch.Tensor | None, int, int]:
    """Weights of the nodes that are needed, the first of these, and the one behind the last."""
    if weights is None or not weights.numel():
        return weights, 0, n_nodes
    if weights.ndim == 1:
        first = int(weights.min())
        return weights - first, first, int(weights.max()) + 1
    some = weights.any(0).nonzero()[:, 0]
    first, stop = int(some[0]), int(some[-1]) + 1
    return weights[:, first:stop], first, stop


_KNOWN = WeakTensorKeyDictionary()
"""What is known of positions that are asked for again and again, as in every step of a training, as long as these
exist."""


def _remembered(positions: torch.Tensor, key: tuple[Any, ...], made: Callable[[torch.Tensor], Any]) -> Any:
    """Return what is made of positions, at the first time only, unless they have changed."""
    as_they_were, known = _KNOWN.get(positions, (None, {}))  # type: ignore[no-untyped-call]
    if as_they_were is None or not torch.equal(as_they_were, positions):
        known = {}
        _KNOWN[positions] = (positions.clone(), known)
    if key not in known:
        # What is made in a renderer's inference mode could not be used in training.
        with torch.inference_mode(False), torch.no_grad():
            known[key] = made(positions.double().clone())
    return known[key]


def _new_weights(positions: torch.Tensor, n_nodes: int, distance: float, like: torch.Tensor) -> torch.Tensor | None:
    index = _index(positions, n_nodes, distance)
    nearest = index.round()
    if bool((index - nearest).abs().max() < _ON_NODE):
        if torch.equal(nearest, torch.arange(n_nodes, dtype=torch.float64)):
            return None
        return nearest.long().to(like.device)
    return (1 - (index[:, None] - torch.arange(n_nodes)).abs()).clamp(min=0).to(like)


def _index(positions: torch.Tensor, n_nodes: int, distance: float) -> torch.Tensor:
    """`(n,)` float64 place of positions among the nodes, from 0; those beyond an end are on it."""
    return (positions.double() / distance + (n_nodes - 1) / 2).clamp(0, n_nodes - 1)


class FeatureGrids(nn.ModuleList):
    """Several feature grids; a list whose items are known to be feature grids."""

    def __iter__(self) -> Iterator[FeatureGrid]:
        return cast("Iterator[FeatureGrid]", super().__iter__())

    def sum_on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(rows, depth, width)` sum of the first feature of all grids; see :meth:`FeatureGrid.on_lattice`."""
        return reduce(add, (_first_feature(level.on_lattice(z, y, x)) for level in self))


def _first_feature(values: torch.Tensor) -> torch.Tensor:
    # What takes the first of one would, on the way back, fill an array with zeros.
    return values.squeeze(1) if values.shape[1] == 1 else values[:, 0]


class SinusoidalEncoding(nn.Module):
    """Sines and cosines of octaves of a coordinate (Tancik et al. 2020; Mildenhall et al. 2020, equation 4)."""

    # The lowest has one cycle over [-1, 1], each further one twice as many.

    frequencies: torch.Tensor

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(octaves), persistent=False)

    def forward(self, coordinates: torch.Tensor) -> torch.Tensor:
        """`(..., 2 * n * octaves)` sines, then cosines, of `(..., n)` coordinates from -1 to 1."""
        phases = (coordinates[..., None] * self.frequencies).flatten(-2)
        return torch.cat([phases.sin(), phases.cos()], dim=-1)
