"""What is written opens elsewhere at the right size, completely or not at all."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io import (
    atomic_output,
    read_tilt_series,
    read_volume,
    write_frames,
    write_tilt_angles,
    write_tilt_series,
    write_times,
    write_volume,
)
from napari_stinr.io.output import tiff
from napari_stinr.io.output.replacing import check_replaceable

if TYPE_CHECKING:
    from pathlib import Path


def volume() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(5, 8, 6)).astype(np.float32)


@pytest.mark.parametrize("name", ["v.tif", "v.tiff", "v.ome.tif", "v.mrc"])
@pytest.mark.parametrize(
    ("size", "unit", "expected"), [(0.33967, "Å", 0.33967), (0.5, "nm", 5.0), (2.5, "pixel", None), (33.6, "Å", 33.6)]
)
def test_volume_and_voxel_size_come_back(tmp_path, name, size, unit, expected):
    write_volume(tmp_path / name, volume(), voxel_size=size, length_unit=unit)
    values, found = read_volume(tmp_path / name)
    np.testing.assert_array_equal(values, volume())
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_tif_serves_readers_of_imagej_and_of_ome(tmp_path):
    write_volume(tmp_path / "v.tif", volume(), voxel_size=0.5)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.is_imagej
        assert file.is_ome
        assert file.imagej_metadata["unit"] == "nm"
        assert file.imagej_metadata["spacing"] == pytest.approx(0.05)
        assert file.imagej_metadata["slices"] == 5
        pixels, length = file.pages[0].tags["XResolution"].value
        assert length / pixels == pytest.approx(0.05)
        described = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert [described[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.5] * 3
        assert described["PhysicalSizeZUnit"] == "Å"
        assert file.series[0].axes == "ZYX"


def imagej_description_and_first_pixel(path: Path) -> tuple[str, int]:
    """Read a TIFF as ImageJ's TiffDecoder does: of all ImageDescriptions the last that begins with "ImageJ"."""
    raw = path.read_bytes()
    order = "<" if raw[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", raw, 4)
    (n_tags,) = struct.unpack_from(f"{order}H", raw, start)
    description, offset = "", 0
    for k in range(n_tags):
        tag, kind, count, value = struct.unpack_from(f"{order}HHII", raw, start + 2 + 12 * k)
        if tag == 270 and raw[value : value + 6] == b"ImageJ":
            description = raw[value : value + count - 1].decode("ascii")
        if tag == 273:
            offset = value if count == 1 else struct.unpack_from(f"{order}I", raw, value)[0]
            assert kind in (3, 4)
    return description, offset


def test_imagej_finds_all_slices_behind_the_first(tmp_path):
    # ImageJ reads no second directory when its description counts the images: the slices must lie one after the other.
    path = tmp_path / "f.tif"
    write_frames(path, (volume() * k for k in range(3)), n_times=3, shape=(5, 8, 6), voxel_size=0.5, times=[0, 0.5, 1])
    description, offset = imagej_description_and_first_pixel(path)
    assert {"images=15", "slices=5", "frames=3", "hyperstack=true", "unit=nm"} <= set(description.splitlines())
    values = np.frombuffer(path.read_bytes(), "<f4", 15 * 8 * 6, offset).reshape(3, 5, 8, 6)
    np.testing.assert_array_equal(values[2], volume() * 2)


@pytest.mark.parametrize("name", ["f.tif", "f.ome.tif"])
def test_frames_are_asked_for_one_by_one(tmp_path, name):
    asked, reported = [], []

    def frames():
        for k in range(4):
            asked.append((k, len(reported)))
            yield volume() + k

    write_frames(
        tmp_path / name,
        frames(),
        n_times=4,
        shape=(5, 8, 6),
        voxel_size=0.5,
        progress=lambda done, total: reported.append((done, total)),
    )
    assert asked == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert reported == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with tifffile.TiffFile(tmp_path / name) as file:
        assert file.series[0].axes == "TZYX"
        np.testing.assert_array_equal(file.asarray(), np.stack([volume() + k for k in range(4)]))


@pytest.mark.parametrize("n_times", [1, 3])
def test_wrong_number_of_frames_leaves_no_file(tmp_path, n_times):
    with pytest.raises(StinrError, match="volumes"):
        write_frames(tmp_path / "f.tif", [volume()] * 2, n_times=n_times, shape=(5, 8, 6), voxel_size=1.0)
    assert list(tmp_path.iterdir()) == []


def test_what_imagej_cannot_open_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "MAXIMUM_IMAGEJ_BYTES", 1000)
    options = {"n_times": 2, "shape": (5, 8, 6), "voxel_size": 1.0}
    with pytest.raises(StinrError, match=r"f\.ome\.tif"):
        write_frames(tmp_path / "f.tif", [volume()] * 2, **options)
    write_frames(tmp_path / "f.ome.tif", [volume()] * 2, **options)
    with tifffile.TiffFile(tmp_path / "f.ome.tif") as file:
        assert file.is_bigtiff
        assert file.asarray().shape == (2, 5, 8, 6)


def test_mrc_volume_and_stack_are_told_apart(tmp_path):
    write_volume(tmp_path / "v.mrc", volume(), voxel_size=0.5)
    write_tilt_series(tmp_path / "s.mrc", volume(), pixel_size=0.5)
    for name, is_volume in [("v.mrc", True), ("s.mrc", False)]:
        assert mrcfile.validate(tmp_path / name, print_file=None)
        with mrcfile.open(tmp_path / name) as file:
            assert file.is_volume() == is_volume
            assert file.header.ispg == int(is_volume)
            assert float(file.voxel_size.x) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["v.tif", "v.ome.tif", "v.mrc"])
def test_same_input_same_bytes(tmp_path, name, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write_volume(tmp_path / "a" / name, volume(), voxel_size=0.5)

    class Later(mrcfile.mrcobject.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2050, 1, 1)

    monkeypatch.setattr(mrcfile.mrcobject, "datetime", Later)
    write_volume(tmp_path / "b" / name, volume(), voxel_size=0.5)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_simulated_series_comes_back(tmp_path):
    angles, times = np.linspace(-60.1, 60.3, 5), [0.0, 0.1, 0.7, 0.3, 1.0]
    write_tilt_series(tmp_path / "stack.mrc", volume(), pixel_size=0.35)
    write_tilt_angles(tmp_path / "stack.rawtlt", angles)
    write_times(tmp_path / "times.csv", angles, times)
    series = read_tilt_series(tmp_path / "stack.mrc")
    np.testing.assert_array_equal(series.projections, volume())
    np.testing.assert_array_equal(series.tilt_angles, angles)
    np.testing.assert_array_equal(series.times, times)
    assert series.pixel_size == 0.35


def test_wrong_requests(tmp_path):
    for name, values, options, word in [
        ("v.png", volume(), {}, "png"),
        ("v.tif", volume()[0], {}, "three axes"),
        ("v.tif", volume(), {"voxel_size": 0.0}, "positive"),
        ("v.tif", volume(), {"length_unit": "furlong"}, "furlong"),
        ("v.mrc", volume().astype(complex), {}, "real numbers"),
        ("none/v.tif", volume(), {}, "does not exist"),
    ]:
        with pytest.raises(StinrError, match=word):
            write_volume(tmp_path / name, values, **{"voxel_size": 1.0, **options})
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "v.mrc"
    path.write_bytes(b"precious")
    with pytest.raises(StinrError, match="exists"):
        write_volume(path, volume(), voxel_size=1.0, overwrite=False)
    assert path.read_bytes() == b"precious"
    write_volume(path, volume(), voxel_size=1.0)
    assert read_volume(path)[1] == 1.0


@pytest.mark.parametrize(
    ("error", "raised", "word"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
        (RuntimeError("no"), RuntimeError, "no"),
        (OSError(errno.ENOSPC, "No space left on device"), StinrError, "Free some disk space"),
        (OSError("12 requested and 4 written"), StinrError, "Free some disk space"),
        (OSError(errno.EROFS, "Read-only file system"), StinrError, "disk that can be written"),
        (PermissionError(errno.EACCES, "Permission denied"), StinrError, "Permission denied"),
        (OSError(errno.EIO, "Input/output error"), StinrError, "Input/output"),
    ],
)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error, raised, word):
    path = tmp_path / "clean.ome.tif"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_output(path) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.name.endswith("clean.ome.tif")
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(raised, match=word or None):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "a.rawtlt", tmp_path / "a.rawtlt"
    target.write_text("old")
    link.symlink_to(target)
    write_tilt_angles(link, [1, 2])
    assert link.is_symlink()
    assert target.read_text() == "1.0\n2.0\n"


def test_read_volume_of_npy_and_of_unknown_endings(tmp_path):
    np.save(tmp_path / "v.npy", volume())
    values, size = read_volume(tmp_path / "v.npy")
    np.testing.assert_array_equal(values, volume())
    assert size is None
    (tmp_path / "v.npz").write_bytes(b"PK")
    with pytest.raises(StinrError, match="npz"):
        read_volume(tmp_path / "v.npz")


def measured_stack(path: Path) -> None:
    with mrcfile.new(path) as file:
        file.set_data(volume())
        file.set_image_stack()


def other_volume(path: Path) -> None:
    with mrcfile.new(path) as file:
        file.set_data(volume())
        file.set_volume()


def old_stack(path: Path) -> None:
    measured_stack(path)
    raw = bytearray(path.read_bytes())
    raw[208:212] = bytes(4)
    path.write_bytes(raw)


def own_volume_with_notes_of_another_program(path: Path) -> None:
    write_volume(path, volume(), voxel_size=1.0)
    with mrcfile.open(path, mode="r+") as file:
        file.set_extended_header(np.zeros(128, dtype="V1"))


@pytest.mark.parametrize(
    ("name", "make", "found"),
    [
        ("a.mrc", measured_stack, "image stack"),
        ("a.mrc", other_volume, "did not write"),
        ("a.mrc", old_stack, "did not write"),
        ("a.mrc", own_volume_with_notes_of_another_program, "did not write"),
        ("a.mrc", lambda path: write_tilt_series(path, volume(), pixel_size=1.0), "image stack"),
        ("a.tif", measured_stack, "image stack"),
        ("a.tif", lambda path: tifffile.imwrite(path, volume()), "TIFF"),
        ("a.ome.tif", lambda path: tifffile.imwrite(path, volume(), bigtiff=True, metadata={"axes": "ZYX"}), "TIFF"),
    ],
)
def test_images_that_cannot_be_made_again_are_not_replaced(tmp_path, name, make, found):
    path = tmp_path / name
    make(path)
    before = path.read_bytes()
    with pytest.raises(StinrError, match=f"{found}.*; expected a new name.* Choose another name"):
        check_replaceable(path)
    assert path.read_bytes() == before
    # A script that calls the writer itself says what it wants.
    write_volume(path, volume(), voxel_size=1.0)
    check_replaceable(path)


def test_own_files_are_replaced_again_and_again(tmp_path):
    for size in (1.0, 2.0):
        for name in ("v.mrc", "v.tif", "v.ome.tif"):
            check_replaceable(tmp_path / name)
            write_volume(tmp_path / name, volume(), voxel_size=size)
            assert read_volume(tmp_path / name)[1] == pytest.approx(size)
        many = [float(t) for t in np.linspace(0, 1, 5000)]
        for name in ("f.tif", "f.ome.tif"):
            check_replaceable(tmp_path / name)
            frames = (np.ones((1, 1, 1)) for _ in many)
            write_frames(tmp_path / name, frames, n_times=5000, shape=(1, 1, 1), voxel_size=size, times=many)
        write_tilt_series(tmp_path / "stack.mrc", volume(), pixel_size=size)
