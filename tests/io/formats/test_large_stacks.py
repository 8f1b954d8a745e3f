"""Stacks that would not fit into memory as they are: read image by image, and binned on the way."""

from __future__ import annotations

import struct
import tracemalloc

import h5py
import numpy as np
import psutil
import pytest
import tifffile

from helpers.series_cases import bin_series
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series, write_tilt_series

SHAPE = (24, 1024, 2048)
"""As float32 this takes 201 MB, binned by 8 it takes 3 MB."""
BINNED_MEGABYTES, WHOLE_MEGABYTES = 3, 201


def write_hollow(path, ending: str):
    """Write a stack without writing its pixels: zeros that take no room on the disk, but for a bright corner."""
    if ending == ".mrc":
        header = bytearray(1024)
        struct.pack_into("<4i", header, 0, SHAPE[2], SHAPE[1], SHAPE[0], 1)
        header[208:216] = b"MAP DD\0\0"
        path.write_bytes(header)
        values = np.memmap(path, "<i2", "r+", offset=1024, shape=SHAPE)
    elif ending == ".tif":
        values = tifffile.memmap(path, shape=SHAPE, dtype="int16", photometric="minisblack")
    elif ending == ".npy":
        values = np.lib.format.open_memmap(path, "w+", dtype="int16", shape=SHAPE)
    else:
        with h5py.File(path, "w") as file:
            file["exchange/theta"] = np.arange(SHAPE[0])
            data = file.create_dataset("exchange/data", SHAPE, "int16", chunks=(1, 256, 2048), compression="gzip")
            data[:] = np.random.default_rng(1).integers(0, 4, SHAPE[1:], dtype="int16")
            data[5, :8, :8] = 640
        return
    values[5, :8, :8] = 640
    values.flush()


def peak_megabytes(path, **options) -> tuple[float, np.ndarray]:
    tracemalloc.start()
    try:
        series = read_tilt_series(path, tilt_angles="-24:2", times="sequential", **options)
        return tracemalloc.get_traced_memory()[1] / 1e6, series.projections
    finally:
        tracemalloc.stop()


# One image in double precision is 17 MB; chunks of HDF5 are read 64 MB at a time.
@pytest.mark.parametrize(("ending", "buffers"), [(".mrc", 70), (".tif", 70), (".npy", 70), (".h5", 120)])
def test_a_large_stack_is_binned_while_it_is_read(tmp_path, ending, buffers):
    path = tmp_path / f"s{ending}"
    write_hollow(path, ending)
    peak, projections = peak_megabytes(path, binning=8)
    assert projections.shape == (24, 128, 256)
    assert projections[5, 0, 0] == 640
    assert peak < BINNED_MEGABYTES + buffers


def test_a_whole_stack_is_in_memory_once(tmp_path):
    write_hollow(tmp_path / "s.mrc", ".mrc")
    peak, _ = peak_megabytes(tmp_path / "s.mrc")
    assert WHOLE_MEGABYTES < peak < 1.4 * WHOLE_MEGABYTES


def test_binning_while_reading_is_binning_after_it(tmp_path):
    random = np.random.default_rng(3)
    stack = random.normal(size=(5, 13, 19)).astype(np.float32)
    stack[2, 3:7, 4:9] = np.nan
    write_tilt_series(tmp_path / "s.mrc", stack, pixel_size=1.5)
    options = {"tilt_angles": "-20:10", "axis_offset": 1.25}
    for factor in (1, 2, 3, 4):
        series = read_tilt_series(tmp_path / "s.mrc", binning=factor, **options)
        after = bin_series(read_tilt_series(tmp_path / "s.mrc", **options), factor)
        assert series.fingerprint() == after.fingerprint()
        assert series.notes == after.notes


def test_what_does_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    write_hollow(tmp_path / "s.mrc", ".mrc")
    free = psutil.virtual_memory()._replace(available=100_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(
        StinrError, match=r"s\.mrc declares the shape \(24, 1024, 2048\), which needs 0\.2.* Bin or crop"
    ):
        read_tilt_series(tmp_path / "s.mrc", tilt_angles="-24:2")
    assert read_tilt_series(tmp_path / "s.mrc", tilt_angles="-24:2", binning=4).width == 512
