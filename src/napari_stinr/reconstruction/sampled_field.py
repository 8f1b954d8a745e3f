"""A field sampled for the eye: any part of the volume at any t, fast enough to follow a slider.

A field that serves all times is sampled once; after that, a volume at any t is one compiled pass over density and
arrival time. Another one, such as a network of time as well, is asked anew for every t.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numba
import numpy as np
import psutil
import torch

from napari_stinr.fields.storage import is_on_file
from napari_stinr.projection.backends.numba_kernels import grown
from napari_stinr.reconstruction.rendering import RENDERED_AT_ONCE, sampled_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import Field
    from napari_stinr.fields.base import Slices
    from napari_stinr.reconstruction.reconstruction import Reconstruction

Part = tuple[slice, slice, slice]
_VOXELS_AT_ONCE = 32_000_000
"""Voxels of a sampled field that are computed within a tenth of a second."""
_TIMES_WITH_BLUR = 12
"""How many times as long a blurred voxel takes; measured."""
_POINTS_AT_ONCE = 16_384
"""Points at which a network is asked within a tenth of a second."""
_PART_OF_MEMORY = 0.4
"""Of the free memory, that samples may take; else the field is asked anew, as one that lies on files."""
_SAMPLED_EVERY, _SAMPLED_ROWS = 4, 32
"""Distance of the voxels that are looked at to see how high the values are, and how many rows of a large volume."""


class Superseded(Exception):
    """The caller no longer wants what is being computed."""


def _never() -> bool:
    return False


@numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def _growth_at(density, arrival, t, steepness, volume):  # type: ignore[no-untyped-def]
    for i in range(density.size):
        volume[i] = grown(density[i], arrival[i], t, steepness)


@numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def _blur_at(volume, taps, first_z, first_x, shown):  # type: ignore[no-untyped-def]
    """Filter along z and x what begins at two positions of a volume, which goes on beyond its ends as it ends."""
    depth, height, width = volume.shape
    reach = len(taps) // 2
    line = np.empty(shown.shape[2] + 2 * reach, dtype=np.float32)
    for z in range(shown.shape[0]):
        for y in range(height):
            line[:] = 0
            left, right = max(0, reach - first_x), min(len(line), width + reach - first_x)
            for k in range(len(taps)):
                plane = min(max(first_z + z + k - reach, 0), depth - 1)
                for x in range(left, right):
                    line[x] += taps[k] * volume[plane, y, x + first_x - reach]
            line[:left] = line[left]
            line[right:] = line[right - 1]
            for x in range(shown.shape[2]):
                value = np.float32(0)
                for k in range(len(taps)):
                    value += taps[k] * line[x + k]
                shown[z, y, x] = value


@dataclass(frozen=True, eq=False)
class SampledPart:
    """Part of a field before its blur: `(z, y, x)` float32 density [V], and arrival time where it has one [t]."""

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
        What adds up to the potential before the blur; empty for a field that is asked anew for every time.
    beyond : int
        Voxels around the grid, along z and x, that the parts have for the blur.
    """

    reconstruction: Reconstruction
    parts: tuple[SampledPart, ...]
    beyond: int = 0

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
        beyond = 0 if field.blur is None else min(grid.margin, len(field.blur.taps) - 1)
        wider = replace(grid.fitted, depth=grid.depth + 2 * beyond, width=grid.width + 2 * beyond)
        if _is_large(field, wider):
            asked = cls(reconstruction, ())
            asked.typical  # noqa: B018  # which takes longer than a window may wait later
            return asked
        sampled: list[SampledPart] = []
        for rows, blocks in sampled_blocks(field, wider, 0.0):
            if superseded():
                raise Superseded
            if not sampled:
                sampled = [_empty(wider.shape, block) for block in blocks]
            for part, block in zip(sampled, blocks, strict=True):
                part.density[:, rows] = block.density.transpose(0, 1).numpy()
                if part.arrival is not None and block.arrival is not None:
                    part.arrival[:, rows] = block.arrival.transpose(0, 1).numpy()
        return cls(reconstruction, tuple(sampled), beyond)

    @cached_property
    def density(self) -> NDArray[np.float32] | None:
        """`(z, y, x)` float32 potential once all has arrived; None where only the field knows [V]."""
        if not self.parts:
            return None
        everything = (slice(None),) * 3
        return self._blurred(lambda part: reduce(np.add, (sampled.density[part] for sampled in self.parts)), everything)

    @cached_property
    def typical(self) -> NDArray[np.float32]:
        """`(z, y, x)` float32 potential of voxels that show how high the values are [V]."""
        if self.density is not None:
            return self.density
        every = slice(None, None, _SAMPLED_EVERY)
        if not self.reconstruction.field.serves_all_times:
            # Its network would keep the window waiting for all voxels.
            return self.at(0.0, (every, every, every))
        rows = slice(None, None, max(_SAMPLED_EVERY, self.shape[1] // _SAMPLED_ROWS))
        return self.at(1.0, (every, rows, every))

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
        if not self.parts:
            return n_voxels <= _POINTS_AT_ONCE
        blur = self.reconstruction.field.blur
        if blur is None:
            return n_voxels * len(self.parts) <= _VOXELS_AT_ONCE
        return n_voxels * len(self.parts) <= _VOXELS_AT_ONCE // _TIMES_WITH_BLUR

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
        return self._blurred(lambda part: reduce(np.add, (sampled.at(t, part) for sampled in self.parts)), part)

    def _blurred(self, sharp: Callable[[Part], NDArray[np.float32]], part: Part) -> NDArray[np.float32]:
        """Blur what `sharp` returns for some voxels of the parts, so that it is right in those of the grid."""
        blur = self.reconstruction.field.blur
        if blur is None:
            return sharp(part)
        lengths = self.parts[0].density.shape
        (z, inner_z), (x, inner_x) = (
            _with_neighbours(part[axis], self.shape[axis], lengths[axis], reach=len(blur.taps) - 1) for axis in (0, 2)
        )
        volume = sharp((z, part[1], x))
        shown = np.empty(
            (inner_z.stop - inner_z.start, volume.shape[1], inner_x.stop - inner_x.start), dtype=np.float32
        )
        taps = np.array([*blur.taps[:0:-1], *blur.taps], dtype=np.float32)
        _blur_at(volume, taps, inner_z.start, inner_x.start, shown)
        return np.ascontiguousarray(shown[:: inner_z.step, :, :: inner_x.step])

    def _asked_at(self, t: float, part: Part, superseded: Callable[[], bool]) -> NDArray[np.float32]:
        field, grid = self.reconstruction.field, self.reconstruction.grid
        z, y, x = (torch.from_numpy(np.ascontiguousarray(grid.axis_positions(axis)[part[axis]])) for axis in range(3))
        volume = np.empty((len(z), len(y), len(x)), dtype=np.float32)
        n_rows = max(1, (_POINTS_AT_ONCE if field.costs.products else RENDERED_AT_ONCE) // (len(z) * len(x)))
        for start in range(0, len(y), n_rows):
            if superseded():
                raise Superseded
            rows = slice(start, start + n_rows)
            with torch.inference_mode():
                volume[:, rows] = field.potential(z, y[rows], x, t).transpose(0, 1).numpy()
        return volume


def _is_large(field: Field, grid: VoxelGrid) -> bool:
    """Whether density and arrival time at all voxels are more than the memory should hold."""
    if any(map(is_on_file, field.state_dict().values())):
        return True
    taken = field.costs.static_parts + 2 * field.costs.growing_parts
    n_bytes, free = 4 * taken * grid.depth * grid.height * grid.width, int(psutil.virtual_memory().available)
    return n_bytes > _PART_OF_MEMORY * free


def _with_neighbours(chosen: slice, length: int, stored: int, *, reach: int) -> tuple[slice, slice]:
    """Voxels of the parts that a blur of some voxels of the grid needs, and where among them those are."""
    start, stop, step = chosen.indices(length)
    beyond = (stored - length) // 2
    first = max(0, start + beyond - reach)
    last = min(stored, max(start, stop) + beyond + reach)
    return slice(first, last), slice(start + beyond - first, max(start, stop) + beyond - first, step)


def _empty(shape: tuple[int, int, int], block: Slices) -> SampledPart:
    arrival = None if block.arrival is None else np.empty(shape, dtype=np.float32)
    return SampledPart(np.empty(shape, dtype=np.float32), arrival, block.width)
