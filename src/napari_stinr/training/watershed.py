"""Divide a volume among its peaks, on the device where it lies, in pieces that take little memory."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_stinr.fields.storage import let_go, zeros_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

_VOXELS_TOGETHER, _ROWS_POOLED = 2**20, 8


def atoms_of(density: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Divide a volume among its peaks: each voxel follows its highest neighbour until there is none higher.

    Parameters
    ----------
    density : Tensor
        `(rows, depth, width)` density [any unit].

    Returns
    -------
    atoms : Tensor
        `(rows, depth, width)` int32 number of the peak, from 0.
    peaks : Tensor
        `(n_atoms,)` int64 voxel of each peak, as an index of the flat volume.
    """
    atoms = zeros_beside(density, dtype=torch.int32 if density.numel() < 2**31 else torch.int64)
    # More rows than fit the cache, as those on both sides are looked at besides.
    for rows in some_rows(density, atoms, at_least=_ROWS_POOLED):
        atoms[rows] = _highest_neighbours(density, rows)
    above = atoms.view(-1)
    # In place: one that is farther up already leads to the same peak.
    while sum(_climb(above, voxels) for voxels in _some_voxels(above)):
        pass
    peaks = torch.cat(_numbered(above))
    for voxels in _some_voxels(above):
        to = above[voxels]
        above[voxels] = torch.where(to < 0, to, above[to.clamp(min=0)])
    labels = atoms if atoms.dtype == torch.int32 else zeros_beside(density, dtype=torch.int32)
    for rows in some_rows(atoms, labels):
        labels[rows] = -1 - atoms[rows]
    return labels, peaks


def _climb(above: torch.Tensor, voxels: slice) -> bool:
    """Let some voxels follow what they follow; tell whether that is another one."""
    further = above[above[voxels]]
    if torch.equal(further, above[voxels]):
        return False
    above[voxels] = further
    return True


def _numbered(above: torch.Tensor) -> list[torch.Tensor]:
    """Put -1 - its number where a voxel is a peak; return the peaks in pieces, as int64 indices."""
    peaks, n_peaks = [torch.empty(0, dtype=torch.int64, device=above.device)], 0
    for voxels in _some_voxels(above):
        index = torch.arange(voxels.start, voxels.stop, device=above.device, dtype=above.dtype)
        found = (above[voxels] == index).nonzero()[:, 0]
        numbers = torch.arange(n_peaks, n_peaks + len(found), device=above.device, dtype=above.dtype)
        above[voxels][found] = -1 - numbers
        n_peaks += len(found)
        peaks.append(voxels.start + found)
    return peaks


def within_reach(atoms: torch.Tensor, peaks: torch.Tensor, *, reach: int) -> tuple[torch.Tensor, int]:
    """Divide what is too large to be an atom: matter that shows none is decided on cell by cell.

    Parameters
    ----------
    atoms, peaks : Tensor
        From :func:`atoms_of`; `atoms` becomes the labels.
    reach : int
        How far an atom reaches from its peak [voxel].

    Returns
    -------
    labels : Tensor
        `(rows, depth, width)` int32 number of the atom or cell, from 0.
    n_labels : int
        How many there are.
    """
    _, depth, width = atoms.shape
    peak = [(peaks // (depth * width)).int(), (peaks // width % depth).int(), (peaks % width).int()]
    n_cells = [-(-n // reach) for n in atoms.shape]
    places = [torch.arange(n, dtype=torch.int32, device=atoms.device) for n in atoms.shape]

    def far(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Which voxels of some rows no atom reaches, and what their atom and cell are together."""
        here = (places[0][rows, None, None], places[1][:, None], places[2])
        of_peak = (positions[atoms[rows]] for positions in peak)
        squared = reduce(add, ((place - of_it) ** 2 for place, of_it in zip(here, of_peak, strict=True)))
        is_far = squared > reach**2
        cell = ((here[0] // reach * n_cells[1] + here[1] // reach) * n_cells[2] + here[2] // reach)[is_far]
        return is_far, atoms[rows][is_far].long() * math.prod(n_cells) + cell

    # Twice, so that the keys of all voxels need not be held.
    different = torch.unique(torch.cat([torch.unique(far(rows)[1]) for rows in some_rows(atoms)]))
    for rows in some_rows(atoms):
        is_far, keys = far(rows)
        atoms[rows][is_far] = (len(peaks) + torch.searchsorted(different, keys)).int()
    return atoms, len(peaks) + len(different)


def height_of_borders(density: torch.Tensor, labels: torch.Tensor, n_labels: int) -> float:
    """Return how high atoms are where they meet: their mean density there, by the highest.

    Parameters
    ----------
    density : Tensor
        `(rows, depth, width)` density [any unit].
    labels, n_labels
        From :func:`within_reach`; the cells of a body that is larger than an atom meet within it.

    Returns
    -------
    float
        The median over all mass, 0 to 1: near to 0 where atoms stand apart, near to 1 where peaks are noise [1].
    """
    mass, border, n_border = sums = torch.zeros(3, n_labels, dtype=torch.float64, device=labels.device)
    top = torch.zeros(n_labels, dtype=density.dtype, device=labels.device)
    for rows in some_rows(labels, density):
        some, values = labels[rows].long(), density[rows].double()
        is_border = _differs_from_a_neighbour(labels, rows)
        for total, what in zip(sums, (values, values * is_border, is_border.double()), strict=True):
            total.index_add_(0, some.ravel(), what.ravel())
        top.scatter_reduce_(0, some.ravel(), density[rows].ravel(), "amax")
    height = (border / n_border.clamp(min=1) / top.double().clamp(min=torch.finfo(torch.float64).tiny)).cpu()
    order = height.argsort(stable=True)
    below = mass.cpu()[order].cumsum(0)
    return float(height[order][torch.searchsorted(below, below[-1] / 2)])


def sums_of(labels: torch.Tensor, values: torch.Tensor, into: torch.Tensor) -> None:
    """Add `(...)` values of voxels with `(...)` labels to `(n_labels,)` float64 sums."""
    into.index_add_(0, labels.ravel().long(), values.ravel().to(into.dtype))


def some_rows(*volumes: torch.Tensor, at_least: int = 1) -> Iterator[slice]:
    """Blocks of rows of volumes of the same shape, so that what is made of them takes little memory."""
    n_rows = len(volumes[0])
    together = max(at_least, _VOXELS_TOGETHER // max(1, volumes[0][0].numel()))
    for start in range(0, n_rows, together):
        yield slice(start, min(start + together, n_rows))
        let_go(*volumes)


def _some_voxels(flat: torch.Tensor) -> Iterator[slice]:
    """Do the same for the voxels of a volume in a row."""
    for start in range(0, len(flat), _VOXELS_TOGETHER):
        yield slice(start, min(start + _VOXELS_TOGETHER, len(flat)))
        let_go(flat)


def _differs_from_a_neighbour(labels: torch.Tensor, rows: slice) -> torch.Tensor:
    """`(n, depth, width)` whether one of the six neighbours has another label, for some rows."""
    first, last = max(0, rows.start - 1), min(len(labels), rows.stop + 1)
    differs = torch.zeros(labels[first:last].shape, dtype=torch.bool, device=labels.device)
    for axis in range(3):
        n = differs.shape[axis]
        changes = labels[first:last].narrow(axis, 1, n - 1) != labels[first:last].narrow(axis, 0, n - 1)
        for start in (0, 1):
            differs.narrow(axis, start, n - 1).logical_or_(changes)
    return differs[rows.start - first : rows.stop - first]


def _highest_neighbours(density: torch.Tensor, rows: slice) -> torch.Tensor:
    """`(n, depth, width)` index of the highest of every voxel and its 26 neighbours, for some rows."""
    first, last = max(0, rows.start - 1), min(len(density), rows.stop + 1)
    # Of equal ones it is the first, so that no two of them follow each other.
    _, index = functional.max_pool3d(density[None, None, first:last], 3, stride=1, padding=1, return_indices=True)
    found: torch.Tensor = index[0, 0, rows.start - first : rows.stop - first] + first * density[0].numel()
    return found
