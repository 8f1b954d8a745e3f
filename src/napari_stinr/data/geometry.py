"""The one geometry convention: coordinates, voxel grids and the footprint of a voxel on the detector.

Arrays and coordinates are ordered (t, z, y, x). The beam runs along +z at 0 degrees and the tilt axis is y. The
rotation axis passes through the centre of the pixel array, index ``(n - 1) / 2``; an axis offset in pixels moves it.
A specimen point (z, x), measured from the axis, lands at the detector coordinate

    u = x cos(theta) + z sin(theta).

The opposite handedness is the same with every angle negated: it gives the mirror image in z at the same residual. A
projection is the integral of the potential along the ray, ``sum(V) * voxel_size``. Angles here are in radians
(``_rad``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries


@dataclass(frozen=True)
class VoxelGrid:
    """A grid of cubic voxels around the rotation axis: those that are shown, and a margin that is only fitted.

    Parameters
    ----------
    depth, height, width : int
        Number of voxels along z, y and x.
    voxel_size : float
        Edge of a voxel [length_unit].
    length_unit : str
        ``"Å"``, or ``"pixel"`` where the pixel size of the data is not known.
    margin : int
        Voxels beyond the grid on both sides along z and x, for matter that rays see and the view does not; they are
        fitted and not shown.

    Raises
    ------
    StinrError
        A number of voxels is less than 1, the voxel size is not positive, or the margin is negative.
    """

    depth: int
    height: int
    width: int
    voxel_size: float = 1.0
    length_unit: str = "Å"
    margin: int = 0

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or not self.voxel_size > 0 or self.margin < 0:
            raise StinrError(
                f"a grid of {self.shape} voxels of {self.voxel_size:g} {self.length_unit}, margin {self.margin}",
                expected="at least one voxel along each axis, a positive voxel size and no negative margin",
                cure="Choose a larger volume or a smaller voxel size.",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels (z, y, x)."""
        return (self.depth, self.height, self.width)

    @property
    def n_voxels(self) -> int:
        """Number of voxels in the volume."""
        return self.depth * self.height * self.width

    @property
    def fitted(self) -> VoxelGrid:
        """The voxels that are fitted: those of this grid and of its margin."""
        around = 2 * self.margin
        return replace(self, depth=self.depth + around, width=self.width + around, margin=0)

    @property
    def held(self) -> range:
        """Rows of what is as fine as the voxels that a field on this grid holds: all of them."""
        return range(self.height)

    def resampled(self, voxel_size: float) -> VoxelGrid:
        """Return the grid with another voxel size that spans the same region between its outermost voxel centres.

        Parameters
        ----------
        voxel_size : float
            Edge of the new voxels [length_unit].

        Returns
        -------
        VoxelGrid
            The new grid without a margin, centred on the same point; never larger than this one by more than half a
            voxel.
        """
        depth, height, width = (round((n - 1) * self.voxel_size / voxel_size) + 1 for n in self.shape)
        return VoxelGrid(depth, height, width, voxel_size=voxel_size, length_unit=self.length_unit)

    def axis_positions(self, axis: int) -> NDArray[np.float64]:
        """Return voxel centres along one axis, from the centre of the grid.

        Parameters
        ----------
        axis : int
            0 for z, 1 for y, 2 for x.

        Returns
        -------
        ndarray
            `(n,)` positions [length_unit].
        """
        n = self.shape[axis]
        return (np.arange(n, dtype=np.float64) - (n - 1) / 2) * self.voxel_size


@dataclass(frozen=True)
class BandGrid(VoxelGrid):
    """A grid of which one of several processes holds a band of rows: where they lie is told by the whole grid.

    Parameters
    ----------
    first : int
        First of its rows.
    n_rows : int
        How many there are.
    """

    first: int = 0
    n_rows: int = 1

    @classmethod
    def of(cls, grid: VoxelGrid, rows: range) -> BandGrid:
        """Return the band of some rows that follow each other, of a whole grid."""
        if not 0 <= rows.start < rows.stop <= grid.height:
            raise ValueError(f"rows {rows.start} to {rows.stop} of {grid.height}")
        return cls(**vars(grid), first=rows.start, n_rows=len(rows))

    @property
    def held(self) -> range:
        """The rows of the band."""
        return range(self.first, self.first + self.n_rows)

    @property
    def whole(self) -> VoxelGrid:
        """The grid without the band."""
        return VoxelGrid(self.depth, self.height, self.width, self.voxel_size, self.length_unit, self.margin)


def grid_of(series: TiltSeries, *, depth: int | None = None, margin: int = 0) -> VoxelGrid:
    """Return the voxel grid on which a tilt series is reconstructed: one voxel per detector pixel.

    Parameters
    ----------
    series : TiltSeries
        The data.
    depth : int, optional
        Number of voxels along the beam; the width of the detector by default, so that the specimen may be as thick as
        wide.
    margin : int
        Voxels on each side along z and x that are fitted and not shown.

    Returns
    -------
    VoxelGrid
        Grid of (depth, height, width) voxels.
    """
    return VoxelGrid(
        series.width if depth is None else depth,
        series.height,
        series.width,
        voxel_size=series.voxel_size,
        length_unit=series.length_unit,
        margin=margin,
    )
