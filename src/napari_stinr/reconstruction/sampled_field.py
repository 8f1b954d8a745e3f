"""A field sampled for the eye: any part of the volume at any t, fast enough to follow a slider.

A field that serves all times is sampled once; after that, a volume at any t is one compiled pass over density and
arrival time. Another one, such as a network of time as well, is asked anew for every t.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numba
import numpy as np
import torch

from napari_stinr.fields.base import potential
from napari_stinr.projection.backends.numba_kernels import grown
from napari_stinr.reconstruction.rendering import sampled_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.fields.base import Slices
    from napari_stinr.reconstruction.reconstruction import Reconstruction

Part = tuple[slice, slice, slice]
_VOXELS_AT_ONCE = 32_000_000
"""Voxels of a sampled field that are computed within a tenth of a second."""
_POINTS_AT_ONCE = 16_384
"""Points at which a network is asked within a tenth of a second."""


class Superseded(Exception):
    """The caller no longer wants what is being computed."""


def _never() -> bool:
    return False


@numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def _growth_at(density, arrival, t, steepness, volume):  # type: ignore[no-untyped-def]
    for i in range(density.size):
        volume[i] = grown(density[i], arrival[i], t, steepness)


@dataclass(frozen=True, eq=False)
class SampledPart:
    """Part of a field on the grid: `(z, y, x)` float32 density [V], and arrival time where it has one [t]."""

    density: NDArray[np.float32]
    arrival: NDArray[np.float32] | None
    width: float

    def at(self, t: float, part: Part) -> NDArray[np.float32]:
        """`(z, y, x)` potential of some voxels at one time, not to be written to [V]."""
        density = np.ascontiguousarray(self.density[part])
        if self.arrival is None:
            return density
        arrival, volume = np.ascontiguousarray(self.arrival[part]), np.empty_like(density)
        steepness = np.float32(1.0 / self.width)
        _growth_at(density.reshape(-1), arrival.reshape(-1), np.float32(t), steepness, volume.reshape(-1))
        return volume


@dataclass(frozen=True, eq=False)
class SampledField:
    """A field of a reconstruction on its own grid.

    Parameters
    ----------
    reconstruction : Reconstruction
        Where it comes from.
    parts : tuple of SampledPart
        What adds up to the potential; empty for a field that is asked anew for every time.
    """

    reconstruction: Reconstruction
    parts: tuple[SampledPart, ...]

    @classmethod
    def of(cls, reconstruction: Reconstruction, *, superseded: Callable[[], bool] = _never) -> SampledField:
        """Sample a field.

        Parameters
        ----------
        reconstruction : Reconstruction
            Whose field.
        superseded : callable
            Asked between blocks of rows whether the result is no longer wanted.

        Returns
        -------
        SampledField
            Holds density and arrival time where they serve all times.

        Raises
        ------
        Superseded
            The result is no longer wanted.
        """
        field, grid = reconstruction.field, reconstruction.grid
        if not field.serves_all_times:
            return cls(reconstruction, ())
        sampled: list[SampledPart] = []
        for rows, blocks in sampled_blocks(field, grid, 0.0):
            if superseded():
                raise Superseded
            if not sampled:
                sampled = [_empty(grid.shape, block) for block in blocks]
            for part, block in zip(sampled, blocks, strict=True):
                part.density[:, rows] = block.density.transpose(0, 1).numpy()
                if part.arrival is not None and block.arrival is not None:
                    part.arrival[:, rows] = block.arrival.transpose(0, 1).numpy()
        return cls(reconstruction, tuple(sampled))

    @cached_property
    def density(self) -> NDArray[np.float32] | None:
        """`(z, y, x)` float32 potential once all has arrived; None where only the field knows [V]."""
        return reduce(np.add, (part.density for part in self.parts)) if self.parts else None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (z, y, x)."""
        return self.reconstruction.grid.shape

    def is_quick(self, part: Part) -> bool:
        """Return whether a part of the volume is computed within about a tenth of a second.

        Parameters
        ----------
        part : tuple of slice
            Which voxels (z, y, x).

        Returns
        -------
        bool
            True where a window may wait for it.
        """
        n_voxels = 1
        for chosen, length in zip(part, self.shape, strict=True):
            n_voxels *= len(range(*chosen.indices(length)))
        return n_voxels * max(1, len(self.parts)) <= (_VOXELS_AT_ONCE if self.parts else _POINTS_AT_ONCE)

    def at(self, t: float, part: Part, *, superseded: Callable[[], bool] = _never) -> NDArray[np.float32]:
        """Return part of the volume at one time.

        Parameters
        ----------
        t : float
            When [t].
        part : tuple of slice
            Which voxels (z, y, x).
        superseded : callable
            Asked between pieces of the work whether the result is no longer wanted.

        Returns
        -------
        ndarray
            `(z, y, x)` float32 potential; must not be written to [V].

        Raises
        ------
        Superseded
            The result is no longer wanted.
        """
        if not self.parts:
            return self._asked_at(t, part, superseded)
        return reduce(np.add, (sampled.at(t, part) for sampled in self.parts))

    def _asked_at(self, t: float, part: Part, superseded: Callable[[], bool]) -> NDArray[np.float32]:
        field, grid = self.reconstruction.field, self.reconstruction.grid
        z, y, x = (torch.from_numpy(np.ascontiguousarray(grid.axis_positions(axis)[part[axis]])) for axis in range(3))
        volume = np.empty((len(z), len(y), len(x)), dtype=np.float32)
        n_rows = max(1, _POINTS_AT_ONCE // (len(z) * len(x)))
        for start in range(0, len(y), n_rows):
            if superseded():
                raise Superseded
            rows = slice(start, start + n_rows)
            with torch.inference_mode():
                volume[:, rows] = potential(field.slices(z, y[rows], x, t), t).transpose(0, 1).numpy()
        return volume


def _empty(shape: tuple[int, int, int], block: Slices) -> SampledPart:
    arrival = None if block.arrival is None else np.empty(shape, dtype=np.float32)
    return SampledPart(np.empty(shape, dtype=np.float32), arrival, block.width)
