"""Back end for the CPU: compiled kernels, shared out over threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_stinr.fields.base import GridSlices
from napari_stinr.fields.regions import RegionGrids
from napari_stinr.projection.backends import (
    ROWS_TOGETHER,
    BackEnd,
    SlicesGradient,
    check_lattice,
    check_slices,
    register,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.fields.base import Slices
    from napari_stinr.projection.backends import Job
    from napari_stinr.projection.views import SliceShape, TiltRays

_PIECES = 4
"""Of the work of a kernel for every thread: few, as each takes Python's lock; more than one, as some last longer."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """Slices in the order in which the kernels work: rows innermost, LANES of them.

    Parameters
    ----------
    density : ndarray
        `(tiles, depth * width * LANES)` float32 density [V].
    arrival, share : ndarray or None
        The same of arrival time [t] and share [1].
    raw : ndarray or None
        The same of what becomes the density by a softplus; None where the density was given [1].
    outside : ndarray or None
        The same of the grids of the arrival time outside the surface; None where there are no regions [t].
    """

    density: NDArray[np.float32]
    arrival: NDArray[np.float32] | None
    share: NDArray[np.float32] | None = None
    raw: NDArray[np.float32] | None = None
    outside: NDArray[np.float32] | None = None


class CompiledProjector:
    """Projector of compiled kernels on the CPU, for `threads` threads at the same time."""

    def __init__(self, shape: SliceShape, *, device: torch.device | None = None, threads: int = 1) -> None:
        # Imported here: compiling the kernels costs a second that a plain import must not.

        from napari_stinr.projection.backends import grids_kernels, numba_kernels

        self.shape, self.device = shape, device or torch.device("cpu")
        self._kernels, self._grids = numba_kernels, grids_kernels
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="stinr-projector") if threads > 1 else None

    def project(self, slices: Slices, rays: TiltRays) -> torch.Tensor:
        """`(m, rows, n_pixels)` detector lines; see :meth:`~Projector.project`."""
        return self.project_and_keep(slices, rays)[0]

    def backproject(self, lines: torch.Tensor, slices: Slices, rays: TiltRays) -> SlicesGradient:
        """`(rows, depth, width)` gradients; see :meth:`~Projector.backproject`."""
        return SlicesGradient(*self.backproject_kept(lines, slices, self._tiles_of(slices), rays))

    def project_and_keep(self, part: Slices | GridSlices, rays: TiltRays) -> tuple[torch.Tensor, Tiles]:
        """Detector lines, and what to go back with; see :meth:`~KeepingProjector.project_and_keep`."""
        tiles = self._tiles_of_grids(part) if isinstance(part, GridSlices) else self._tiles_of(part)
        n_rows = len(part.lattice[1]) if isinstance(part, GridSlices) else len(part.density)
        return self._project(tiles, rays, width=part.width, n_rows=n_rows), tiles

    def backproject_kept(
        self, lines: torch.Tensor, part: Slices | GridSlices, kept: Tiles, rays: TiltRays
    ) -> list[torch.Tensor]:
        """Gradients by the values of the part; see :meth:`~KeepingProjector.backproject_kept`."""
        by_density, by_arrival, by_share = self._backproject(lines, kept, rays, width=part.width)
        gradients, by_slices = list[torch.Tensor](), [by_density, by_arrival, by_share]
        if isinstance(part, GridSlices):
            assert kept.raw is not None
            gradients = self._grids.gathered(part, kept.raw, by_density, self._share)
            by_slices = [by_arrival, by_share]
            if isinstance(part.arrival, RegionGrids):
                assert kept.outside is not None
                assert by_arrival is not None
                gradients += self._grids.gathered_by_region(part.arrival, part, kept.outside, by_arrival, self._share)
                by_slices = [by_share]
            elif by_arrival is not None and not isinstance(part.arrival, torch.Tensor) and part.arrival is not None:
                gradients += self._grids.gathered_sum(part.arrival, part, by_arrival, self._share)
                by_slices = [by_share]
        return gradients + [self._from_tiles(by, lines.shape[1]) for by in by_slices if by is not None]

    def _project(self, tiles: Tiles, rays: TiltRays, *, width: float, n_rows: int) -> torch.Tensor:
        kernels, (density, arrival, share) = self._kernels, (tiles.density, tiles.arrival, tiles.share)
        cosines, sines, origins, times = (values.detach().numpy() for values in rays)
        cells = self.shape.n_pixels + kernels.EXTRA_CELLS
        lines = np.zeros((len(times), len(density), cells * ROWS_TOGETHER), dtype=np.float32)
        size, steepness = (self.shape.depth, self.shape.width), np.float32(1.0 / width)

        def job(first: int, stop: int) -> None:
            if arrival is None:
                kernels.project_static(density, cosines, sines, origins, first, stop, *size, lines)
            else:
                kernels.project_growth(
                    density, arrival, share, cosines, sines, origins, times, steepness, first, stop, *size, lines
                )

        self._share(job, len(times) * len(density))
        by_cell = lines.reshape(len(times), len(density), cells, ROWS_TOGETHER)
        pixels = by_cell[:, :, kernels.MARGIN : kernels.MARGIN + self.shape.n_pixels]
        rows = torch.from_numpy(pixels).permute(0, 1, 3, 2).flatten(1, 2)[:, :n_rows]
        return rows * self.shape.voxel_size

    def _backproject(
        self, lines: torch.Tensor, tiles: Tiles, rays: TiltRays, *, width: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Gradients in tiles by density, arrival and share."""
        kernels, (density, arrival, share) = self._kernels, (tiles.density, tiles.arrival, tiles.share)
        cosines, sines, origins, times = (values.detach().numpy() for values in rays)
        cells = self._to_cells(lines, n_tiles=len(density))
        by_density = np.zeros_like(density)
        by_arrival, by_share = (None if values is None else np.zeros_like(density) for values in (arrival, share))
        steepness, size = np.float32(1.0 / width), (self.shape.depth, self.shape.width)

        def job(first: int, stop: int) -> None:
            if arrival is None:
                kernels.backproject_static(cosines, sines, origins, first, stop, *size, cells, by_density)
            else:
                kernels.backproject_growth(
                    density, arrival, share, cosines, sines, origins, times, steepness, first, stop, *size, cells,
                    by_density, by_arrival, by_share,
                )  # fmt: skip

        self._share(job, len(density) * self.shape.depth)
        return by_density, by_arrival, by_share

    def _to_cells(self, lines: torch.Tensor, *, n_tiles: int) -> NDArray[np.float32]:
        """`(m, tiles, (n_pixels + EXTRA_CELLS) * LANES)` gradient of the loss by every cell."""
        kernels, n_pixels = self._kernels, self.shape.n_pixels
        cells = np.zeros((len(lines), n_tiles, n_pixels + kernels.EXTRA_CELLS, ROWS_TOGETHER), dtype=np.float32)
        padded = functional.pad(lines * self.shape.voxel_size, (0, 0, 0, n_tiles * ROWS_TOGETHER - lines.shape[1]))
        lanes = padded.view(len(lines), n_tiles, ROWS_TOGETHER, -1).permute(0, 1, 3, 2)
        cells[:, :, kernels.MARGIN : kernels.MARGIN + n_pixels] = lanes.numpy()
        return cells.reshape(len(lines), n_tiles, -1)

    def _tiles_of(self, slices: Slices) -> Tiles:
        check_slices(slices, self.shape)
        arrival, share = (None if v is None else self._to_tiles(v) for v in (slices.arrival, slices.share))
        return Tiles(self._to_tiles(slices.density), arrival, share)

    def _tiles_of_grids(self, part: GridSlices) -> Tiles:
        check_lattice(part, self.shape)
        raw, density, arrival, outside = self._grids.sampled(part, self._share)
        if isinstance(part.arrival, torch.Tensor):
            arrival = self._to_tiles(part.arrival)
        return Tiles(density, arrival, None if part.share is None else self._to_tiles(part.share), raw, outside)

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

    def _share(self, job: Job, n: int) -> None:
        """Do a job for `n` indices, of which it takes the first and what is beyond the last."""
        if self._pool is None:
            job(0, n)
            return
        bounds = np.linspace(0, n, min(n, _PIECES * self._threads) + 1).astype(int).tolist()
        for done in [self._pool.submit(job, first, stop) for first, stop in pairwise(bounds)]:
            done.result()


register(BackEnd("numba", CompiledProjector, devices=("cpu",), needs="numba", rank=10))
