"""Back end for any device, in plain torch: all tilts of a piece in each operation, no loop over voxels or pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_stinr.fields.base import arrived
from napari_stinr.projection.backends import BackEnd, SlicesGradient, register
from napari_stinr.projection.footprint import FOOTPRINT_TAPS, FRACTION_BITS, catmull_rom_weights, fixed_point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_stinr.fields.base import Slices
    from napari_stinr.projection.views import SliceShape, TiltRays

_MARGIN, _EXTRA_CELLS = 3, 7
"""Cells before the first pixel of a line, and in all beyond its pixels: a voxel off the line needs no test."""
_BYTES_OF_A_PIECE = 2**28
"""Size of the largest array of a piece of tilts."""


class BatchedProjector:
    """Projector in plain torch on the device of the slices; `threads` are torch's own."""

    def __init__(self, shape: SliceShape, *, device: torch.device, threads: int = 1) -> None:
        self.shape, self.device = shape, device
        self._n_cells = shape.n_pixels + _EXTRA_CELLS
        # In half voxels from the centre: integers, whether there is an even or an odd number of them.
        self._z = 2 * torch.arange(shape.depth, device=device)[:, None] - (shape.depth - 1)
        self._x = 2 * torch.arange(shape.width, device=device) - (shape.width - 1)

    def project(self, slices: Slices, rays: TiltRays) -> torch.Tensor:
        """`(m, rows, n_pixels)` detector lines; see :meth:`~Projector.project`."""
        density = slices.density.flatten(1)[:, None]
        arrival, share = (None if v is None else v.flatten(1)[:, None] for v in (slices.arrival, slices.share))
        lines = []
        for cells, weights, times in self._pieces(rays, n_rows=len(density)):
            values = density
            if arrival is not None:
                there = arrived(arrival, times, slices.width)
                values = density * (there if share is None else there + share * (1 - there))
            piece = density.new_zeros(len(density), len(times) * self._n_cells)
            for tap in range(FOOTPRINT_TAPS):
                piece.index_add_(1, (cells + tap).flatten(), (values * weights[tap]).flatten(1))
            lines.append(piece.view(len(density), len(times), -1))
        pixels = torch.cat(lines, dim=1)[..., _MARGIN : _MARGIN + self.shape.n_pixels]
        return pixels.transpose(0, 1) * self.shape.voxel_size

    def backproject(self, lines: torch.Tensor, slices: Slices, rays: TiltRays) -> SlicesGradient:
        """`(rows, depth, width)` gradients; see :meth:`~Projector.backproject`."""
        density = slices.density.flatten(1)
        padded = lines.new_zeros(len(density), len(lines), self._n_cells)
        padded[..., _MARGIN : _MARGIN + self.shape.n_pixels] = lines.transpose(0, 1) * self.shape.voxel_size
        # With b what comes back from a tilt and s what has arrived by then: sums of b s, b s (1 - s) and b (1 - s).
        came, turned, missed = torch.zeros_like(density), torch.zeros_like(density), torch.zeros_like(density)
        first = 0
        for cells, weights, times in self._pieces(rays, n_rows=len(density)):
            flat = padded[:, first : first + len(times)].flatten(1)
            first += len(times)
            back = sum(flat[:, cells + tap] * weights[tap] for tap in range(FOOTPRINT_TAPS))
            assert isinstance(back, torch.Tensor)
            if slices.arrival is None:
                came += back.sum(1)
                continue
            there = arrived(slices.arrival.flatten(1)[:, None], times, slices.width)
            came += (back * there).sum(1)
            turned += (back * there * (1 - there)).sum(1)
            if slices.share is not None:
                missed += (back * (1 - there)).sum(1)
        return self._gradient(slices, came, turned, missed)

    def _gradient(
        self, slices: Slices, came: torch.Tensor, turned: torch.Tensor, missed: torch.Tensor
    ) -> SlicesGradient:
        came, turned, missed = (values.view_as(slices.density) for values in (came, turned, missed))
        if slices.arrival is None:
            return SlicesGradient(came)
        if slices.share is None:
            return SlicesGradient(came, -slices.density * turned / slices.width)
        grows = slices.density * (1 - slices.share)
        return SlicesGradient(came + slices.share * missed, -grows * turned / slices.width, slices.density * missed)

    def _pieces(self, rays: TiltRays, *, n_rows: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """`(k, voxels)` first cells, `(4, k, voxels)` weights, `(k, 1)` times of pieces of k tilts, numbered anew."""
        n_tilts = max(1, _BYTES_OF_A_PIECE // (4 * n_rows * self.shape.depth * self.shape.width))
        for some in fixed_point(rays).to(self.device).split(n_tilts):  # type: ignore[no-untyped-call]
            cosines, sines, origins, times = some.T[..., None, None]
            u = origins + ((self._z * sines + self._x * cosines) >> 1)
            u = u.clamp(-2 << FRACTION_BITS, (self.shape.n_pixels + 1) << FRACTION_BITS).flatten(1)
            below = u >> FRACTION_BITS
            weights = catmull_rom_weights((u - (below << FRACTION_BITS)).float() * 2.0**-FRACTION_BITS)
            line = self._n_cells * torch.arange(len(some), device=self.device)[:, None]
            yield below + (_MARGIN - 1) + line, weights, times[..., 0].float() * 2.0**-FRACTION_BITS


register(BackEnd("torch", BatchedProjector, devices=(), needs="torch", rank=0))
