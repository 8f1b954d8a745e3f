"""A field sampled for the eye: any part of the volume at any t, fast enough to follow a slider.

A growth or static field is sampled once; after that, a volume at any t is one compiled pass over density and arrival
time. A joint field is a network of time as well, and is asked anew for every t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import torch

from napari_stinr.fields import GrowthField, JointField
from napari_stinr.projection.backends.numba_kernels import sigmoid
from napari_stinr.reconstruction.rendering import field_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

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
        volume[i] = density[i] * sigmoid((t - arrival[i]) * steepness)


@dataclass(frozen=True, eq=False)
class SampledField:
    """A field of a reconstruction on its own grid.

    Parameters
    ----------
    reconstruction : Reconstruction
        Where it comes from.
    density : ndarray or None
        `(z, y, x)` float32 density; None for a joint field [V].
    arrival : ndarray or None
        `(z, y, x)` float32 arrival time; None where the field has none [t].
    """

    reconstruction: Reconstruction
    density: NDArray[np.float32] | None
    arrival: NDArray[np.float32] | None

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
            Holds density and arrival time of a growth or static field; nothing of a joint one.

        Raises
        ------
        Superseded
            The result is no longer wanted.
        """
        field, grid = reconstruction.field, reconstruction.grid
        if isinstance(field, JointField):
            return cls(reconstruction, None, None)
        density = np.empty(grid.shape, dtype=np.float32)
        arrival = np.empty(grid.shape, dtype=np.float32) if isinstance(field, GrowthField) else None
        for rows, block, arrives in field_blocks(field, grid, 0.0):
            if superseded():
                raise Superseded
            density[:, rows] = block.transpose(0, 1).numpy()
            if arrival is not None and arrives is not None:
                arrival[:, rows] = arrives.transpose(0, 1).numpy()
        return cls(reconstruction, density, arrival)

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
        return n_voxels <= (_POINTS_AT_ONCE if self.density is None else _VOXELS_AT_ONCE)

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
        if self.density is None:
            return self._joint_at(t, part, superseded)
        density = np.ascontiguousarray(self.density[part])
        if self.arrival is None:
            return density
        arrival, volume = np.ascontiguousarray(self.arrival[part]), np.empty_like(density)
        field = self.reconstruction.field
        assert isinstance(field, GrowthField)
        steepness = np.float32(1.0 / float(field.width))
        _growth_at(density.reshape(-1), arrival.reshape(-1), np.float32(t), steepness, volume.reshape(-1))
        return volume

    def _joint_at(self, t: float, part: Part, superseded: Callable[[], bool]) -> NDArray[np.float32]:
        field, grid = self.reconstruction.field, self.reconstruction.grid
        assert isinstance(field, JointField)
        z, y, x = (torch.from_numpy(np.ascontiguousarray(grid.axis_positions(axis)[part[axis]])) for axis in range(3))
        volume = np.empty((len(z), len(y), len(x)), dtype=np.float32)
        n_rows = max(1, _POINTS_AT_ONCE // (len(z) * len(x)))
        for start in range(0, len(y), n_rows):
            if superseded():
                raise Superseded
            rows = slice(start, start + n_rows)
            with torch.inference_mode():
                volume[:, rows] = field.on_lattice(z, y[rows], x, t).transpose(0, 1).numpy()
        return volume
