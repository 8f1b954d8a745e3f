"""The optimiser of a training, and its state as tensors with names, from which a run is resumed exactly."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import torch

from napari_stinr.errors import StinrError
from napari_stinr.fields.storage import clone_beside, is_on_file, let_go, zeros_beside

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from types import ModuleType

    from napari_stinr.config import TrainingConfig
    from napari_stinr.fields.base import ParameterGroup

FIELD = "field"
"""Name of the module that every training has. In the state of a training its values are not kept, because a run has
them anyway, and its moments stand under no name."""

_BETAS = (0.5, 0.9)
"""Memory of gradients and of their squares, of the density at voxels. A value goes on for as many steps after its
residual is gone as the first lasts: with 0.9 and 0.99, the same error took twice as many steps."""
_LONG_BETAS = (0.9, 0.99)
"""That of what has to do with many voxels at once, which with a short one becomes a haze, and of arrival times and
shares: with a short one, noise of the last steps decides more of what is specimen."""
_MOMENTS, _VALUES = "moments.", "values."
_BY_ROWS = "by_rows"


class Trainable(Protocol):
    """A module whose parameters can be trained: a field, or what an objective learns beside it."""

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """As of every module of torch."""
        ...

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """As of every module of torch."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """As of every module of torch."""
        ...

    def parameter_groups(self, training: TrainingConfig, *, contrast: float, n_blocks: int) -> Sequence[ParameterGroup]:
        """All parameters with their learning rates; see :meth:`~Field.parameter_groups`."""
        ...


def build_optimiser(
    modules: Mapping[str, Trainable], training: TrainingConfig, *, contrast: float, n_blocks: int
) -> torch.optim.Adam:
    """Return the optimiser for all modules: one group of parameters after the other, in their order."""
    groups = [
        {
            "name": group.name,
            "params": group.parameters,
            "lr": group.rate,
            "betas": _LONG_BETAS if group.has_long_memory or training.memory == "long" else _BETAS,
            _BY_ROWS: group.by_rows,
        }
        for module in modules.values()
        for group in module.parameter_groups(training, contrast=contrast, n_blocks=n_blocks)
    ]
    return adam(groups, on_mps=groups[0]["params"][0].device.type == "mps")  # type: ignore[index]


def adam(parameters: list[Any], *, on_mps: bool = False) -> torch.optim.Adam:
    """Return an optimiser that does not load triton; torch has no fused one on an Apple GPU."""
    _load_compiler_without_triton()
    return RowwiseAdam(parameters, betas=_BETAS, fused=not on_mps)


class RowwiseAdam(torch.optim.Adam):
    """Adam that leaves alone, memory and all, the rows of which a step has seen nothing, in groups that are by rows."""

    def step(self, closure: Any = None) -> Any:
        """Do a step; the gradients of what is by rows are gone afterwards, see :meth:`torch.optim.Adam.step`."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and group.get(_BY_ROWS):
                    self._advance_rows(parameter, group)
                    parameter.grad = None
                    let_go(parameter, *self.state[parameter].values())
                elif parameter.grad is not None and parameter.grad.is_sparse:
                    parameter.grad = parameter.grad.to_dense()
        return super().step(closure)

    @torch.no_grad()
    def _advance_rows(self, parameter: torch.nn.Parameter, group: Mapping[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            # As torch names them, but for every row.
            state["step"] = parameter.new_zeros(len(parameter))
            state["exp_avg"], state["exp_avg_sq"] = zeros_beside(parameter), zeros_beside(parameter)
        moving = [parameter, state["exp_avg"], state["exp_avg_sq"], state["step"]]
        kernels = _kernels() if parameter.device.type == "cpu" else None
        if not gradient.is_sparse:
            touched = gradient.flatten(1).any(1)
            if kernels is None:
                _advance(moving, gradient, touched.to(gradient), group)
                return
            rows = touched.nonzero()[:, 0]
            gradient = gradient if len(rows) == len(gradient) else gradient[rows]
        else:
            gradient = gradient.coalesce()
            rows, gradient = gradient.indices()[0], gradient.values()
        if kernels is not None:
            *flat, steps = (values.detach().view(len(values), -1).numpy() for values in moving)
            # Of no rows at all, where a step has seen nothing: a view could not tell how long they are.
            by_rows = gradient.contiguous().flatten(1).numpy()
            rates = (float(group["lr"]), *map(float, group["betas"]), float(group["eps"]))
            kernels.advance_rows(*flat, steps[:, 0], rows.numpy(), by_rows, *rates)
            return
        parts = [values.index_select(0, rows) for values in moving]
        _advance(parts, gradient, torch.ones_like(parts[-1]), group)
        for values, part_of_it in zip(moving, parts, strict=True):
            values.index_copy_(0, rows, part_of_it)


@cache
def _kernels() -> ModuleType | None:
    """Return the compiled step; None where there is nothing to compile it with."""
    try:
        return import_module("napari_stinr.training.rows_kernels")
    except ImportError:
        return None


def _advance(
    moving: Sequence[torch.Tensor], gradient: torch.Tensor, touched: torch.Tensor, group: Mapping[str, Any]
) -> None:
    """Move values, mean, mean square and steps as Adam does (arXiv:1412.6980, algorithm 1), in rows touched by 1."""
    values, mean, square, steps = moving
    first, second = group["betas"]
    of_row = (-1, *[1] * (values.ndim - 1))
    steps.add_(touched)
    counted = steps.clamp(min=1)
    mean.lerp_(gradient, ((1 - first) * touched).view(of_row))
    square.lerp_(gradient * gradient, ((1 - second) * touched).view(of_row))
    root = square.sqrt().mul_((1 - second**counted).rsqrt().view(of_row)).add_(group["eps"])
    values.addcdiv_(mean * (-group["lr"] * touched / (1 - first**counted)).view(of_row), root)


def shared_parameters(optimiser: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    """Return the parameters that are not by rows: a block of rows has to do with all of each of them."""
    return [parameter for group in optimiser.param_groups if not group.get(_BY_ROWS) for parameter in group["params"]]


@cache
def _load_compiler_without_triton() -> None:
    """Load what the first optimiser would load, but for triton, which nothing here needs."""
    # Builds of torch for CUDA bring triton along. Its LLVM and that of Mesa's software OpenGL do not live in one
    # process: where napari draws with the latter, the window would be gone with the first training.
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


def module_state(
    modules: Mapping[str, Trainable], optimiser: torch.optim.Adam, *, but: Collection[torch.Tensor] = ()
) -> dict[str, torch.Tensor]:
    """Return a copy on the CPU of the moments of all modules, and of the values of all but the field, by name.

    The moments of the parameters in `but` are left out.
    What lies on files is not copied: it changes with the next step.
    """
    state = {
        f"{_heading(name)}{_MOMENTS}{parameter_name}.{kind}": value
        for name, module in modules.items()
        for parameter_name, parameter in module.named_parameters()
        if not any(parameter is left_out for left_out in but)
        for kind, value in optimiser.state.get(parameter, {}).items()
    }
    for name, module in modules.items():
        if name != FIELD:
            state |= {f"{_heading(name)}{_VALUES}{part}": value for part, value in module.state_dict().items()}
    # What lies on files is not copied: it is gone on with.
    return {name: value if is_on_file(value) else value.detach().cpu().clone() for name, value in state.items()}


def load_module_state(
    modules: Mapping[str, Trainable], optimiser: torch.optim.Adam, *, state: dict[str, torch.Tensor]
) -> None:
    """Give modules and optimiser, in place, what :func:`module_state` returned; other entries are left alone."""
    for name, module in modules.items():
        if name != FIELD:
            values = part(state, f"{_heading(name)}{_VALUES}")
            if values.keys() != module.state_dict().keys():
                raise StinrError(
                    f"the run holds no values of {name!r}",
                    expected="those of everything that is trained",
                    cure="Go on with the settings of the run, or train again from the start.",
                )
            module.load_state_dict(values)
    moments = {
        parameter: part(state, f"{_heading(name)}{_MOMENTS}{parameter_name}.")
        for name, module in modules.items()
        for parameter_name, parameter in module.named_parameters()
    }
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    # Copies: torch takes them as they are, and a step would change the run that is gone on with.
    by_index = {
        index: {kind: clone_beside(value, parameter) for kind, value in moments[parameter].items()}
        for index, parameter in enumerate(parameters)
        if moments[parameter]
    }
    by_rows = {parameter for group in optimiser.param_groups if group.get(_BY_ROWS) for parameter in group["params"]}
    for index in by_index:
        # An earlier version counted the steps of all rows together.
        if (parameter := parameters[index]) in by_rows and by_index[index]["step"].ndim == 0:
            by_index[index]["step"] = by_index[index]["step"].expand(len(parameter)).clone()
    optimiser.load_state_dict({**optimiser.state_dict(), "state": by_index})


def _heading(name: str) -> str:
    return "" if name == FIELD else f"{name}."


def part(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the entries of a state under one heading, their names without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
