"""Project slices of a field for many tilts, with a hand-written backward.

The model of a slice is ``V_k = density * sigmoid((t_k - arrival) / width)`` at the time of tilt k, or the density
alone. One interface, two back ends with the same numbers: :class:`CompiledProjector` (CPU, compiled kernels) and
:class:`GatherProjector` (plain torch on any device). Both recompute footprint and sigmoid in the adjoint, so memory
does not depend on tilts times voxels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

from napari_stinr.projection.backends.projectors import CompiledProjector, GatherProjector

if TYPE_CHECKING:
    from napari_stinr.projection.views import SliceGeometry


class Projector(Protocol):
    """What the training needs of a back end: the projection of slices and its adjoint."""

    geometry: SliceGeometry

    def project(
        self,
        density: torch.Tensor,
        arrival: torch.Tensor | None,
        *,
        tilts: torch.Tensor,
        times: torch.Tensor,
        width: float,
    ) -> torch.Tensor:
        """Return detector lines.

        Parameters
        ----------
        density : Tensor
            `(rows, depth, width)` float32 slices [V].
        arrival : Tensor or None
            `(rows, depth, width)` float32 arrival times [t]; None: the density does not change.
        tilts : Tensor
            `(m,)` int64 tilts to project for.
        times : Tensor
            `(m,)` float32 their times [t].
        width : float
            Duration of an arrival [t].

        Returns
        -------
        Tensor
            `(m, rows, n_pixels)` float32 projected potential [V times the unit of voxel_size].
        """
        ...

    def backproject(
        self,
        lines: torch.Tensor,
        density: torch.Tensor,
        arrival: torch.Tensor | None,
        *,
        tilts: torch.Tensor,
        times: torch.Tensor,
        width: float,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the gradients by density and arrival.

        Parameters
        ----------
        lines : Tensor
            `(m, rows, n_pixels)` float32 gradient of the loss by the detector lines.
        density, arrival, tilts, times, width
            As for :meth:`project`.

        Returns
        -------
        density_gradient : Tensor
            `(rows, depth, width)` float32.
        arrival_gradient : Tensor or None
            `(rows, depth, width)` float32; None where there is no arrival.
        """
        ...


def projector_for(geometry: SliceGeometry, *, device: torch.device, threads: int = 1) -> Projector:
    """Return the back end that suits a device.

    Parameters
    ----------
    geometry : SliceGeometry
        How the tilts see the slices.
    device : torch.device
        Where the slices lie.
    threads : int
        Threads for the CPU back end.

    Returns
    -------
    Projector
        The compiled back end on a CPU, the one in plain torch elsewhere.
    """
    if device.type == "cpu":
        return CompiledProjector(geometry, threads=threads)
    return GatherProjector(geometry, device=device)


class _ProjectSlices(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        density: torch.Tensor,
        arrival: torch.Tensor | None,
        projector: Projector,
        tilts: torch.Tensor,
        times: torch.Tensor,
        width: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(density, arrival, tilts, times)
        ctx.projector, ctx.width = projector, width
        return projector.project(density, arrival, tilts=tilts, times=times, width=width)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        density, arrival, tilts, times = ctx.saved_tensors
        density_gradient, arrival_gradient = ctx.projector.backproject(
            gradients[0], density, arrival, tilts=tilts, times=times, width=ctx.width
        )
        return density_gradient, arrival_gradient, None, None, None, None


def project_slices(
    projector: Projector,
    density: torch.Tensor,
    *,
    tilts: torch.Tensor,
    times: torch.Tensor,
    arrival: torch.Tensor | None = None,
    width: float = 1.0,
) -> torch.Tensor:
    """Project slices for several tilts; differentiable by density and arrival.

    Parameters
    ----------
    projector : Projector
        The back end.
    density : Tensor
        `(rows, depth, width)` float32 slices [V].
    tilts : Tensor
        `(m,)` int64 tilts to project for.
    times : Tensor
        `(m,)` float32 their times [t].
    arrival : Tensor, optional
        `(rows, depth, width)` float32 arrival times [t]; None: the density does not change.
    width : float
        Duration of an arrival [t].

    Returns
    -------
    Tensor
        `(m, rows, n_pixels)` float32 predicted detector lines [V times the unit of voxel_size].
    """
    lines = _ProjectSlices.apply(density, arrival, projector, tilts, times, width)  # type: ignore[no-untyped-call]
    return lines  # type: ignore[no-any-return]
