"""Pixels that are not square are said, in every format that states both edges; and a montage in an MRC file."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile

from helpers.dm_cases import write_dm
from helpers.hdf5_cases import write_nxtomo, write_tomviz, write_velox
from helpers.reading_cases import ANGLES, refused, stack
from napari_stinr.data.notes import NoteKind
from napari_stinr.io import read_tilt_series, write_tilt_series

if TYPE_CHECKING:
    from pathlib import Path


def mrc(path: Path, *, kind: bytes = b"", extended: bytes = b"", n_int: int = 0, n_real: int = 0) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(stack())
        file.set_image_stack()
        file.voxel_size = (2.0, 3.0, 1.0)
    blob = bytearray(path.read_bytes())
    blob[1024:1024] = extended
    struct.pack_into("<i", blob, 92, len(extended))
    blob[104:108] = kind.ljust(4, b"\0")
    struct.pack_into("<2h", blob, 128, n_int, n_real)
    path.write_bytes(blob)
    return path


def imagej(path: Path) -> Path:
    metadata = {"axes": "ZYX", "unit": "nm"}
    tifffile.imwrite(path, stack(), imagej=True, metadata=metadata, resolution=(5.0, 10 / 3))
    return path


def ome(path: Path) -> Path:
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 3.0}
    tifffile.imwrite(path, stack(), ome=True, metadata={**metadata, "PhysicalSizeYUnit": "Å"}, photometric="minisblack")
    return path


def dm(path: Path) -> Path:
    pytest.importorskip("rsciio")
    return write_dm(path, stack(), calibrations=[(0, 0.2, "nm"), (0, 0.3, "nm"), (2, 20, "deg")])


def tomviz(path: Path) -> Path:
    write_tomviz(path)
    with h5py.File(path, "a") as file:
        for number, step in ((2, 0.3), (3, 0.2)):
            dim = file[f"data/tomography/dim{number}"]
            dim[...] = np.arange(len(dim)) * step
            dim.attrs["units"] = "[n_m]"
    return path


def nxtomo(path: Path) -> Path:
    write_nxtomo(path)
    with h5py.File(path, "a") as file:
        for edge, size in (("x", 0.2), ("y", 0.3)):
            file[f"entry/sample/{edge}_pixel_size"] = size
            file[f"entry/sample/{edge}_pixel_size"].attrs["units"] = "nm"
        file["entry/instrument/detector/y_pixel_size"] = 17.0
        file["entry/instrument/detector/y_pixel_size"].attrs["units"] = "um"
    return path


MAKERS = {"a.mrc": mrc, "a.tif": imagej, "a.ome.tif": ome, "a.dm3": dm, "a.emd": tomviz, "a.nxs": nxtomo}


def of_size(series) -> str:
    (note,) = [note for note in series.notes if note.kind is NoteKind.PIXEL_SIZE]
    return note.text


@pytest.mark.parametrize("name", MAKERS)
def test_oblong_pixels_are_said_with_both_edges(tmp_path, name):
    series = read_tilt_series(MAKERS[name](tmp_path / name), tilt_angles=ANGLES)
    assert series.pixel_size == pytest.approx(2.0)
    assert "Pixels are not square: 2 Å wide and 3 Å high. The width counts" in of_size(series)
    given = read_tilt_series(tmp_path / name, tilt_angles=ANGLES, pixel_size=4.0)
    assert given.pixel_size == 4.0
    assert "pixels are not square: 2 Å wide and 3 Å high" in of_size(given)


def test_square_pixels_are_not_remarked_on(tmp_path):
    write_tilt_series(tmp_path / "s.mrc", stack(), pixel_size=2.0)
    write_velox(tmp_path / "s.emd")
    for name in ("s.mrc", "s.emd"):
        assert "square" not in of_size(read_tilt_series(tmp_path / name, tilt_angles=ANGLES))


def test_files_with_one_tilt_each_say_it_once(tmp_path):
    for k in range(5):
        mrc(tmp_path / f"t_{k}.mrc")
    series = read_tilt_series(tmp_path, tilt_angles=ANGLES)
    assert "not square: 2 Å wide and 3 Å high" in of_size(series)


def seri(pieces: list[tuple[int, int, int]]) -> dict[str, object]:
    records = b"".join(struct.pack("<4h", int(100 * a), *piece) for a, piece in zip(ANGLES, pieces, strict=True))
    return {"kind": b"SERI", "extended": records, "n_int": 8, "n_real": 1 | 2}


def test_pieces_side_by_side_are_a_montage(tmp_path):
    for pieces in ([(7 * k, 0, 0) for k in range(5)], [(0, 0, 0), (0, 6, 0), (0, 0, 1), (0, 6, 1), (0, 0, 2)]):
        refused(mrc(tmp_path / "s.mrc", **seri(pieces)), "s.mrc is a montage", "pieces of", "one image for every tilt")
    alone = b"".join(struct.pack("<3h", 7 * k, 0, 0) for k in range(5))
    refused(mrc(tmp_path / "s.mrc", kind=b"SERI", extended=alone, n_int=6, n_real=2), "s.mrc is a montage")


@pytest.mark.parametrize("pieces", [[(0, 0, k) for k in range(5)], [(0, 0, 0)] * 5])
def test_one_piece_of_every_tilt_is_a_series(tmp_path, pieces):
    series = read_tilt_series(mrc(tmp_path / "s.mrc", **seri(pieces)))
    np.testing.assert_allclose(series.tilt_angles, ANGLES)
