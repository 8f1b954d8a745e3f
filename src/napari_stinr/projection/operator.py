"""Project slices of a field for many tilts, with a hand-written backward.

What a slice is at the time of a tilt says :class:`napari_stinr.fields.base.Slices`. Every back end
(:mod:`napari_stinr.projection.backends`) recomputes footprint and sigmoid in the adjoint, so memory does not depend on
tilts times voxels. A short filter along the lines then makes up for the footprint, and blurs them as the field is
blurred.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import torch

from napari_stinr.fields.base import GridSlices, Slices
from napari_stinr.fields.filters import filtered, one_after_the_other
from napari_stinr.projection.backends import KeepingProjector
from napari_stinr.projection.footprint import FLATTENING
from napari_stinr.projection.views import TiltRays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stinr.fields.base import Field
    from napari_stinr.fields.filters import PlaneFilter
    from napari_stinr.projection.backends import Projector
    from napari_stinr.projection.views import Views


class _ProjectSlices(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        density: torch.Tensor,
        arrival: torch.Tensor | None,
        share: torch.Tensor | None,
        cosines: torch.Tensor,
        sines: torch.Tensor,
        origins: torch.Tensor,
        times: torch.Tensor,
        projector: Projector,
        width: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(density, arrival, share, cosines, sines, origins, times)
        ctx.projector, ctx.width = projector, width
        return projector.project(Slices(density, arrival, width, share), TiltRays(cosines, sines, origins, times))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        density, arrival, share, *rays = ctx.saved_tensors
        by_slices = ctx.projector.backproject(gradients[0], Slices(density, arrival, ctx.width, share), TiltRays(*rays))
        # Nothing asks for gradients by cosines, sines and origins yet: an alignment that learns the pose of the tilts
        # has them from here, as -dp/du of the lines times what moves the detector coordinate.
        return *by_slices, None, None, None, None, None, None


class _ProjectAndKeep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projector: KeepingProjector, part: Slices | GridSlices, rays: TiltRays, *_values: torch.Tensor
    ) -> torch.Tensor:
        lines, kept = projector.project_and_keep(part, rays)
        ctx.projector, ctx.part, ctx.rays, ctx.kept = projector, part, rays, kept
        return lines

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, None, None, *ctx.projector.backproject_kept(gradients[0], ctx.part, ctx.kept, ctx.rays)


def project_slices(
    projector: Projector, parts: Sequence[Slices | GridSlices], views: Views, *, blur: PlaneFilter | None = None
) -> torch.Tensor:
    """`(m, rows, n_pixels)` float32 lines of parts that add up, differentiable [V times the unit of voxel_size]."""
    taps = FLATTENING if blur is None else one_after_the_other(FLATTENING, blur.taps)
    rays = views.rays
    lines = [_lines(projector, part, rays) for part in parts]
    return views.scaled(filtered(reduce(add, lines), taps, axis=2))


def _lines(projector: Projector, part: Slices | GridSlices, rays: TiltRays) -> torch.Tensor:
    lines: torch.Tensor
    if isinstance(projector, KeepingProjector):
        lines = _ProjectAndKeep.apply(projector, part, rays, *part.values)  # type: ignore[no-untyped-call]
        return lines
    part = part.evaluated() if isinstance(part, GridSlices) else part
    lines = _ProjectSlices.apply(part.density, part.arrival, part.share, *rays, projector, part.width)  # type: ignore[no-untyped-call]
    return lines


def project_field(
    projector: Projector,
    field: Field,
    lattice: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    views: Views,
    *,
    bfloat16: bool = False,
) -> torch.Tensor:
    """Project some rows of a field for several tilts, each at its time.

    Parameters
    ----------
    projector : Projector
        From :func:`napari_stinr.projection.backends.projector_for`.
    field : Field
        What to project.
    lattice : tuple of Tensor
        `(depth,)`, `(rows,)`, `(width,)` positions (z, y, x) from the centre [the unit of voxel_size], on the CPU.
    views : Views
        `(m,)` tilts to project for, at least one.
    bfloat16 : bool
        Evaluate networks in bfloat16.

    Returns
    -------
    Tensor
        `(m, rows, n_pixels)` float32 predicted detector lines [V times the unit of voxel_size].
    """

    def lines(seen: Views) -> torch.Tensor:
        with torch.autocast(projector.device.type, torch.bfloat16, enabled=bfloat16):
            parts = field.projected(*lattice, float(seen.times[0]))
        return project_slices(projector, parts, seen, blur=field.blur)

    if field.serves_all_times:
        return lines(views)
    return torch.cat([lines(views[k : k + 1]) for k in range(len(views))])
