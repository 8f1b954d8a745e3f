"""Training on random rays of all tilts and times, as published by Chien, Ophus and Waller (2023)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.fields import JointField
from napari_stinr.training.held_out import evenly_spread

if TYPE_CHECKING:
    from napari_stinr.config import TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.training.held_out import HeldOut


class RayObjective:
    """Random rays of all tilts and times, as published.

    Parameters
    ----------
    series : TiltSeries
        The data to train on.
    grid : VoxelGrid
        The voxels of the reconstruction: the box that the rays pass.
    config : TrainingConfig
        Number of rays.
    device : torch.device
        Where to compute.
    bfloat16 : bool
        Evaluate networks in bfloat16.
    held_out : HeldOut, optional
        Projections that are predicted and not trained on.
    """

    def __init__(
        self,
        series: TiltSeries,
        grid: VoxelGrid,
        config: TrainingConfig,
        *,
        device: torch.device,
        bfloat16: bool = False,
        held_out: HeldOut | None = None,
    ) -> None:
        self._device, self._bfloat16, self._grid = device, bfloat16, grid
        self._n_rays = config.rays_per_step
        counts = np.ones(series.projections.shape, dtype=bool) if series.mask is None else series.mask
        self._pixels = torch.from_numpy(np.flatnonzero(counts))
        self._shape = series.projections.shape
        self._measured = torch.tensor(series.measured.reshape(-1))
        self._angles = torch.from_numpy(series.ray_angles_rad).float()
        self._times = torch.tensor(series.times).float()
        self._origin = (series.width - 1) / 2 + series.axis_offset
        self._power = max(float(np.square(series.measured[series.used]).mean()), 1e-30)
        self._held_out = None if held_out is None else _fixed_rays(held_out, self._shape, config.rays_per_step)

    def loss(
        self, field: torch.nn.Module, generator: torch.Generator, *, width: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and relative residual of the next rays; see :meth:`~Objective.loss`."""
        pixels = self._pixels[torch.randint(len(self._pixels), (self._n_rays,), generator=generator)]
        jitter = torch.rand(len(pixels), 1, generator=generator) - 0.5
        predicted = self._predict(field, pixels, jitter)
        measured = self._measured[pixels].to(self._device)
        residual = predicted - measured
        relative = residual.detach().norm() / measured.norm().clamp(min=1e-30)
        return residual.square().mean() / self._power, relative

    def held_out_loss(self, field: torch.nn.Module, *, width: float) -> float:
        """Return the loss of the held-out projections; see :meth:`~Objective.held_out_loss`.

        Half as many rays as in a step are compared, always the same ones.
        """
        if self._held_out is None:
            return math.nan
        pixels, measured = self._held_out
        with torch.no_grad():
            residual = self._predict(field, pixels, torch.zeros(len(pixels), 1)) - measured.to(self._device)
            return float(residual.square().mean()) / self._power

    def state(self) -> dict[str, torch.Tensor]:
        """Return nothing: rays are drawn afresh; see :meth:`~Objective.state`."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state; see :meth:`~Objective.load_state`."""

    def _predict(self, field: torch.nn.Module, pixels: torch.Tensor, jitter: torch.Tensor) -> torch.Tensor:
        assert isinstance(field, JointField)
        tilts = pixels // (self._shape[1] * self._shape[2])
        points, inside = self._points(pixels, tilts, jitter)
        times = self._times[tilts].to(self._device)[:, None]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            values: torch.Tensor = field(points.to(self._device), times)
        return (values * inside.to(self._device)).sum(-1) * self._grid.voxel_size

    def _points(
        self, pixels: torch.Tensor, tilts: torch.Tensor, jitter: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`(rays, samples, 3)` points, one about every voxel of the way, and which of them lie in the box."""
        grid, (_, height, width) = self._grid, self._shape
        n_samples = max(grid.depth, grid.width)
        way = (torch.arange(n_samples) - (n_samples - 1) / 2 + jitter) * grid.voxel_size
        u = ((pixels % width).float() - self._origin)[:, None] * grid.voxel_size
        y = ((pixels // width % height).float() - (height - 1) / 2)[:, None] * grid.voxel_size
        cosine, sine = self._angles[tilts].cos()[:, None], self._angles[tilts].sin()[:, None]
        # u = x cos + z sin holds for every point of the ray.
        z, x = u * sine + way * cosine, u * cosine - way * sine
        inside = (z.abs() <= grid.depth / 2 * grid.voxel_size) & (x.abs() <= grid.width / 2 * grid.voxel_size)
        return torch.stack([z, y.expand_as(z), x], dim=-1), inside


def _fixed_rays(
    held_out: HeldOut, shape: tuple[int, int, int], rays_per_step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(n,)` positions in the stack and `(n,)` measured values of evenly spread pixels that count."""
    _, height, width = shape
    lines = held_out.tilts[:, None] * height + held_out.rows
    positions = lines[..., None] * width + torch.arange(width)
    chosen = evenly_spread(int(held_out.mask.sum()), max(1, rays_per_step // 2))
    return positions[held_out.mask][chosen], held_out.measured[held_out.mask][chosen]
