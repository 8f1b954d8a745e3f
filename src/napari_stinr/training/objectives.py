"""What one step of training compares with what was measured: blocks of whole detector lines, or single rays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_stinr.training.blocks import BlockObjective
from napari_stinr.training.pieces import PiecewiseBlocks, is_piecewise
from napari_stinr.training.rays import RayObjective

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from napari_stinr.fields import Field
    from napari_stinr.training.fit import Fit
    from napari_stinr.training.optimisers import Trainable


class Objective(Protocol):
    """What the training loop needs: a loss to differentiate, and a state to resume from."""

    @property
    def modules(self) -> Mapping[str, Trainable]:
        """What is trained beside the field, by name; it is kept and resumed like the field."""
        ...

    def loss(self, field: Field, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of the next batch [1], and its relative residual |predicted - measured| / |measured| [1]."""
        ...

    def held_out_loss(self, field: Field) -> float:
        """Return the loss of the held-out projections, on the same scale [1]; NaN where nothing is held out."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Return what must be kept so that the batches go on exactly."""
        ...

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state."""
        ...


def build_objective(fit: Fit) -> Objective:
    """Return the objective for the batches that the settings name."""
    if is_piecewise(fit.config, fit.grid):
        return PiecewiseBlocks(fit)
    return RayObjective(fit) if fit.config.batches == "rays" else BlockObjective(fit)
