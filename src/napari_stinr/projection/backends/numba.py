"""Back end for the CPU: compiled kernels, shared out over threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_stinr.projection.backends import BackEnd, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.projection.views import SliceShape, TiltRays


class CompiledProjector:
    """Projector of compiled kernels on the CPU, for `threads` threads at the same time."""

    def __init__(self, shape: SliceShape, *, device: torch.device | None = None, threads: int = 1) -> None:
        # Imported here: compiling the kernels costs a second that a plain import must not.

        from napari_stinr.projection.backends import numba_kernels

        self.shape, self.device = shape, device or torch.device("cpu")
        self._kernels = numba_kernels
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="stinr-projector") if threads > 1 else None

    def project(
        self, density: torch.Tensor, arrival: torch.Tensor | None, rays: TiltRays, *, width: float
    ) -> torch.Tensor:
        """`(m, rows, n_pixels)` detector lines; see :meth:`~Projector.project`."""
        kernels = self._kernels
        tiles = self._to_tiles(density)
        arrival_tiles = None if arrival is None else self._to_tiles(arrival)
        cosines, sines, origins, times = (values.detach().numpy() for values in rays)
        cells = self.shape.n_pixels + kernels.EXTRA_CELLS
        lines = np.zeros((len(times), len(tiles), cells, kernels.LANES), dtype=np.float32)
        steepness = np.float32(1.0 / width)

        def job(index: int) -> None:
            k, tile = divmod(index, len(tiles))
            if arrival_tiles is None:
                kernels.project_static(tiles, cosines, sines, origins, k, tile, lines[k, tile])
            else:
                kernels.project_growth(
                    tiles, arrival_tiles, cosines, sines, origins, times, steepness, k, tile, lines[k, tile]
                )

        self._share(job, len(times) * len(tiles))
        pixels = lines[:, :, kernels.MARGIN : kernels.MARGIN + self.shape.n_pixels]
        rows = torch.from_numpy(pixels).permute(0, 1, 3, 2).flatten(1, 2)[:, : len(density)]
        return rows * self.shape.voxel_size

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
        kernels, n_rows = self._kernels, len(density)
        tiles = self._to_tiles(density)
        arrival_tiles = None if arrival is None else self._to_tiles(arrival)
        cosines, sines, origins, times = (values.detach().numpy() for values in rays)
        cells = self._to_cells(lines, n_tiles=len(tiles))
        density_gradient = np.zeros_like(tiles)
        arrival_gradient = np.zeros_like(tiles)
        steepness = np.float32(1.0 / width)

        def job(index: int) -> None:
            tile, z = divmod(index, self.shape.depth)
            if arrival_tiles is None:
                kernels.backproject_static(cosines, sines, origins, z, tile, cells, density_gradient)
            else:
                kernels.backproject_growth(
                    tiles, arrival_tiles, cosines, sines, origins, times, steepness, z, tile, cells,
                    density_gradient, arrival_gradient,
                )  # fmt: skip

        self._share(job, len(tiles) * self.shape.depth)
        if arrival is None:
            return _from_tiles(density_gradient, n_rows), None
        return _from_tiles(density_gradient, n_rows), _from_tiles(arrival_gradient, n_rows)

    def _to_cells(self, lines: torch.Tensor, *, n_tiles: int) -> NDArray[np.float32]:
        """`(m, tiles, n_pixels + EXTRA_CELLS, LANES)` gradient of the loss by every cell."""
        kernels, n_pixels = self._kernels, self.shape.n_pixels
        cells = np.zeros((len(lines), n_tiles, n_pixels + kernels.EXTRA_CELLS, kernels.LANES), dtype=np.float32)
        padded = functional.pad(lines * self.shape.voxel_size, (0, 0, 0, n_tiles * kernels.LANES - lines.shape[1]))
        lanes = padded.view(len(lines), n_tiles, kernels.LANES, -1).permute(0, 1, 3, 2)
        cells[:, :, kernels.MARGIN : kernels.MARGIN + n_pixels] = lanes.numpy()
        return cells

    def _to_tiles(self, slices: torch.Tensor) -> NDArray[np.float32]:
        lanes = self._kernels.LANES
        n_tiles = -(-len(slices) // lanes)
        padded = functional.pad(slices.detach(), (0, 0, 0, 0, 0, n_tiles * lanes - len(slices)))
        tiles: NDArray[np.float32] = (
            padded.view(n_tiles, lanes, *slices.shape[1:]).permute(0, 2, 3, 1).contiguous().numpy()
        )
        return tiles

    def _share(self, job: Callable[[int], None], n_jobs: int) -> None:
        if self._pool is None:
            for index in range(n_jobs):
                job(index)
            return
        remaining = iter(range(n_jobs))

        def work() -> None:
            for index in remaining:
                job(index)

        for future in [self._pool.submit(work) for _ in range(self._threads)]:
            future.result()


def _from_tiles(tiles: NDArray[np.float32], n_rows: int) -> torch.Tensor:
    return torch.from_numpy(tiles).permute(0, 3, 1, 2).flatten(0, 1)[:n_rows].contiguous()


register(BackEnd("numba", CompiledProjector, devices=("cpu",), needs="numba", rank=10))
