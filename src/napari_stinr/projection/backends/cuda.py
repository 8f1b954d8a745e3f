"""Back end for NVIDIA's graphics processors: kernels in CUDA C, compiled while the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_stinr.projection.backends import BackEnd, SlicesGradient, check_slices, register
from napari_stinr.projection.backends.cuda_kernels import Launcher, kernels_for
from napari_stinr.projection.footprint import fixed_point

if TYPE_CHECKING:
    from napari_stinr.fields.base import Slices
    from napari_stinr.projection.views import SliceShape, TiltRays

_MARGIN, _EXTRA_CELLS, _ROWS, _THREADS, _TILE = 3, 7, 4, 128, 12
"""As in the kernels."""
_BLOCK = (32, 4, 1)
"""Voxels along x and z of a block that projects back."""
_AT_ONCE = 2**17
"""Threads that a projection has at least, where there is that much to do: what a large graphics processor takes."""
_BYTES_OF_LINES = 2**29
"""Largest size of the lines of all threads, before they are added up."""


class CudaProjector:
    """Projector of compiled kernels on a CUDA device: the same numbers bit by bit whenever it is asked.

    Parameters
    ----------
    shape : SliceShape
        What to project.
    device : torch.device
        Where slices and lines lie.
    threads : int
        Of no meaning here.
    kernels : Launcher, optional
        Compiled kernels; those of the device by default.
    """

    def __init__(
        self, shape: SliceShape, *, device: torch.device, threads: int = 1, kernels: Launcher | None = None
    ) -> None:
        self.shape, self.device = shape, device
        self._kernels = kernels_for(device) if kernels is None else kernels

    def project(self, slices: Slices, rays: TiltRays) -> torch.Tensor:
        """`(m, rows, n_pixels)` detector lines; see :meth:`~Projector.project`."""
        check_slices(slices, self.shape)
        n_rows, m, shape = len(slices.density), len(rays.times), self.shape
        density, arrival, share = (self._rows_last(v) for v in (slices.density, slices.arrival, slices.share))
        quads = -(-n_rows // _ROWS)
        # Each thread has a line of its own: as many pieces of a slice as keep the processor busy, and fit.
        bytes_of_lines = 16 * quads * m * (shape.n_pixels + _EXTRA_CELLS)
        n_tiles = -(-shape.depth // _TILE) * -(-shape.width // _TILE)
        wanted = min(-(-_AT_ONCE // (quads * m)), _BYTES_OF_LINES // bytes_of_lines)
        tiles = -(-n_tiles // max(1, min(wanted, n_tiles)))
        chunks = -(-n_tiles // tiles)
        lines = slices.density.new_zeros(chunks, m, shape.n_pixels + _EXTRA_CELLS, quads * _ROWS)
        arguments = (density, arrival, share, _kind(slices), self._on_device(rays), m, 1 / slices.width)
        sizes = (shape.depth, shape.width, quads, shape.n_pixels, tiles)
        grid = (-(-m * quads // _THREADS), chunks, 1)
        self._kernels.launch("project", [*arguments, *sizes, lines], grid=grid, block=(_THREADS, 1, 1))
        pixels = lines.sum(0)[:, _MARGIN : _MARGIN + shape.n_pixels, :n_rows]
        return pixels.transpose(1, 2) * shape.voxel_size

    def backproject(self, lines: torch.Tensor, slices: Slices, rays: TiltRays) -> SlicesGradient:
        """`(rows, depth, width)` gradients; see :meth:`~Projector.backproject`."""
        check_slices(slices, self.shape)
        n_rows, m, shape = len(slices.density), len(rays.times), self.shape
        cells = functional.pad(lines * shape.voxel_size, (_MARGIN, _EXTRA_CELLS - _MARGIN)).contiguous()
        density, arrival, share = (
            None if v is None else v.detach().contiguous() for v in (slices.density, slices.arrival, slices.share)
        )
        gradients = [None if v is None else torch.empty_like(v) for v in (density, arrival, share)]
        sizes = (shape.depth, shape.width, n_rows, shape.n_pixels)
        arguments = (cells, density, arrival, share, _kind(slices), self._on_device(rays), m, 1 / slices.width)
        grid = (-(-shape.width // _BLOCK[0]), -(-shape.depth // _BLOCK[1]), -(-n_rows // _ROWS))
        self._kernels.launch("backproject", [*arguments, *sizes, *gradients], grid=grid, block=_BLOCK)
        return SlicesGradient(*gradients)  # type: ignore[arg-type]  # there always is one by the density

    def _on_device(self, rays: TiltRays) -> torch.Tensor:
        return fixed_point(rays).to(self.device)

    def _rows_last(self, values: torch.Tensor | None) -> torch.Tensor | None:
        """`(depth, width, rows)` values of `(rows, depth, width)` ones, so many rows that threads share them out."""
        if values is None:
            return None
        missing = -len(values) % _ROWS
        padded = functional.pad(values.detach(), (0, 0, 0, 0, 0, missing)) if missing else values.detach()
        return padded.permute(1, 2, 0).contiguous()


def _kind(slices: Slices) -> int:
    """Which of the three models of a slice it is, for the kernels."""
    return 0 if slices.arrival is None else 1 if slices.share is None else 2


def _build(shape: SliceShape, *, device: torch.device, threads: int) -> CudaProjector:
    return CudaProjector(shape, device=device, threads=threads)


if torch.version.hip is None:  # torch calls AMD's devices by the same name
    register(BackEnd("cuda", _build, devices=("cuda",), needs="a driver of NVIDIA and a torch built for CUDA", rank=10))
