"""Atoms are decided on as a whole: where a volume is divided, and what a field is told then."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stinr.config import GrowthFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields.growth import NEAR_SURFACE, OUTSIDE, SPECIMEN, GrowthField
from napari_stinr.reconstruction.rendering import lattice_of
from napari_stinr.training.whole_atoms import atoms_of, decide_on_whole_atoms, is_undecided

GRID = VoxelGrid(19, 22, 24, voxel_size=0.5)
ROWS, PLANES, COLUMNS = np.meshgrid(np.arange(22), np.arange(19), np.arange(24), indexing="ij")
ATOMS = ((10, 9, 8), (10, 9, 13), (17, 9, 9))
"""(row, plane, column) of three atoms, the second and the third as near to the first as atoms are."""


def distance(atom: tuple[int, int, int]) -> np.ndarray:
    return np.sqrt((ROWS - atom[0]) ** 2 + (PLANES - atom[1]) ** 2 + (COLUMNS - atom[2]) ** 2)


def density() -> np.ndarray:
    return sum(np.exp(-(distance(atom) ** 2) / (2 * 1.2**2)) for atom in ATOMS).astype(np.float32)


def test_every_voxel_goes_with_its_nearest_atom() -> None:
    atoms, n_atoms = atoms_of(density())
    assert n_atoms == len(ATOMS)
    numbers = np.array([atoms[atom] for atom in ATOMS])
    nearest = np.argsort([distance(atom) for atom in ATOMS], axis=0)[0]
    clear = np.ptp(np.sort([distance(atom) for atom in ATOMS], axis=0)[:2], axis=0) > 1.5
    assert np.array_equal(atoms[clear], numbers[nearest][clear])


def test_division_does_not_depend_on_where_blocks_of_rows_begin() -> None:
    noise = np.random.default_rng(4).random((40, 6, 7)).astype(np.float32)
    whole, n_atoms = atoms_of(noise)
    turned, _ = atoms_of(np.ascontiguousarray(noise[::-1]))
    assert n_atoms > 20
    # The same peaks, numbered in another order.
    pairs = set(zip(whole.ravel().tolist(), turned[::-1].ravel().tolist(), strict=True))
    assert len(pairs) == n_atoms


@pytest.mark.parametrize("shift", [-1, 1], ids=["most of it specimen", "most of it contamination"])
def test_an_atom_that_the_surface_cuts_is_what_most_of_it_is(shift: int) -> None:
    field = GrowthField(GRID, GrowthFieldConfig(has_surface=True, blur=0.0), scale=1.0, width=0.005)
    field.density.take(torch.from_numpy(density()))
    regions = np.full(ROWS.shape, OUTSIDE, dtype=np.uint8)
    regions[ATOMS[0][2] - shift > COLUMNS] = NEAR_SURFACE  # the surface runs beside the centre of the first atom
    field.tell_regions(torch.from_numpy(regions))
    assert is_undecided(field)
    decide_on_whole_atoms(field, GRID)
    assert not is_undecided(field)
    assert field.regions is not None
    decided = field.regions.numpy()
    core = distance(ATOMS[0]) < 2
    assert set(decided[core]) == {SPECIMEN if shift < 0 else OUTSIDE}
    assert set(decided[distance(ATOMS[1]) < 2]) == {OUTSIDE}
    with torch.no_grad():
        at_first = field.potential(*lattice_of(GRID), 0.0).numpy()
    assert at_first[core].sum() == pytest.approx(density()[core].sum() if shift < 0 else 0.0, rel=0.01, abs=0.05)


def test_a_field_without_a_surface_has_nothing_to_decide() -> None:
    assert not is_undecided(GrowthField(GRID, GrowthFieldConfig(), scale=1.0))
