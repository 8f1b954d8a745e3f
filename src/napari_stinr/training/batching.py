"""How the data are shared out over the steps, in a random order that can be kept and gone on with."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch

from napari_stinr.projection.backends import ROWS_TOGETHER

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig, TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid


_VOXELS_ON_A_GPU = 2**24
"""Voxels of a block on a graphics processor, which does not get busy with as few as suit the cache of a CPU."""


def blocks_for(config: ReconstructionConfig, device: torch.device) -> ReconstructionConfig:
    """Return settings whose blocks suit a device, where nothing was said about their size.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings of a new run.
    device : torch.device
        Where it is to be computed.

    Returns
    -------
    ReconstructionConfig
        What the run keeps, so that it can be gone on with on another device.
    """
    training = config.training
    if device.type != "cuda" or training.voxels_per_step != type(training)().voxels_per_step:
        return config
    return config.with_training(voxels_per_step=_VOXELS_ON_A_GPU)


def rows_per_block(config: TrainingConfig, grid: VoxelGrid) -> int:
    """Return about how many detector rows a block has: at least 1, and at most all of them."""
    rows = max(1, config.voxels_per_step // (grid.fitted.depth * grid.fitted.width))
    if rows < grid.height:
        rows = max(1, rows // ROWS_TOGETHER) * ROWS_TOGETHER
    if grid.margin:
        # What few tilts see settles slowly: smaller blocks are more steps, and smaller ones of the density.
        rows = min(rows, ROWS_TOGETHER)
    return min(rows, grid.height)


def rows_per_step(config: TrainingConfig, grid: VoxelGrid) -> int:
    """Return about how many detector rows a step takes: those of its blocks, and at most all of them."""
    return min(config.blocks_per_step * rows_per_block(config, grid), grid.height)


def blocks_of_rows(config: TrainingConfig, grid: VoxelGrid) -> int:
    """Return over how many steps the rows are shared out; a step with rays takes from all rows and counts as one."""
    return 1 if config.batches == "rays" else Bag(grid.height, rows_per_step(config, grid)).n_draws


class Bag:
    """Draw numbers below n_items in random order, about `size` at a time, each once before any comes again."""

    # All draws of a round are equally large, to within one.

    def __init__(self, n_items: int, size: int) -> None:
        self._n_items = n_items
        self.n_draws = max(1, round(n_items / size))
        self._next = self.n_draws
        self._order = torch.arange(n_items)

    def draw(self, generator: torch.Generator) -> torch.Tensor:
        """`(about size,)` int64 next numbers, in ascending order; the generator is on the CPU."""
        if self._next == self.n_draws:
            self._order, self._next = self._new_order(generator), 0
        self._next += 1
        return self._order.tensor_split(self.n_draws)[self._next - 1].sort().values

    @property
    def state(self) -> torch.Tensor:
        """`(1 + n_items,)` int64 position and order, from which drawing goes on exactly."""
        return torch.cat([torch.tensor([self._next]), self._order])

    @state.setter
    def state(self, value: torch.Tensor) -> None:
        self._next, self._order = int(value[0]), value[1:].clone()

    def _new_order(self, generator: torch.Generator) -> torch.Tensor:
        return torch.randperm(self._n_items, generator=generator)


class EvenBag(Bag):
    """A bag whose every draw takes from all parts of the list: one number of each of its stretches, one of them less.

    Processes that hold neighbouring stretches, as many each, then have as much to do in every draw. The state is that
    of any bag, whoever holds what.
    """

    def __init__(self, n_items: int, size: int) -> None:
        super().__init__(n_items, size)
        n_stretches = -(-n_items // self.n_draws)
        # Draws that take one number less than others, each for one stretch that has none for it.
        self._short = torch.arange(n_items % self.n_draws or self.n_draws, self.n_draws)
        missing = torch.tensor([len(part) for part in self._short.tensor_split(n_stretches)])
        self.ends = (self.n_draws - missing).cumsum(0)

    def stretches(self, n: int, *, within: range | None = None) -> list[range]:
        """Return what each of `n` holds, in order: the same number of stretches, to within one; empty where too many.

        Parameters
        ----------
        n : int
            How many share the numbers.
        within : range, optional
            Some stretches that follow each other, as numbers; all of them by default.

        Returns
        -------
        list of range
            `n` ranges that follow each other, of all these numbers together.
        """
        first, stop = (0, self._n_items) if within is None else (within.start, within.stop)
        ends = self.ends[(self.ends > first) & (self.ends <= stop)]
        bounds = [first, *(int(part[-1]) if len(part) else first for part in ends.tensor_split(n))]
        return [range(*pair) for pair in pairwise(accumulate(bounds, max))]

    def _new_order(self, generator: torch.Generator) -> torch.Tensor:
        skipped = self._short[torch.randperm(len(self._short), generator=generator)].tensor_split(len(self.ends))
        draws = torch.arange(self.n_draws)
        taken = [draws[~torch.isin(draws, some)] for some in skipped]
        in_order = [some[torch.randperm(len(some), generator=generator)] for some in taken]
        return torch.cat(in_order).argsort(stable=True)
