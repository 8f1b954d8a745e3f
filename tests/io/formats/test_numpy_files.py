"""NumPy files: read image by image, whatever a forged header or archive declares."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.reading_cases import refused_at_once
from napari_stinr.io.formats.containers import Stack, read_images
from napari_stinr.io.formats.numpy_files import read_npy, read_npy_vector, read_npz
from napari_stinr.io.series.sidecars import read_angles

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("error")
ANGLES = np.array([-40.0, -20.0, 0.0, 20.0, 40.0])


def stack(dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(4).integers(0, 100, (5, 6, 7)).astype(dtype)


def read(path: Path) -> Stack:
    return read_npy(path) if path.suffix == ".npy" else read_npz(path)


def pixels(path: Path) -> np.ndarray:
    return read_images(read(path).images, path)


def refused(path: Path, *words: str, reader=pixels) -> None:
    refused_at_once(path, *words, read=reader)


def npy(text: str, data: bytes = b"", *, version: int = 1, length: int | None = None) -> bytes:
    """Return an array with any header, which may also lie about its length."""
    raw = text.encode("latin-1")
    declared = struct.pack("<H" if version == 1 else "<I", len(raw) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + declared + raw + data


def header(shape: object, kind: str = "<f4") -> str:
    return repr({"descr": kind, "fortran_order": False, "shape": shape}) + "\n"


def write_members(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        for name, raw in members.items():
            archive.writestr(name, raw)
    return path


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", ">i2", "float32", "float16", "bool"])
def test_pixels_of_every_type_and_order(tmp_path, dtype, order):
    values = np.asarray(stack(dtype), order=order)
    np.save(tmp_path / "s.npy", values)
    np.savez(tmp_path / "s.npz", stack=values)
    np.savez_compressed(tmp_path / "c.npz", stack=values)
    for name in ("s.npy", "s.npz", "c.npz"):
        images = read(tmp_path / name).images
        for _ in range(2):
            np.testing.assert_array_equal(read_images(images, tmp_path / name), stack(dtype).astype("float32"))
        np.testing.assert_array_equal(next(images.read()), stack(dtype)[0])


def test_a_stack_is_not_held_in_memory(tmp_path):
    values = np.random.default_rng(5).integers(0, 255, (60, 400, 500), dtype="uint8")
    np.save(tmp_path / "s.npy", values)
    np.savez_compressed(tmp_path / "s.npz", projections=values)
    for name in ("s.npy", "s.npz"):
        tracemalloc.start()
        sums = [int(image.sum()) for image in read(tmp_path / name).images.read()]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sums == values.sum(axis=(1, 2)).tolist()
        assert peak < 3e6


def test_everything_that_an_npz_can_hold(tmp_path):
    path = tmp_path / "s.npz"
    mask = stack() > 10
    np.savez(path, Stack=stack(), theta=ANGLES[None], time=np.arange(5), pixel_size=[0.5, 0.5], mask=mask, other="text")
    found = read_npz(path)
    np.testing.assert_array_equal(found.tilt_angles, ANGLES)
    np.testing.assert_array_equal(found.times, np.arange(5.0))
    np.testing.assert_array_equal(found.mask, mask)
    assert (found.pixel_size, found.place, found.complete) == (0.5, "NumPy arrays", True)
    np.savez(path, stack=stack(), mask=mask[:, :3])
    refused(path, "mask", "(5, 6, 7)")
    np.savez(path, stack=stack(), pixel_size=[0.5, 0.6])
    refused(path, "pixel_size")


def test_lists_of_angles(tmp_path):
    path = tmp_path / "a.npy"
    for values in (ANGLES, ANGLES[:, None], np.stack([0 * ANGLES, ANGLES, 0 * ANGLES + 90], axis=1)):
        np.save(path, values)
        np.testing.assert_array_equal(read_angles(path), ANGLES)
    for values in (stack(), np.array(["a"]), np.zeros((0, 3)), np.zeros(400_000)):
        np.save(path, values)
        refused(path, "a.npy", reader=read_npy_vector)


def test_headers_that_are_no_headers(tmp_path):
    path = tmp_path / "h.npy"
    for raw in (
        npy(header((5, 6, 7))),
        npy(header((10**5, 10**5, 1000))),
        npy(header((5, -6, -7)), bytes(840)),
        npy(header((5, 6, 7), "O"), bytes(1680)),
        npy(header((5, 6, 7), "<c8"), bytes(1680)),
        npy(header((5, 6, 7), "V8"), bytes(1680)),
        npy(header((5.0, 6, 7)), bytes(840)),
        npy(header((10**200, 6, 7)), bytes(840)),
        npy("(" * 9_000),
        npy("-" * 9_000 + "1"),
        npy("[" * 100 + "]" * 100),
        npy("{'a': '\\d'}"),
        npy("9" * 9_000),
        npy("1" + "+1" * 4_000),
        npy("{" + "'a': 1," * 1_000 + "}"),
        npy("x" * 5_000_000, version=2),
        npy("(" * 5_000_000, version=3),
        npy(header((5, 6, 7)), bytes(840), version=2, length=2**32 - 1),
        npy(header((5, 6, 7)), bytes(840), version=9),
        npy(header((5, 6, 7)), bytes(840), length=0),
        b"\x93NUMPY",
        b"",
    ):
        path.write_bytes(raw)
        refused(path, "h.npy")
        write_members(tmp_path / "h.npz", {"projections.npy": raw})
        refused(tmp_path / "h.npz", "h.npz")
        write_members(tmp_path / "h.npz", {"projections.npy": npy(header((5, 6, 7)), bytes(840)), "angles.npy": raw})
        refused(tmp_path / "h.npz", "h.npz")


def test_bombs_are_not_expanded(tmp_path):
    path = tmp_path / "b.npz"
    zeros = npy(header((1000, 500, 200), "|u1")) + bytes(10**8)
    good = npy(header((5, 6, 7)), bytes(840))
    write_members(path, {"projections.npy": zeros})
    assert path.stat().st_size < 1e6
    refused(path, "would expand")
    write_members(path, {"projections.npy": good, "angles.npy": npy(header((10**8,), "|u1")) + bytes(10**8)})
    refused(path, "would expand")
    # A header that expands to as much is not read either.
    write_members(path, {"projections.npy": npy(" " * 10**8, version=2)})
    refused(path, "header")


def test_archives_that_are_not_what_they_say(tmp_path):
    path = tmp_path / "z.npz"
    good = npy(header((5, 6, 7)), bytes(840))
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("projections.npy", good)
        archive.writestr("projections.npy", good)
    refused(path, "twice")
    refused(write_members(path, {"data.npy": good, "DATA.npy": good}), "data", "DATA", "'projections'")
    refused(write_members(path, {"projections.npy": good, "projections": good}), "projections")
    refused(write_members(path, {"projections.npy": good}, zipfile.ZIP_LZMA), "unusual way")
    refused(write_members(path, {"angles.npy": good}), "no projections")
    raw = bytearray(write_members(path, {"projections.npy": good}).read_bytes())
    directory = raw.rfind(b"PK\1\2")
    for offset, form, value, words in (
        (8, "<H", 1, "encrypted"),
        (10, "<H", 99, "unusual way"),
        (20, "<I", 2**31, "overlap"),
        (24, "<I", 100, "z.npz"),
        (42, "<I", 2**31, "z.npz"),
    ):
        forged = bytearray(raw)
        struct.pack_into(form, forged, directory + offset, value)
        path.write_bytes(forged)
        refused(path, words)
    end = raw.rfind(b"PK\5\6")
    for offset in (12, 16):
        forged = bytearray(raw)
        struct.pack_into("<I", forged, end + offset, 2**31)
        path.write_bytes(forged)
        refused(path, "z.npz")
    # The numbers are not those that the archive was made with.
    forged = bytearray(write_members(path, {"projections.npy": good}, zipfile.ZIP_STORED).read_bytes())
    forged[400] ^= 1
    path.write_bytes(forged)
    refused(path, "CRC")


def test_archives_of_very_many_members(tmp_path):
    path = write_members(tmp_path / "m.npz", {f"{k:060d}": b"" for k in range(20_000)}, zipfile.ZIP_STORED)
    refused(path, "the list of its members")


def test_members_that_share_their_bytes(tmp_path):
    # A hundred names for the same megabyte: together they are larger than the file.
    path = tmp_path / "o.npz"
    rng = np.random.default_rng(6)
    raw = npy(header((100, 100, 100), "|u1"), rng.bytes(10**6))
    write_members(path, {"projections.npy": raw})
    whole = path.read_bytes()
    start, end = whole.rfind(b"PK\1\2"), whole.rfind(b"PK\5\6")
    entry = whole[start:end]
    entries = b"".join(entry.replace(b"projections.npy", f"projection{k:02d}npy".encode()) for k in range(100))
    tail = bytearray(whole[end:])
    struct.pack_into("<HHI", tail, 8, 101, 101, len(entry) + len(entries))
    path.write_bytes(whole[:end] + entries + tail)
    refused(path, "overlap")
