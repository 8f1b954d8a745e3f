"""Fields: the same value on a lattice and at points, monotone growth, positivity, gradients, encodings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stinr.config import (
    GrowthFieldConfig,
    JointFieldConfig,
    ReconstructionConfig,
    StaticFieldConfig,
    TrainingConfig,
)
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import GrowthField, JointField, StaticField, build_field
from napari_stinr.fields.base import potential
from napari_stinr.fields.encoding import FeatureGrid, SinusoidalEncoding

GRID = VoxelGrid(26, 11, 24, voxel_size=0.5)


def randomised(field: torch.nn.Module, *, seed: int = 0) -> torch.nn.Module:
    """Fill a field with random values, as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in field.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return field


def lattice(grid: VoxelGrid) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    z, y, x = (torch.from_numpy(grid.axis_positions(axis)) for axis in range(3))
    return z, y, x


def points_of(grid: VoxelGrid) -> torch.Tensor:
    """`(rows, depth, width, 3)` the lattice as points."""
    z, y, x = lattice(grid)
    mesh = torch.meshgrid(y, z, x, indexing="ij")
    return torch.stack([mesh[1], mesh[0], mesh[2]], dim=-1).float()


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.0, 4.0])
def test_feature_grid_reproduces_a_linear_function(spacing: float) -> None:
    grid = FeatureGrid(GRID, spacing=spacing)
    n_y, _, n_z, n_x = grid.values.shape
    axes = [(torch.arange(n) - (n - 1) / 2) * grid.node_distance for n in (n_y, n_z, n_x)]
    y, z, x = torch.meshgrid(*axes, indexing="ij")
    grid.values.data = (2 * z - 3 * y + 0.5 * x)[:, None]
    points = points_of(GRID)
    expected = 2 * points[..., 0] - 3 * points[..., 1] + 0.5 * points[..., 2]
    torch.testing.assert_close(grid.on_lattice(*lattice(GRID))[:, 0].detach(), expected, rtol=0, atol=2e-4)
    torch.testing.assert_close(grid.at(points)[..., 0].detach(), expected, rtol=0, atol=2e-4)


def test_finest_grid_has_its_nodes_on_the_voxels() -> None:
    grid = randomised(FeatureGrid(GRID, spacing=1.0))
    assert isinstance(grid, FeatureGrid)
    z, y, x = lattice(GRID)
    torch.testing.assert_close(grid.on_lattice(z, y[[3, 7]], x), grid.values[[3, 7]])


@pytest.mark.parametrize(
    ("band_limit", "blur"), [(True, 0.0), (False, 0.0), (False, 0.7)], ids=["limited", "neither", "blurred"]
)
@pytest.mark.parametrize("hidden", [0, 8])
@pytest.mark.parametrize(
    "other_grid", [GRID, GRID.resampled(0.35), GRID.resampled(1.1)], ids=["same", "finer", "coarser"]
)
def test_lattice_and_points_agree(hidden: int, other_grid: VoxelGrid, band_limit: bool, blur: float) -> None:
    config = GrowthFieldConfig(
        hidden=hidden,
        features=2 if hidden else 1,
        coarsest_nodes=6,
        arrival_spacings=(4.0, 3.0),
        band_limit=band_limit,
        blur=blur,
    )
    field = randomised(GrowthField(GRID, config, scale=2.0, width=0.2))
    assert isinstance(field, GrowthField)
    on_lattice = field.potential(*lattice(other_grid), 0.4)
    if not blur:
        (part,) = field.slices(*lattice(other_grid))
        assert part.arrival is not None
        torch.testing.assert_close(part.density * torch.sigmoid((0.4 - part.arrival) / 0.2), on_lattice)
        torch.testing.assert_close(potential([part], 0.4), on_lattice)
    torch.testing.assert_close(field(points_of(other_grid), torch.tensor(0.4)), on_lattice, rtol=1e-3, atol=1e-3)


def test_part_of_a_band_limited_density_is_that_of_the_whole() -> None:
    config = StaticFieldConfig(coarsest_nodes=6, band_limit=True)
    field = randomised(StaticField(GRID, config, scale=2.0))
    assert isinstance(field, StaticField)
    z, y, x = lattice(GRID)
    whole, whole_potential = field.density.on_lattice(z, y, x), field.potential(z, y, x, 0.0)
    for planes, columns in ((slice(0, 1), slice(None)), (slice(None, None, 4), slice(20, None)), (slice(5, 9),) * 2):
        part = field.density.on_lattice(z[planes], y, x[columns])
        torch.testing.assert_close(part, whole[:, planes, columns])
        part = field.potential(z[planes], y, x[columns], 0.0)
        torch.testing.assert_close(part, whole_potential[:, planes, columns])


@pytest.mark.parametrize("settings", [{}, {"features": 3, "hidden": 8}], ids=["grids", "network"])
def test_a_density_becomes_what_it_is_told_to_show(settings: dict[str, int]) -> None:
    field = randomised(StaticField(GRID, StaticFieldConfig(coarsest_nodes=6, band_limit=False, **settings), scale=2.0))
    assert isinstance(field, StaticField)
    depth, height, width = GRID.shape
    told = 30 * torch.rand(height, depth, width, generator=torch.Generator().manual_seed(2)) ** 4
    field.density.take(told)
    shown = field.density.on_lattice(*lattice(GRID))
    torch.testing.assert_close(shown, told.clamp(min=0.002), rtol=1e-3, atol=1e-4)


def test_growth_field_never_shrinks_and_is_never_negative_without_a_filter() -> None:
    field = randomised(GrowthField(GRID, GrowthFieldConfig(blur=0.0), scale=3.0, width=0.1))
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) * 8 - 4
    values = torch.stack([field(points, torch.tensor(t)) for t in np.linspace(0, 1, 9)]).detach()
    assert float(values.min()) >= 0
    assert float(values.diff(dim=0).min()) >= 0
    assert float(values.diff(dim=0).max()) > 0.1


def test_static_field_ignores_time_and_joint_field_does_not() -> None:
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(2)) * 8 - 4
    static = randomised(StaticField(GRID, StaticFieldConfig(), scale=1.0))
    joint = randomised(JointField(GRID, JointFieldConfig(hidden=16, layers=2), scale=1.0))
    early, late = torch.tensor(0.1), torch.tensor(0.9)
    torch.testing.assert_close(static(points, early), static(points, late), rtol=0, atol=0)
    assert float((joint(points, early) - joint(points, late)).detach().abs().max()) > 1e-3


def test_every_parameter_of_every_field_has_a_finite_gradient() -> None:
    points = torch.rand(300, 3, generator=torch.Generator().manual_seed(3)) * 10 - 5
    for kind in (GrowthFieldConfig(), StaticFieldConfig(hidden=16, features=2), JointFieldConfig(hidden=8, layers=1)):
        torch.manual_seed(3)
        training = TrainingConfig(batches=kind.batches[0])
        field = build_field(ReconstructionConfig(field=kind, training=training), GRID, scale=1.0)
        field(points, torch.tensor(0.3)).sum().backward()
        for name, parameter in field.named_parameters():
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name
            assert float(parameter.grad.abs().max()) > 0, name


def test_coordinates_broadcast_over_any_leading_axes() -> None:
    field = randomised(GrowthField(GRID, GrowthFieldConfig(), scale=1.0))
    points = torch.rand(2, 3, 5, 3, generator=torch.Generator().manual_seed(4))
    values = field(points, torch.tensor(0.5))
    assert values.shape == (2, 3, 5)
    torch.testing.assert_close(values[1, 2], field(points[1, 2], torch.tensor(0.5)))


def test_sinusoidal_encoding_is_bounded_and_doubles_its_frequencies() -> None:
    encoded = SinusoidalEncoding(3)(torch.tensor([[0.25]]))
    expected = [
        np.sin(np.pi / 4),
        np.sin(np.pi / 2),
        np.sin(np.pi),
        np.cos(np.pi / 4),
        np.cos(np.pi / 2),
        np.cos(np.pi),
    ]
    np.testing.assert_allclose(encoded[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 3])
def test_joint_field_is_the_same_on_a_lattice_and_at_points(layers: int) -> None:
    field = randomised(JointField(GRID, JointFieldConfig(hidden=16, layers=layers), scale=2.0))
    z, y, x = lattice(GRID)
    expected = field(points_of(GRID)[2:5], torch.tensor(0.7)).detach()
    torch.testing.assert_close(field.on_lattice(z, y[2:5], x, 0.7), expected, rtol=1e-4, atol=1e-4)
    assert float((field.on_lattice(z, y[2:5], x, 0.2) - expected).abs().max()) > 1e-2


@pytest.mark.parametrize(
    ("voxel_size", "unit", "expected"),
    [(0.5, "Å", 0.6), (0.375, "Å", 0.8), (0.05, "Å", 1.0), (0.375, "pixel", 0.6)],
    ids=["as wide as pixels want", "as atoms are", "not wider than this", "size not known"],
)
def test_blur_is_no_narrower_than_atoms_are(voxel_size: float, unit: str, expected: float) -> None:
    grid = VoxelGrid(15, 15, 15, voxel_size=voxel_size, length_unit=unit)  # type: ignore[arg-type]  # one of two words

    def peak(config: StaticFieldConfig) -> torch.Tensor:
        field = StaticField(grid, config, scale=1.0)
        *_, finest = field.density.grids
        with torch.no_grad():
            finest.values[7, :, 7, 7] = 5.0
            return field.potential(*lattice(grid), 0.0)

    found, same = peak(StaticFieldConfig(coarsest_nodes=6)), StaticFieldConfig(coarsest_nodes=6, least_blur=0.0)
    assert torch.equal(found, peak(same.model_copy(update={"blur": expected})))
    assert not torch.equal(found, peak(same.model_copy(update={"blur": 0.8 * expected})))


def test_grids_know_positions_again_but_not_what_they_were_before() -> None:
    grid = VoxelGrid(5, 6, 7)
    level = FeatureGrid(grid, spacing=2.0)
    with torch.no_grad():
        level.values.copy_(torch.rand(level.values.shape, generator=torch.Generator().manual_seed(1)))
    z, y, x = (torch.from_numpy(grid.axis_positions(axis)) for axis in range(3))
    with torch.inference_mode():
        shown = level.on_lattice(z, y, x).clone()
    level.on_lattice(z, y, x).sum().backward()  # what was made for the renderer serves the training, too
    assert level.values.grad is not None
    torch.testing.assert_close(level.on_lattice(z, y, x).detach(), shown)
    elsewhere = level.on_lattice(z, y, x + 0.4).detach()
    x += 0.4
    assert torch.equal(level.on_lattice(z, y, x).detach(), elsewhere)
