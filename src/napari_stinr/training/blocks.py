"""Training on blocks of whole detector lines of many tilts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from napari_stinr.data.measurements import LEAST_POWER
from napari_stinr.projection.backends import projector_for
from napari_stinr.projection.operator import project_field
from napari_stinr.projection.views import SliceShape
from napari_stinr.reconstruction.rendering import lattice_of
from napari_stinr.training.batching import Bag, rows_per_block
from napari_stinr.training.losses import balanced_loss, frequency_weights

if TYPE_CHECKING:
    from napari_stinr.fields import Field
    from napari_stinr.projection.views import Views
    from napari_stinr.training.fit import Fit
    from napari_stinr.training.optimisers import Trainable


class BlockObjective:
    """Blocks of rows and tilts: one query of the field serves all tilts of the block."""

    def __init__(self, fit: Fit) -> None:
        data, grid, config = fit.measurements, fit.grid.fitted, fit.config
        self._bfloat16, self._held_out = fit.bfloat16, fit.held_out
        self._data, self._views = data, fit.views
        self._device, width = data.measured.device, data.measured.shape[2]
        self._lattice = lattice_of(grid)
        shape = SliceShape(grid.depth, grid.width, width, grid.voxel_size)
        self._projector = projector_for(shape, device=self._device, threads=fit.threads)
        weights = frequency_weights(width, balance=config.balance, blur=None if fit.blur is None else fit.blur.taps)
        if config.suppress_noise:
            weights = weights * data.signal_fraction
        self._weights = weights.to(self._device)
        self._tilts = Bag(len(data.tilts), config.tilts_per_step)
        self._early = torch.argsort(data.times, stable=True)[: config.early_tilts]
        self._rows = Bag(grid.height, rows_per_block(config, fit.grid))

    @property
    def modules(self) -> dict[str, Trainable]:
        """Nothing is trained beside the field; see :meth:`~Objective.modules`."""
        return {}

    def loss(self, field: Field, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and relative residual of the next block; see :meth:`~Objective.loss`."""
        rows = self._rows.draw(generator)
        tilts = torch.unique(torch.cat([self._tilts.draw(generator), self._early]))
        predicted = self._predict(field, rows, self._views[self._data.tilts[tilts]])
        block = (tilts[:, None].to(self._device), rows[None, :].to(self._device))
        measured = self._data.measured[block]
        residual = (predicted - measured) / self._data.unit
        if self._data.mask is not None:
            residual = residual * self._data.mask[block]
        relative = residual.detach().norm() / (measured / self._data.unit).norm().clamp(min=LEAST_POWER)
        return balanced_loss(residual, self._weights) / self._data.power, relative

    def held_out_loss(self, field: Field) -> float:
        """Loss of the held-out projections; see :meth:`~Objective.held_out_loss`."""
        held = self._held_out
        if held is None:
            return math.nan
        with torch.no_grad():
            predicted = self._predict(field, held.rows, self._views[held.tilts])
            residual = (predicted - held.measured.to(self._device)) * held.mask.to(self._device)
            return float(balanced_loss(residual / self._data.unit, self._weights)) / self._data.power

    def state(self) -> dict[str, torch.Tensor]:
        """State of the bags; see :meth:`~Objective.state`."""
        return {"rows": self._rows.state, "tilts": self._tilts.state}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state; see :meth:`~Objective.load_state`."""
        self._rows.state, self._tilts.state = state["rows"], state["tilts"]

    def _predict(self, field: Field, rows: torch.Tensor, views: Views) -> torch.Tensor:
        """`(m, r, n_pixels)` lines of `(r,)` rows."""
        z, y, x = self._lattice
        # All rows are in order, and known to the grids of the field.
        lattice = (z, y if len(rows) == len(y) else y[rows], x)
        return project_field(self._projector, field, lattice, views, bfloat16=self._bfloat16)
