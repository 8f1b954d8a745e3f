"""A glance at a series: which projections are looked at, the range of their pixels, and what is in memory meanwhile."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile

from helpers.dm_cases import write_dm
from napari_stinr.errors import StinrError
from napari_stinr.io.formats import stored
from napari_stinr.io.formats.registry import read_stack
from napari_stinr.io.series import glance
from napari_stinr.io.series.glance import Glance
from napari_stinr.io.series.grouping import find_given_series
from napari_stinr.io.series.reading import load_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.series.found import FoundSeries

N, HEIGHT, WIDTH = 9, 14, 11
CHOSEN = [0, 3, 4, 8]


def pixels(dtype: str = "float32") -> NDArray[Any]:
    return np.random.default_rng(5).integers(0, 200, (N, HEIGHT, WIDTH)).astype(dtype)


def found_at(path: Path) -> FoundSeries:
    return find_given_series([path], tilt_angles="-40:10")


def series_of(folder: Path, values: NDArray[Any]) -> FoundSeries:
    np.save(folder / "stack.npy", values)
    return found_at(folder / "stack.npy")


def _write_mrc(path: Path, values: NDArray[Any]) -> None:
    with mrcfile.new(path) as file:
        file.set_data(values)


def _write_fortran(path: Path, values: NDArray[Any]) -> None:
    np.save(path, np.asfortranarray(values))


def _write_appended(path: Path, values: NDArray[Any]) -> None:
    with tifffile.TiffWriter(path) as file:
        for image in values:
            file.write(image, contiguous=False)


def _write_hdf5(path: Path, values: NDArray[Any], **options: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, **options)


def _write_last(path: Path, values: NDArray[Any], **options: Any) -> None:
    """Write data whose last axis is the tilt, as the angles tell."""
    _write_hdf5(path, values.transpose(1, 2, 0), **options)
    with h5py.File(path, "a") as file:
        file["angles"] = np.linspace(-40, 40, N)


WAYS: dict[str, tuple[str, Callable[[Path, NDArray[Any]], None]]] = {
    "mrc": ("a.mrc", _write_mrc),
    "unsigned mrc": ("a.mrc", lambda path, values: _write_mrc(path, (values - 32768.0).astype(np.int16))),
    "npy": ("a.npy", np.save),
    "fortran npy": ("a.npy", _write_fortran),
    "npz": ("a.npz", lambda path, values: np.savez_compressed(path, projections=values)),
    "tiff": ("a.tif", lambda path, values: tifffile.imwrite(path, values)),
    "big-endian tiff": ("a.tif", lambda path, values: tifffile.imwrite(path, values, byteorder=">")),
    "packed tiff": ("a.tif", lambda path, values: tifffile.imwrite(path, values, compression="zlib")),
    "appended tiff": ("a.tif", _write_appended),
    "hdf5": ("a.h5", _write_hdf5),
    "chunked hdf5": ("a.h5", lambda path, values: _write_hdf5(path, values, chunks=(2, 5, 11), compression="gzip")),
    "deep hdf5": ("a.h5", lambda path, values: _write_hdf5(path, values, chunks=(9, 5, 11))),
    "hdf5, tilt last": ("a.h5", _write_last),
    "chunked hdf5, tilt last": ("a.h5", lambda path, values: _write_last(path, values, chunks=(14, 11, 1))),
}


@pytest.mark.parametrize("way", WAYS)
def test_some_images_are_those_of_the_whole_stack(tmp_path: Path, way: str) -> None:
    name, write = WAYS[way]
    write(tmp_path / name, pixels())
    images = read_stack(tmp_path / name).images
    whole = np.stack(list(images.read()))
    np.testing.assert_array_equal(whole, pixels())
    bands = [slice(0, 5), slice(5, 14)]
    for chosen in (CHOSEN, [0], [8], list(range(N))):
        found = list(images.chosen(chosen, bands))
        np.testing.assert_array_equal(np.concatenate(found).reshape(-1, HEIGHT, WIDTH), whole[chosen])
        assert [len(rows) for rows in found] == [5, 9] * len(chosen)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_some_images_of_a_dm_file(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("rsciio")
    path = write_dm(tmp_path / "a.dm4", pixels(dtype))
    images = read_stack(path).images
    found = list(images.chosen(CHOSEN, [slice(0, HEIGHT)]))
    np.testing.assert_array_equal(found, pixels()[CHOSEN])


def test_some_of_several_files(tmp_path: Path) -> None:
    for k, image in enumerate(pixels()):
        tifffile.imwrite(tmp_path / f"tilt_{k}.tif", image)
    images = find_given_series([tmp_path], tilt_angles="-40:10").stack.images
    np.testing.assert_array_equal(list(images.chosen(CHOSEN, [slice(0, HEIGHT)])), pixels()[CHOSEN])


@pytest.mark.parametrize("way", WAYS)
def test_which_images_are_reached_without_those_before_them(tmp_path: Path, way: str) -> None:
    name, write = WAYS[way]
    write(tmp_path / name, pixels())
    images = read_stack(tmp_path / name).images
    assert (images.choose is None) == (way in ("fortran npy", "npz", "deep hdf5", "hdf5, tilt last"))
    assert (images.plain_itemsize > 0) == (way in ("mrc", "unsigned mrc", "npy", "tiff", "big-endian tiff"))


@pytest.mark.parametrize("at_once", [1, 40, 10**9])
@pytest.mark.parametrize("binning", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "bool", "float64", "int32"])
def test_what_is_binned_is_what_reading_bins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, binning: int, at_once: int
) -> None:
    monkeypatch.setattr(glance, "_PIXELS_AT_ONCE", at_once)
    found, values = series_of(tmp_path, pixels(dtype)), pixels(dtype)
    whole = load_series(found, binning=binning)
    seen = Glance.of(found, range(N), binning=binning)
    assert seen.is_of_all
    np.testing.assert_array_equal(seen.series().projections, whole.projections)
    for name in ("tilt_angles", "times", "pixel_size", "axis_offset"):
        np.testing.assert_array_equal(getattr(seen.series(), name), getattr(whole, name))
    assert (seen.lowest, seen.highest) == (values.min(), values.max())
    assert seen.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (seen.left_out, seen.n_left_out) == (0, 0)
    some = Glance.of(found, CHOSEN, binning=binning)
    assert not some.is_of_all
    np.testing.assert_array_equal(some.projections, whole.projections[CHOSEN])
    assert some.mean == pytest.approx(values[CHOSEN].mean(), rel=1e-12)


@pytest.mark.parametrize("at_once", [1, 10**9])
@pytest.mark.parametrize("has_mask", [False, True])
def test_pixels_that_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_mask: bool, at_once: int
) -> None:
    monkeypatch.setattr(glance, "_PIXELS_AT_ONCE", at_once)
    values = pixels()
    values[1, 2, 3], values[2] = np.nan, np.nan
    counts = ~np.isnan(values)
    if has_mask:
        mask = np.random.default_rng(1).random(values.shape) > 0.2
        values[~mask & counts] = 1e6  # no part of the range
        np.savez(tmp_path / "a.npz", projections=values, mask=mask)
        counts &= mask
    else:
        np.save(tmp_path / "a.npy", values)
    found = found_at(tmp_path / ("a.npz" if has_mask else "a.npy"))
    seen, whole = Glance.of(found, range(N), binning=2), load_series(found, binning=2)
    np.testing.assert_array_equal(seen.mask, whole.mask)
    np.testing.assert_allclose(seen.projections, whole.projections, rtol=1e-6)
    assert (seen.lowest, seen.highest) == (values[counts].min(), values[counts].max())
    assert seen.mean == pytest.approx(values[counts].mean())
    assert seen.left_out == pytest.approx(1 - counts.mean())
    assert seen.n_left_out == 1
    nothing = Glance.of(found, [2], binning=2)
    assert np.isnan([nothing.lowest, nothing.highest, nothing.mean]).all()
    assert nothing.left_out == 1


def test_pixels_that_are_no_numbers_are_counted_in_the_file(tmp_path: Path) -> None:
    values = pixels()
    values[3, 4:6, 4:6] = np.inf
    found = series_of(tmp_path, values)
    with pytest.raises(StinrError, match=r"has 4 infinite pixel\(s\); expected"):
        Glance.of(found, range(N), binning=2)
    with pytest.raises(StinrError, match=r"has 4 infinite pixel\(s\) in 4 of 9 projections"):
        Glance.of(found, CHOSEN, binning=2)
    assert Glance.of(found, [0, 1], binning=2).highest < 200
    large = pixels("float64")
    large[0, 0, 0] = 1e200
    with pytest.raises(StinrError, match=r"beyond single precision, up to 1e\+200"):
        Glance.of(series_of(tmp_path, large), range(N), binning=2)


def test_a_file_that_ends_early_or_changes_is_refused(tmp_path: Path) -> None:
    found = series_of(tmp_path, pixels())
    with (tmp_path / "stack.npy").open("r+b") as file:
        file.truncate(2000)
    with pytest.raises(StinrError, match="has changed since"):
        Glance.of(found, CHOSEN, binning=2)
    with pytest.raises(StinrError, match="it ends within an image"):
        list(glance.checked_bands(found.stack.images, CHOSEN, [slice(0, HEIGHT)], found.path))


def test_nothing_is_held_of_a_large_series_but_some_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_read = 0
    read = stored._next

    def counted(stream: Any, shape: tuple[int, int], dtype: Any) -> Any:
        nonlocal n_read
        n_read += shape[0] * shape[1]
        return read(stream, shape, dtype)

    monkeypatch.setattr(stored, "_next", counted)
    monkeypatch.setattr(glance, "_PIXELS_AT_ONCE", 250_000)
    shape = (12, 1000, 1000)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * 12 * 1000 * 1000)
    found = find_given_series([tmp_path / "a.npy"], tilt_angles="-60:10")
    tracemalloc.start()
    try:
        seen = Glance.of(found, [0, 6, 11], binning=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_read == 3 * 1000 * 1000
    assert seen.projections.shape == (3, 100, 100)
    assert peak < 4e6  # of 48 MB: a quarter of an image, 1 MB, and what is made of it
