"""A joint field fitted to rays on the CPU: forward and backward by hand, in pieces that stay in the cache.

The loss of a ray needs no other ray, so a piece of the batch goes forward and backward before the next one begins: what
a layer gives is still in the cache when its gradient is computed, and no graph is kept. Points outside the box are
left out. Losses and gradients are those of autograd, to rounding.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from napari_stinr.fields.joint import JointField

LAYER_BYTES = 2**20
"""What one hidden layer gives for the points of a piece: two of them fit into the second cache of a core."""

_ROOM = 256
"""The room of a piece is a multiple of it: oneDNN compiles its bfloat16 products anew for every size."""


@dataclass(frozen=True, eq=False)
class RaySamples:
    """The points of some rays that lie in the box, ray by ray.

    Parameters
    ----------
    z, x : Tensor
        `(n,)` float32 positions from the centre [the unit of the grid].
    ray : Tensor
        `(n,)` int64 ray of each point, rising.
    y, times : Tensor
        `(rays,)` float32 position and time of each ray [the unit of the grid, t].
    spacing : float
        Way between two points [the unit of the grid].
    """

    z: torch.Tensor
    x: torch.Tensor
    ray: torch.Tensor
    y: torch.Tensor
    times: torch.Tensor
    spacing: float


class NetworkRays:
    """Integrals of a joint field along rays, compared with what was measured.

    Parameters
    ----------
    threads : int
        Threads that share the pieces; torch itself should have one.
    bfloat16 : bool
        Compute the layers in bfloat16.
    """

    def __init__(self, *, threads: int = 1, bfloat16: bool = False) -> None:
        self._dtype = torch.bfloat16 if bfloat16 else torch.float32
        self._workers = [_Worker(self._dtype) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="stinr-rays") if threads > 1 else None

    def mean_square(
        self, field: JointField, samples: RaySamples, measured: torch.Tensor, *, unit: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compare the integrals along rays with what was measured.

        Parameters
        ----------
        field : JointField
            On the CPU.
        samples : RaySamples
            Points of the rays.
        measured : Tensor
            `(rays,)` float32 integrals of the potential [`unit`].
        unit : float
            What they are measured in [V times the unit of the grid].

        Returns
        -------
        mean_square : Tensor
            Of the residuals, differentiable by the parameters of the field.
        residuals : Tensor
            `(rays,)` predicted minus measured [`unit`]; nothing can be differentiated by them.
        """
        result: tuple[torch.Tensor, torch.Tensor] = _MeanSquare.apply(  # type: ignore[no-untyped-call]
            self, field, samples, measured, unit, *field.network.parameters()
        )
        return result

    def residuals_and_gradients(
        self, field: JointField, samples: RaySamples, measured: torch.Tensor, *, unit: float = 1.0
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """`(rays,)` residuals, and the gradient of their mean square by every parameter of the network."""
        layers = [layer for layer in field.network if isinstance(layer, nn.Linear)]
        order, n_units = field.ray_order(), layers[0].out_features
        first = torch.cat([layers[0].weight[:, order], layers[0].bias[:, None]], dim=1).t()
        weights = [values.contiguous().to(self._dtype) for values in (first, *list(field.network.parameters())[2:])]
        pieces, room = _pieces(
            samples.ray,
            len(measured),
            n_points=LAYER_BYTES // (n_units * self._dtype.itemsize),
            workers=len(self._workers),
        )
        batch = _Batch(
            samples,
            measured,
            torch.cat([field.encode_rays(samples.y, samples.times), torch.ones(len(measured), 1)], dim=1).t(),
            field.encode_position.frequencies[:, None] / field.half_extent,
            float(field.scale) * samples.spacing / unit,
            room,
            torch.empty_like(measured),
        )

        def share(index: int) -> list[torch.Tensor]:
            # Which worker has which piece does not depend on chance: the same seed gives the same bits.
            return self._workers[index].work(weights, batch, pieces[index :: len(self._workers)])

        others = [] if self._pool is None else [self._pool.submit(share, i) for i in range(1, len(self._workers))]
        sums = share(0)
        for other in others:
            for total, gradient in zip(sums, other.result(), strict=True):
                total += gradient
        of_first = torch.empty_like(layers[0].weight)
        of_first[:, order] = sums[0][:-1].t()
        return batch.residuals, [of_first, sums[0][-1].clone(), *sums[1:]]


class _MeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rays: NetworkRays,
        field: JointField,
        samples: RaySamples,
        measured: torch.Tensor,
        unit: float,
        *_parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        residuals, gradients = rays.residuals_and_gradients(field, samples, measured, unit=unit)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(residuals)
        return residuals.square().mean(), residuals

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, None, None, None, None, *(gradients[0] * gradient for gradient in ctx.saved_tensors)


@dataclass(frozen=True, eq=False)
class _Batch:
    samples: RaySamples
    measured: torch.Tensor
    """`(rays,)`."""
    along_rays: torch.Tensor
    """`(values, rays)` what y and t are encoded into, and 1 for the bias: the same all along a ray."""
    frequencies: torch.Tensor
    """`(octaves, 1)`."""
    scale: float
    """Turns the sum of what the last layer gives into the integral."""
    room: int
    """Points for which there is memory in every piece."""
    residuals: torch.Tensor
    """`(rays,)`, into which every piece writes its own."""


class _Worker:
    """Takes pieces of batches through the network and back, in memory of its own."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._memory: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def work(self, weights: list[torch.Tensor], batch: _Batch, pieces: list[tuple[slice, slice]]) -> list[torch.Tensor]:
        """Return gradients by the weights: of the first layer `(inputs and 1, units)`, then weight and bias of each."""
        sums = [torch.zeros(values.shape) for values in weights]
        for rays, points in pieces:
            ray = batch.samples.ray[points] - rays.start
            inputs = self._encoded(batch, rays, points, ray)
            values = self._through(weights, inputs)
            raw = (torch.mv(values[-1], weights[-2][0])[: len(ray)] + weights[-1]).float()
            predicted = torch.zeros(rays.stop - rays.start).index_add_(0, ray, functional.softplus(raw))
            residuals = batch.residuals[rays] = predicted * batch.scale - batch.measured[rays]
            by_ray = residuals * (2 * batch.scale / len(batch.measured))
            self._back(weights, inputs, values, by_ray[ray] * raw.sigmoid(), sums)
        return sums

    def _encoded(self, batch: _Batch, rays: slice, points: slice, ray: torch.Tensor) -> torch.Tensor:
        """Return `(inputs and 1, room)` encoded points; what is beyond them is left from before, and finite."""
        n, n_sines = len(ray), 2 * len(batch.frequencies)
        phases = self._take("phases", n_sines, n, torch.float32)
        torch.mul(batch.frequencies, batch.samples.z[points], out=phases[: n_sines // 2])
        torch.mul(batch.frequencies, batch.samples.x[points], out=phases[n_sines // 2 :])
        inputs = self._take("inputs", 2 * n_sines + len(batch.along_rays), batch.room, torch.float32)
        torch.sin(phases, out=inputs[:n_sines, :n])
        torch.cos(phases, out=inputs[n_sines : 2 * n_sines, :n])
        inputs[2 * n_sines :, :n] = batch.along_rays[:, rays].index_select(1, ray)
        return inputs.to(self._dtype)

    def _through(self, weights: list[torch.Tensor], inputs: torch.Tensor) -> list[torch.Tensor]:
        """`(room, units)` what every hidden layer gives."""
        room, n_units = inputs.shape[1], weights[0].shape[1]
        values = [_relu(torch.mm(inputs.t(), weights[0], out=self._take("values 0", room, n_units)))]
        for i in range(1, len(weights) - 2, 2):
            out = self._take(f"values {i}", room, n_units)
            values.append(_relu(torch.addmm(weights[i + 1], values[-1], weights[i].t(), out=out)))
        return values

    def _back(
        self,
        weights: list[torch.Tensor],
        inputs: torch.Tensor,
        values: list[torch.Tensor],
        by_raw: torch.Tensor,
        sums: list[torch.Tensor],
    ) -> None:
        """Add the gradients by the weights, given that `(n,)` by what the last layer gives."""
        room, n_units = values[0].shape
        gradient = self._take("gradient", room, 1)
        gradient[: len(by_raw), 0] = by_raw
        gradient[len(by_raw) :] = 0
        for i in reversed(range(len(values))):
            weight, of_weight, of_bias = weights[2 * i + 1], sums[2 * i + 1], sums[2 * i + 2]
            of_weight += torch.mm(gradient.t(), values[i])
            of_bias += gradient.sum(0)
            gradient = torch.mm(gradient, weight, out=self._take(f"gradient {i % 2}", room, n_units))
            _mask(gradient, values[i])
        sums[0] += torch.mm(inputs, gradient)

    def _take(self, name: str, n: int, m: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """`(n, m)` memory, the same as for the last piece where it is large enough."""
        memory = self._memory.get(name)
        if memory is None or memory.numel() < n * m:
            memory = self._memory[name] = torch.zeros(n * m, dtype=dtype or self._dtype)
        return memory[: n * m].view(n, m)


def _comparable(values: torch.Tensor) -> torch.Tensor:
    """Return the same memory as numbers of the same sign, for which there are vector instructions."""
    return values.view(torch.int16) if values.dtype is torch.bfloat16 else values


def _relu(values: torch.Tensor) -> torch.Tensor:
    """Set what is below 0 to 0, in place."""
    _comparable(values).clamp_(min=0)
    return values


def _mask(gradient: torch.Tensor, values: torch.Tensor) -> None:
    """Set a gradient to 0 where values, of which none is negative, are 0; in place."""
    masked = _comparable(gradient)
    torch.ops.aten.threshold_backward.grad_input(masked, _comparable(values), 0, grad_input=masked)


def _pieces(ray: torch.Tensor, n_rays: int, *, n_points: int, workers: int) -> tuple[list[tuple[slice, slice]], int]:
    """Rays and points of every piece, as many for each worker, and the room that the longest needs."""
    # Whole rays, and about so many points.
    starts = torch.searchsorted(ray, torch.arange(n_rays + 1))
    n_pieces = max(1, round(len(ray) / (n_points * workers))) * workers
    bounds = torch.searchsorted(starts, torch.arange(n_pieces + 1) * len(ray) // n_pieces)
    bounds[0], bounds[-1] = 0, n_rays
    bounds = torch.unique(bounds)
    pieces = [(slice(a, b), slice(int(starts[a]), int(starts[b]))) for a, b in pairwise(bounds.tolist())]
    longest = max(points.stop - points.start for _, points in pieces)
    return pieces, max(1, -(-longest // _ROOM)) * _ROOM
