"""Give every atom to the specimen or to the contamination as a whole, once the volume shows atoms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from napari_stinr.fields.atoms import Atoms
from napari_stinr.fields.filters import filtered
from napari_stinr.fields.regions import NEAR_SURFACE, OUTSIDE, WITHOUT_ATOMS
from napari_stinr.fields.storage import let_go, some_rows, zeros_beside
from napari_stinr.reconstruction.rendering import lattice_of, rows_at_a_time
from napari_stinr.training.watershed import atoms_of, height_of_borders, sums_of, within_reach

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_DEPTH = 4
"""Distance from the surface up to which it counts how far an atom is inside or outside [voxel]."""
_TRUST = 0.08
"""What a voxel of this distance adds to the share of an atom, where all contamination arrives in the first tenth of the
time: it is missing in so few projections that its share may be anything [1/voxel]."""
_ROWS_TOGETHER, _VOXELS_TOGETHER = 16, 2**24
_LITTLE = 1e-3
"""Weight of what is inside the surface for the time at which an atom arrives if it does: by the grids for outside."""


def is_undecided(field: GrowthField) -> bool:
    """Return whether it is open yet what is specimen: places decide on their own, or there are shares of atoms."""
    if field.atoms is not None:
        return not field.atoms.is_decided
    regions = field.regions
    return regions is not None and any(bool((regions[rows] == NEAR_SURFACE).any()) for rows in some_rows(regions))


def is_due(field: GrowthField, fraction: float) -> bool:
    """Return whether a field that :func:`is_undecided` takes its next step towards whole atoms at this fraction."""
    return fraction >= (TOLD_AT if field.atoms is None else DECIDED_AT)


def decide_on_whole_atoms(field: GrowthField, grid: VoxelGrid, *, fraction: float, early: float = 0.0) -> bool:
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
    early : float
        Part of the contamination that arrives early, by the mass of the projections: the more, the less do shares tell,
        and the more counts the surface, 0 to 1 [1].

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
            for rows in some_rows(field.regions):
                field.regions[rows][field.regions[rows] == NEAR_SURFACE] = WITHOUT_ATOMS
        return fraction >= TOLD_AT
    if fraction >= DECIDED_AT:
        _decide(field, field.atoms, grid, early)
    return fraction >= DECIDED_AT


def _decide(field: GrowthField, atoms: Atoms, grid: VoxelGrid, early: float) -> None:
    """Decide by the shares, and by the surface where these are uncertain, of what is near to it."""
    assert field.regions is not None
    work = _where_to_divide(field)
    is_near = torch.zeros(len(atoms.share), dtype=torch.bool, device=work)
    mass, deep = torch.zeros(2, len(is_near), dtype=torch.float64, device=work)
    z, y, x = lattice_of(grid.fitted)
    with torch.no_grad():
        for rows, near, depths in _around_surface(field.regions, grid, work):
            density, labels = field.density.on_lattice(z, y[rows], x).to(work), atoms.labels[rows].to(work)
            is_near[labels[near]] = True
            sums_of(labels, density, mass)
            sums_of(labels, density * depths, deep)
            let_go(atoms.labels)
        depth = (deep / mass.clamp(min=torch.finfo(mass.dtype).tiny)).float()
        atoms.share.add_(depth.to(atoms.share.device), alpha=_TRUST * early)
        atoms.share[~is_near.to(atoms.share.device)] = 0.0
    atoms.decide()


def _around_surface(
    regions: torch.Tensor, grid: VoxelGrid, work: torch.device
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Rows, and `(rows, depth, width)` whether a voxel is near to what is inside the surface, and :func:`_depths`."""
    reach = _reach(grid)
    blocks = list(rows_at_a_time(grid.fitted))
    rows_together = max(_ROWS_TOGETHER, _VOXELS_TOGETHER // math.prod(regions.shape[1:]))
    together = max(1, rows_together // (blocks[0].stop - blocks[0].start))
    for some in (blocks[k : k + together] for k in range(0, len(blocks), together)):
        first, last = some[0].start, some[-1].stop
        # With the rows on both sides that decide what is near.
        around = slice(max(0, first - max(reach, _DEPTH)), last + max(reach, _DEPTH))
        inside = (regions[around] != OUTSIDE).to(work)
        near, depths = inside, _depths(inside)
        for axis in range(3):
            near = _grown(near, reach, axis=axis)
        for rows in some:
            here = slice(rows.start - around.start, rows.stop - around.start)
            yield rows, near[here], depths[here]
        let_go(regions)


def _depths(inside: torch.Tensor) -> torch.Tensor:
    """`(rows, depth, width)` how many voxels from the surface, at most `_DEPTH`: inside positive, outside negative."""
    depths, grown, outgrown = torch.zeros_like(inside, dtype=torch.int8), inside, ~inside
    for _ in range(_DEPTH):
        depths += grown.to(depths) - outgrown.to(depths)
        for axis in range(3):
            grown, outgrown = (_grown(values, 1, axis=axis) for values in (grown, outgrown))
    return depths.float()


def _grown(inside: torch.Tensor, reach: int, *, axis: int) -> torch.Tensor:
    """`(rows, depth, width)` bool, whether there is a voxel inside that is so near along one axis."""
    grown, n = inside.clone(), inside.shape[axis]
    for distance in range(1, min(reach, n - 1) + 1):
        for here, there in ((0, distance), (distance, 0)):
            grown.narrow(axis, here, n - distance).logical_or_(inside.narrow(axis, there, n - distance))
    return grown


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
    work = _where_to_divide(field)
    smooth = zeros_beside(field.regions, dtype=torch.float32, device=work)
    with torch.no_grad():
        for rows in rows_at_a_time(grid.fitted):
            smooth[rows] = field.density.on_lattice(z, y[rows], x)
            let_go(smooth)
        _smooth(smooth)
    labels, n_atoms = within_reach(*atoms_of(smooth), reach=_reach(grid))
    if height_of_borders(smooth, labels, n_atoms) > _RESOLVED:
        return None
    del smooth
    total, early, weight, weighted = torch.zeros(4, n_atoms, dtype=torch.float64, device=labels.device)
    for rows in rows_at_a_time(grid.fitted):
        with torch.no_grad():
            arrival = field.arrival_of_grids(z, y[rows], x).to(work)
            later = field.arrival_of_grids(z, y[rows], x, outside=True).to(work)
            # Not kept: the whole volume would be as large as the labels.
            mass = field.density.on_lattice(z, y[rows], x).to(work).double()
        counts = torch.where(field.regions[rows].to(work) == OUTSIDE, mass, _LITTLE * mass)
        for sums, values in (total, mass), (early, mass * (arrival < 0)), (weight, counts), (weighted, counts * later):
            sums_of(labels[rows], values, sums)
        let_go(labels, field.regions)
    tiny = torch.finfo(torch.float64).tiny
    share, time = (early / (total + tiny)).float(), (weighted / (weight + tiny)).float()
    return Atoms(labels, share=share, arrival=time).to(field.regions.device)


def _smooth(volume: torch.Tensor) -> None:
    """Filter `(rows, depth, width)` values in place by `_SMOOTHING` along all axes."""
    reach, before = len(_SMOOTHING) - 1, volume[:0]
    for rows in some_rows(volume):
        some = torch.cat([before, volume[rows.start : rows.stop + reach]])
        n_before = len(before)
        before = torch.cat([before, volume[rows]])[-reach:]
        values = filtered(some, _SMOOTHING, axis=0)[n_before : n_before + rows.stop - rows.start]
        for axis in (1, 2):
            values = filtered(values, _SMOOTHING, axis=axis)
        volume[rows] = values


def _where_to_divide(field: GrowthField) -> torch.device:
    """Return the device of the field, or the CPU where that has no double precision."""
    assert field.regions is not None
    return torch.device("cpu") if field.regions.device.type == "mps" else field.regions.device
