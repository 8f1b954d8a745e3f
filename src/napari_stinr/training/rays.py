"""Training on random rays of all tilts and times, as published by Chien, Ophus and Waller (2023)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.data.measurements import LEAST_POWER
from napari_stinr.fields import JointField
from napari_stinr.fields.network_rays import NetworkRays, RaySamples
from napari_stinr.training.held_out import evenly_spread

if TYPE_CHECKING:
    from napari_stinr.fields import Field
    from napari_stinr.projection.views import Views
    from napari_stinr.training.fit import Fit
    from napari_stinr.training.held_out import HeldOut
    from napari_stinr.training.optimisers import Trainable


class RayObjective:
    """Random rays of all tilts and times, as published."""

    def __init__(self, fit: Fit) -> None:
        data, self._grid = fit.measurements, fit.grid.fitted
        self._device, self._bfloat16 = data.measured.device, fit.bfloat16
        self._n_rays = fit.config.rays_per_step
        self._measured, self._width = data.measured.reshape(-1), data.measured.shape[2]
        # Not a list of all pixels where all of them count: that would be twice as large as the stack.
        self._pixels = None if data.mask is None else data.mask.cpu().reshape(-1).nonzero()[:, 0]
        self._views, self._all_views = fit.views[data.tilts], fit.views
        # By numpy, whose sum is rounded in another way than torch's: a run must go on as it began.
        self._unit = data.unit
        self._power = max(float(np.square(data.measured.cpu().numpy() / data.unit).mean()), LEAST_POWER)
        self._by_hand = None
        if self._device.type == "cpu":
            self._by_hand = NetworkRays(threads=fit.threads, bfloat16=fit.bfloat16)
        self._held_out = None if fit.held_out is None else _fixed_rays(fit.held_out, self._grid.height, self._n_rays)

    @property
    def modules(self) -> dict[str, Trainable]:
        """Nothing is trained beside the field; see :meth:`~Objective.modules`."""
        return {}

    def loss(self, field: Field, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and relative residual of the next rays; see :meth:`~Objective.loss`."""
        n_pixels = len(self._measured if self._pixels is None else self._pixels)
        pixels = torch.randint(n_pixels, (self._n_rays,), generator=generator)
        if self._pixels is not None:
            pixels = self._pixels[pixels]
        jitter = torch.rand(len(pixels), 1, generator=generator) - 0.5
        views = self._views[pixels // (self._grid.height * self._width)]
        measured = self._measured[pixels.to(self._device)] / self._unit
        if self._by_hand is not None and isinstance(field, JointField) and not views.changes_intensity:
            samples = self._samples(views, pixels, jitter)
            mean_square, residual = self._by_hand.mean_square(field, samples, measured, unit=self._unit)
        else:
            residual = self._predict(field, views, pixels, jitter) / self._unit - measured
            mean_square = residual.square().mean()
        relative = residual.detach().norm() / measured.norm().clamp(min=LEAST_POWER)
        return mean_square / self._power, relative

    def held_out_loss(self, field: Field) -> float:
        """Loss of the held-out projections; see :meth:`~Objective.held_out_loss`.

        Half as many rays as in a step are compared, always the same ones.
        """
        if self._held_out is None:
            return math.nan
        tilts, pixels, measured = self._held_out
        with torch.no_grad():
            predicted = self._predict(field, self._all_views[tilts], pixels, torch.zeros(len(pixels), 1))
            return float(((predicted - measured.to(self._device)) / self._unit).square().mean()) / self._power

    def state(self) -> dict[str, torch.Tensor]:
        """Nothing: rays are drawn afresh; see :meth:`~Objective.state`."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state; see :meth:`~Objective.load_state`."""

    def _predict(self, field: Field, views: Views, pixels: torch.Tensor, jitter: torch.Tensor) -> torch.Tensor:
        """`(rays,)` predicted pixels; `pixels` are positions in a stack, of whose tilts `views` has one for each."""
        z, y, x, inside = self._points(views, pixels, jitter)
        points = torch.stack([z, y.expand_as(z), x], dim=-1)
        times = views.times.to(self._device)[:, None]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            values: torch.Tensor = field(points.to(self._device), times)
        return views.scaled((values * inside.to(self._device)).sum(-1) * self._grid.voxel_size)

    def _samples(self, views: Views, pixels: torch.Tensor, jitter: torch.Tensor) -> RaySamples:
        """Those of the points that lie in the box."""
        z, y, x, inside = self._points(views, pixels, jitter)
        kept = inside.view(-1).nonzero()[:, 0]
        return RaySamples(
            z.view(-1)[kept], x.view(-1)[kept], kept // z.shape[1], y[:, 0], views.times, self._grid.voxel_size
        )

    def _points(self, views: Views, pixels: torch.Tensor, jitter: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """`(rays, samples)` z, `(rays, 1)` y, `(rays, samples)` x of points, one about every voxel, and which count."""
        grid, width = self._grid, self._width
        n_samples = max(grid.depth, grid.width)
        way = (torch.arange(n_samples) - (n_samples - 1) / 2 + jitter) * grid.voxel_size
        u = ((pixels % width).float() - views.rays.origins.float())[:, None] * grid.voxel_size
        y = ((pixels // width % grid.height).float() - (grid.height - 1) / 2)[:, None] * grid.voxel_size
        angles = views.angles.float()[:, None]
        cosine, sine = angles.cos(), angles.sin()
        # u = x cos + z sin holds for every point of the ray.
        z, x = u * sine + way * cosine, u * cosine - way * sine
        inside = (z.abs() <= grid.depth / 2 * grid.voxel_size) & (x.abs() <= grid.width / 2 * grid.voxel_size)
        return z, y, x, inside


def _fixed_rays(held_out: HeldOut, height: int, rays_per_step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`(n,)` tilts, positions in the stack and measured values of evenly spread pixels that count."""
    width = held_out.mask.shape[2]
    lines = held_out.tilts[:, None] * height + held_out.rows
    positions = lines[..., None] * width + torch.arange(width)
    chosen = evenly_spread(int(held_out.mask.sum()), max(1, rays_per_step // 2))
    pixels = positions[held_out.mask][chosen]
    return pixels // (height * width), pixels, held_out.measured[held_out.mask][chosen]
