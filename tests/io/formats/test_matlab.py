"""MATLAB files of all versions: the same person gets the same images from each, and bombs are not expanded."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from helpers.matlab_cases import compressed, compressed_zeros, matrix, version_5, write_version_73
from helpers.places import SHARED_DATA
from helpers.reading_cases import refused_at_once
from napari_stinr.io.formats import isolation
from napari_stinr.io.formats.containers import read_images
from napari_stinr.io.formats.matlab import read_mat, read_vector
from napari_stinr.io.series.sidecars import read_angles

if TYPE_CHECKING:
    from pathlib import Path

ANGLES = np.array([-40.0, -20.0, 0.0, 20.0, 40.0])


def stack(dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(3).integers(0, 100, (5, 6, 7)).astype(dtype)


def matlab_axes(values: np.ndarray) -> np.ndarray:
    return np.moveaxis(values, 0, -1)


def pixels(path: Path) -> np.ndarray:
    return read_images(read_mat(path).images, path)


def refused(path: Path, *words: str, reader=pixels) -> None:
    refused_at_once(path, *words, read=reader)


def write_5(path: Path, /, **arrays: np.ndarray) -> None:
    savemat(path, arrays, do_compression=False)


def write_7(path: Path, /, **arrays: np.ndarray) -> None:
    savemat(path, arrays, do_compression=True)


@pytest.mark.parametrize("write", [write_5, write_7, write_version_73])
def test_every_version_gives_the_same_images_angles_times_pixel_size_and_mask(tmp_path, write):
    path = tmp_path / "s.mat"
    mask = stack() > 20
    for dtype in ("uint8", "int16", "float32", "float64"):
        write(
            path,
            Projections=matlab_axes(stack(dtype)),
            Angles=ANGLES[None].astype("int8"),
            time=np.arange(5.0)[:, None],
            pixel_size=np.array([[0.5]]),
            mask=matlab_axes(mask),
        )
        found = read_mat(path)
        np.testing.assert_array_equal(read_images(found.images, path), stack(dtype))
        np.testing.assert_array_equal(found.tilt_angles, ANGLES)
        np.testing.assert_array_equal(found.times, np.arange(5.0))
        np.testing.assert_array_equal(found.mask, mask)
        assert (found.pixel_size, found.complete, found.notes) == (0.5, True, ())


def test_a_mask_is_no_part_of_the_memory_that_a_header_may_take(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "_BASE_BYTES", 16_000_000)
    path = tmp_path / "s.mat"
    # SciPy expands a piece of the file at once, however much it holds: zeros alone would take more.
    mask = np.random.default_rng(0).random((24, 1024, 1024), dtype=np.float32) > 0.03
    write_7(path, projections=matlab_axes(mask.view(np.uint8)), mask=matlab_axes(mask))
    np.testing.assert_array_equal(read_mat(path).mask, mask)


@pytest.mark.parametrize("write", [write_5, write_version_73])
def test_the_tilt_axis_is_where_the_angles_fit(tmp_path, write):
    write(tmp_path / "s.mat", volume=stack(), angles=ANGLES)
    found = read_mat(tmp_path / "s.mat")
    np.testing.assert_array_equal(read_images(found.images, tmp_path / "s.mat"), stack())
    assert "axis 1 of volume (5 x 6 x 7)" in found.notes[0]
    # Without angles MATLAB's own order holds.
    write(tmp_path / "s.mat", volume=stack())
    np.testing.assert_array_equal(pixels(tmp_path / "s.mat"), np.moveaxis(stack(), -1, 0))


@pytest.mark.parametrize("write", [write_5, write_version_73])
def test_a_single_image(tmp_path, write):
    write(tmp_path / "s.mat", projections=stack()[0])
    np.testing.assert_array_equal(pixels(tmp_path / "s.mat"), stack()[:1])


def test_which_variable(tmp_path):
    path = tmp_path / "s.mat"
    # "data" is a list here, so the only array with three axes is the stack.
    write_7(path, recon=matlab_axes(stack()), data=np.arange(9.0), text="no", coordinates=np.ones((3, 40)))
    np.testing.assert_array_equal(pixels(path), stack())
    write_7(path, one=matlab_axes(stack()), other=matlab_axes(stack()))
    refused(path, "one (6 x 7 x 5)", "other (6 x 7 x 5)", "'projections'")
    write_7(path, stack=matlab_axes(stack()), images=matlab_axes(stack()))
    refused(path, "stack", "images", "'projections'")
    write_7(path, stack=matlab_axes(stack()), projections=2 * matlab_axes(stack()))
    np.testing.assert_array_equal(pixels(path), 2 * stack())
    write_7(path, coordinates=np.ones((3, 40)))
    refused(path, "coordinates (3 x 40)", "rows, columns, tilts")


def test_structs_cells_and_objects_are_named(tmp_path):
    path = tmp_path / "s.mat"
    savemat(path, {"series": {"projections": stack()}, "cells": np.array([1, "a"], dtype=object)})
    refused(path, "a cell array and a struct", "re-save plain arrays")
    # A MATLAB object has no axes; its name is not where that of an array is.
    path.write_bytes(version_5(compressed(matrix("", (1, 1), b"", mx_class=17))))
    refused(path, "a MATLAB object", "re-save plain arrays")
    with h5py.File(path, "w") as file:
        file.create_group("series").attrs["MATLAB_class"] = np.bytes_("struct")
        file.create_dataset("o", data=np.zeros((2, 3, 4), "uint32")).attrs["MATLAB_class"] = np.bytes_("dictionary")
    refused(path, "a MATLAB object and a struct", "re-save plain arrays")


@pytest.mark.parametrize("write", [write_5, write_version_73])
def test_complex_projections_are_refused_with_the_cure(tmp_path, write):
    path = tmp_path / "s.mat"
    if write is write_5:
        write(path, projections=matlab_axes(stack()) * 1j)
    else:
        with h5py.File(path, "w") as file:
            file["projections"] = np.zeros((2, 3, 4), [("real", "f8"), ("imag", "f8")])
    refused(path, "complex", "phase")


def test_version_4(tmp_path):
    path = tmp_path / "s.mat"
    savemat(path, {"angles": np.array([[3.0]]), "projections": stack()[0].astype(float)}, format="4")
    found = read_mat(path)
    np.testing.assert_array_equal(read_images(found.images, path), stack()[:1])
    assert found.tilt_angles == [3.0]
    raw = path.read_bytes()
    for length in range(4, len(raw), 7):
        path.write_bytes(raw[:length])
        refused(path, "s.mat")


@pytest.mark.parametrize("write", [write_5, write_7, write_version_73])
def test_lists_of_angles(tmp_path, write):
    path = tmp_path / "a.mat"
    euler = np.stack([0 * ANGLES, ANGLES + 40, 0 * ANGLES], axis=1).astype("uint8")
    for arrays in (
        {"a": ANGLES + 40},
        {"a": (ANGLES + 40)[:, None], "n": np.array([[5.0]])},
        {"a": euler},
        {"b": euler.T},
        {"Theta": ANGLES + 40, "x": np.arange(4.0)},
    ):
        write(path, **arrays)
        np.testing.assert_array_equal(read_angles(path), ANGLES + 40)
    write(path, angles=ANGLES, times=ANGLES + 40)
    np.testing.assert_array_equal(read_vector(path, "times"), ANGLES + 40)
    write(path, a=ANGLES, b=ANGLES)
    refused(path, "a (", "b (", "'tilt_angles'", reader=read_vector)
    write(path, angles=np.random.default_rng(1).random((5, 3)))
    refused(path, "(5, 3)", reader=read_angles)
    write(path, a=stack())
    refused(path, "5 x 6 x 7", reader=read_vector)


def test_bombs_are_not_expanded(tmp_path):
    path = tmp_path / "b.mat"
    path.write_bytes(version_5(compressed_zeros("projections", (1000, 970, 100))))
    assert path.stat().st_size < 2e5
    refused(path, "would expand")
    refused(path, "1000 x 970 x 100", reader=read_vector)
    path.write_bytes(
        version_5(compressed(matrix("a", (3, 4, 5), bytes(60))), compressed_zeros("mask", (900, 900, 100)))
    )
    refused(path, "mask")
    path.write_bytes(version_5(compressed_zeros("angles", (1, 100_000_000))))
    refused(path, "at most 100000", reader=read_vector)


def test_a_bomb_beside_the_projections_is_not_touched(tmp_path):
    path = tmp_path / "b.mat"
    good = compressed(matrix("projections", (3, 4, 5), bytes(range(60))))
    path.write_bytes(version_5(compressed_zeros("junk", (1000, 1000, 200)), good))
    tracemalloc.start()
    found = pixels(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.shape == (5, 3, 4)
    assert peak < 5e6


def test_lengths_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "f.mat"
    good = matrix("projections", (3, 4, 5), bytes(60))
    path.write_bytes(version_5(good))
    assert pixels(path).shape == (5, 3, 4)
    for forged in (
        matrix("projections", (3, 4, 2**30), bytes(60)),
        matrix("projections", (3, 4, -5), bytes(60)),
        matrix("projections", (3, 4, 5), bytes(60), data_type=9),
        matrix("projections", (3,) * 40, bytes(60)),
        good[:-70],
        good + b"\1\2\3",
        good + good,
        compressed(good)[:-20],
        compressed(good[:-30]),
        compressed(b"nothing of that kind"),
    ):
        for raw in (forged, good.replace(b"projections", b"proj_other\0") + forged):
            path.write_bytes(version_5(raw))
            refused(path, "f.mat")
    path.write_bytes(bytes(300))
    refused(path, "f.mat")
    path.write_bytes(b"MATLAB 5.0")
    refused(path, "f.mat")


def test_hdf5_truncated_and_linked(tmp_path):
    path = write_version_73(tmp_path / "s.mat", projections=matlab_axes(stack()))
    raw = path.read_bytes()
    for length in (0, 100, 515, 600, len(raw) // 2, len(raw) - 5):
        path.write_bytes(raw[:length])
        refused(path, "s.mat")
    with h5py.File(path, "w") as file:
        file["projections"] = h5py.ExternalLink("other.h5", "/projections")
    refused(path, "other.h5")


@pytest.mark.skipif(not (SHARED_DATA / "asi").exists(), reason="shared/data/asi is not beside the checkout")
def test_real_silicon():
    path = SHARED_DATA / "asi" / "aSi_2nmFosCetr_Dose8p0e3_cov35pm_ForBM3D.mat"
    found = read_mat(path)
    assert found.images.shape == (60, 128, 128)
    assert (found.tilt_angles, found.pixel_size) == (None, None)
    values = read_images(found.images, path)
    assert values.min() >= 0
    assert values.max() > 0
    np.testing.assert_array_equal(read_angles(SHARED_DATA / "asi" / "Si_Angle.mat"), np.arange(0, 178, 3))


@pytest.mark.skipif(not (SHARED_DATA / "carbon").exists(), reason="shared/data/carbon is not beside the checkout")
def test_real_carbon():
    start = SHARED_DATA / "carbon" / "14_Amorphous_carbon_simulation_input_data_"
    path = start.with_name(start.name + "Projections.mat")
    found = read_mat(path)
    assert found.images.shape == (37, 166, 166)
    with h5py.File(path) as file:
        expected = np.swapaxes(file["projections"][()], 1, 2)
    np.testing.assert_array_equal(read_images(found.images, path), expected)
    np.testing.assert_array_equal(read_angles(start.with_name(start.name + "Angles.mat")), np.arange(-72, 73, 4))
    refused(start.with_name(start.name + "atom_tracing_model_original.mat"), "atom (3 x 7514)")
