"""Random order without repetition, which can be kept and gone on with."""

from __future__ import annotations

import torch


class Bag:
    """Draw numbers in random order, each once before any comes again.

    Parameters
    ----------
    n_items : int
        The numbers are 0 to n_items - 1.
    size : int
        About how many are drawn at a time; all draws of a round are equally large, to within one.
    """

    def __init__(self, n_items: int, size: int) -> None:
        self._n_items = n_items
        self.n_draws = max(1, round(n_items / size))
        self._next = self.n_draws
        self._order = torch.arange(n_items)

    def draw(self, generator: torch.Generator) -> torch.Tensor:
        """Return the next numbers, in ascending order.

        Parameters
        ----------
        generator : Generator
            Source of the random order, on the CPU.

        Returns
        -------
        Tensor
            `(about size,)` int64 numbers.
        """
        if self._next == self.n_draws:
            self._order, self._next = torch.randperm(self._n_items, generator=generator), 0
        self._next += 1
        return self._order.tensor_split(self.n_draws)[self._next - 1].sort().values

    @property
    def state(self) -> torch.Tensor:
        """`(1 + n_items,)` int64 position and order, from which drawing goes on exactly."""
        return torch.cat([torch.tensor([self._next]), self._order])

    @state.setter
    def state(self, value: torch.Tensor) -> None:
        self._next, self._order = int(value[0]), value[1:].clone()
