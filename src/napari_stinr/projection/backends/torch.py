"""Back end for any device, in plain torch: gather and ``index_add_``, one tilt at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_stinr.fields.base import arrived, grown
from napari_stinr.projection.backends import BackEnd, register
from napari_stinr.projection.footprint import FOOTPRINT_TAPS, slice_footprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_stinr.projection.views import SliceShape, TiltRays


class GatherProjector:
    """Projector in plain torch on the device of the slices; `threads` are torch's own."""

    def __init__(self, shape: SliceShape, *, device: torch.device, threads: int = 1) -> None:
        self.shape, self.device = shape, device

    def project(
        self, density: torch.Tensor, arrival: torch.Tensor | None, rays: TiltRays, *, width: float
    ) -> torch.Tensor:
        """`(m, rows, n_pixels)` detector lines; see :meth:`~Projector.project`."""
        lines = density.new_zeros(len(rays.times), len(density), self.shape.n_pixels)
        slices, moving = density.flatten(1), None if arrival is None else arrival.flatten(1)
        for k, (t, pixels, weights) in enumerate(self._footprints(rays)):
            values = slices if moving is None else grown(slices, moving, t, width)
            for tap in range(FOOTPRINT_TAPS):
                lines[k].index_add_(1, pixels[tap], values * weights[tap])
        return lines * self.shape.voxel_size

    def backproject(
        self,
        lines: torch.Tensor,
        density: torch.Tensor,
        arrival: torch.Tensor | None,
        rays: TiltRays,
        *,
        width: float,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(rows, depth, width)` gradients by density and arrival; see :meth:`~Projector.backproject`."""
        density_gradient = torch.zeros_like(density).flatten(1)
        arrival_gradient = None if arrival is None else torch.zeros_like(density_gradient)
        for k, (t, pixels, weights) in enumerate(self._footprints(rays)):
            back = torch.zeros_like(density_gradient)
            for tap in range(FOOTPRINT_TAPS):
                back += lines[k][:, pixels[tap]] * weights[tap]
            if arrival is not None and arrival_gradient is not None:
                there = arrived(arrival.flatten(1), t, width)
                back *= there
                arrival_gradient -= back * density.flatten(1) * (1 - there) / width
            density_gradient += back
        scale = self.shape.voxel_size
        if arrival_gradient is None:
            return (density_gradient * scale).view_as(density), None
        return (density_gradient * scale).view_as(density), (arrival_gradient * scale).view_as(density)

    def _footprints(self, rays: TiltRays) -> Iterator[tuple[float, torch.Tensor, torch.Tensor]]:
        """Time, `(4, voxels)` pixels and `(4, voxels)` weights of every tilt."""
        for cosine, sine, origin, t in zip(*(values.tolist() for values in rays), strict=True):
            taps = slice_footprint(self.shape, cosine=cosine, sine=sine, origin=origin, device=self.device)
            yield t, *taps


register(BackEnd("torch", GatherProjector, devices=(), needs="torch", rank=0))
