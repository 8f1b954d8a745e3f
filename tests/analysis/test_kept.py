"""Specimen kept: the mass at the atoms of the outer half, sector by sector."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr.analysis.kept import specimen_kept
from napari_stinr.analysis.metrics import evaluate
from napari_stinr.errors import StinrError

VOXEL, SHAPE = 0.5, (48, 16, 48)
CENTRE = (np.array(SHAPE) - 1) / 2 * VOXEL


def ring(radius: float, n_atoms: int) -> np.ndarray:
    """Place atoms `(n, 3)` (z, y, x) [Å] evenly on a circle around the tilt axis, none on the border of a sector."""
    angle = (np.arange(n_atoms) + 0.5) * 2 * np.pi / n_atoms
    return np.stack([np.sin(angle), np.zeros(n_atoms), np.cos(angle)], axis=1) * radius + CENTRE


def blobs(atoms: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Draw a Gaussian of 0.5 Å at every atom."""
    grid = np.moveaxis(np.indices(SHAPE), 0, -1) * VOXEL
    squared = ((grid[None] - atoms[:, None, None, None]) ** 2).sum(axis=-1)
    return np.tensordot(heights, np.exp(-squared / (2 * 0.5**2)), 1)


OUTER, INNER = ring(9.0, 16), ring(3.0, 8)
ATOMS = np.concatenate([OUTER, INNER])
REFERENCE = blobs(ATOMS, np.ones(24))


def kept(volume: np.ndarray, atoms: np.ndarray = ATOMS) -> float:
    return specimen_kept(volume, REFERENCE, atoms, voxel_size=VOXEL)


def test_all_is_kept_where_nothing_changes_and_half_where_all_is_half() -> None:
    assert kept(REFERENCE) == pytest.approx(1)
    assert kept(0.5 * REFERENCE) == pytest.approx(0.5)
    assert kept(np.zeros(SHAPE)) == 0


def test_the_worst_sector_counts_and_not_the_mean() -> None:
    heights = np.ones(24)
    heights[4:6] = 0.3  # both atoms of the sector from 90 to 135 degrees
    assert kept(blobs(ATOMS, heights)) == pytest.approx(0.3, abs=0.02)
    heights[5] = 1.0
    assert kept(blobs(ATOMS, heights)) == pytest.approx(0.65, abs=0.02)


def test_atoms_near_the_axis_do_not_count() -> None:
    heights = np.ones(24)
    heights[16:] = 0
    assert kept(blobs(ATOMS, heights)) == pytest.approx(1, abs=0.02)


def test_sectors_without_atoms_are_left_out() -> None:
    heights = np.ones(24)
    heights[:8] = 0.8
    heights[8:16] = 0.1
    assert kept(blobs(ATOMS, heights), atoms=OUTER[:8]) == pytest.approx(0.8, abs=0.02)


def test_a_blur_and_a_little_shift_keep_nearly_all_and_a_move_of_atoms_does_not() -> None:
    assert kept(blobs(ATOMS + np.array([0, 0.2, 0]), np.ones(24))) > 0.95
    assert kept(blobs(ATOMS + np.array([0, 2.0, 0]), np.ones(24))) < 0.2


def test_carbon_that_is_left_beside_the_atoms_adds_mass() -> None:
    shell = blobs(ring(11.0, 16), 0.5 * np.ones(16))
    assert 1 < kept(REFERENCE + shell) < 1.2


def test_what_cannot_be_compared_says_why() -> None:
    with pytest.raises(StinrError, match="uncontaminated reconstruction is 0 everywhere"):
        specimen_kept(REFERENCE, np.zeros(SHAPE), ATOMS, voxel_size=VOXEL)
    with pytest.raises(StinrError, match=r"atoms have the shape \(0, 3\)"):
        kept(REFERENCE, atoms=np.empty((0, 3)))
    with pytest.raises(StinrError, match="no mass at the atoms"):
        specimen_kept(REFERENCE, -REFERENCE, ATOMS, voxel_size=VOXEL)
    with pytest.raises(StinrError, match="no atoms; expected both, or neither"):
        evaluate(REFERENCE, REFERENCE, voxel_size=VOXEL, uncontaminated=REFERENCE)


def test_it_is_part_of_an_evaluation() -> None:
    found = evaluate(0.9 * REFERENCE, REFERENCE, voxel_size=VOXEL, atom_positions=ATOMS, uncontaminated=REFERENCE)
    assert found.specimen_kept == pytest.approx(0.9)
    assert found.to_dict()["specimen_kept"] == pytest.approx(0.9)
    assert evaluate(REFERENCE, REFERENCE, voxel_size=VOXEL, atom_positions=ATOMS).specimen_kept is None
