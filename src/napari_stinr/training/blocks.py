"""Training on blocks of whole detector lines of many tilts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.fields import GrowthField, StaticField
from napari_stinr.projection.operator import project_slices, projector_for
from napari_stinr.projection.views import SliceGeometry
from napari_stinr.training.batching import Bag, rows_per_block
from napari_stinr.training.losses import balanced_loss, frequency_weights, signal_fraction

if TYPE_CHECKING:
    from napari_stinr.config import TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.training.held_out import HeldOut


class BlockObjective:
    """Blocks of rows and tilts: one query of the field serves all tilts of the block.

    Parameters
    ----------
    series : TiltSeries
        The data to train on.
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
        threads: int = 1,
        bfloat16: bool = False,
        held_out: HeldOut | None = None,
    ) -> None:
        self._device, self._bfloat16, self._held_out = device, bfloat16, held_out
        used = np.flatnonzero(series.used)
        self._used = torch.from_numpy(used)
        measured = torch.from_numpy(series.measured[used])
        mask = None if series.mask is None else torch.from_numpy(series.mask[used])
        self._mask = None if mask is None or bool(mask.all()) else mask.to(device)
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
        self._rows = Bag(grid.height, rows_per_block(config, grid))

    def loss(
        self, field: torch.nn.Module, generator: torch.Generator, *, width: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and relative residual of the next block; see :meth:`~Objective.loss`."""
        rows = self._rows.draw(generator)
        tilts = torch.unique(torch.cat([self._tilts.draw(generator), self._early]))
        predicted = self._predict(field, rows, tilts=self._used[tilts], times=self._times[tilts], width=width)
        block = (tilts[:, None].to(self._device), rows[None, :].to(self._device))
        measured = self._measured[block]
        residual = predicted - measured
        if self._mask is not None:
            residual = residual * self._mask[block]
        relative = residual.detach().norm() / measured.norm().clamp(min=1e-30)
        return balanced_loss(residual, self._weights) / self._power, relative

    def held_out_loss(self, field: torch.nn.Module, *, width: float) -> float:
        """Return the loss of the held-out projections; see :meth:`~Objective.held_out_loss`."""
        held = self._held_out
        if held is None:
            return math.nan
        with torch.no_grad():
            predicted = self._predict(field, held.rows, tilts=held.tilts, times=held.times, width=width)
            residual = (predicted - held.measured.to(self._device)) * held.mask.to(self._device)
            return float(balanced_loss(residual, self._weights)) / self._power

    def state(self) -> dict[str, torch.Tensor]:
        """Return the state of the bags; see :meth:`~Objective.state`."""
        return {"rows": self._rows.state, "tilts": self._tilts.state}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state; see :meth:`~Objective.load_state`."""
        self._rows.state, self._tilts.state = state["rows"], state["tilts"]

    def _predict(
        self, field: torch.nn.Module, rows: torch.Tensor, *, tilts: torch.Tensor, times: torch.Tensor, width: float
    ) -> torch.Tensor:
        assert isinstance(field, GrowthField | StaticField)
        z, y, x = self._lattice
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            density, arrival = field.slices(z, y[rows], x)
        return project_slices(self._projector, density, arrival=arrival, tilts=tilts, times=times, width=width)
