"""What is written is what is read: series, volumes, frames, archives and reconstructions of any numbers and names."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_stinr import Reconstruction, load_reconstruction, preset_config
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import build_field
from napari_stinr.io import (
    read_tilt_series,
    read_volume,
    write_frames,
    write_tilt_angles,
    write_tilt_series,
    write_times,
    write_volume,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FLOAT32 = np.finfo(np.float32)


def prop(max_examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return settings: seeded, so that a failure is one everywhere; no limit on time, as machines are busy."""
    unhurried = list(HealthCheck)
    return settings(
        max_examples=max_examples, deadline=None, derandomize=True, database=None, suppress_health_check=unhurried
    )


def pixels(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.float32]]:
    """Finite values of single precision, the extreme and the smallest among them."""
    return hnp.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


lengths = st.integers(1, 6)
shapes = st.tuples(st.integers(3, 7), lengths, lengths)
letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters='/\\:*?"<>|')
names = st.text(letters, min_size=1, max_size=20).filter(
    lambda name: name.strip() == name and not name.startswith(".") and len(name.encode()) < 100
)
pixel_sizes = st.none() | st.floats(0.001, 1e5).map(lambda size: float(f"{size:.6g}"))
finite = st.floats(allow_nan=False, allow_infinity=False)
clocks = st.floats(-1e15, 1e15)


@st.composite
def series(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a tilt series as its parts."""
    shape = draw(shapes)
    n_tilts = shape[0]
    angles = draw(hnp.arrays(np.float64, n_tilts, elements=st.floats(-180, 180)).filter(lambda a: np.ptp(a) > 0))
    # The time is scaled to 0..1, which takes a range that is not lost beside the times themselves.
    times = draw(hnp.arrays(np.float64, n_tilts, elements=clocks).filter(lambda t: np.ptp(t) > 1e-3))
    return {
        "projections": draw(pixels(shape)),
        "tilt_angles": angles,
        "times": times,
        "pixel_size": draw(pixel_sizes),
        "name": draw(names),
    }


def scaled(times: NDArray[np.float64]) -> NDArray[np.float64]:
    return (times - times.min()) / np.ptp(times)


def assert_same_size(found: float | None, written: float | None) -> None:
    # Headers hold single precision or a fraction of two integers.
    assert found == (None if written is None else pytest.approx(written, rel=2e-6))


@prop(60)
@given(parts=series(), ending=st.sampled_from([".mrc", ".st", ".ali", ".MRC"]))
def test_series_in_mrc_with_lists_beside(parts, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, parts["name"] + ending)
        write_tilt_series(path, parts["projections"], pixel_size=parts["pixel_size"])
        write_tilt_angles(path.with_name(path.stem + ".rawtlt"), parts["tilt_angles"])
        write_times(path.with_name("times.csv"), parts["tilt_angles"], parts["times"])
        found = read_tilt_series(path)
    np.testing.assert_array_equal(found.projections, parts["projections"])
    np.testing.assert_array_equal(found.tilt_angles, parts["tilt_angles"])
    np.testing.assert_array_equal(found.times, scaled(parts["times"]))
    assert found.time_range == (parts["times"].min(), parts["times"].max())
    assert_same_size(found.pixel_size, parts["pixel_size"])
    assert found.name == path.stem
    assert found.mask is None


@prop(60)
@given(parts=series(), data=st.data(), compressed=st.booleans(), double=st.booleans())
def test_series_in_npz_with_what_was_not_measured(parts, data, compressed, double):
    shape = parts["projections"].shape
    missing = data.draw(hnp.arrays(bool, shape).filter(lambda m: (~m).any(axis=(1, 2)).sum() >= 3))
    mask = data.draw(st.none() | hnp.arrays(bool, shape).filter(lambda m: (m & ~missing).any(axis=(1, 2)).sum() >= 3))
    values = parts["projections"].astype(np.float64 if double else np.float32)
    values[missing] = np.nan
    arrays = {"projections": values, "tilt_angles": parts["tilt_angles"], "times": parts["times"]}
    if parts["pixel_size"] is not None:
        arrays["pixel_size"] = parts["pixel_size"]
    if mask is not None:
        arrays["mask"] = mask
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{parts['name']}.npz")
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        found = read_tilt_series(path)
    counts = ~missing if mask is None else mask & ~missing
    np.testing.assert_array_equal(found.projections[counts], parts["projections"][counts])
    np.testing.assert_array_equal(np.ones(shape, bool) if found.mask is None else found.mask, counts)
    assert np.isfinite(found.projections).all()
    np.testing.assert_array_equal(found.tilt_angles, parts["tilt_angles"])
    np.testing.assert_array_equal(found.times, scaled(parts["times"]))
    assert found.pixel_size == parts["pixel_size"]


@prop(60)
@given(
    values=st.tuples(lengths, st.integers(2, 6), st.integers(2, 6)).flatmap(pixels),
    name=names,
    ending=st.sampled_from([".mrc", ".tif", ".tiff", ".ome.tif"]),
    size=st.floats(0.01, 1e4).map(lambda size: float(f"{size:.6g}")),
    unit=st.sampled_from(["Å", "pm", "nm", "µm", "pixel"]),
)
def test_volumes(values, name, ending, size, unit):
    factor = {"Å": 1.0, "pm": 0.01, "nm": 10.0, "µm": 1e4}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name + ending)
        write_volume(path, values, voxel_size=size, length_unit=unit)
        found, found_size = read_volume(path)
    np.testing.assert_array_equal(found, values)
    assert_same_size(found_size, None if unit == "pixel" else size * factor[unit])


@prop(40)
@given(
    values=st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(2, 5), st.integers(2, 5)).flatmap(pixels),
    ending=st.sampled_from([".tif", ".ome.tif"]),
    times=st.lists(finite, min_size=4, max_size=4),
)
def test_frames(values, ending, times):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"f{ending}")
        write_frames(
            path, iter(values), n_times=len(values), shape=values.shape[1:], voxel_size=0.5, times=times[: len(values)]
        )
        with tifffile.TiffFile(path) as file:
            found, text = file.asarray(), file.pages.first.description
    np.testing.assert_array_equal(found.reshape(values.shape), values)
    # The times are in the text to the last digit.
    listed = text.partition("times=")[2].partition("<")[0].split()
    assert list(map(float, listed)) == times[: len(values)]


@prop(60)
@given(angles=hnp.arrays(np.float64, st.integers(1, 30), elements=finite), data=st.data())
@example(angles=np.array([5e-324, -1.7976931348623157e308, -0.0]), data=None)
def test_lists_keep_every_digit(angles, data):
    from napari_stinr.io.series.sidecars import read_angles, read_timetable

    times = angles[::-1] if data is None else data.draw(hnp.arrays(np.float64, angles.shape, elements=finite))
    with tempfile.TemporaryDirectory() as folder:
        listed, table = Path(folder, "a.rawtlt"), Path(folder, "t.csv")
        write_tilt_angles(listed, angles)
        write_times(table, angles, times)
        np.testing.assert_array_equal(read_angles(listed), angles)
        np.testing.assert_array_equal(read_angles(table), angles)
        np.testing.assert_array_equal(read_timetable(table).times, times)


@prop(12)
@given(
    preset=st.sampled_from(["growth", "static", "paper"]),
    shape=st.tuples(st.integers(3, 7), st.integers(1, 5), st.integers(3, 7)),
    size=st.floats(0.01, 1000),
    times=st.tuples(finite, finite),
    unit=st.text(max_size=10),
    provenance=st.dictionaries(st.text(max_size=10), st.text(max_size=30), max_size=4),
    seed=st.integers(0, 2**31),
)
def test_reconstructions(preset, shape, size, times, unit, provenance, seed):
    torch.manual_seed(seed)
    config = preset_config(preset)
    grid = VoxelGrid(*shape, size)
    field = build_field(config, grid, scale=1.0)
    for parameter in field.parameters():
        parameter.data.normal_()
    training = {"generator": torch.get_rng_state(), "seconds": torch.tensor(1.5, dtype=torch.float64)}
    saved = Reconstruction(field, config, grid, times, unit, 7, provenance, training)
    with tempfile.TemporaryDirectory() as folder:
        saved.save(Path(folder, "r.stinr"))
        found = load_reconstruction(Path(folder, "r.stinr"))
    state = found.field.state_dict()
    assert state.keys() == field.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in field.state_dict().items())
    assert all(torch.equal(found.training_state[name], value) for name, value in training.items())
    assert (found.config, found.grid, found.time_range, found.time_unit) == (config, grid, times, unit)
    assert (found.step, found.provenance) == (7, provenance)
    np.testing.assert_array_equal(found.render(0.5), saved.render(0.5))
