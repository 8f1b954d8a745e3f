"""Forged, truncated and malicious stacks: refused at once, nothing expanded, nothing run."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from reading_cases import refused, stack

from napari_stinr.io import write_tilt_series


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, 2**31 - 1), (0, -5), (4, 0), (8, 2**31 - 1), (92, 2**31 - 1), (92, -8), (12, 4), (12, 101), (12, 77)],
)
def test_forged_mrc_headers(tmp_path, offset, value):
    path = tmp_path / "s.mrc"
    write_tilt_series(path, stack(), pixel_size=1.0)
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 4] = struct.pack("<i", value)
    path.write_bytes(bytes(raw))
    refused(path, "s.mrc")


@pytest.mark.parametrize("ending", [".mrc", ".npy", ".npz"])
def test_truncated_files(tmp_path, ending):
    path = tmp_path / f"s{ending}"
    if ending == ".mrc":
        write_tilt_series(path, stack(), pixel_size=1.0)
    elif ending == ".npy":
        np.save(path, stack())
    else:
        np.savez(path, projections=stack())
    raw = path.read_bytes()
    for length in (3, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:length])
        refused(path, path.name)


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"compression": "zlib"}, {"contiguous": False}])
def test_truncated_tiffs(tmp_path, options):
    path = tmp_path / "s.tif"
    if options == {"contiguous": False}:
        with tifffile.TiffWriter(path) as file:
            for page in stack():
                file.write(page, contiguous=False, metadata=None)
    else:
        tifffile.imwrite(path, stack(), photometric="minisblack", **options)
    with tifffile.TiffFile(path) as file:
        middle = file.pages[3].dataoffsets[0] + 1
    raw = path.read_bytes()
    for length in (3, 100, middle):
        path.write_bytes(raw[:length])
        refused(path, "s.tif")


def test_declared_sizes_are_checked_before_reading(tmp_path):
    with (tmp_path / "h.npy").open("wb") as file:
        shape = (10**5, 10**5, 1000)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    refused(tmp_path / "h.npy", "h.npy")
    tifffile.imwrite(tmp_path / "h.tif", np.zeros((3, 8, 8), "uint16"), photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "h.tif", mode="r+") as file:
        for page in file.pages:
            page.tags["ImageWidth"].overwrite(2**20)
            page.tags["ImageLength"].overwrite(2**24)
    refused(tmp_path / "h.tif", "h.tif")


def test_nothing_is_unpickled(tmp_path):
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    objects = np.array([Payload()] * 3, dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", projections=stack(), times=objects)
    objects.dump(tmp_path / "p.npy")
    for name in ("o.npy", "o.npz", "p.npy"):
        refused(tmp_path / name, name)
    assert not (tmp_path / "ran").exists()
