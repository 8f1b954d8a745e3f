"""The time slider, and where stack and volume lie: the same place in the specimen is the same place on the screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from helpers.plugin_cases import small_draft
from napari_stinr import TiltSeries, reconstruct
from napari_stinr.plugin.canvas.layer_data import (
    TimedStack,
    contrast_limits,
    pixel_size_in_view,
    placement,
    series_layer,
    time_axis_of,
    volume_placement,
)
from napari_stinr.plugin.session.new_draft import draft_of_series
from napari_stinr.plugin.session.time_axis import MOST_STEPS, TimeAxis

if TYPE_CHECKING:
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

NM = 10.0
"""Å in a nm."""


def axis_of(times: Any, *, unit: str = "s") -> TimeAxis:
    """Return the axis of times in any unit."""
    times = np.asarray(times, dtype=float)
    first, last = times.min(), times.max()
    return TimeAxis.of_times((times - first) / (last - first), time_range=(first, last), unit=unit)


def times_with_gaps(seed: int) -> np.ndarray:
    """Return times in a random order whose longest gap is at most 30 times the shortest."""
    random = np.random.default_rng(seed)
    gaps = random.choice([1.0, 1.5, 2.0, random.uniform(1, 30)], size=random.integers(2, 30))
    return random.permutation(np.concatenate([[0.0], np.cumsum(gaps)])) * random.choice([0.01, 0.1, 1.0, 1 / 3, 60.0])


@pytest.mark.parametrize("seed", range(60))
def test_every_projection_is_seen_and_at_its_own_time(seed: int) -> None:
    times = times_with_gaps(seed)
    axis = axis_of(times)
    assert set(axis.projection_at) == set(range(len(times)))
    moments = np.array([axis.physical(axis.t_of(step)) for step in range(axis.n_steps)])
    nearest = np.abs(times[None, :] - moments[:, None]).min(axis=1)
    np.testing.assert_allclose(np.abs(times[axis.projection_at] - moments), nearest, atol=1e-9 * np.ptp(times))


@pytest.mark.parametrize("n_tilts", [3, 4, 61, 181, 1001])
def test_a_step_is_a_projection_where_they_are_evenly_spaced(n_tilts: int) -> None:
    order = np.random.default_rng(n_tilts).permutation(n_tilts)
    axis = axis_of(17.0 + 0.3 * order)
    assert axis.n_steps == n_tilts
    np.testing.assert_array_equal(axis.projection_at, np.argsort(order))
    assert axis.spacing == pytest.approx(0.3)


def test_a_long_pause_is_a_long_way_on_the_slider() -> None:
    axis = axis_of([0.0, 1.0, 2.0, 92.0, 93.0, 94.0])
    counts = np.bincount(axis.projection_at)
    assert counts[2] + counts[3] >= 90
    assert np.all(np.diff(axis.projection_at) >= 0)


def test_two_projections_at_almost_the_same_time_do_not_make_the_slider_endless() -> None:
    axis = axis_of([0.0, 1e-9, 5.0, 10.0])
    assert axis.n_steps == MOST_STEPS
    assert {2, 3} <= set(axis.projection_at)


def test_projections_of_the_same_time_do_no_harm() -> None:
    axis = axis_of([0.0, 1.0, 1.0, 2.0])
    assert set(axis.projection_at) == {0, 1, 2, 3}


def test_bursts_and_long_pauses_leave_every_projection_a_step_of_its_own() -> None:
    times = np.concatenate([np.arange(60), 20_000 + np.arange(60), 20_000 + np.arange(59, 120)]).astype(float)
    axis = axis_of(times)
    assert axis.n_steps == 1001
    assert set(axis.projection_at) == set(range(len(times)))
    np.testing.assert_array_equal(axis.projection_at[axis.step_of_projection], np.arange(len(times)))
    assert np.all(np.diff(axis.step_of_projection) > 0)


@pytest.mark.parametrize("seed", range(5))
def test_steps_and_physical_times_lead_back_to_where_they_came_from(seed: int) -> None:
    axis = axis_of(1e5 + times_with_gaps(seed))
    for step in range(axis.n_steps):
        t = axis.t_of(step)
        assert axis.step_of(t) == step
        assert axis.t_of_physical(axis.physical(t)) == pytest.approx(t, abs=1e-7)
        assert axis.physical(t) == pytest.approx(axis.time_range[0] + step * axis.spacing)
    assert (axis.t_of(0), axis.t_of(axis.n_steps - 1)) == (0.0, 1.0)


def test_what_is_beyond_the_slider_is_its_end() -> None:
    axis = axis_of([0.0, 45.0, 90.0])
    assert (axis.step_of(-0.2), axis.step_of(1.7)) == (0, axis.n_steps - 1)
    assert (axis.t_of(-3), axis.t_of(99)) == (0.0, 1.0)


def test_time_is_told_in_its_unit() -> None:
    axis = axis_of([0.0, 45.0, 90.0])
    assert axis.text(0.5) == "t = 0.500 (45 of 90 s)"
    assert replace(axis, unit="").text(1.0) == "t = 1.000 (90 of 90)"


def test_a_series_without_times_is_shown_in_stack_order() -> None:
    for times in (np.full(21, 3.0), np.full(21, np.nan)):
        axis = time_axis_of(small_draft(times=times))
        np.testing.assert_array_equal(axis.projection_at, np.arange(21))


INDICES = [
    0,
    -1,
    5,
    np.int64(5),
    slice(None),
    slice(3, 6),
    (5,),
    (slice(5, 6), slice(0, 1), slice(None), slice(None)),
    (slice(5, 6), slice(31, 32), slice(None), slice(None)),
    (5, slice(None), slice(None), slice(None)),
    (5, 0, slice(None), slice(None)),
    (np.int64(5), slice(None), 3, slice(None)),
    (slice(2, 9, 3), slice(None), slice(1, 4), slice(None, None, 2)),
    (slice(None), 0, 2, 3),
    (slice(None), slice(None), slice(None), 4),
    (slice(None, None, -1), 0),
    (7, 0, 2, 3),
    (slice(4, 4), slice(None), slice(None), slice(None)),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_a_stack_on_the_time_axis_is_indexed_like_an_array(index: Any) -> None:
    draft = small_draft(times=np.random.default_rng(3).permutation(21) ** 1.3)
    stack, _, _ = series_layer(draft)
    whole = np.stack([draft.preview[k] for k in time_axis_of(draft).projection_at])[:, None]
    assert stack.shape == whole.shape
    assert stack.size == whole.size
    np.testing.assert_array_equal(stack[index], whole[index])
    np.testing.assert_array_equal(np.asarray(stack), whole)


def test_a_stack_on_the_time_axis_costs_no_memory_of_its_own() -> None:
    images = np.zeros((1001, 64, 64), dtype=np.float32)
    stack = TimedStack(images, axis_of(np.arange(1001.0)))
    assert np.shares_memory(stack[500], images)


def blob_series(width: int, height: int, *, axis_offset: float = 0.0, pixel_size: float | None = 2.0) -> TiltSeries:
    """Project a blob that lies off the rotation axis and off the middle row."""
    z, y, x = BLOB
    angles = np.linspace(-90, 85, 36)
    rows, columns = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2 - axis_offset
    u = x * np.cos(np.deg2rad(angles)) + z * np.sin(np.deg2rad(angles))
    squares = (rows[:, None] - y) ** 2 + (columns[None, None, :] - u[:, None, None]) ** 2
    return TiltSeries(np.exp(-squares / (2 * 2.2**2)), angles, pixel_size=pixel_size, axis_offset=axis_offset)


BLOB = (2.5, -1.0, -1.75)
"""From the rotation axis and the middle row, in (z, y, x) [pixel]."""


def reconstructed(draft: SeriesDraft) -> Reconstruction:
    return reconstruct(draft.series(), preset="static", steps=200, device="cpu", threads=1)


def in_world(index: Any, layer: dict[str, Any]) -> np.ndarray:
    """Place of a (z, y, x) index of a layer in the world, as napari computes it."""
    return np.asarray(layer["translate"])[-3:] + np.asarray(index) * np.asarray(layer["scale"])[-3:]


def volume_layer(draft: SeriesDraft, recon: Reconstruction) -> dict[str, Any]:
    """Place a volume as the plugin does."""
    size = None if recon.length_unit == "pixel" else recon.voxel_size
    voxel, unit = pixel_size_in_view(size)
    return placement(None, **volume_placement(draft, recon.grid.shape, voxel, unit))


@pytest.mark.parametrize(
    ("width", "height", "binning", "axis_offset", "pixel_size"),
    [
        (29, 17, 1, 0.0, 2.0),
        (28, 18, 1, 1.25, 2.0),
        (29, 17, 2, 0.0, 2.0),
        (30, 19, 2, -1.5, 0.7),
        (32, 20, 3, 0.5, 2.0),
        (29, 17, 1, 0.5, None),
        (30, 18, 2, 0.0, None),
    ],
)
def test_a_blob_lies_where_the_stack_shows_it(
    width: int, height: int, binning: int, axis_offset: float, pixel_size: float | None
) -> None:
    series = blob_series(width, height, axis_offset=axis_offset, pixel_size=pixel_size)
    draft = replace(draft_of_series(series), binning=binning)
    recon = reconstructed(draft)
    _, stack, _ = series_layer(draft)
    upright = int(np.argmin(np.abs(draft.tilt_angles)))
    seen = in_world((0, *center_of_mass(draft.preview[upright])), stack)
    volume = recon.render(0.0)
    found = in_world(center_of_mass(np.where(volume > 0.1 * volume.max(), volume, 0)), volume_layer(draft, recon))
    pixel = 1.0 if pixel_size is None else pixel_size / NM
    np.testing.assert_allclose(found[1:], seen[1:], atol=0.15 * pixel)
    # At 0 degrees the stack does not show the depth: it is that of the axis, seen from the middle of the thick slab.
    np.testing.assert_allclose(found[0] - seen[0], BLOB[0] * pixel, atol=0.15 * pixel)


@pytest.mark.parametrize(("width", "binning"), [(14, 1), (15, 1), (15, 2), (14, 2), (14, 3), (16, 3)])
@pytest.mark.parametrize("axis_offset", [0.0, 2.3])
def test_volume_turns_about_the_axis_of_the_stack(width: int, binning: int, axis_offset: float) -> None:
    draft = draft_of_series(blob_series(width, 9, axis_offset=axis_offset))
    draft = replace(draft, binning=binning)
    recon_shape = draft.binned_shape[2], *draft.binned_shape[1:]
    voxel = draft.pixel_size * binning / NM
    layer = placement(None, **volume_placement(draft, recon_shape, voxel, "nm"))
    _, stack, _ = series_layer(draft)
    middle = in_world((np.array(recon_shape) - 1) / 2, layer)
    axis = in_world((0, 0, (width - 1) / 2 + axis_offset), stack)
    np.testing.assert_allclose(middle[[0, 2]], axis[[0, 2]])


def test_volume_and_stack_share_the_time_axis() -> None:
    draft = small_draft(times=np.linspace(30, 90, 21), time_unit="s")
    axis = time_axis_of(draft)
    data, stack, _ = series_layer(draft)
    volume = placement(axis, **volume_placement(draft, (15, 7, 15), 0.1, "nm"))
    for name in ("scale", "translate", "units", "axis_labels"):
        assert stack[name][0] == volume[name][0]
    assert stack["translate"][0] + (data.shape[0] - 1) * stack["scale"][0] == pytest.approx(90)


def test_stack_is_as_thick_as_the_volume_so_that_every_z_shows_it() -> None:
    draft = small_draft()
    _, stack, _ = series_layer(draft)
    volume = placement(None, **volume_placement(draft, (15, 7, 15), 0.1, "nm"))
    half = stack["scale"][1] / 2
    first, last = (volume["translate"][0] + index * volume["scale"][0] for index in (0, 14))
    assert stack["translate"][1] - half <= first
    assert last <= stack["translate"][1] + half


def test_limits_show_almost_all_and_ignore_a_few_hot_pixels() -> None:
    values = np.random.default_rng(1).normal(10, 2, (50, 40, 40))
    values[3, 4, 5], values[6, 7, 8] = 1e9, np.nan
    low, high = contrast_limits(values)
    assert 2 < low < 6
    assert 14 < high < 18


@pytest.mark.parametrize("values", [np.zeros((3, 4)), np.full((3, 4), np.nan), np.zeros((3, 4), dtype=np.uint8)])
def test_limits_are_never_the_same(values: np.ndarray) -> None:
    low, high = contrast_limits(values)
    assert low < high
