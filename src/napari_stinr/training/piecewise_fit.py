"""The fit of a volume whose steps have several pieces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from napari_stinr.data.measurements import LEAST_POWER
from napari_stinr.training.field_fit import FieldFit
from napari_stinr.training.optimisers import shared_parameters
from napari_stinr.training.pieces import PiecewiseBlocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class PiecewiseFit(FieldFit):
    """A fit whose steps have several pieces, here or in other processes as well.

    Attributes
    ----------
    together : callable, optional
        Adds up, in place, gradients and numbers of all processes; None: there is one.
    """

    together: Callable[[Sequence[torch.Tensor], torch.Tensor], None] | None = None

    def _differentiate(self, generator: torch.Generator) -> tuple[float, float]:
        blocks: PiecewiseBlocks = self.objective  # type: ignore[assignment]  # see volume_fit
        numbers = torch.zeros(3, dtype=torch.float64)
        for piece in blocks.pieces(generator):
            loss, squares = blocks.loss_of(self.field, piece)
            loss.backward()  # type: ignore[no-untyped-call]
            numbers[0] += float(loss.detach())
            numbers[1:] += squares.cpu()
        if self.together is not None:
            shared = shared_parameters(self._optimiser)
            for parameter in shared:
                if parameter.grad is None:  # no row of this step is here
                    parameter.grad = torch.zeros_like(parameter)
            self.together([parameter.grad for parameter in shared if parameter.grad is not None], numbers)
        value, residual, measured = numbers.tolist()
        return value, math.sqrt(residual) / max(math.sqrt(measured), LEAST_POWER)


def volume_fit(*arguments: Any, **options: Any) -> FieldFit:
    """Return the fit of a volume for its objective; see :class:`FieldFit`."""
    kind = PiecewiseFit if isinstance(arguments[2], PiecewiseBlocks) else FieldFit
    return kind(*arguments, **options)
