"""Give every atom to the specimen or to the contamination as a whole, once the volume shows atoms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_stinr.fields.atoms import IS_SPECIMEN, Atoms
from napari_stinr.fields.filters import filtered
from napari_stinr.fields.growth import NEAR_SURFACE, OUTSIDE, WITHOUT_ATOMS
from napari_stinr.reconstruction.rendering import lattice_of, rows_at_a_time
from napari_stinr.training.watershed import atoms_of, height_of_borders, some_rows, sums_of, within_reach

if TYPE_CHECKING:
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import GrowthField

TOLD_AT, DECIDED_AT = 0.4, 0.7
"""Parts of the fit of the volume after which atoms are told from each other, as they are there then, and after which
it is decided what each of them is, with enough left to fit what that leaves open."""

_SMOOTHING = (0.78657, 0.10645, 0.00026)
"""Taps of a Gaussian of half a voxel before peaks are looked for: two in one atom are noise."""
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
    near, is_near = (field.regions != OUTSIDE).float(), torch.zeros_like(atoms.share, dtype=torch.bool)
    for axis in range(3):
        near = _highest_within(near, _reach(grid), axis=axis)
    for rows in some_rows(near):
        is_near[atoms.labels[rows][near[rows] > 0]] = True
    with torch.no_grad():
        atoms.share[~is_near] = 0.0
    share, mass = atoms.share.detach(), _masses(field, atoms, grid)
    most = math.inf if mass_at_start is None else _TOO_MUCH * mass_at_start * float(mass.sum())
    is_too_much = float(mass[share > IS_SPECIMEN].sum()) > most
    atoms.decide(least_share=_CERTAINLY_SPECIMEN if is_too_much else IS_SPECIMEN)


def _highest_within(values: torch.Tensor, reach: int, *, axis: int) -> torch.Tensor:
    """`(rows, depth, width)` highest of all values that are so near along one axis."""
    kernel = [2 * reach + 1 if other == axis else 1 for other in range(3)]
    padding = [reach if other == axis else 0 for other in range(3)]
    return functional.max_pool3d(values[None, None], kernel, stride=1, padding=padding)[0, 0]


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
    z, y, x = lattice_of(grid.fitted)
    density = torch.empty(field.regions.shape, device=field.regions.device)
    with torch.no_grad():
        for rows in rows_at_a_time(grid.fitted):
            density[rows] = field.density.on_lattice(z, y[rows], x)
        smooth = density
        for axis in range(3):
            smooth = filtered(smooth, _SMOOTHING, axis=axis)
    labels, n_atoms = within_reach(*atoms_of(smooth), reach=_reach(grid))
    if height_of_borders(smooth, labels, n_atoms) > _RESOLVED:
        return None
    del smooth
    total, early, weight, weighted = torch.zeros(4, n_atoms, dtype=torch.float64, device=labels.device)
    for rows in rows_at_a_time(grid.fitted):
        with torch.no_grad():
            arrival = field.arrival_of_grids(z, y[rows], x)
            later = field.arrival_of_grids(z, y[rows], x, outside=True)
        mass = density[rows].double()
        counts = torch.where(field.regions[rows] == OUTSIDE, mass, _LITTLE * mass)
        for sums, values in (total, mass), (early, mass * (arrival < 0)), (weight, counts), (weighted, counts * later):
            sums_of(labels[rows], values, sums)
    tiny = torch.finfo(torch.float64).tiny
    return Atoms(labels, share=(early / (total + tiny)).float(), arrival=(weighted / (weight + tiny)).float())


def _masses(field: GrowthField, atoms: Atoms, grid: VoxelGrid) -> torch.Tensor:
    """`(n_atoms,)` float64 sum of the density of each atom [V]."""
    z, y, x = lattice_of(grid.fitted)
    mass = torch.zeros_like(atoms.share, dtype=torch.float64)
    for rows in rows_at_a_time(grid.fitted):
        with torch.no_grad():
            sums_of(atoms.labels[rows], field.density.on_lattice(z, y[rows], x), mass)
    return mass
