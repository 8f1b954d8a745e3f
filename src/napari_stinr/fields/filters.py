"""Short symmetric filters of sampled values, and the band limit of a density that they make.

Projections say nothing about spatial frequencies beyond the Nyquist frequency of their pixels. A voxel grid holds them
nevertheless, in the corners of its spectrum, and what is not held down there fills up with artefacts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

BAND_LIMIT = (0.776, 0.1908, -0.1377, 0.0589)
"""Taps of a low-pass, the middle one first: 1 up to two thirds of the Nyquist frequency, 0 at it (least squares)."""

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


@dataclass(frozen=True, eq=False)
class BandLimit:
    """The band limit at some positions along one axis.

    Parameters
    ----------
    positions : Tensor
        `(n,)` where the unlimited values are needed [length unit].
    weights : Tensor, optional
        `(m, n)` float32 weight of each of them at the m positions that are asked for; None: they are the voxels of the
        whole axis, and so are those.
    """

    positions: torch.Tensor
    weights: torch.Tensor | None = None

    @classmethod
    def at(cls, positions: torch.Tensor, *, n_voxels: int, voxel_size: float) -> BandLimit:
        """Say what is needed for `(m,)` positions from the centre [length unit] of an axis of so many voxels."""
        half = (n_voxels - 1) / 2
        asked = positions.double().cpu() / voxel_size
        if len(asked) == n_voxels and bool(((asked + half) - torch.arange(n_voxels)).abs().max() < _SAME):
            return cls(positions)
        taps = torch.tensor([*BAND_LIMIT[:0:-1], *BAND_LIMIT], dtype=torch.float64)
        near = shifted(asked, half=half, voxel_size=1.0)
        needed, index = torch.unique((near / _SAME).round(), return_inverse=True)
        weights = torch.zeros(len(asked), len(needed), dtype=torch.float64)
        weights.scatter_add_(1, index, taps.expand(index.shape))
        return cls(needed * _SAME * voxel_size, weights.float())

    def apply(self, values: torch.Tensor, *, axis: int) -> torch.Tensor:
        """Return `(rows, depth, width)` values at the positions asked for; axis 1 or 2 is at those needed."""
        if self.weights is None:
            return filtered(values, BAND_LIMIT, axis=axis)
        return _product(self.weights, values, is_last=axis == 2)


def shifted(positions: torch.Tensor, *, half: float, voxel_size: float) -> torch.Tensor:
    """`(..., n_taps)` positions of the taps of the band limit around `(...)` ones, none beyond `half` voxels."""
    reach = len(BAND_LIMIT) - 1
    steps = torch.arange(-reach, reach + 1, device=positions.device).to(positions.dtype) * voxel_size
    return (positions[..., None] + steps).clamp(-half * voxel_size, half * voxel_size)
