"""Back end for the CPU: compiled kernels, shared out over threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_stinr.projection.backends import ROWS_TOGETHER, BackEnd, SlicesGradient, check_slices, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.fields.base import Slices
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

    def project(self, slices: Slices, rays: TiltRays) -> torch.Tensor:
        """`(m, rows, n_pixels)` detector lines; see :meth:`~Projector.project`."""
        kernels = self._kernels
        tiles, arrival, share = self._all_to_tiles(slices)
        cosines, sines, origins, times = (values.detach().numpy() for values in rays)
        cells = self.shape.n_pixels + kernels.EXTRA_CELLS
        lines = np.zeros((len(times), len(tiles), cells * ROWS_TOGETHER), dtype=np.float32)
        size = (self.shape.depth, self.shape.width)
        steepness = np.float32(1.0 / slices.width)

        def job(index: int) -> None:
            k, tile = divmod(index, len(tiles))
            if arrival is None:
                kernels.project_static(tiles, cosines, sines, origins, k, tile, *size, lines[k, tile])
            else:
                kernels.project_growth(
                    tiles, arrival, share, cosines, sines, origins, times, steepness, k, tile, *size, lines[k, tile]
                )

        self._share(job, len(times) * len(tiles))
        by_cell = lines.reshape(len(times), len(tiles), cells, ROWS_TOGETHER)
        pixels = by_cell[:, :, kernels.MARGIN : kernels.MARGIN + self.shape.n_pixels]
        rows = torch.from_numpy(pixels).permute(0, 1, 3, 2).flatten(1, 2)[:, : len(slices.density)]
        return rows * self.shape.voxel_size

    def backproject(self, lines: torch.Tensor, slices: Slices, rays: TiltRays) -> SlicesGradient:
        """`(rows, depth, width)` gradients; see :meth:`~Projector.backproject`."""
        kernels = self._kernels
        tiles, arrival, share = self._all_to_tiles(slices)
        cosines, sines, origins, times = (values.detach().numpy() for values in rays)
        cells = self._to_cells(lines, n_tiles=len(tiles))
        by_density = np.zeros_like(tiles)
        by_arrival, by_share = (None if values is None else np.zeros_like(tiles) for values in (arrival, share))
        steepness, size = np.float32(1.0 / slices.width), (self.shape.depth, self.shape.width)

        def job(index: int) -> None:
            tile, z = divmod(index, self.shape.depth)
            if arrival is None:
                kernels.backproject_static(cosines, sines, origins, z, tile, *size, cells, by_density)
            else:
                kernels.backproject_growth(
                    tiles, arrival, share, cosines, sines, origins, times, steepness, z, tile, *size, cells,
                    by_density, by_arrival, by_share,
                )  # fmt: skip

        self._share(job, len(tiles) * self.shape.depth)
        gradients = (by_density, by_arrival, by_share)
        return SlicesGradient(*(None if g is None else self._from_tiles(g, len(slices.density)) for g in gradients))  # type: ignore[arg-type]  # there always is one by the density

    def _to_cells(self, lines: torch.Tensor, *, n_tiles: int) -> NDArray[np.float32]:
        """`(m, tiles, (n_pixels + EXTRA_CELLS) * LANES)` gradient of the loss by every cell."""
        kernels, n_pixels = self._kernels, self.shape.n_pixels
        cells = np.zeros((len(lines), n_tiles, n_pixels + kernels.EXTRA_CELLS, ROWS_TOGETHER), dtype=np.float32)
        padded = functional.pad(lines * self.shape.voxel_size, (0, 0, 0, n_tiles * ROWS_TOGETHER - lines.shape[1]))
        lanes = padded.view(len(lines), n_tiles, ROWS_TOGETHER, -1).permute(0, 1, 3, 2)
        cells[:, :, kernels.MARGIN : kernels.MARGIN + n_pixels] = lanes.numpy()
        return cells.reshape(len(lines), n_tiles, -1)

    def _all_to_tiles(
        self, slices: Slices
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """`(tiles, depth * width * LANES)` density, arrival and share."""
        check_slices(slices, self.shape)
        arrival = None if slices.arrival is None else self._to_tiles(slices.arrival)
        share = None if slices.share is None else self._to_tiles(slices.share)
        return self._to_tiles(slices.density), arrival, share

    def _to_tiles(self, values: torch.Tensor) -> NDArray[np.float32]:
        lanes = ROWS_TOGETHER
        n_tiles = -(-len(values) // lanes)
        padded = functional.pad(values.detach(), (0, 0, 0, 0, 0, n_tiles * lanes - len(values)))
        tiles: NDArray[np.float32] = (
            padded.view(n_tiles, lanes, *values.shape[1:]).permute(0, 2, 3, 1).reshape(n_tiles, -1).numpy()
        )
        return tiles

    def _from_tiles(self, tiles: NDArray[np.float32], n_rows: int) -> torch.Tensor:
        by_lane = torch.from_numpy(tiles).view(len(tiles), self.shape.depth, self.shape.width, ROWS_TOGETHER)
        return by_lane.permute(0, 3, 1, 2).flatten(0, 1)[:n_rows].contiguous()

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


register(BackEnd("numba", CompiledProjector, devices=("cpu",), needs="numba", rank=10))
