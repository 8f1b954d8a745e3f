"""Peak finding and matching, on atoms whose positions are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_stinr.analysis.atoms import AtomScore, find_atoms, match_atoms, score_atoms
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOXEL = 0.5  # [Å]


def gaussian_atoms(
    shape: tuple[int, int, int], positions: NDArray[np.float64], heights: NDArray[np.float64], width: float = 0.4
) -> NDArray[np.float32]:
    """Return the `(z, y, x)` sum of Gaussians at `(n, 3)` positions [Å]."""
    axes = [np.arange(length) * VOXEL for length in shape]
    profiles = [np.exp(-((axes[k] - positions[:, k, None]) ** 2) / (2 * width**2)) for k in range(3)]
    return np.einsum("n,nz,ny,nx->zyx", heights, *profiles, optimize=True).astype(np.float32)


def lattice(spacing: float, seed: int = 0) -> NDArray[np.float64]:
    """Return `(64, 3)` positions [Å] of a cubic lattice of the given spacing, each moved by up to half a voxel."""
    grid = np.stack(np.meshgrid(*[np.arange(4) * spacing + 3.0] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid + np.random.default_rng(seed).uniform(-VOXEL / 2, VOXEL / 2, grid.shape)


def carbon_wall(radius: float, centre: tuple[float, float], height: float) -> NDArray[np.float64]:
    """Return `(n, 3)` positions [Å] of a graphene-like tube along y: honeycomb of 1.42 Å rolled on a cylinder."""
    n_cells = round(2 * np.pi * radius / (np.sqrt(3) * 1.42))
    positions = []
    for row, y in enumerate(np.arange(2.0, height - 2.0, 2.13)):
        for along, shift in ((0.0, 0.0), (0.71, 0.5)):
            angle = 2 * np.pi * (np.arange(n_cells) + shift + 0.5 * (row % 2)) / n_cells
            z, x = centre[0] + radius * np.sin(angle), centre[1] + radius * np.cos(angle)
            positions.append(np.stack([z, np.full(n_cells, y + along), x], axis=1))
    return np.concatenate(positions)


def nanotube_with_core() -> tuple[NDArray[np.float32], NDArray[np.float64], list[str]]:
    wall = carbon_wall(7.0, (11.0, 11.0), 20.0)
    core = np.array([[11.0 + dz, y, 11.0] for y in np.arange(3.0, 17.0, 3.2) for dz in (-1.6, 1.6)])
    positions = np.concatenate([wall, core])
    heights = np.concatenate([np.full(len(wall), 100.0), np.full(len(core), 1000.0)])
    groups = ["wall"] * len(wall) + ["core"] * len(core)
    return gaussian_atoms((46, 40, 46), positions, heights, width=0.35), positions, groups


def low_pass(volume: NDArray[np.float32], cutoff: float) -> NDArray[np.float32]:
    """Cut off all frequencies above `cutoff` [1/voxel], which leaves ripples around every atom."""
    q = np.meshgrid(*[np.fft.fftfreq(length) for length in volume.shape], indexing="ij")
    kept = np.sqrt(sum(axis**2 for axis in q)) < cutoff
    return np.fft.ifftn(np.fft.fftn(volume) * kept).real.astype(np.float32)


def test_atoms_on_a_lattice_are_found_to_a_fifth_of_a_voxel() -> None:
    positions = lattice(2.5)
    found, heights = find_atoms(gaussian_atoms((28, 28, 28), positions, np.full(64, 50.0)), voxel_size=VOXEL)
    _, _, distances = match_atoms(found, positions)
    assert len(found) == len(distances) == 64
    assert distances.max() < 0.1
    assert np.all(np.diff(heights) <= 0)


def test_height_of_an_isolated_gaussian_atom_is_as_documented() -> None:
    position = np.array([[6.0, 6.0, 6.0]])
    _, heights = find_atoms(
        gaussian_atoms((25, 25, 25), position, np.array([80.0]), width=0.5), voxel_size=VOXEL, atom_width=0.5
    )
    assert heights == pytest.approx([0.53 * 80.0], rel=0.05)


def test_light_wall_is_found_beside_heavy_atoms_ten_times_brighter() -> None:
    volume, positions, groups = nanotube_with_core()
    found, _ = find_atoms(volume, voxel_size=VOXEL)
    score = score_atoms(found, positions, groups=groups)
    assert score.recall_by_group["core"] == 1.0
    assert score.recall_by_group["wall"] >= 0.97
    assert score.precision >= 0.97


def test_truncation_ripples_around_heavy_atoms_are_not_atoms() -> None:
    volume, positions, groups = nanotube_with_core()
    rippled = low_pass(volume, 0.42)
    assert rippled.min() < -20.0, "the test needs ripples comparable to a light atom"
    score = score_atoms(find_atoms(rippled, voxel_size=VOXEL)[0], positions, groups=groups)
    assert score.precision >= 0.97
    assert min(score.recall_by_group.values()) >= 0.95


def test_noise_in_a_mostly_empty_volume_is_not_atoms() -> None:
    positions = lattice(2.5)
    volume = gaussian_atoms((60, 60, 60), positions, np.full(64, 50.0))
    volume += np.random.default_rng(1).normal(0, 2.5, volume.shape).astype(np.float32)
    score = score_atoms(find_atoms(volume, voxel_size=VOXEL)[0], positions)
    assert score.recall == 1.0
    assert score.precision >= 0.97


def test_atoms_that_fill_the_volume_are_not_taken_for_noise() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(1.0, 15.0, 2.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    volume = gaussian_atoms((31, 31, 31), grid, np.full(len(grid), 50.0))
    assert score_atoms(find_atoms(volume, voxel_size=VOXEL)[0], grid).f1 == 1.0


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_unit_of_the_volume_does_not_matter(factor: float) -> None:
    positions = lattice(2.5)
    volume = gaussian_atoms((28, 28, 28), positions, np.full(64, 50.0)) * np.float32(factor)
    assert len(find_atoms(volume, voxel_size=VOXEL)[0]) == 64


def test_nearer_than_the_minimum_distance_only_the_stronger_is_kept() -> None:
    positions = np.array([[5.0, 5.0, 4.0], [5.0, 5.0, 6.5]])
    volume = gaussian_atoms((22, 22, 22), positions, np.array([50.0, 60.0]))
    assert len(find_atoms(volume, voxel_size=VOXEL)[0]) == 2
    found, _ = find_atoms(volume, voxel_size=VOXEL, minimum_distance=3.0)
    np.testing.assert_allclose(found, positions[1:], atol=0.1)


def test_atom_at_a_face_is_found_and_stays_inside() -> None:
    position = np.array([[0.0, 5.0, 5.0]])
    found, _ = find_atoms(gaussian_atoms((20, 20, 20), position, np.array([50.0])), voxel_size=VOXEL)
    np.testing.assert_allclose(found, position, atol=0.1)


@pytest.mark.parametrize("value", [0.0, 1000.0, -3.3])
def test_featureless_volume_has_no_atoms(value: float) -> None:
    found, heights = find_atoms(np.full((12, 12, 12), value), voxel_size=VOXEL)
    assert found.shape == (0, 3)
    assert heights.shape == (0,)


def test_duplicates_do_not_count_twice() -> None:
    expected = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
    found = np.array([[0.0, 0.0, 0.3], [0.0, 0.0, 0.1], [0.0, 0.0, -0.2]])
    found_rows, expected_rows, distances = match_atoms(found, expected)
    assert found_rows.tolist() == [1]
    assert expected_rows.tolist() == [0]
    assert distances == pytest.approx([0.1])
    score = score_atoms(found, expected)
    assert (score.recall, score.precision, score.f1) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    assert score.rms_distance == pytest.approx(0.1)


def test_one_peak_between_two_atoms_counts_for_the_nearer_one_only() -> None:
    score = score_atoms([[0.0, 0.0, 0.5]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.9]], groups=["far", "near"])
    assert score.recall_by_group == {"far": 0.0, "near": 1.0}


def test_tolerance_is_the_farthest_match() -> None:
    assert score_atoms([[0.0, 0.0, 0.59]], [[0.0, 0.0, 0.0]]).recall == 1.0
    assert score_atoms([[0.0, 0.0, 0.61]], [[0.0, 0.0, 0.0]]).recall == 0.0


def test_shifted_atoms_report_the_shift() -> None:
    positions = lattice(3.0)
    assert score_atoms(positions + np.array([0.0, 0.3, 0.0]), positions).rms_distance == pytest.approx(0.3)


def test_groups_may_be_bytes_or_numbers() -> None:
    positions = lattice(3.0)[:2]
    assert score_atoms(positions, positions, groups=[b"Zr", b"Te"]).recall_by_group == {"Zr": 1.0, "Te": 1.0}
    assert score_atoms(positions, positions, groups=np.array([6, 40])).recall_by_group == {"6": 1.0, "40": 1.0}


def test_nothing_found_scores_zero_and_is_valid_json() -> None:
    score = score_atoms(np.empty((0, 3)), [[0.0, 0.0, 0.0]], groups=["C"])
    assert (score.recall, score.precision, score.f1, score.n_found) == (0.0, 0.0, 0.0, 0)
    written = json.loads(json.dumps(score.to_dict(), allow_nan=False))
    assert written["rms_distance"] is None
    assert written["recall_by_group"] == {"C": 0.0}


def test_score_is_frozen() -> None:
    score = AtomScore(recall=1.0, precision=1.0, f1=1.0, n_found=1, n_expected=1, rms_distance=0.0)
    with pytest.raises(AttributeError):
        score.recall = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("volume", "options", "found"),
    [
        (np.ones((4, 4)), {"voxel_size": 0.5}, r"shape \(4, 4\)"),
        (np.full((4, 4, 4), np.nan), {"voxel_size": 0.5}, "64 voxel"),
        (np.ones((4, 4, 4)), {"voxel_size": 0.0}, "0.0"),
        (np.ones((4, 4, 4)), {"voxel_size": 0.5, "threshold": -1.0}, "threshold is -1.0"),
    ],
)
def test_wrong_input_is_named(volume: NDArray[np.float64], options: dict[str, float], found: str) -> None:
    with pytest.raises(StinrError, match=found):
        find_atoms(volume, **options)


def test_wrong_positions_are_named() -> None:
    with pytest.raises(StinrError, match=r"found atoms have the shape \(2, 2\)"):
        score_atoms(np.zeros((2, 2)), np.zeros((1, 3)))
    with pytest.raises(StinrError, match="0 expected atoms"):
        score_atoms(np.zeros((1, 3)), np.empty((0, 3)))
    with pytest.raises(StinrError, match="1 groups for 2 expected atoms"):
        score_atoms(np.zeros((1, 3)), np.zeros((2, 3)), groups=["C"])
