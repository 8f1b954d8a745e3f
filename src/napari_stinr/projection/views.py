"""What each tilt sees of a slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries


@dataclass(frozen=True)
class SliceGeometry:
    """How the tilts see a slice: the same for every detector row.

    Parameters
    ----------
    depth, width : int
        Voxels of the slice along z and x.
    n_pixels : int
        Pixels of the detector line.
    angles_rad : tuple of float
        Angle of the rays of every tilt [radians].
    voxel_size : float
        Edge of a voxel, and width of a pixel [any length]; turns a sum of voxels into an integral.
    axis_offset : float
        Position of the rotation axis from the centre of the detector [pixel].
    """

    depth: int
    width: int
    n_pixels: int
    angles_rad: tuple[float, ...]
    voxel_size: float = 1.0
    axis_offset: float = 0.0

    @classmethod
    def of(cls, series: TiltSeries, grid: VoxelGrid) -> SliceGeometry:
        """Return the geometry in which a tilt series sees the slices of a grid.

        Parameters
        ----------
        series : TiltSeries
            The data.
        grid : VoxelGrid
            The grid; its voxels are as large as the pixels.

        Returns
        -------
        SliceGeometry
            Geometry of one slice.
        """
        return cls(
            grid.depth,
            grid.width,
            series.width,
            tuple(float(angle) for angle in series.ray_angles_rad),
            voxel_size=grid.voxel_size,
            axis_offset=series.axis_offset,
        )

    @property
    def origin(self) -> float:
        """Detector coordinate of the rotation axis, from the first pixel [pixel]."""
        return (self.n_pixels - 1) / 2 + self.axis_offset

    @property
    def path_length(self) -> float:
        """Longest way of a ray through the slice along an axis [the unit of voxel_size]."""
        return max(self.depth, self.width) * self.voxel_size
