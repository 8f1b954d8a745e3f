"""How much of the specimen a reconstruction keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.analysis.resolution import checked_pair
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SMOOTHING = 0.6
"""Standard deviation of the Gaussian that gathers the mass of an atom [Å]: that of the tolerance when atoms are scored,
so that an atom which is a little out of place or blurred is still there."""
N_SECTORS = 8
"""Sectors of 45 degrees around the tilt axis."""


def specimen_kept(
    volume: ArrayLike,
    uncontaminated: ArrayLike,
    atom_positions: ArrayLike,
    *,
    voxel_size: float,
    smoothing: float = SMOOTHING,
) -> float:
    """Return the mass at the specimen's atoms against that in the never-contaminated reconstruction.

    What takes contamination away can take the surface of the specimen with it, and on the side where carbon grew first
    most of all; a mean over all atoms hides that. So the outer half counts, atoms at least half as far from the tilt
    axis as the farthest, in sectors of 45 degrees around the axis, and the worst of them is the score.

    Parameters
    ----------
    volume : array_like
        `(z, y, x)` potential of the reconstruction at t = 0 [V].
    uncontaminated : array_like
        `(z, y, x)` potential of a reconstruction of the same series without contamination [V].
    atom_positions : array_like
        `(n, 3)` positions (z, y, x) of the specimen's atoms from the centre of the first voxel [Å].
    voxel_size : float
        Edge of a voxel [Å].
    smoothing : float
        Standard deviation of the Gaussian that both volumes are smoothed by before they are read at the atoms [Å].

    Returns
    -------
    float
        1 where all is kept, 0 where nothing is left; above 1 where every sector has carbon left on it. Sectors without
        atoms do not count.

    Raises
    ------
    StinrError
        Shapes differ, values are not finite, or the never-contaminated reconstruction has no mass at the atoms.
    """
    values, reference = checked_pair(volume, uncontaminated, what="uncontaminated reconstruction")
    positions = _checked_positions(atom_positions)
    centre = (np.array(values.shape, dtype=np.float64) - 1) / 2 * voxel_size
    z, _, x = (positions - centre).T
    from_axis = np.hypot(z, x)
    is_outer = from_axis >= from_axis.max() / 2
    sectors = _sectors(z, x)[is_outer]
    index = (positions[is_outer] / voxel_size).T
    found, expected = (_mass(each, index, smoothing / voxel_size, sectors) for each in (values, reference))
    counts = expected > 0
    if not counts.any():
        raise StinrError(
            "the uncontaminated reconstruction has no mass at the atoms",
            expected="atoms of the specimen that it shows",
            cure="Check that positions are in Å, from the centre of the first voxel.",
        )
    return float((found[counts] / expected[counts]).min())


def _sectors(z: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sector of each position around the axis, 0 to 7."""
    return np.floor(np.arctan2(z, x) % (2 * np.pi) / (2 * np.pi) * N_SECTORS).astype(np.int64) % N_SECTORS


def _mass(
    values: NDArray[np.float64], index: NDArray[np.float64], sigma: float, sectors: NDArray[np.int64]
) -> NDArray[np.float64]:
    """`(8,)` sum of the smoothed volume at `(3, n)` positions [voxels], in each sector."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    at_atoms = map_coordinates(gaussian_filter(values, sigma), index, order=1, mode="nearest")
    return np.bincount(sectors, weights=at_atoms, minlength=N_SECTORS).astype(np.float64)


def _checked_positions(atom_positions: ArrayLike) -> NDArray[np.float64]:
    positions = np.asarray(atom_positions, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 3 or not len(positions) or not math.isfinite(positions.sum()):
        raise StinrError(
            f"the atoms have the shape {positions.shape}",
            expected="(n, 3) finite positions (z, y, x) of at least one atom",
            cure="Give the positions of the specimen's atoms in Å.",
        )
    return positions
