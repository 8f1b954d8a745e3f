"""Binning and inversion: integrals, the place of the rotation axis, masks, and what a reconstruction makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.series_cases import bin_series, growing_series
from napari_stinr import TiltSeries, read_tilt_series, reconstruct, write_tilt_series
from napari_stinr.data.preprocessing.contrast import invert_contrast
from napari_stinr.errors import StinrError

ANGLES = np.array([-60.0, -20.0, 0.0, 35.0, 70.0])
Z, X = 5.0, -7.0
SIGMA = 2.5


def blob_series(
    height: int, width: int, axis_offset: float, *, angles: np.ndarray = ANGLES, **options: object
) -> TiltSeries:
    """Projections of one Gaussian blob at (Z, X) pixels from the rotation axis."""
    u = X * np.cos(np.deg2rad(angles)) + Z * np.sin(np.deg2rad(angles))
    columns = np.arange(width) - (width - 1) / 2 - axis_offset - u[:, None]
    rows = np.arange(height) - (height - 1) / 2
    lines = np.exp(-(columns**2) / (2 * SIGMA**2))
    projections = np.exp(-(rows**2) / (2 * SIGMA**2))[None, :, None] * lines[:, None]
    return TiltSeries(projections, angles, pixel_size=0.4, axis_offset=axis_offset, **options)  # type: ignore[arg-type]


def centre_from_axis(series: TiltSeries) -> np.ndarray:
    """`(n_tilts,)` centre of mass along the detector line, from the rotation axis [Å]."""
    weights = series.measured.sum(axis=1, dtype=float)
    index = weights @ np.arange(series.width) / weights.sum(axis=1)
    assert series.pixel_size is not None
    return (index - (series.width - 1) / 2 - series.axis_offset) * series.pixel_size


@pytest.mark.parametrize("axis_offset", [0.0, 1.3, -2.5])
@pytest.mark.parametrize(("height", "width"), [(48, 60), (49, 61), (50, 62), (51, 63)])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_blob_keeps_its_integral_and_its_distance_from_the_axis(
    height: int, width: int, axis_offset: float, factor: int
) -> None:
    series = blob_series(height, width, axis_offset)
    binned = bin_series(series, factor)
    assert binned.projections.shape == (5, height // factor, width // factor)
    assert binned.pixel_size == pytest.approx(0.4 * factor)
    integrals = [s.projections.sum(axis=(1, 2), dtype=float) * s.pixel_size**2 for s in (series, binned)]
    np.testing.assert_allclose(integrals[1], integrals[0], rtol=1e-4)
    np.testing.assert_allclose(centre_from_axis(binned), centre_from_axis(series), atol=2e-3)
    assert centre_from_axis(series)[2] == pytest.approx(X * 0.4, abs=2e-3)


def test_no_binning_is_the_same_object() -> None:
    series = blob_series(9, 21, 0.0)
    assert bin_series(series, 1) is series


@pytest.mark.parametrize("factor", [0, -2, 10, 22])
def test_impossible_binning_is_refused(factor: int) -> None:
    with pytest.raises(StinrError, match=f"a binning of {factor} for projections of 9 x 21 pixels; expected 1 to 9"):
        bin_series(blob_series(9, 21, 0.0), factor)


def test_only_pixels_that_count_are_averaged_and_half_of_them_make_one_that_counts() -> None:
    projections = np.full((3, 2, 8), 7.0)
    mask = np.ones(projections.shape, dtype=bool)
    mask[:, 0, :4], mask[:, 1, 2] = False, False  # of four pixels two count, then one
    mask[:, :, 6:] = False
    ruined = np.where(mask, projections, 1e6)
    binned = bin_series(TiltSeries(ruined, [0, 1, 2], mask=mask), 2)
    assert binned.mask is not None
    assert binned.mask[0, 0].tolist() == [True, False, True, False]
    np.testing.assert_array_equal(binned.measured[:, 0], [[7, 0, 7, 0]] * 3)
    assert bin_series(TiltSeries(projections, [0, 1, 2]), 2).mask is None


def test_excluded_projections_times_and_handedness_stay() -> None:
    series = blob_series(20, 40, 0.5, flip_tilt=True, times=[5, 6, 8, 9, 10], time_unit="s").exclude([1])
    for changed in (bin_series(series, 2), invert_contrast(series)):
        np.testing.assert_array_equal(changed.used, series.used)
        np.testing.assert_array_equal(changed.times, series.times)
        assert (changed.time_range, changed.time_unit, changed.flip_tilt) == ((5.0, 10.0), "s", True)


def test_notes_say_what_was_done() -> None:
    series = invert_contrast(bin_series(blob_series(21, 42, 0.0), 4))
    assert series.notes[-2] == "Binned 4 x 4 to 5 x 10 pixels; 1 row and 2 columns at the borders left out."
    assert series.notes[-1].startswith("Contrast inverted")


def test_unknown_pixel_size_stays_unknown() -> None:
    series = TiltSeries(np.ones((3, 4, 6)), [0, 1, 2])
    assert bin_series(series, 2).pixel_size is None


def test_bright_field_images_become_projections_of_matter() -> None:
    matter = growing_series(n_tilts=21, width=40)
    bright_field = TiltSeries(250 - 3 * matter.projections, matter.tilt_angles, matter.times, pixel_size=1.0)
    inverted = invert_contrast(bright_field)
    np.testing.assert_allclose(inverted.projections, 3 * matter.projections, atol=1e-3)
    assert "250" in inverted.notes[-1]


def test_background_is_sought_where_pixels_count() -> None:
    matter = growing_series(n_tilts=21, width=40)
    images, mask = 250 - matter.projections, np.ones(matter.projections.shape, dtype=bool)
    images[:, :, :6], mask[:, :, :6] = 0.0, False  # an edge without data, as alignment leaves it
    images[::3, :, 38:], mask[::3, :, 38:] = -1e5, False
    inverted = invert_contrast(TiltSeries(images, matter.tilt_angles, matter.times, mask=mask))
    np.testing.assert_allclose(inverted.projections[mask], matter.projections[mask], atol=1e-3)


def test_reconstruction_of_binned_projections_is_the_binned_reconstruction() -> None:
    fine = blob_series(16, 37, 0.0, angles=np.linspace(0, 174, 30))
    whole, binned = (
        reconstruct(series, preset="static", steps=400, device="cpu", threads=1)
        for series in (fine, bin_series(fine, 2))
    )
    assert binned.grid.shape == (18, 8, 18)
    assert binned.voxel_size == 0.8
    masses, centres = [], []
    for recon in (whole, binned):
        volume = recon.render(0.0).astype(float)
        axes = [recon.grid.axis_positions(axis) for axis in range(3)]
        profiles = [volume.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
        masses.append(volume.sum() * recon.voxel_size**3)
        centres.append([profile @ axis / profile.sum() for profile, axis in zip(profiles, axes, strict=True)])
    assert masses[1] == pytest.approx(masses[0], rel=0.04)
    # A column is left out on one side: without the axis offset the blob would sit 0.2 Å beside.
    np.testing.assert_allclose(centres[1], centres[0], atol=0.05)
    np.testing.assert_allclose(centres[1], [Z * 0.4, 0, X * 0.4], atol=0.05)


def test_reading_bins_excludes_and_inverts(tmp_path) -> None:
    matter = growing_series(n_tilts=21, width=41, height=10)
    images = 250 - matter.projections
    images[4] = 1e4
    write_tilt_series(tmp_path / "stack.mrc", images, pixel_size=1.0)
    options = {"tilt_angles": matter.tilt_angles, "exclude": [4]}
    series = read_tilt_series(tmp_path / "stack.mrc", binning=2, invert_contrast=True, axis_offset=1.0, **options)
    whole = read_tilt_series(tmp_path / "stack.mrc", axis_offset=1.0, tilt_angles=matter.tilt_angles)
    expected = invert_contrast(bin_series(whole, 2).exclude([4]))
    assert series.fingerprint() == expected.fingerprint()
    assert series.axis_offset == 0.75
    assert [note.split()[0] for note in series.notes[-2:]] == ["Binned", "Contrast"]
    assert series.measured[4].max() == 0
    np.testing.assert_allclose(series.projections[9], bin_series(matter, 2).projections[9], atol=1e-3)
