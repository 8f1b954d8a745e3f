"""Steps of several blocks of rows, one block after the other: as many as there are processes that share them.

The numbers of a run do not depend on how many processes there are: a step draws as many rows in any case, evenly from
the whole height, and each process works on those of its own rows. What has to do with all rows is added up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_stinr.training.batching import EvenBag, rows_per_step
from napari_stinr.training.blocks import BlockObjective
from napari_stinr.training.losses import balanced_loss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_stinr.config import TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import Field
    from napari_stinr.training.fit import Fit


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows of a step that are worked on at a time."""

    rows: torch.Tensor  # `(r,)` int64 detector rows
    tilts: torch.Tensor  # `(m,)` int64 places among the projections that are fitted
    part: float  # of the rows of the step [1]


class PiecewiseBlocks(BlockObjective):
    """Blocks of the rows that a process holds, one after the other; their projections lie at its first row."""

    def __init__(self, fit: Fit) -> None:
        super().__init__(fit)
        held, n_blocks = fit.grid.held, fit.config.blocks_per_step
        self._first = held.start
        self._rows = bag = even_bag(fit.config, fit.grid)
        n_stretches = int(((bag.ends > held.start) & (bag.ends <= held.stop)).sum())
        self._pieces = bag.stretches(max(1, round(n_blocks * n_stretches / len(bag.ends))), within=held)
        if self._held_out is not None:
            self._held_rows = len(self._held_out.rows)
            self._held_out = self._held_out.of_rows(held)

    def pieces(self, generator: torch.Generator) -> Iterator[Piece]:
        """Draw the next step, and yield what there is to do for these rows.

        Parameters
        ----------
        generator : Generator
            On the CPU, in the same state wherever rows of the run are held.

        Yields
        ------
        Piece
            One that is not empty.
        """
        drawn = self._rows.draw(generator)
        tilts = torch.unique(torch.cat([self._tilts.draw(generator), self._early]))
        for held in self._pieces:
            rows = drawn[(drawn >= held.start) & (drawn < held.stop)]
            if len(rows):
                yield Piece(rows, tilts, len(rows) / len(drawn))

    def loss_of(self, field: Field, piece: Piece) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what a piece adds to the loss of the step.

        Parameters
        ----------
        field : Field
            What is fitted.
        piece : Piece
            From :meth:`pieces`.

        Returns
        -------
        loss : Tensor
            Its part of the loss, to be differentiated [1].
        squares : Tensor
            `(2,)` sums of the squares of residual and projections [the unit of the measurements, squared].
        """
        predicted = self._predict(field, piece.rows, self._views[self._data.tilts[piece.tilts]])
        rows = piece.rows - self._first
        block = (piece.tilts[:, None].to(self._device), rows[None, :].to(self._device))
        measured = self._data.measured[block] / self._data.unit
        residual = predicted / self._data.unit - measured
        if self._data.mask is not None:
            residual = residual * self._data.mask[block]
        squares = torch.stack([values.detach().square().sum() for values in (residual, measured)])
        return balanced_loss(residual, self._weights) * piece.part / self._data.power, squares

    def held_out_loss(self, field: Field) -> float:
        """Return what the rows that are held add to the loss; see :meth:`~Objective.held_out_loss`."""
        held = self._held_out
        if held is None:
            return math.nan
        return super().held_out_loss(field) * len(held.rows) / self._held_rows if len(held.rows) else 0.0


def even_bag(config: TrainingConfig, grid: VoxelGrid) -> EvenBag:
    """Return the bag from which steps of several blocks draw their rows, and by which the rows are shared out."""
    return EvenBag(grid.height, rows_per_step(config, grid))


def is_piecewise(config: TrainingConfig, grid: VoxelGrid) -> bool:
    """Return whether steps have several blocks, or only some of the rows are held."""
    return config.batches == "blocks" and (config.blocks_per_step > 1 or len(grid.held) < grid.height)
