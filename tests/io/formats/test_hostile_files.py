"""Forged, truncated and malicious stacks: refused at once, nothing expanded, nothing run."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile

from helpers.bomb_cases import BOMBS, HOLES, LISTS, TERABYTE
from helpers.fuzzing_children import Outcome, Reader
from helpers.reading_cases import ANGLES, refused, stack
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_series
from napari_stinr.io.formats.registry import READERS
from napari_stinr.io.series.discovery import find_series
from napari_stinr.io.series.reading import load_series

if TYPE_CHECKING:
    from collections.abc import Iterator


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


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="time and memory are measured in a forked process")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    # Room to map a terabyte: a mapped file takes no memory, and what does is counted.
    with Reader(headroom=10 * TERABYTE) as process:
        yield process


def harmless(outcome: Outcome, *kinds: str) -> None:
    assert outcome.kind in (kinds or ("refused",)), f"{outcome.kind}: {outcome.text}"


@needs_fork
@pytest.mark.parametrize("name", [name for name in BOMBS if not name.startswith(("OME", "safetensors"))])
def test_bombs_are_refused_at_once(tmp_path, reader, name):
    file_name, write = BOMBS[name]
    write(tmp_path / file_name)
    harmless(reader.read([tmp_path / file_name], options={"tilt_angles": "-40:20"}))
    if file_name.endswith(".mdoc"):
        harmless(reader.read([tmp_path / file_name], "angles"))
        harmless(reader.read([tmp_path / file_name], "times"))


@needs_fork
def test_other_files_are_not_read(tmp_path, reader):
    # What is beside a file may be anything: a name in the file is no permission to show it.
    for kind in ("storage", "an external link", "virtual dataset"):
        name = next(name for name in BOMBS if kind in name)
        BOMBS[name][1](tmp_path / "s.h5")
        outcome = reader.read([tmp_path / "s.h5"], options={"tilt_angles": "-40:20"})
        harmless(outcome)
        assert "another file" in outcome.text


@needs_fork
def test_a_run_with_an_endless_header(tmp_path, reader):
    BOMBS["safetensors with an endless header"][1](tmp_path / "s.stinr")
    harmless(reader.read([tmp_path / "s.stinr"], "run"))


@needs_fork
def test_entities_do_not_expand(tmp_path, reader):
    BOMBS["OME-XML of entities"][1](tmp_path / "s.tif")
    harmless(reader.read([tmp_path / "s.tif"], options={"tilt_angles": "-40:20"}), "valid", "refused")


@needs_fork
@pytest.mark.parametrize("name", LISTS)
def test_endless_lists(tmp_path, reader, name):
    file_name, write = LISTS[name]
    write(tmp_path / file_name)
    for how in ("angles", "times"):
        harmless(
            reader.read([tmp_path / file_name], how), "valid" if "digits" in name and "numbers" in name else "refused"
        )
    write_tilt_series(tmp_path / "s.mrc", stack(), pixel_size=1.0)
    harmless(reader.read([tmp_path / "s.mrc"]))


@needs_fork
@pytest.mark.parametrize("name", HOLES)
def test_terabytes_of_nothing(tmp_path, reader, name):
    file_name, write = HOLES[name]
    try:
        write(tmp_path / file_name)
    except OSError as error:
        pytest.skip(f"this disk holds no such file: {error}")
    harmless(reader.read([tmp_path / file_name], options={"tilt_angles": "-40:20"}))


@needs_fork
@pytest.mark.parametrize("ending", [*READERS, ".mdoc", ".stinr"])
def test_what_is_no_file(tmp_path, reader, ending):
    how = "run" if ending == ".stinr" else "series"
    path = tmp_path / f"s{ending}"
    path.write_bytes(b"")
    harmless(reader.read([path], how))
    path.unlink()
    os.mkfifo(path)
    harmless(reader.read([path], how))
    path.unlink()
    path.symlink_to(path)
    harmless(reader.read([path], how))
    path.unlink()
    path.symlink_to("/dev/zero")
    harmless(reader.read([path], how))
    path.unlink()
    path.mkdir()
    harmless(reader.read([path], how))
    if how == "series":
        harmless(reader.read([tmp_path / f"{'s' * 300}{ending}"]))


@pytest.mark.parametrize("ending", [".mrc", ".npy", ".npz", ".tif", ".h5", ".mat"])
def test_a_file_that_vanishes_or_shrinks_before_its_pixels_are_read(tmp_path, ending):
    path = tmp_path / f"s{ending}"
    write_stack(path)
    found = find_series(path, tilt_angles=ANGLES)
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(StinrError, match=path.name):
        load_series(found)
    path.unlink()
    with pytest.raises(StinrError, match=path.name):
        load_series(found)


def write_stack(path: Path) -> None:
    if path.suffix == ".mrc":
        write_tilt_series(path, stack(), pixel_size=1.0)
    elif path.suffix == ".npy":
        np.save(path, stack())
    elif path.suffix == ".npz":
        np.savez(path, projections=stack())
    elif path.suffix == ".tif":
        tifffile.imwrite(path, stack(), photometric="minisblack")
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"projections": np.moveaxis(stack(), 0, -1)})
    else:
        with h5py.File(path, "w") as file:
            file["projections"] = stack()
