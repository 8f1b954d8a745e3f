"""Give every atom to the specimen or to the contamination as a whole, once the volume shows atoms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, maximum_filter

from napari_stinr.fields.atoms import IS_SPECIMEN, Atoms
from napari_stinr.fields.growth import NEAR_SURFACE, OUTSIDE, WITHOUT_ATOMS
from napari_stinr.reconstruction.rendering import lattice_of, rows_at_a_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import GrowthField

TOLD_AT, DECIDED_AT = 0.4, 0.7
"""Parts of the fit of the volume after which atoms are told from each other, as they are there then, and after which
it is decided what each of them is, with enough left to fit what that leaves open."""

_PEAK = 0.5
"""Standard deviation of the Gaussian before peaks are looked for [voxel]: two in one atom are noise."""
_REACH, _LEAST_REACH = 2.1, 6
"""How far an atom reaches from its peak [Å], and at least [voxel]: what is larger is none, and divided into cells of
this edge. What is farther than this from the surface is not specimen either: the search is not that wrong."""
_RESOLVED = 0.35
"""Density where an atom meets others, by that at its peak, below which it is told from them: 0.11 to 0.16 for half of
the mass of simulated atoms, 0.6 for bodies without any."""
_CERTAINLY_SPECIMEN = 0.7
"""Share of an atom above which it is specimen where there would be too much of that otherwise."""
_TOO_MUCH = 1.05
"""How much more specimen than there was in the first projection is too much: sums of pixels have their errors, too."""
_LITTLE = 1e-3
"""Weight of what is inside the surface for the time at which an atom arrives if it does: by the grids for outside."""
_ROWS_TOGETHER = 16


def is_undecided(field: GrowthField) -> bool:
    """Return whether it is open yet what is specimen: places decide on their own, or there are shares of atoms."""
    if field.atoms is not None:
        return not field.atoms.is_decided
    return field.regions is not None and bool((field.regions == NEAR_SURFACE).any())


def decide_on_whole_atoms(
    field: GrowthField, grid: VoxelGrid, *, fraction: float, mass_at_start: float | None = None
) -> bool:
    """Take the next step towards whole atoms where it is time for one.

    First atoms are told from each other, and each gets one arrival time and a share that was always there. These are
    trained with all the rest: for given densities and arrival times the loss is convex in the shares, and an atom
    leaves no room for the haze that single voxels like. Then the share is decided on. Where half of the mass or more
    shows no atoms, places near the surface go on deciding on their own instead.

    Parameters
    ----------
    field : GrowthField
        A field that :func:`is_undecided`.
    grid : VoxelGrid
        The voxels of the reconstruction.
    fraction : float
        Part of the fit of the volume that is over, 0 to 1.
    mass_at_start : float, optional
        Mass in the first projection, as a part of that in the last: of a burst of contamination, all but very few
        projections show it like specimen, but the mass tells how much there can be. None: not known [1].

    Returns
    -------
    bool
        The field has other parameters now.
    """
    if field.atoms is None:
        atoms = find_atoms(field, grid) if fraction >= TOLD_AT else None
        if atoms is not None:
            field.tell_atoms(atoms)
        elif fraction >= TOLD_AT and field.regions is not None:
            field.regions[field.regions == NEAR_SURFACE] = WITHOUT_ATOMS
        return fraction >= TOLD_AT
    if fraction >= DECIDED_AT:
        _decide(field, field.atoms, grid, mass_at_start)
    return fraction >= DECIDED_AT


def _decide(field: GrowthField, atoms: Atoms, grid: VoxelGrid, mass_at_start: float | None) -> None:
    """Decide by the shares, of what is near to the surface, and no more than the mass allows."""
    assert field.regions is not None
    labels = atoms.labels.cpu().numpy()
    is_inside = (field.regions != OUTSIDE).cpu().numpy()
    reach = _reach(grid)
    is_near = np.zeros(len(atoms.share), dtype=bool)
    is_near[labels[maximum_filter(is_inside, size=2 * reach + 1, mode="nearest")]] = True
    with torch.no_grad():
        atoms.share[torch.from_numpy(~is_near).to(atoms.share.device)] = 0.0
    mass, share = _masses(field, labels, grid, len(is_near)), atoms.share.detach().cpu().numpy()
    most = math.inf if mass_at_start is None else _TOO_MUCH * mass_at_start * mass.sum()
    is_too_much = mass[share > IS_SPECIMEN].sum() > most
    atoms.decide(least_share=_CERTAINLY_SPECIMEN if is_too_much else IS_SPECIMEN)


def _reach(grid: VoxelGrid) -> int:
    """How far an atom reaches [voxel]."""
    return max(_LEAST_REACH, math.ceil(_REACH / grid.voxel_size) if grid.length_unit == "Å" else 0)


def find_atoms(field: GrowthField, grid: VoxelGrid) -> Atoms | None:
    """Return the atoms of a field as it is, with the shares and arrival times that its voxels have.

    Parameters
    ----------
    field : GrowthField
        With a surface, and without atoms yet.
    grid : VoxelGrid
        The voxels of the reconstruction.

    Returns
    -------
    Atoms or None
        Where the field is; None: it shows no atoms.
    """
    assert field.regions is not None
    device, fitted = field.regions.device, grid.fitted
    z, y, x = lattice_of(fitted)
    density = np.empty((fitted.height, fitted.depth, fitted.width), dtype=np.float32)
    for rows in rows_at_a_time(fitted):
        with torch.inference_mode():
            density[rows] = field.density.on_lattice(z, y[rows], x).cpu().numpy()
    smooth = gaussian_filter(density, _PEAK, mode="nearest")
    labels, n_atoms = within_reach(*atoms_of(smooth), reach=_reach(grid))
    if height_of_borders(smooth, labels, n_atoms) > _RESOLVED:
        return None
    del smooth
    total, early, weight, weighted = np.zeros((4, n_atoms))
    for rows in rows_at_a_time(fitted):
        with torch.inference_mode():
            arrival = field.arrival_of_grids(z, y[rows], x).cpu().numpy()
            later = field.arrival_of_grids(z, y[rows], x, outside=True).cpu().numpy()
        voxels, mass = labels[rows].ravel(), density[rows].astype(np.float64)
        is_outside = (field.regions[rows] == OUTSIDE).cpu().numpy()
        counts = mass * np.where(is_outside, 1.0, _LITTLE)
        total += np.bincount(voxels, mass.ravel(), n_atoms)
        early += np.bincount(voxels, np.where(arrival < 0, mass, 0.0).ravel(), n_atoms)
        weight += np.bincount(voxels, counts.ravel(), n_atoms)
        weighted += np.bincount(voxels, (counts * later).ravel(), n_atoms)
    tiny = np.finfo(np.float64).tiny
    share, arrival_time = (values.astype(np.float32) for values in (early / (total + tiny), weighted / (weight + tiny)))
    return Atoms(
        torch.from_numpy(labels).to(device),
        share=torch.from_numpy(share).to(device),
        arrival=torch.from_numpy(arrival_time).to(device),
    )


def _masses(field: GrowthField, labels: NDArray[np.int32], grid: VoxelGrid, n_atoms: int) -> NDArray[np.float64]:
    """`(n_atoms,)` sum of the density of each atom [V]."""
    z, y, x = lattice_of(grid.fitted)
    mass = np.zeros(n_atoms)
    for rows in rows_at_a_time(grid.fitted):
        with torch.inference_mode():
            density = field.density.on_lattice(z, y[rows], x).cpu().numpy()
        mass += np.bincount(labels[rows].ravel(), density.ravel(), n_atoms)
    return mass


def atoms_of(density: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.integer]]:
    """Divide a volume among its peaks: each voxel follows its highest neighbour until there is none higher.

    Parameters
    ----------
    density : ndarray
        `(rows, depth, width)` density [any unit].

    Returns
    -------
    atoms : ndarray
        `(rows, depth, width)` int32 number of the peak, from 0.
    peaks : ndarray
        `(n_atoms,)` voxel of each peak, as an index of the flat volume.
    """
    above = np.empty(density.shape, dtype=np.int32 if density.size < 2**31 else np.int64)
    for rows in _some_rows(density):
        above[rows] = _highest_neighbours(density, rows, above.dtype)
    climbed = above.ravel()
    del above  # as all arrays are as large as the volume
    while not np.array_equal(further := climbed[climbed], climbed):
        climbed = further
    del further
    peaks = np.unique(climbed)
    numbers = np.empty(density.size, dtype=np.int32)
    numbers[peaks] = np.arange(len(peaks))
    return numbers[climbed].reshape(density.shape), peaks


def height_of_borders(density: NDArray[np.float32], labels: NDArray[np.int32], n_labels: int) -> float:
    """Return how high atoms are where they meet: their mean density there, by the highest.

    Parameters
    ----------
    density : ndarray
        `(rows, depth, width)` density [any unit].
    labels, n_labels
        From :func:`within_reach`; the cells of a body that is larger than an atom meet within it.

    Returns
    -------
    float
        The median over all mass, 0 to 1: near to 0 where atoms stand apart, near to 1 where peaks are noise [1].
    """
    mass, border, n_border, top = np.zeros((4, n_labels))
    for rows in _some_rows(labels):
        some, values = labels[rows], density[rows].astype(np.float64)
        first, last = max(0, rows.start - 1), min(len(labels), rows.stop + 1)
        beside = np.pad(labels[first:last], 1, mode="edge")
        middle = slice(1 + rows.start - first, 1 + rows.stop - first)
        is_border = np.zeros(some.shape, dtype=bool)
        for axis in range(3):
            for step in (-1, 1):
                moved = [middle, slice(1, -1), slice(1, -1)]
                moved[axis] = slice(moved[axis].start + step, (moved[axis].stop + step) or None)
                is_border |= beside[tuple(moved)] != some
        mass += np.bincount(some.ravel(), values.ravel(), n_labels)
        border += np.bincount(some[is_border], values[is_border], n_labels)
        n_border += np.bincount(some[is_border], minlength=n_labels)
        np.maximum.at(top, some.ravel(), values.ravel())
    height = border / np.maximum(n_border, 1) / np.maximum(top, np.finfo(np.float64).tiny)
    order = np.argsort(height)
    return float(height[order][np.searchsorted(np.cumsum(mass[order]), mass.sum() / 2)])


def within_reach(
    atoms: NDArray[np.int32], peaks: NDArray[np.integer], *, reach: int = _LEAST_REACH
) -> tuple[NDArray[np.int32], int]:
    """Divide what is too large to be an atom: matter that shows none is decided on cell by cell.

    Parameters
    ----------
    atoms, peaks : ndarray
        From :func:`atoms_of`; `atoms` becomes the labels.
    reach : int
        How far an atom reaches from its peak [voxel].

    Returns
    -------
    labels : ndarray
        `(rows, depth, width)` int32 number of the atom or cell, from 0.
    n_labels : int
        How many there are.
    """
    peak = np.stack(np.unravel_index(peaks, atoms.shape)).astype(np.int32)
    n_cells = [-(-n // reach) for n in atoms.shape]
    cells = np.ogrid[tuple(slice(n) for n in atoms.shape)]
    are_far, keys = np.empty(atoms.shape, dtype=bool), []
    for rows in _some_rows(atoms):
        places = (cells[0][rows], *cells[1:])
        squared = sum((place - of_peak[atoms[rows]]) ** 2 for place, of_peak in zip(places, peak, strict=True))
        are_far[rows] = is_far = squared > reach**2
        cell = np.ravel_multi_index([np.broadcast_to(p // reach, is_far.shape)[is_far] for p in places], n_cells)
        keys.append(atoms[rows][is_far].astype(np.int64) * math.prod(n_cells) + cell)
    different, numbers = np.unique(np.concatenate(keys), return_inverse=True)
    atoms[are_far] = len(peaks) + numbers
    return atoms, len(peaks) + len(different)


def _some_rows(volume: NDArray[Any]) -> Iterator[slice]:
    """Blocks of rows, so that what is made of them takes little memory."""
    for start in range(0, len(volume), _ROWS_TOGETHER):
        yield slice(start, min(start + _ROWS_TOGETHER, len(volume)))


def _highest_neighbours(density: NDArray[np.float32], rows: slice, dtype: np.dtype[Any]) -> NDArray[np.integer]:
    """`(n, depth, width)` index of the highest of every voxel and its 26 neighbours, for some rows."""
    first, last = max(0, rows.start - 1), min(len(density), rows.stop + 1)
    beyond = ((int(first == rows.start), int(last == rows.stop)), (1, 1), (1, 1))
    heights = np.pad(density[first:last], beyond, constant_values=-np.inf)
    area = density[0].size
    index = np.arange(first * area, last * area, dtype=dtype).reshape(-1, *density.shape[1:])
    indices = np.pad(index, beyond)
    highest, found = density[rows].copy(), index[rows.start - first : rows.stop - first].copy()
    for step in np.ndindex(3, 3, 3):
        moved = tuple(slice(start, start + length) for start, length in zip(step, highest.shape, strict=True))
        is_higher = heights[moved] > highest
        highest[is_higher], found[is_higher] = heights[moved][is_higher], indices[moved][is_higher]
    return found
