"""Short symmetric filters of sampled values: how a density is smoothed, and its projections with it.

Projections say nothing about spatial frequencies beyond the Nyquist frequency of their pixels. A voxel grid holds them
nevertheless, in the corners of its spectrum, and what is not held down there fills up with artefacts. Nor is a peak in
a projection ever narrower than a pixel: what is fitted may be sharper than what is shown, and be smoothed then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_stinr.data.geometry import VoxelGrid

BAND_LIMIT = (0.776, 0.1908, -0.1377, 0.0589)
"""Taps of a low-pass, the middle one first: 1 up to two thirds of the Nyquist frequency, 0 at it (least squares)."""

_LEAST_REACH, _REACH = 4, 4.0
"""Taps of a Gaussian on each side, at least, and as a multiple of its standard deviation."""

_LONGEST_PRODUCT = 128
"""Values along an axis up to which a product with a matrix is faster than adding shifted values."""

_SAME = 1e-4
"""Distance below which two positions are the same [voxels]."""


class _Filtered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, taps: Sequence[float], axis: int) -> torch.Tensor:
        ctx.taps, ctx.axis = taps, axis
        length, reach = values.shape[axis], len(taps) - 1
        sides = (values.narrow(axis, 0, 1), values.narrow(axis, length - 1, 1))
        first, last = (side.expand(*side.shape[:axis], reach, *side.shape[axis + 1 :]) for side in sides)
        padded = torch.cat([first, values, last], dim=axis)
        result = values * taps[0]
        for distance, tap in enumerate(taps[1:], start=1):
            for start in (reach - distance, reach + distance):
                result.add_(padded.narrow(axis, start, length), alpha=tap)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,), taps, axis = gradients, ctx.taps, ctx.axis
        length, reach = gradient.shape[axis], len(taps) - 1
        shape = list(gradient.shape)
        shape[axis] += 2 * reach
        padded = gradient.new_zeros(shape)
        result = padded.narrow(axis, reach, length)
        result.add_(gradient, alpha=taps[0])
        for distance, tap in enumerate(taps[1:], start=1):
            for start in (reach - distance, reach + distance):
                padded.narrow(axis, start, length).add_(gradient, alpha=tap)
        # What lies beyond an end was a copy of it.
        result.narrow(axis, 0, 1).add_(padded.narrow(axis, 0, reach).sum(axis, keepdim=True))
        result.narrow(axis, length - 1, 1).add_(padded.narrow(axis, reach + length, reach).sum(axis, keepdim=True))
        return result, None, None


def filtered(values: torch.Tensor, taps: Sequence[float], *, axis: int) -> torch.Tensor:
    """Filter values along one axis, as if the first and the last of them went on for ever.

    Parameters
    ----------
    values : Tensor
        `(...)` values at equal distances.
    taps : sequence of float
        Weights of a value itself, of its two neighbours, of the two behind them, and so on [1].
    axis : int
        Which axis, from 0.

    Returns
    -------
    Tensor
        `(...)` filtered values, differentiable once.
    """
    length, from_end = values.shape[axis], axis - values.ndim
    if length <= _LONGEST_PRODUCT and from_end in (-2, -1):
        return _product(_matrix(tuple(taps), length), values, is_last=from_end == -1)
    result: torch.Tensor = _Filtered.apply(values, taps, axis)  # type: ignore[no-untyped-call]
    return result


def _product(weights: torch.Tensor, values: torch.Tensor, *, is_last: bool) -> torch.Tensor:
    """Return weighted sums along the last axis of values, or the last but one."""
    # In the format of the values: products in bfloat16 are for networks.
    with torch.autocast(values.device.type, enabled=False):
        weights = weights.to(values)
        return values @ weights.T if is_last else weights @ values


@lru_cache(maxsize=16)
def _matrix(taps: tuple[float, ...], length: int) -> torch.Tensor:
    """`(length, length)` float64 matrix of a filter."""
    # A matrix from a renderer's inference mode could not be used in training.
    with torch.inference_mode(False), torch.no_grad():
        unit = torch.eye(length, dtype=torch.float64, device="cpu")
        return _Filtered.apply(unit, taps, 0)  # type: ignore[no-untyped-call, no-any-return]


@lru_cache(maxsize=16)
def gaussian_taps(sigma: float) -> tuple[float, ...]:
    """Taps of a Gaussian of a standard deviation [voxel], the middle one first, by which frequencies are damped."""
    # Up to the Nyquist frequency exp(-(sigma q)^2 / 2), and so narrow ones are right as well; sampled in space, a
    # Gaussian of less than half a voxel would be none.
    n_samples = 256
    q = (np.arange(n_samples) + 0.5) * (math.pi / n_samples)
    damping = np.exp(-((sigma * q) ** 2) / 2)
    reach = max(_LEAST_REACH, math.ceil(_REACH * sigma))
    taps = (damping * np.cos(np.arange(reach + 1)[:, None] * q)).mean(1)
    return tuple((taps / (taps[0] + 2 * taps[1:].sum())).tolist())


def one_after_the_other(first: Sequence[float], second: Sequence[float]) -> tuple[float, ...]:
    """Taps, the middle one first, of the filter that does what two do one after the other."""
    both = np.convolve(np.array([*first[:0:-1], *first]), np.array([*second[:0:-1], *second]))
    return tuple(both[len(both) // 2 :].tolist())


def gain(taps: Sequence[float], frequencies: torch.Tensor) -> torch.Tensor:
    """`(...)` factor by which a filter multiplies `(...)` frequencies in units of the Nyquist frequency [1]."""
    distances = torch.arange(1, len(taps), device=frequencies.device)
    waves = torch.cos(math.pi * frequencies[..., None] * distances)
    return taps[0] + 2 * waves @ torch.tensor(taps[1:], device=frequencies.device, dtype=frequencies.dtype)


@dataclass(frozen=True, eq=False)
class AxisFilter:
    """A filter at some positions along one axis.

    Parameters
    ----------
    taps : tuple of float
        See :func:`filtered` [1].
    positions : Tensor
        `(n,)` where the values before the filter are needed [length unit].
    weights : Tensor, optional
        `(m, n)` float32 weight of each of them at the m positions that are asked for; None: they are the voxels of the
        whole axis, and so are those.
    """

    taps: tuple[float, ...]
    positions: torch.Tensor
    weights: torch.Tensor | None = None

    @classmethod
    def at(cls, positions: torch.Tensor, taps: tuple[float, ...], *, n_voxels: int, voxel_size: float) -> AxisFilter:
        """Say what is needed for `(m,)` positions from the centre [length unit] of an axis of so many voxels."""
        half = (n_voxels - 1) / 2
        asked = positions.double().cpu() / voxel_size
        if len(asked) == n_voxels and bool(((asked + half) - torch.arange(n_voxels)).abs().max() < _SAME):
            return cls(taps, positions)
        both_sides = torch.tensor([*taps[:0:-1], *taps], dtype=torch.float64)
        near = shifted(asked, len(taps) - 1, half=half, voxel_size=1.0)
        needed, index = torch.unique((near / _SAME).round(), return_inverse=True)
        weights = torch.zeros(len(asked), len(needed), dtype=torch.float64)
        weights.scatter_add_(1, index, both_sides.expand(index.shape))
        return cls(taps, needed * _SAME * voxel_size, weights.float())

    @property
    def shares(self) -> torch.Tensor:
        """`(n,)` what each value before the filter has of the sum after it [1]."""
        weights = _matrix(self.taps, len(self.positions)) if self.weights is None else self.weights
        return weights.double().sum(0)

    def apply(self, values: torch.Tensor, *, axis: int) -> torch.Tensor:
        """Return `(rows, depth, width)` values at the positions asked for; axis 1 or 2 is at those needed."""
        if self.weights is None:
            return filtered(values, self.taps, axis=axis)
        return _product(self.weights, values, is_last=axis == 2)


@dataclass(frozen=True)
class PlaneFilter:
    """The same filter along z and along x.

    Parameters
    ----------
    taps : tuple of float
        See :func:`filtered` [1].
    depth, width : int
        Voxels along z and x, beyond which values are as at the border.
    voxel_size : float
        Edge of a voxel [length unit].
    """

    taps: tuple[float, ...]
    depth: int
    width: int
    voxel_size: float

    @classmethod
    def of(cls, taps: tuple[float, ...], grid: VoxelGrid) -> PlaneFilter:
        """Return the filter of what is fitted on a grid."""
        return cls(taps, grid.fitted.depth, grid.fitted.width, grid.voxel_size)

    def on_lattice(
        self, sampled: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], z: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        """`(rows, depth, width)` filtered values at `(depth,)` and `(width,)` positions; `sampled(z, x)` has others."""
        along_z, along_x = self.axes(z, x)
        values = sampled(along_z.positions, along_x.positions)
        return along_x.apply(along_z.apply(values, axis=1), axis=2)

    def axes(self, z: torch.Tensor, x: torch.Tensor) -> tuple[AxisFilter, AxisFilter]:
        """Return the filters at `(depth,)` and `(width,)` positions."""
        along_z = AxisFilter.at(z, self.taps, n_voxels=self.depth, voxel_size=self.voxel_size)
        return along_z, AxisFilter.at(x, self.taps, n_voxels=self.width, voxel_size=self.voxel_size)

    def at(self, valued: Callable[[torch.Tensor], torch.Tensor], coordinates: torch.Tensor) -> torch.Tensor:
        """`(...)` filtered values at `(..., 3)` points (z, y, x); `valued` has `(..., n)` ones at `(..., n, 3)`."""
        reach = len(self.taps) - 1
        taps = torch.tensor([*self.taps[:0:-1], *self.taps], device=coordinates.device)
        z, y, x = coordinates.unbind(-1)
        near_z = shifted(z, reach, half=(self.depth - 1) / 2, voxel_size=self.voxel_size)
        near_x = shifted(x, reach, half=(self.width - 1) / 2, voxel_size=self.voxel_size)
        result = torch.zeros_like(z, dtype=torch.float32)
        for tap, plane in zip(taps, near_z.unbind(-1), strict=True):
            points = torch.stack([plane[..., None].expand_as(near_x), y[..., None].expand_as(near_x), near_x], dim=-1)
            result = result + tap * (valued(points) @ taps)
        return result


def shifted(positions: torch.Tensor, reach: int, *, half: float, voxel_size: float) -> torch.Tensor:
    """`(..., 2 reach + 1)` positions of the taps around `(...)` ones, none beyond `half` voxels."""
    steps = torch.arange(-reach, reach + 1, device=positions.device).to(positions.dtype) * voxel_size
    return (positions[..., None] + steps).clamp(-half * voxel_size, half * voxel_size)
