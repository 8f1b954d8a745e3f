"""What one step of training compares: blocks of whole detector lines, or single rays, with what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from napari_stinr.batching import Bag
from napari_stinr.config import JointFieldConfig
from napari_stinr.devices import gains_from_bfloat16
from napari_stinr.errors import StinrError
from napari_stinr.fields import GrowthField, JointField, StaticField
from napari_stinr.geometry import SliceGeometry
from napari_stinr.losses import balanced_loss, frequency_weights, signal_fraction
from napari_stinr.projection import project_slices, projector_for

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig, TrainingConfig
    from napari_stinr.geometry import VoxelGrid
    from napari_stinr.tilt_series import TiltSeries

_ROWS_TOGETHER = 16
"""Rows that the compiled projector handles together: blocks of rows are multiples of it."""


class Objective(Protocol):
    """What the training loop needs: a loss to differentiate, and a state to resume from."""

    def loss(
        self, field: torch.nn.Module, generator: torch.Generator, *, width: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of the next batch [1], and its relative residual |predicted - measured| / |measured| [1]."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Return what must be kept so that the batches go on exactly."""
        ...

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state."""
        ...


class BlockObjective:
    """Blocks of rows and tilts: one query of the field serves all tilts of the block.

    Parameters
    ----------
    series : TiltSeries
        The data.
    grid : VoxelGrid
        The voxels of the reconstruction.
    config : TrainingConfig
        Sizes of the blocks and weights of the loss.
    device : torch.device
        Where to compute.
    threads : int
        Threads of the projector on a CPU.
    bfloat16 : bool
        Evaluate networks in bfloat16.
    """

    def __init__(
        self,
        series: TiltSeries,
        grid: VoxelGrid,
        config: TrainingConfig,
        *,
        device: torch.device,
        threads: int = 1,
        bfloat16: bool = False,
    ) -> None:
        self._device, self._bfloat16 = device, bfloat16
        used = np.flatnonzero(series.used)
        self._used = torch.from_numpy(used)
        measured = torch.from_numpy(series.measured[used])
        self._mask = None if series.mask is None else torch.from_numpy(series.mask[used]).to(device)
        self._measured = measured.to(device)
        self._times = torch.from_numpy(series.times[used]).float()
        self._lattice = tuple(torch.from_numpy(grid.axis_positions(axis)) for axis in range(3))
        self._projector = projector_for(SliceGeometry.of(series, grid), device=device, threads=threads)
        weights = frequency_weights(series.width, balance=config.balance)
        if config.suppress_noise:
            weights = weights * signal_fraction(measured)
        self._weights = weights.to(device)
        self._power = max(float(measured.square().mean()), 1e-30)
        self._tilts = Bag(len(used), config.tilts_per_step)
        self._early = torch.argsort(self._times, stable=True)[: config.early_tilts]
        rows = max(1, config.voxels_per_step // (grid.depth * grid.width))
        if rows < grid.height:
            rows = max(1, rows // _ROWS_TOGETHER) * _ROWS_TOGETHER
        self._rows = Bag(grid.height, min(rows, grid.height))

    @property
    def steps_per_visit(self) -> int:
        """Steps that it takes until every row was used once."""
        return self._rows.n_draws

    def loss(
        self, field: torch.nn.Module, generator: torch.Generator, *, width: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and relative residual of the next block; see :meth:`Objective.loss`."""
        assert isinstance(field, GrowthField | StaticField)
        rows = self._rows.draw(generator)
        tilts = torch.unique(torch.cat([self._tilts.draw(generator), self._early]))
        z, y, x = self._lattice
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            density, arrival = field.slices(z, y[rows], x)
        predicted = project_slices(
            self._projector, density, arrival=arrival, tilts=self._used[tilts], times=self._times[tilts], width=width
        )
        block = (tilts[:, None].to(self._device), rows[None, :].to(self._device))
        measured = self._measured[block]
        residual = predicted - measured
        if self._mask is not None:
            residual = residual * self._mask[block]
        relative = residual.detach().norm() / measured.norm().clamp(min=1e-30)
        return balanced_loss(residual, self._weights) / self._power, relative

    def state(self) -> dict[str, torch.Tensor]:
        """Return the state of the bags; see :meth:`Objective.state`."""
        return {"rows": self._rows.state, "tilts": self._tilts.state}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state; see :meth:`Objective.load_state`."""
        self._rows.state, self._tilts.state = state["rows"], state["tilts"]


class RayObjective:
    """Random rays of all tilts and times, as published.

    Parameters
    ----------
    series : TiltSeries
        The data.
    grid : VoxelGrid
        The voxels of the reconstruction: the box that the rays pass.
    config : TrainingConfig
        Number of rays.
    device : torch.device
        Where to compute.
    bfloat16 : bool
        Evaluate networks in bfloat16.
    """

    steps_per_visit = 1

    def __init__(
        self,
        series: TiltSeries,
        grid: VoxelGrid,
        config: TrainingConfig,
        *,
        device: torch.device,
        bfloat16: bool = False,
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
        self._power = max(float(self._measured.square().mean()), 1e-30)

    def loss(
        self, field: torch.nn.Module, generator: torch.Generator, *, width: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and relative residual of the next rays; see :meth:`Objective.loss`."""
        assert isinstance(field, JointField)
        pixels = self._pixels[torch.randint(len(self._pixels), (self._n_rays,), generator=generator)]
        tilts = pixels // (self._shape[1] * self._shape[2])
        points, inside = self._points(pixels, tilts, generator)
        times = self._times[tilts].to(self._device)[:, None]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            values = field(points.to(self._device), times)
        predicted = (values * inside.to(self._device)).sum(-1) * self._grid.voxel_size
        measured = self._measured[pixels].to(self._device)
        residual = predicted - measured
        relative = residual.detach().norm() / measured.norm().clamp(min=1e-30)
        return residual.square().mean() / self._power, relative

    def state(self) -> dict[str, torch.Tensor]:
        """Return nothing: rays are drawn afresh; see :meth:`Objective.state`."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state; see :meth:`Objective.load_state`."""

    def _points(
        self, pixels: torch.Tensor, tilts: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`(rays, samples, 3)` points, one about every voxel of the way, and which of them lie in the box."""
        grid, (_, height, width) = self._grid, self._shape
        n_samples = max(grid.depth, grid.width)
        jitter = torch.rand(len(pixels), 1, generator=generator) - 0.5
        way = (torch.arange(n_samples) - (n_samples - 1) / 2 + jitter) * grid.voxel_size
        u = ((pixels % width).float() - self._origin)[:, None] * grid.voxel_size
        y = ((pixels // width % height).float() - (height - 1) / 2)[:, None] * grid.voxel_size
        cosine, sine = self._angles[tilts].cos()[:, None], self._angles[tilts].sin()[:, None]
        # u = x cos + z sin holds for every point of the ray.
        z, x = u * sine + way * cosine, u * cosine - way * sine
        inside = (z.abs() <= grid.depth / 2 * grid.voxel_size) & (x.abs() <= grid.width / 2 * grid.voxel_size)
        return torch.stack([z, y.expand_as(z), x], dim=-1), inside


def has_network(config: ReconstructionConfig) -> bool:
    """Return whether the field holds a network, and not only grids that are added up.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings.

    Returns
    -------
    bool
        True for a joint field, and for a density with hidden units.
    """
    return isinstance(config.field, JointFieldConfig) or config.field.hidden > 0


def build_objective(
    series: TiltSeries, grid: VoxelGrid, config: ReconstructionConfig, *, device: torch.device, threads: int
) -> BlockObjective | RayObjective:
    """Build the objective that suits a configuration.

    Parameters
    ----------
    series : TiltSeries
        The data.
    grid : VoxelGrid
        The voxels of the reconstruction.
    config : ReconstructionConfig
        The settings.
    device : torch.device
        Where to compute.
    threads : int
        Threads of the projector on a CPU.

    Returns
    -------
    BlockObjective or RayObjective
        Blocks of lines for a growth or static field, rays for a joint one.

    Raises
    ------
    StinrError
        The batches do not suit the field.
    """
    training = config.training
    is_joint = isinstance(config.field, JointFieldConfig)
    if (training.batches == "rays") != is_joint:
        raise StinrError(
            f"batches of {training.batches} for a {config.field.kind} field",
            expected="rays for a joint field, blocks for the others",
            cure="Set training.batches accordingly.",
        )
    bfloat16 = training.precision == "bfloat16" or (
        training.precision == "auto" and has_network(config) and gains_from_bfloat16(device)
    )
    if is_joint:
        return RayObjective(series, grid, training, device=device, bfloat16=bfloat16)
    return BlockObjective(series, grid, training, device=device, threads=threads, bfloat16=bfloat16)
