"""What each tilt sees of the slices, and the slice itself."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries


@dataclass(frozen=True)
class SliceShape:
    """The slice that one detector row sees, and its line: the same for every row.

    Parameters
    ----------
    depth, width : int
        Voxels of the slice along z and x.
    n_pixels : int
        Pixels of the detector line.
    voxel_size : float
        Edge of a voxel, and width of a pixel [any length]; turns a sum of voxels into an integral.
    """

    depth: int
    width: int
    n_pixels: int
    voxel_size: float = 1.0

    @classmethod
    def of(cls, series: TiltSeries, grid: VoxelGrid) -> SliceShape:
        """Return the shape of a slice of a grid whose voxels are as large as the pixels of a series."""
        return cls(grid.depth, grid.width, series.width, grid.voxel_size)


class TiltRays(NamedTuple):
    """What the kernels of a projector need of every tilt, on the CPU.

    Parameters
    ----------
    cosines, sines : Tensor
        `(m,)` float64 of the angles of the rays.
    origins : Tensor
        `(m,)` float64 detector coordinate of the rotation axis, from the first pixel [pixel].
    times : Tensor
        `(m,)` float32 times [t].
    """

    cosines: torch.Tensor
    sines: torch.Tensor
    origins: torch.Tensor
    times: torch.Tensor


@dataclass(frozen=True, eq=False)
class Views:
    """How some tilts see the slices of a specimen; ``views[tilts]`` are those of some of them.

    Parameters
    ----------
    angles : Tensor
        `(n,)` float64 angles of the rays [radians].
    cosines, sines : Tensor
        `(n,)` float64 of the angles.
    origins : Tensor
        `(n,)` float64 detector coordinate of the rotation axis, from the first pixel [pixel].
    times : Tensor
        `(n,)` float32 times [t].
    shifts : Tensor, optional
        `(n,)` float64 movement of the specimen along the detector line [pixel]; None: none.
    gains : Tensor, optional
        `(n,)` factor of the projection [1]; None: 1.
    offsets : Tensor, optional
        `(n,)` what is added to the projection [V times the unit of voxel_size]; None: 0.
    """

    angles: torch.Tensor
    cosines: torch.Tensor
    sines: torch.Tensor
    origins: torch.Tensor
    times: torch.Tensor
    shifts: torch.Tensor | None = None
    gains: torch.Tensor | None = None
    offsets: torch.Tensor | None = None

    @classmethod
    def at(
        cls, angles_rad: NDArray[np.float64], times: NDArray[np.float64], *, n_pixels: int, axis_offset: float = 0.0
    ) -> Views:
        """Return the views at some angles.

        Parameters
        ----------
        angles_rad : ndarray
            `(n,)` angles of the rays [radians].
        times : ndarray
            `(n,)` times [t].
        n_pixels : int
            Pixels of the detector line.
        axis_offset : float
            Position of the rotation axis from the centre of the detector [pixel].

        Returns
        -------
        Views
            Without shifts, gains and offsets.
        """
        angles = np.array(angles_rad, dtype=np.float64)
        return cls(
            torch.from_numpy(angles),
            torch.from_numpy(np.cos(angles)),
            torch.from_numpy(np.sin(angles)),
            torch.full((len(angles),), (n_pixels - 1) / 2 + axis_offset, dtype=torch.float64),
            torch.tensor(times).float(),
        )

    @classmethod
    def of(cls, series: TiltSeries) -> Views:
        """Return what every tilt of a series sees, used or not.

        Parameters
        ----------
        series : TiltSeries
            Angles, times, handedness and rotation axis; its projections are not looked at.

        Returns
        -------
        Views
            In stack order.
        """
        return cls.at(series.ray_angles_rad, series.times, n_pixels=series.width, axis_offset=series.axis_offset)

    @property
    def rays(self) -> TiltRays:
        """What the kernels need."""
        origins = self.origins if self.shifts is None else self.origins + self.shifts
        return TiltRays(self.cosines, self.sines, origins, self.times)

    @property
    def changes_intensity(self) -> bool:
        """Whether there are gains or offsets."""
        return self.gains is not None or self.offsets is not None

    def scaled(self, projected: torch.Tensor) -> torch.Tensor:
        """Apply gains and offsets to projected potential, whose first axis is the tilts."""
        shape = (-1, *(1,) * (projected.ndim - 1))
        if self.gains is not None:
            projected = projected * self.gains.view(shape).to(projected)
        if self.offsets is not None:
            projected = projected + self.offsets.view(shape).to(projected)
        return projected

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, tilts: torch.Tensor | slice) -> Views:
        values: dict[str, torch.Tensor | None] = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[tilts] for name, value in values.items() if value is not None})
