"""A field with what fits it: objective, optimiser and learning rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_stinr.training.failures import TrainingError
from napari_stinr.training.optimisers import build_optimiser, load_module_state, module_state, part
from napari_stinr.training.schedule import learning_rate_factor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import torch

    from napari_stinr.config import TrainingConfig
    from napari_stinr.fields import Field
    from napari_stinr.training.objectives import Objective
    from napari_stinr.training.optimisers import Trainable

_BATCHES = "batches."


class FieldFit:
    """What one stage of a training does in a step, and what it needs to go on exactly.

    Parameters
    ----------
    name : str
        Heading of the values and moments of the field in the state of a training.
    field : Field
        What is fitted, where it is computed.
    objective : Objective
        What it is fitted to.
    training : TrainingConfig
        The schedule.
    contrast : float
        Contrast of the projections [1].
    n_blocks : int
        Blocks that the rows are shared out over.
    prior : callable, optional
        Returns what is added to the loss whatever the data say [1].
    """

    def __init__(
        self,
        name: str,
        field: Field,
        objective: Objective,
        training: TrainingConfig,
        *,
        contrast: float,
        n_blocks: int,
        prior: Callable[[], torch.Tensor] | None = None,
    ) -> None:
        self.field, self.objective = field, objective
        self._training, self._prior, self._contrast, self._n_blocks = training, prior, contrast, n_blocks
        self._modules: dict[str, Trainable] = {name: field, **objective.modules}
        self._optimiser = self._built()
        self._base_rates = [float(group["lr"]) for group in self._optimiser.param_groups]

    def _built(self) -> torch.optim.Adam:
        return build_optimiser(self._modules, self._training, contrast=self._contrast, n_blocks=self._n_blocks)

    def renew(self) -> None:
        """Train the parameters that the field has now; those that it had go on with what the optimiser remembers."""
        remembered, self._optimiser = self._optimiser.state, self._built()
        self._base_rates = [float(group["lr"]) for group in self._optimiser.param_groups]
        for group in self._optimiser.param_groups:
            self._optimiser.state.update({p: remembered[p] for p in group["params"] if p in remembered})

    def advance(
        self, generator: torch.Generator, *, step: int, fraction: float, at: int
    ) -> tuple[float, float, tuple[float, ...]]:
        """Do a step.

        Parameters
        ----------
        generator : torch.Generator
            Draws the batch.
        step : int
            Steps that this fit has done.
        fraction : float
            Part of this fit that is over, 0 to 1.
        at : int
            Steps of the whole training, for messages.

        Returns
        -------
        loss : float
            See :class:`StepReport` [1].
        residual : float
            The same [1].
        rates : tuple of float
            Learning rates of the groups.

        Raises
        ------
        TrainingError
            The loss is not finite.
        """
        factor = learning_rate_factor(self._training, step=step, fraction=fraction)
        rates: dict[str, float] = {}
        for group, rate in zip(self._optimiser.param_groups, self._base_rates, strict=True):
            group["lr"] = rate * factor
            rates.setdefault(group["name"], group["lr"])
        self.field.narrow(self._training, fraction=fraction)
        self._optimiser.zero_grad(set_to_none=True)
        value, residual = self._differentiate(generator)
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {at + 1}; lower training.density_rate or check the data")
        self._optimiser.step()
        return value, residual, tuple(rates.values())

    def _differentiate(self, generator: torch.Generator) -> tuple[float, float]:
        """Find the gradients, and return loss and relative residual."""
        loss, residual = self.objective.loss(self.field, generator)
        value = float(loss.detach())
        if self._prior is not None:
            loss = loss + self._prior()
        loss.backward()  # type: ignore[no-untyped-call]
        return value, float(residual)

    def state(self, *, but: Collection[torch.Tensor] = ()) -> dict[str, torch.Tensor]:
        """Return a copy on the CPU of what is needed to go on exactly, but for the values of the field of the run.

        The moments of the parameters in `but` are left out.
        """
        batches = {f"{_BATCHES}{name}": value.clone() for name, value in self.objective.state().items()}
        return batches | module_state(self._modules, self._optimiser, but=but)

    def moments(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        """Return what the optimiser remembers of a parameter, by name; empty before its first step."""
        return dict(self._optimiser.state.get(parameter, {}))

    def load_state(self, state: dict[str, torch.Tensor], *, has_moments: bool) -> None:
        """Go on from a state; before the first step there are no moments in it."""
        self.objective.load_state(part(state, _BATCHES))
        if has_moments:
            load_module_state(self._modules, self._optimiser, state=state)
