"""The back ends of the projector, with the same numbers: compiled for the CPU, plain torch for any device."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_stinr.projection.footprint import FOOTPRINT_TAPS, slice_footprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.projection.views import SliceGeometry


class CompiledProjector:
    """CPU back end: compiled kernels, shared out over threads.

    Parameters
    ----------
    geometry : SliceGeometry
        How the tilts see the slices.
    threads : int
        Threads that work at the same time.
    """

    def __init__(self, geometry: SliceGeometry, *, threads: int = 1) -> None:
        # Imported here: compiling the kernels costs a second that a plain import must not.

        from napari_stinr.projection.backends import numba_kernels

        self.geometry = geometry
        self._kernels = numba_kernels
        self._cosines = np.cos(np.asarray(geometry.angles_rad))
        self._sines = np.sin(np.asarray(geometry.angles_rad))
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="stinr-projector") if threads > 1 else None

    def project(
        self,
        density: torch.Tensor,
        arrival: torch.Tensor | None,
        *,
        tilts: torch.Tensor,
        times: torch.Tensor,
        width: float,
    ) -> torch.Tensor:
        """Return detector lines; see :meth:`~Projector.project`."""
        kernels, origin = self._kernels, self.geometry.origin
        tiles = self._to_tiles(density)
        arrival_tiles = None if arrival is None else self._to_tiles(arrival)
        cosines, sines, moments = self._cosines[tilts.numpy()], self._sines[tilts.numpy()], times.numpy()
        cells = self.geometry.n_pixels + kernels.EXTRA_CELLS
        lines = np.zeros((len(moments), len(tiles), cells, kernels.LANES), dtype=np.float32)
        steepness = np.float32(1.0 / width)

        def job(index: int) -> None:
            k, tile = divmod(index, len(tiles))
            if arrival_tiles is None:
                kernels.project_static(tiles, cosines, sines, origin, k, tile, lines[k, tile])
            else:
                kernels.project_growth(
                    tiles, arrival_tiles, cosines, sines, moments, steepness, origin, k, tile, lines[k, tile]
                )

        self._share(job, len(moments) * len(tiles))
        pixels = lines[:, :, kernels.MARGIN : kernels.MARGIN + self.geometry.n_pixels]
        rows = torch.from_numpy(pixels).permute(0, 1, 3, 2).flatten(1, 2)[:, : len(density)]
        return rows * self.geometry.voxel_size

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
        """Return the gradients by density and arrival; see :meth:`~Projector.backproject`."""
        kernels, origin, n_rows = self._kernels, self.geometry.origin, len(density)
        tiles = self._to_tiles(density)
        arrival_tiles = None if arrival is None else self._to_tiles(arrival)
        cosines, sines, moments = self._cosines[tilts.numpy()], self._sines[tilts.numpy()], times.numpy()
        cells = np.zeros(
            (len(moments), len(tiles), self.geometry.n_pixels + kernels.EXTRA_CELLS, kernels.LANES), dtype=np.float32
        )
        padded = functional.pad(lines * self.geometry.voxel_size, (0, 0, 0, len(tiles) * kernels.LANES - n_rows))
        lanes = padded.view(len(lines), len(tiles), kernels.LANES, -1).permute(0, 1, 3, 2)
        cells[:, :, kernels.MARGIN : kernels.MARGIN + self.geometry.n_pixels] = lanes.numpy()
        density_gradient = np.zeros_like(tiles)
        arrival_gradient = np.zeros_like(tiles)
        steepness = np.float32(1.0 / width)

        def job(index: int) -> None:
            tile, z = divmod(index, self.geometry.depth)
            if arrival_tiles is None:
                kernels.backproject_static(cosines, sines, origin, z, tile, cells, density_gradient)
            else:
                kernels.backproject_growth(
                    tiles, arrival_tiles, cosines, sines, moments, steepness, origin, z, tile, cells,
                    density_gradient, arrival_gradient,
                )  # fmt: skip

        self._share(job, len(tiles) * self.geometry.depth)
        if arrival is None:
            return _from_tiles(density_gradient, n_rows), None
        return _from_tiles(density_gradient, n_rows), _from_tiles(arrival_gradient, n_rows)

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


class GatherProjector:
    """Back end for any torch device: gather and ``index_add_``, one tilt at a time.

    Parameters
    ----------
    geometry : SliceGeometry
        How the tilts see the slices.
    device : torch.device
        Where the slices lie.
    """

    def __init__(self, geometry: SliceGeometry, *, device: torch.device) -> None:
        self.geometry = geometry
        self._device = device

    def project(
        self,
        density: torch.Tensor,
        arrival: torch.Tensor | None,
        *,
        tilts: torch.Tensor,
        times: torch.Tensor,
        width: float,
    ) -> torch.Tensor:
        """Return detector lines; see :meth:`~Projector.project`."""
        lines = density.new_zeros(len(tilts), len(density), self.geometry.n_pixels)
        for k, (tilt, t) in enumerate(zip(tilts.tolist(), times.tolist(), strict=True)):
            values = density.flatten(1)
            if arrival is not None:
                values = values * torch.sigmoid((t - arrival.flatten(1)) / width)
            pixels, weights = self._footprint(tilt)
            for tap in range(FOOTPRINT_TAPS):
                lines[k].index_add_(1, pixels[tap], values * weights[tap])
        return lines * self.geometry.voxel_size

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
        """Return the gradients by density and arrival; see :meth:`~Projector.backproject`."""
        density_gradient = torch.zeros_like(density).flatten(1)
        arrival_gradient = None if arrival is None else torch.zeros_like(density_gradient)
        for k, (tilt, t) in enumerate(zip(tilts.tolist(), times.tolist(), strict=True)):
            pixels, weights = self._footprint(tilt)
            back = torch.zeros_like(density_gradient)
            for tap in range(FOOTPRINT_TAPS):
                back += lines[k][:, pixels[tap]] * weights[tap]
            if arrival is not None and arrival_gradient is not None:
                arrived = torch.sigmoid((t - arrival.flatten(1)) / width)
                back *= arrived
                arrival_gradient -= back * density.flatten(1) * (1 - arrived) / width
            density_gradient += back
        scale = self.geometry.voxel_size
        if arrival_gradient is None:
            return (density_gradient * scale).view_as(density), None
        return (density_gradient * scale).view_as(density), (arrival_gradient * scale).view_as(density)

    def _footprint(self, tilt: int) -> tuple[torch.Tensor, torch.Tensor]:
        geometry = self.geometry
        return slice_footprint(
            geometry.depth,
            geometry.width,
            angle_rad=geometry.angles_rad[tilt],
            n_pixels=geometry.n_pixels,
            axis_offset=geometry.axis_offset,
            device=self._device,
        )
