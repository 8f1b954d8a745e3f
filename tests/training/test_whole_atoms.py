"""Atoms are specimen or contamination as a whole: how a volume is divided, and what is learned of its atoms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.series_cases import CONTAMINATION, SPECIMEN, growing_series
from napari_stinr import Trainer, preset_config
from napari_stinr.cli.describe import describe_run
from napari_stinr.config import GrowthFieldConfig, ReconstructionConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields.atoms import Atoms
from napari_stinr.fields.growth import GrowthField
from napari_stinr.fields.regions import EARLIEST, NEAR_SURFACE, OUTSIDE
from napari_stinr.reconstruction import Reconstruction
from napari_stinr.reconstruction.rendering import lattice_of
from napari_stinr.training import watershed, whole_atoms
from napari_stinr.training.watershed import atoms_of, height_of_borders, within_reach
from napari_stinr.training.whole_atoms import DECIDED_AT, TOLD_AT, decide_on_whole_atoms, find_atoms, is_undecided

GRID = VoxelGrid(19, 22, 24, voxel_size=0.5)
ROWS, PLANES, COLUMNS = np.meshgrid(np.arange(22), np.arange(19), np.arange(24), indexing="ij")
ATOMS = ((10, 9, 8), (10, 9, 13), (17, 9, 9))
"""(row, plane, column) of three atoms, the second and the third as near to the first as atoms are."""


def distance(atom: tuple[int, int, int]) -> np.ndarray:
    return np.sqrt((ROWS - atom[0]) ** 2 + (PLANES - atom[1]) ** 2 + (COLUMNS - atom[2]) ** 2)


def density() -> np.ndarray:
    return sum(np.exp(-(distance(atom) ** 2) / (2 * 1.2**2)) for atom in ATOMS).astype(np.float32)


def divided(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    atoms, peaks = atoms_of(torch.from_numpy(values))
    return atoms.numpy(), peaks.numpy()


def cells_of(values: np.ndarray) -> tuple[np.ndarray, int]:
    labels, n_labels = within_reach(*atoms_of(torch.from_numpy(values)), reach=6)
    return labels.numpy(), n_labels


def borders_of(values: np.ndarray) -> float:
    volume = torch.from_numpy(values)
    return height_of_borders(volume, *within_reach(*atoms_of(volume), reach=6))


def test_every_voxel_goes_with_its_nearest_atom() -> None:
    atoms, peaks = divided(density())
    assert [tuple(place) for place in np.transpose(np.unravel_index(peaks, atoms.shape))] == sorted(ATOMS)
    numbers = np.array([atoms[atom] for atom in ATOMS])
    nearest = np.argsort([distance(atom) for atom in ATOMS], axis=0)[0]
    clear = np.ptp(np.sort([distance(atom) for atom in ATOMS], axis=0)[:2], axis=0) > 1.5
    assert np.array_equal(atoms[clear], numbers[nearest][clear])


def test_division_does_not_depend_on_where_blocks_of_rows_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watershed, "_VOXELS_TOGETHER", 7 * 6 * 7)
    noise = np.random.default_rng(4).random((40, 6, 7)).astype(np.float32)
    whole, peaks = divided(noise)
    turned, _ = divided(np.ascontiguousarray(noise[::-1]))
    assert len(peaks) > 20
    # The same peaks, numbered in another order.
    pairs = set(zip(whole.ravel().tolist(), turned[::-1].ravel().tolist(), strict=True))
    assert len(pairs) == len(peaks)


def test_matter_without_atoms_is_divided_into_cells() -> None:
    slope = (-distance((11, 9, 12))).astype(np.float32)
    labels, n_labels = cells_of(slope)
    assert np.array_equal(np.unique(labels), np.arange(n_labels))
    core = labels[11, 9, 12]
    assert np.array_equal(labels == core, distance((11, 9, 12)) <= 6)
    assert max(np.ptp(np.nonzero(labels == other), axis=1).max() for other in range(n_labels) if other != core) < 6


@pytest.mark.parametrize("voxels_together", [1500, 2**20])
def test_atoms_stand_apart(voxels_together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watershed, "_VOXELS_TOGETHER", voxels_together)
    labels, _ = cells_of(density())
    beyond = np.pad(labels, 1, mode="edge")
    around = [np.roll(beyond, step, axis)[1:-1, 1:-1, 1:-1] for axis in range(3) for step in (-1, 1)]
    is_border = np.any([other != labels for other in around], axis=0)
    of_atoms = [labels == labels[atom] for atom in ATOMS]
    heights = [density()[is_border & here].mean() / density()[here].max() for here in of_atoms]
    assert borders_of(density()) == pytest.approx(sorted(heights)[1], rel=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_body_has_no_atoms(noise: float) -> None:
    slope = np.clip(1.5 - distance((11, 9, 12)) / 9, 0, 1)  # one peak, or many
    body = (slope + noise * np.random.default_rng(3).random(ROWS.shape)).astype(np.float32)
    assert borders_of(body) > 0.5


def test_places_decide_on_their_own_where_there_are_no_atoms() -> None:
    field = surface_field(ROWS < 14)
    body = (distance((11, 9, 12)) < 8) + 0.05 * np.random.default_rng(3).random(ROWS.shape)
    field.density.take(torch.from_numpy(body.astype(np.float32)))
    before = field.arrival_of_grids(*lattice_of(GRID)).detach()
    assert decide_on_whole_atoms(field, GRID, fraction=TOLD_AT)
    assert field.atoms is None
    assert not is_undecided(field)
    assert torch.equal(field.arrival_of_grids(*lattice_of(GRID)), before)


def surface_field(inside: np.ndarray) -> GrowthField:
    field = GrowthField(GRID, GrowthFieldConfig(has_surface=True, blur=0.0), scale=1.0, width=0.005)
    field.density.take(torch.from_numpy(density()))
    field.tell_regions(torch.from_numpy(np.where(inside, NEAR_SURFACE, OUTSIDE).astype(np.uint8)))
    with torch.no_grad():
        field.arrival[0].values.fill_(0.25)
    return field


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_an_atom_begins_with_the_share_and_the_time_of_its_voxels(share: float) -> None:
    core = np.sort(density()[distance(ATOMS[0]) < 3])
    # The surface cuts the first atom where this share of its mass is inside, and goes round the others.
    columns = [density()[(distance(ATOMS[0]) < 3) & (column > COLUMNS)].sum() / core.sum() for column in range(24)]
    cut = int(np.argmin(np.abs(np.array(columns) - share)))
    field = surface_field((cut > COLUMNS) & (ROWS < 14))
    atoms = find_atoms(field, GRID)
    assert atoms is not None
    atoms.requires_grad_(False)
    first, second, third = (int(atoms.labels[atom]) for atom in ATOMS)
    assert float(atoms.share[first]) == pytest.approx(columns[cut], abs=0.1)
    assert max(float(atoms.share[second]), float(atoms.share[third])) < 0.15
    assert float(atoms.arrival[second]) == pytest.approx(0.25, abs=1e-3)


def told(share: tuple[float, float, float], arrival: float = 0.25) -> GrowthField:
    field = surface_field(ROWS == 11)
    labels, peaks = divided(density())
    in_order = [ATOMS.index(tuple(map(int, np.unravel_index(peak, labels.shape)))) for peak in peaks]
    field.tell_atoms(
        Atoms(
            torch.from_numpy(labels),
            share=torch.tensor([share[k] for k in in_order]),
            arrival=torch.full((len(peaks),), arrival),
        )
    )
    return field


def test_potential_of_an_atom_is_what_was_always_there_and_what_has_arrived() -> None:
    field = told((0.5, 0.0, 1.0))
    field.width.fill_(0.02)
    here = [ATOMS[k] for k in (0, 1, 2)]
    lattice = lattice_of(GRID)
    with torch.no_grad():
        for t in (0.0, 0.3, 1.0):
            arrived = 1 / (1 + np.exp(-(t - 0.25 - EARLIEST) / 0.02))
            expected = [
                float(density()[atom]) * part for atom, part in zip(here, (0.5 + arrived / 2, arrived, 1), strict=True)
            ]
            assert [float(field.potential(*lattice, t)[atom]) for atom in here] == pytest.approx(expected, abs=2e-3)
            z, y, x = lattice
            points = torch.stack([torch.stack([z[p], y[r], x[c]]) for r, p, c in here]).float()
            assert field(points, torch.tensor(t)).tolist() == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def test_what_is_learned_of_an_atom_is_the_sum_over_its_voxels(device: str) -> None:
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(0, 50, (7, 8, 9), generator=generator, dtype=torch.int32)
    gradient = torch.randn(7, 8, 9, generator=generator)
    values = torch.rand(60, generator=generator).to(device).requires_grad_()
    shown = Atoms.of_voxels(values, labels.to(device))
    assert torch.equal(shown.cpu(), values.detach().cpu()[labels.long()])
    shown.backward(gradient.to(device))
    sums = np.bincount(labels.ravel(), gradient.ravel().double(), minlength=60)
    np.testing.assert_allclose(values.grad.cpu(), sums, rtol=1e-5, atol=1e-5)  # type: ignore[union-attr]


def test_an_atom_is_shown_as_what_it_would_be_decided_to_be() -> None:
    field = told((0.7, 0.5, 1.0))
    lattice = lattice_of(GRID)
    shown = field.eval().potential(*lattice, 0.0).detach()
    field.train().atoms.decide()  # type: ignore[union-attr]  # it has atoms
    assert torch.equal(field.potential(*lattice, 0.0), shown)
    peaks = [float(shown[atom]) / density()[atom] for atom in ATOMS]
    assert peaks == pytest.approx([1, 0, 1], abs=1e-2)


def test_what_might_as_well_be_on_the_other_side_can_be_looked_at() -> None:
    field = told((0.7, 0.1, 0.5))
    field.atoms.decide()  # type: ignore[union-attr]  # it has atoms
    reconstruction = Reconstruction(field.eval(), preset_config("growth"), GRID)
    uncertain = reconstruction.uncertain()
    assert uncertain.shape == GRID.shape
    found = [float(uncertain[plane, row, column]) / density()[row, plane, column] for row, plane, column in ATOMS]
    assert found == pytest.approx([1, 0, 1], abs=1e-2)
    share = uncertain.sum() / reconstruction.render().sum()
    assert reconstruction.uncertain_part() == pytest.approx(share, rel=0.02)
    share = reconstruction.uncertain_part()
    assert any(f"{share:.1%} of the mass" in line for line in describe_run(reconstruction))
    field.atoms.share.data.fill_(0.95)  # type: ignore[union-attr]
    assert not reconstruction.uncertain().any()
    assert not any("on the other side" in line for line in describe_run(reconstruction))


def test_atoms_are_told_and_decided_on_in_turn() -> None:
    field = surface_field(ROWS < 14)
    assert is_undecided(field)
    assert not decide_on_whole_atoms(field, GRID, fraction=TOLD_AT - 0.01)
    assert decide_on_whole_atoms(field, GRID, fraction=DECIDED_AT)
    assert is_undecided(field)
    assert not decide_on_whole_atoms(field, GRID, fraction=DECIDED_AT - 0.01)
    assert decide_on_whole_atoms(field, GRID, fraction=DECIDED_AT)
    assert not is_undecided(field)


@pytest.mark.parametrize(("early", "expected"), [(0.0, [1, 0, 1]), (0.1, [1, 0, 1]), (1.0, [1, 1, 0])])
def test_where_shares_tell_little_the_surface_decides(early: float, expected: list[int]) -> None:
    field = told((0.7, 0.4, 0.7))
    field.tell_regions(torch.from_numpy(np.where(ROWS < 14, NEAR_SURFACE, OUTSIDE).astype(np.uint8)))
    assert decide_on_whole_atoms(field, GRID, fraction=DECIDED_AT, early=early)
    shown = field.potential(*lattice_of(GRID), 0.0).detach()
    assert [float(shown[atom]) / density()[atom] for atom in ATOMS] == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("at", [2, 11, 20])
def test_depth_is_counted_from_the_surface_up_to_four_voxels(at: int) -> None:
    depths = whole_atoms._depths(torch.from_numpy(at > ROWS))
    steps = at - np.arange(22)
    expected = np.clip(np.where(steps > 0, steps, steps - 1), -4, 4)
    np.testing.assert_array_equal(depths[:, 9, 12], expected)


def test_what_is_far_from_the_surface_is_no_specimen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_atoms, "_LEAST_REACH", 1)  # then 2.1 Å are 5 voxels
    field = told((0.9, 0.9, 0.9))
    regions = np.full(ROWS.shape, OUTSIDE, dtype=np.uint8)
    regions[21, 9, 9] = NEAR_SURFACE  # near to the last atom alone
    field.tell_regions(torch.from_numpy(regions))
    assert decide_on_whole_atoms(field, GRID, fraction=DECIDED_AT)
    shown = field.potential(*lattice_of(GRID), 0.0).detach()
    assert [float(shown[atom]) / density()[atom] for atom in ATOMS] == pytest.approx([0, 0, 1], abs=1e-2)


def test_a_network_is_left_to_learn_when_the_search_is_over() -> None:
    config = ReconstructionConfig.from_yaml("preset: growth\nfield: {features: 2, hidden: 4}\ntraining: {steps: 14}")
    trainer = Trainer(growing_series(n_tilts=21, width=31, height=7), config, device="cpu", threads=1)
    field = trainer.field
    assert isinstance(field, GrowthField)
    before = {name: value.clone() for name, value in field.density.state_dict().items()}
    reports = trainer.run()
    while next(reports).stage != "volume":
        pass
    for name, value in field.density.state_dict().items():
        assert float((value - before[name]).abs().max()) < 0.2, name


def test_a_field_without_a_surface_has_nothing_to_decide() -> None:
    assert not is_undecided(GrowthField(GRID, GrowthFieldConfig(), scale=1.0))


def test_labels_of_no_atom_are_refused() -> None:
    field, other = told((0.5, 0.5, 0.5)), told((0.5, 0.5, 0.5))
    values = field.state_dict()
    values["atoms.labels"] = values["atoms.labels"] + 1
    with pytest.raises(ValueError, match="atoms 1 to 3 of 3"):
        other.load_state_dict(values)


def test_shares_learn_what_a_surface_got_wrong() -> None:
    """Labels that are all wrong before the last part of the fit are all right after it."""
    series = growing_series(width=31)
    trainer = Trainer(
        series, preset_config("growth").with_training(visits=200, arrival_rate=0.06), device="cpu", threads=1
    )
    field = trainer.field
    assert isinstance(field, GrowthField)
    blobs = [(*blob[:3], 1.0) for blob in SPECIMEN] + [(*blob[:3], 0.0) for blob in CONTAMINATION]

    def at(volume: np.ndarray) -> list[float]:
        centre = [(n - 1) / 2 for n in volume.shape]
        return [float(volume[tuple(round(c + p) for c, p in zip(centre, blob[:3], strict=True))]) for blob in blobs]

    is_turned = False
    for _ in trainer.run():
        if field.atoms is not None and not is_turned:
            with torch.no_grad():
                field.atoms.share.copy_(0.3 + 0.4 * (field.atoms.share < 0.5))
            is_turned = True
    assert is_turned
    assert field.atoms is not None
    shares = at(field.atoms.are_specimen[field.atoms.labels.transpose(0, 1)].numpy())
    assert shares == [blob[3] for blob in blobs]
