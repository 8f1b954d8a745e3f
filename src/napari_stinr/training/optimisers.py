"""The optimiser of a training, and its state as tensors with names, from which a run is resumed exactly."""

from __future__ import annotations

import math
import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from napari_stinr.fields import GrowthField
from napari_stinr.training.objectives import has_network

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig

_BETAS = (0.9, 0.99)
_PREFIX = "moments."


def build_optimiser(
    field: torch.nn.Module, config: ReconstructionConfig, *, contrast: float, n_blocks: int = 1
) -> torch.optim.Adam:
    """Return the optimiser for a field: one learning rate for the density, one for the arrival time.

    Parameters
    ----------
    field : Module
        What to train.
    config : ReconstructionConfig
        The learning rates.
    contrast : float
        Contrast of the projections, by which a density without a network learns faster [1].
    n_blocks : int
        Blocks that the rows are shared out over. The optimiser also moves the rows that are not in a block, by what it
        remembers of them, so that a density without a network learns too fast with many.

    Returns
    -------
    Adam
        With one group of parameters, or two for a growth field.
    """
    training = config.training
    density_rate = training.density_rate * (1.0 if has_network(config) else contrast / math.sqrt(n_blocks))
    if isinstance(field, GrowthField):
        groups = [
            {"params": list(field.density.parameters()), "lr": density_rate},
            {"params": list(field.arrival.parameters()), "lr": training.arrival_rate},
        ]
    else:
        groups = [{"params": list(field.parameters()), "lr": density_rate}]
    return adam(groups, on_mps=next(field.parameters()).device.type == "mps")


def adam(parameters: list[Any], *, on_mps: bool = False) -> torch.optim.Adam:
    """Return an optimiser that does not load triton.

    Parameters
    ----------
    parameters : list
        Parameters, or groups of them.
    on_mps : bool
        They are on an Apple GPU, for which torch has no fused optimiser.

    Returns
    -------
    Adam
        The optimiser.
    """
    _load_compiler_without_triton()
    return torch.optim.Adam(parameters, betas=_BETAS, fused=not on_mps)


@cache
def _load_compiler_without_triton() -> None:
    """Load what the first optimiser would load, but for triton, which nothing here needs.

    Builds of torch for CUDA bring triton along. Its LLVM and that of Mesa's software OpenGL do not live in one process:
    where napari draws with the latter, the window would be gone with the first training.
    """
    if "triton" in sys.modules:
        return
    sys.modules["triton"] = None  # type: ignore[assignment]  # Python's way to say: not to be imported
    try:
        import_module("torch._dynamo")
    finally:
        del sys.modules["triton"]
        # Others in this process may want triton: they shall find it.
        from torch.utils import _triton

        _triton.has_triton_package.cache_clear()


def optimiser_state(field: torch.nn.Module, optimiser: torch.optim.Adam) -> dict[str, torch.Tensor]:
    """Return a copy of the moments of the optimiser.

    Parameters
    ----------
    field : Module
        What is trained.
    optimiser : Adam
        Its optimiser.

    Returns
    -------
    dict of Tensor
        On the CPU; the names are those of the parameters of the field.
    """
    names = [name for name, _ in field.named_parameters()]
    return {
        f"{_PREFIX}{names[index]}.{kind}": value.detach().cpu().clone()
        for index, moments in optimiser.state_dict()["state"].items()
        for kind, value in moments.items()
    }


def load_optimiser_state(
    field: torch.nn.Module, optimiser: torch.optim.Adam, *, state: dict[str, torch.Tensor]
) -> None:
    """Give an optimiser the moments it had.

    Parameters
    ----------
    field : Module
        What is trained.
    optimiser : Adam
        Its optimiser; changed in place.
    state : dict of Tensor
        From :func:`optimiser_state`; other entries are left alone.
    """
    moments = {index: part(state, f"{_PREFIX}{name}.") for index, (name, _) in enumerate(field.named_parameters())}
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the entries of a state under one heading.

    Parameters
    ----------
    state : dict of Tensor
        A state.
    prefix : str
        The heading.

    Returns
    -------
    dict of Tensor
        The entries, their names without the heading.
    """
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
