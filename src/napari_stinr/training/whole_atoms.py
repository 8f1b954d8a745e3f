"""Give every atom to the specimen or to the contamination as a whole, once the volume shows atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_stinr.fields.growth import EARLIEST, NEAR_SURFACE, OUTSIDE, SPECIMEN
from napari_stinr.reconstruction.rendering import sampled_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import GrowthField

DECIDED_AT = 0.5
"""Part of the fit of the volume after which whole atoms are decided on: they are there, and enough of it is left."""

_PEAK = 0.5
"""Standard deviation of the Gaussian before peaks are looked for [voxel]: two in one atom are noise."""
_LEAST_PART = 0.42
"""Part of the mass of an atom of the specimen that says so: of one that the surface cuts, the rest may not."""
_PRESSED = 0.05
"""Outside, what arrives so soon after `EARLIEST` would do so earlier if it were let, and says nothing [t]."""
_ROWS_TOGETHER = 16


def is_undecided(field: GrowthField) -> bool:
    """Return whether places decide on their own yet whether they are specimen."""
    return field.regions is not None and bool((field.regions == NEAR_SURFACE).any())


def decide_on_whole_atoms(field: GrowthField, grid: VoxelGrid) -> None:
    """Tell a field which voxels are specimen, so that no atom is half of it.

    Every voxel goes with the atom whose peak it climbs to, and an atom is specimen if that is where most of its mass
    is, of what says anything. What began as a smooth surface then runs between atoms, and the tail of an atom of the
    specimen is not cut off.

    Parameters
    ----------
    field : GrowthField
        Half way through its fit.
    grid : VoxelGrid
        The voxels of the reconstruction.
    """
    depth, height, width = grid.fitted.shape
    density, arrival = np.empty((2, height, depth, width), dtype=np.float32)
    for rows, (part,) in sampled_blocks(field, grid.fitted, 0.0):
        assert part.arrival is not None
        density[rows], arrival[rows] = part.density.cpu().numpy(), part.arrival.cpu().numpy()
    atoms, n_atoms = atoms_of(gaussian_filter(density, _PEAK, mode="nearest"))

    def mass(where: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(atoms[where], density[where].astype(np.float64), n_atoms).astype(np.float64)

    of_specimen, of_contamination = mass(arrival < 0), mass(arrival > EARLIEST + _PRESSED)
    total = np.bincount(atoms.ravel(), density.ravel(), n_atoms)
    is_specimen = (of_specimen > of_contamination) & (of_specimen > _LEAST_PART * total)
    field.tell_regions(torch.from_numpy(np.where(is_specimen, np.uint8(SPECIMEN), np.uint8(OUTSIDE))[atoms]))


def atoms_of(density: NDArray[np.float32]) -> tuple[NDArray[np.int32], int]:
    """Divide a volume among its peaks: each voxel follows its highest neighbour until there is none higher.

    Parameters
    ----------
    density : ndarray
        `(rows, depth, width)` density [any unit].

    Returns
    -------
    atoms : ndarray
        `(rows, depth, width)` int32 number of the peak, from 0.
    n_atoms : int
        How many peaks there are.
    """
    index = np.arange(density.size, dtype=np.int32).reshape(density.shape)
    above = np.empty_like(index)
    for start in range(0, len(density), _ROWS_TOGETHER):
        rows = slice(start, min(start + _ROWS_TOGETHER, len(density)))
        above[rows] = _highest_neighbours(density, index, rows)
    climbed = above.ravel()
    while not np.array_equal(further := climbed[climbed], climbed):
        climbed = further
    is_peak = climbed == index.ravel()
    numbers = np.cumsum(is_peak, dtype=np.int32) - 1
    return numbers[climbed].reshape(density.shape), int(is_peak.sum())


def _highest_neighbours(density: NDArray[np.float32], index: NDArray[np.int32], rows: slice) -> NDArray[np.int32]:
    """`(n, depth, width)` index of the highest of every voxel and its 26 neighbours, for some rows."""
    first, last = max(0, rows.start - 1), min(len(density), rows.stop + 1)
    beyond = ((int(first == rows.start), int(last == rows.stop)), (1, 1), (1, 1))
    heights = np.pad(density[first:last], beyond, constant_values=-np.inf)
    indices = np.pad(index[first:last], beyond)
    highest, found = density[rows].copy(), index[rows].copy()
    for step in np.ndindex(3, 3, 3):
        moved = tuple(slice(start, start + length) for start, length in zip(step, highest.shape, strict=True))
        is_higher = heights[moved] > highest
        highest[is_higher], found[is_higher] = heights[moved][is_higher], indices[moved][is_higher]
    return found
