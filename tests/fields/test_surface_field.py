"""A field with a surface: what is inside never changes, what is outside was not there before the first projection."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_stinr import preset_config
from napari_stinr.config import GrowthFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.errors import StinrError
from napari_stinr.fields import GrowthField
from napari_stinr.fields.base import potential
from napari_stinr.fields.regions import EARLIEST, NEAR_SURFACE, OUTSIDE, SPECIMEN, SPECIMEN_ARRIVAL
from napari_stinr.fields.surface import SurfaceField
from napari_stinr.reconstruction.rendering import lattice_of

GRID = VoxelGrid(17, 9, 21, voxel_size=0.5)
COARSE = VoxelGrid(24, 12, 24, length_unit="pixel")


def growth_field() -> GrowthField:
    torch.manual_seed(0)
    field = GrowthField(GRID, GrowthFieldConfig(has_surface=True), scale=1.0, width=0.005)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.normal_()
    regions = torch.full((9, 17, 21), OUTSIDE, dtype=torch.uint8)
    regions[1:8, 4:13, 3:16] = NEAR_SURFACE
    regions[2:7, 5:12, 4:15] = SPECIMEN
    field.tell_regions(regions)
    return field.eval()


def surface_field(radius: float = 6.0, centre: tuple[float, float] = (0.0, 0.0)) -> SurfaceField:
    return SurfaceField(COARSE, GrowthFieldConfig(), scale=1.0, centre=centre, radius=radius)


def test_specimen_is_the_same_at_every_time_and_nothing_else_is_there_at_first() -> None:
    field = growth_field()
    with torch.no_grad():
        parts = field.slices(*lattice_of(GRID))
    at_first, at_last = (potential(parts, t) for t in (0.0, 1.0))
    assert field.regions is not None
    inside, outside = field.regions == SPECIMEN, field.regions == OUTSIDE
    torch.testing.assert_close(at_first[inside], at_last[inside])
    density = parts[0].density
    assert float((at_first[outside].abs() / density[outside].abs().clamp(min=1e-6)).max()) < 0.02
    assert float(at_last[outside].sum()) > float(at_first[outside].sum())


def test_points_off_the_voxels_belong_to_the_nearest_voxel() -> None:
    field = growth_field()
    z, y, x = lattice_of(GRID)
    shifted = (z + 0.2, y - 0.2, x + 0.2)  # less than half a voxel of 0.5
    with torch.no_grad():
        (on,), (off,) = field.slices(z, y, x), field.slices(*shifted)
        points = torch.stack(torch.meshgrid(*shifted, indexing="ij"), dim=-1).float()
        at_points = field(points, torch.tensor(0.0)).permute(1, 0, 2)
    assert on.arrival is not None
    assert off.arrival is not None
    assert torch.equal(on.arrival == SPECIMEN_ARRIVAL, off.arrival == SPECIMEN_ARRIVAL)
    torch.testing.assert_close(at_points, field.potential(*shifted, 0.0), rtol=1e-4, atol=1e-4)


def test_arrival_outside_is_never_before_the_first_projection() -> None:
    field = growth_field()
    with torch.no_grad():
        (part,) = field.slices(*lattice_of(GRID))
    assert part.arrival is not None
    assert field.regions is not None
    assert float(part.arrival[field.regions == OUTSIDE].min()) >= EARLIEST - 1e-6


def test_near_the_surface_every_place_decides_on_its_own_and_begins_as_specimen() -> None:
    field = GrowthField(GRID, GrowthFieldConfig(has_surface=True), scale=1.0)
    field.tell_regions(torch.full((9, 17, 21), NEAR_SURFACE, dtype=torch.uint8))
    (part,) = field.slices(*lattice_of(GRID))
    assert part.arrival is not None
    assert float(part.arrival.detach().max()) < 0
    part.at(0.0).sum().backward()
    assert field.near_surface is not None
    for level in field.near_surface:
        assert level.values.grad is not None
        assert bool((level.values.grad != 0).any())
    for level in field.arrival:
        assert level.values.grad is None or not bool(level.values.grad.any())


def test_settings_of_old_runs_seek_no_surface_and_those_of_the_preset_do() -> None:
    assert not GrowthFieldConfig.model_validate({"kind": "growth"}).seeks_surface
    growth = preset_config("growth")
    assert growth.field.seeks_surface
    assert not growth.voxelwise().field.seeks_surface
    assert preset_config("static").voxelwise() is preset_config("static")


@pytest.mark.parametrize("centre", [(0.0, 0.0), (2.5, -1.5)])
def test_inside_is_a_cylinder_around_the_centre_to_begin_with(centre: tuple[float, float]) -> None:
    field = surface_field(centre=centre)
    z, y, x = lattice_of(COARSE)
    with torch.no_grad():
        inside = field.inside(z, y, x).numpy() > 0.5
    distance = np.hypot(z.numpy()[:, None] - centre[0], x.numpy()[None] - centre[1])
    assert (inside == (distance < 6.0)).all()


def test_radius_follows_direction_and_height() -> None:
    field = surface_field()
    with torch.no_grad():
        field.deviations[4] = 3.0  # 90 degrees of 16 directions: along +z
        field.deviations[:, -1] -= 4.0  # the last row
        z, y, x = lattice_of(COARSE)
        inside = field.inside(z, y, x).numpy() > 0.5
    middle, last = inside[5], inside[-1]
    assert middle[:, 12].sum() > middle[12, :].sum()
    assert middle[20, 12]
    assert not middle[3, 12]
    assert last.sum() < 0.4 * middle.sum()


def test_point_and_lattice_agree() -> None:
    torch.manual_seed(1)
    field = surface_field()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
        z, y, x = lattice_of(COARSE)
        points = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), dim=-1).float()
        for t in (0.0, 0.4, 1.0):
            on_lattice = potential(field.slices(z, y, x), t).permute(1, 0, 2)
            torch.testing.assert_close(field(points, torch.tensor(t)), on_lattice, rtol=1e-4, atol=1e-4)


def test_a_rough_surface_and_growing_matter_cost_something() -> None:
    field = surface_field().requires_grad_(False)

    def prior() -> float:
        field.slices(*lattice_of(COARSE))
        return float(field.prior())

    smooth = prior()
    field.deviations[3] += 2.0
    assert prior() > smooth + 1e-5
    field.deviations.zero_()
    field.radius.fill_(3.0)
    assert prior() > smooth


def test_centre_of_mass_is_that_of_what_is_inside() -> None:
    field = surface_field(radius=5.0)
    field.narrow(preset_config("growth").training, fraction=1.0)  # a sharp surface
    z, y, x = lattice_of(COARSE)
    blob = torch.exp(-((z[:, None] - 1.5) ** 2 + (x[None] + 1.0) ** 2) / 4).float() + 1e-3
    far = torch.exp(-((z[:, None] + 9.0) ** 2 + (x[None] - 9.0) ** 2) / 4).float()
    field.density.take((blob + 3 * far).expand(12, 24, 24))
    along_z, along_x = field.centre_of_specimen(z, y, x)
    assert math.hypot(along_z - 1.5, along_x + 1.0) < 0.4


def test_it_is_no_field_to_be_chosen() -> None:
    with pytest.raises(StinrError, match="growth"):
        SurfaceField.build(GrowthFieldConfig(), COARSE, scale=1.0, training=preset_config("growth").training)
