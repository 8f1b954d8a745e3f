"""How much contamination is told: per cent where there is a specimen, nanometres only where they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from helpers.series_cases import growing_series
from napari_stinr import Reconstruction, reconstruct
from napari_stinr.analysis.contamination import CARBON_DENSITY, CARBON_POTENTIAL, Growth, is_static, surface_of
from napari_stinr.fields.regions import OUTSIDE, SPECIMEN

if TYPE_CHECKING:
    from collections.abc import Callable

HALF = np.array([0.0, 0.5, 1.0])


@pytest.fixture(scope="module")
def made() -> Callable[[str], Reconstruction]:
    series = growing_series(n_tilts=21, width=25, height=15)
    runs: dict[str, Reconstruction] = {}

    def of(preset: str) -> Reconstruction:
        if preset not in runs:
            runs[preset] = reconstruct(series, preset=preset, steps=40, device="cpu", threads=1)
        return runs[preset]

    return of


def give_sphere(reconstruction: Reconstruction, radius: float) -> None:
    """Say that the surface of the specimen is a sphere around the centre [voxel]."""
    field = reconstruction.field
    height, depth, width = field.regions.shape
    y, z, x = np.ogrid[:height, :depth, :width]
    far = (y - (height - 1) / 2) ** 2 + (z - (depth - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2
    field.regions.copy_(torch.from_numpy(np.where(far <= radius**2, SPECIMEN, OUTSIDE).astype(np.uint8)))


def test_per_cent_is_mass_that_came_by_mass_that_was_there(made: Callable[[str], Reconstruction]) -> None:
    run = made("growth")
    growth = Growth.of(run, 5, in_volts=False)
    clean, last = run.render(0.0).sum(dtype=float), run.render(1.0).sum(dtype=float)
    assert growth.percent(0.0) == 0
    assert growth.percent(1.0) == pytest.approx(100 * (last - clean) / clean, rel=1e-3)
    assert 5 < growth.percent(1.0) < 200
    assert f"{growth.percent(1.0):.0f} % of specimen" in growth.line(1.0)
    # The unit of a file says nothing of how thick that is.
    assert growth.thickness(1.0) is None
    assert "nm" not in growth.line(1.0)
    assert "volts" in growth.tip


def test_surface_of_a_sphere_is_found_in_its_voxels(made: Callable[[str], Reconstruction]) -> None:
    run = made("growth")
    before = run.field.regions.clone()
    give_sphere(run, 6.0)
    # The view is 15 voxels high, so that nothing of it is cut.
    assert surface_of(run) == pytest.approx(4 * np.pi * 6.0**2, rel=0.07)
    run.field.regions.copy_(before)


def test_a_shell_of_carbon_is_as_thick_as_it_is(made: Callable[[str], Reconstruction]) -> None:
    run = made("growth")
    before = run.field.regions.clone()
    give_sphere(run, 6.0)
    area, thickness = 4 * np.pi * 6.0**2, 2.0
    atoms_per_volume = CARBON_DENSITY * 0.602214 / 12.011
    carbon = area * thickness * atoms_per_volume * CARBON_POTENTIAL
    growth = Growth(HALF, 5e4 + carbon * HALF, surface=surface_of(run))
    assert growth.thickness(1.0) == pytest.approx(0.2, rel=0.07)
    assert growth.thickness(0.5) == pytest.approx(0.1, rel=0.07)
    assert "nm" in growth.line(1.0)
    assert "2 g/cm³" in growth.tip
    run.field.regions.copy_(before)


def test_thickness_is_told_only_of_potentials_with_a_known_surface(made: Callable[[str], Reconstruction]) -> None:
    assert Growth.of(made("growth"), 3, in_volts=True).thickness(1.0) is not None
    assert Growth.of(made("growth"), 3, in_volts=False).thickness(1.0) is None
    assert Growth.of(made("static"), 3, in_volts=True).thickness(1.0) is None


def test_a_static_reconstruction_is_not_called_clean(made: Callable[[str], Reconstruction]) -> None:
    run = made("static")
    growth = Growth.of(run, 3, in_volts=True)
    assert is_static(run)
    assert not is_static(made("growth"))
    assert growth.percent(1.0) is None
    assert not growth.is_none
    assert "Static reconstruction" in growth.line(0.5)
    assert "clean" not in growth.line(0.5).lower()


def test_nothing_grown_is_said(made: Callable[[str], Reconstruction]) -> None:
    run = made("growth")
    series = growing_series(n_tilts=21, width=25, height=15)
    still = series.__class__(
        np.repeat(series.projections[:1], 21, axis=0), series.tilt_angles, series.times, pixel_size=1.0
    )
    assert Growth.of(reconstruct(still, steps=20, device="cpu", threads=1), 3, in_volts=True).line(1.0) == (
        "No growth found."
    )
    assert not Growth.of(run, 3, in_volts=False).is_none


@pytest.mark.parametrize("totals", [[0.0, 1.0, 2.0], [-1.0, 1.0, 2.0], [1.0, np.nan, 2.0]])
def test_nothing_is_told_where_there_is_no_specimen(totals: list[float]) -> None:
    growth = Growth(HALF, np.array(totals), surface=100.0)
    assert growth.percent(1.0) is None
    assert growth.thickness(1.0) is None
    assert growth.line(1.0) == ""


@pytest.mark.parametrize(
    ("percent", "text"), [(196.4, "196 %"), (12.3, "12 %"), (3.44, "3.4 %"), (0.2512, "0.25 %"), (0.0, ": 0 %")]
)
def test_two_digits_are_enough(percent: float, text: str) -> None:
    growth = Growth(HALF, np.array([100.0, 100 + percent, 300.0]))
    assert text in growth.line(0.5)
