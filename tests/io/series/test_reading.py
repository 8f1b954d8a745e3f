"""Stacks as microscopes write them, and as nobody should."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import mrcfile
import numpy as np
import pytest
import tifffile
from mrcfile.dtypes import get_ext_header_dtype

from helpers.bomb_cases import ome_tiff
from helpers.fuzzing_fixtures import tiff_bytes, tiff_page
from helpers.places import SHARED_DATA
from helpers.reading_cases import ANGLES, refused, stack
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series, write_tilt_angles, write_tilt_series
from napari_stinr.io.formats.containers import read_images
from napari_stinr.io.formats.mrc import read_mrc
from napari_stinr.io.formats.tiff import read_tiff
from napari_stinr.io.series.discovery import find_series

if TYPE_CHECKING:
    from pathlib import Path

NO_DATA = "the shared folder with third-party test data is not here"
needs_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=NO_DATA)


def pixels(path: Path) -> np.ndarray:
    return read_images(read_mrc(path).images, path)


def noted(series, *words: str) -> bool:
    return any(all(word in note for word in words) for note in series.notes)


@needs_data
def test_fei_series_is_read_from_its_header_alone(tmp_path):
    # Without the .rawtlt beside it, angles and pixel size can only come from the extended header.
    copy = tmp_path / "needle.mrc"
    copy.write_bytes((SHARED_DATA / "etspy" / "HAADF.mrc").read_bytes())
    series = read_tilt_series(copy)
    assert series.projections.shape == (77, 256, 256)
    np.testing.assert_allclose(series.tilt_angles, np.arange(-76, 77, 2))
    assert series.pixel_size == 33.6
    assert series.projections.min() == 860.0
    assert noted(series, "32768")
    assert noted(series, "Tilt angles", "FEI extended header")
    assert noted(series, "stack order", "acquisition order")


@needs_data
def test_rawtlt_beside_the_stack_is_found():
    series = read_tilt_series(SHARED_DATA / "etspy" / "HAADF.mrc", times="bidirectional", exclude=[0, -1])
    assert noted(series, "HAADF.rawtlt")
    assert series.times[np.flatnonzero(series.tilt_angles == 0)[0]] == 0
    assert series.used.sum() == 75


@needs_data
@pytest.mark.parametrize(("name", "angle"), [("test_001.mrc", 5.0), ("test_002.mrc", -5.0)])
def test_serialem_extended_header(name, angle):
    found = read_mrc(SHARED_DATA / "serialem" / name)
    np.testing.assert_allclose(found.tilt_angles, [angle, angle])
    assert found.pixel_size == 7.88


@needs_data
def test_mdoc_beside_a_stack_gives_angles_times_and_pixel_size(tmp_path):
    path = tmp_path / "TS.npy"
    np.save(path, np.ones((41, 4, 4)))
    (tmp_path / "TS.mdoc").write_bytes((SHARED_DATA / "mdoc" / "tilt_series.mdoc").read_bytes())
    series = read_tilt_series(path)
    assert series.pixel_size == 5.4
    assert series.time_unit == "s"
    np.testing.assert_allclose(series.tilt_angles[:3], [0.000999877, 3.00113, -2.99863])
    assert series.times.argmin() == 0


def test_header_of_serialem_gives_angles(tmp_path):
    # SERI: `nint` bytes a record, the first short in hundredths of a degree when bit 1 of `nreal` is set.
    path = tmp_path / "s.st"
    write_tilt_series(path, stack(), pixel_size=2.5)
    shorts = np.zeros((5, 7), dtype="<i2")
    shorts[:, 0] = ANGLES * 100
    raw = bytearray(path.read_bytes())
    raw[92:96] = struct.pack("<i", shorts.nbytes)
    raw[104:108] = b"SERI"
    raw[128:132] = struct.pack("<2h", 14, 61)
    path.write_bytes(bytes(raw[:1024]) + shorts.tobytes() + bytes(raw[1024:]))
    series = read_tilt_series(path)
    np.testing.assert_allclose(series.tilt_angles, ANGLES)
    np.testing.assert_array_equal(series.projections, stack())
    assert series.pixel_size == 2.5


def test_fei1_header_gives_angles_times_and_pixel_size(tmp_path):
    path = tmp_path / "t.mrc"
    records = np.zeros(5, dtype=get_ext_header_dtype(b"FEI1", "<"))
    records["Metadata size"] = records.itemsize
    records["Alpha tilt"] = ANGLES
    records["Timestamp"] = 43018.36 + np.array([4, 3, 0, 1, 2]) / 1440
    records["Pixel size X"] = 2.1e-10
    with mrcfile.new(path) as file:
        file.set_data(stack())
        file.set_extended_header(np.frombuffer(records.tobytes(), dtype="V1"))
        file.header.exttyp = b"FEI1"
    series = read_tilt_series(path)
    np.testing.assert_allclose(series.tilt_angles, ANGLES)
    np.testing.assert_allclose(series.times, [1, 0.75, 0, 0.25, 0.5], atol=1e-4)
    assert series.pixel_size == 2.1
    assert series.time_unit == "s"


@pytest.mark.parametrize(("stamp", "flag", "expected"), [(b"IMOD", 1, -56.0), (b"IMOD", 0, 200.0)])
def test_bytes_follow_the_flag_of_imod(tmp_path, stamp, flag, expected):
    path = tmp_path / "b.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.full((5, 3, 3), -56, dtype=np.int8))
    raw = bytearray(path.read_bytes())
    raw[152:160] = stamp + struct.pack("<i", flag)
    path.write_bytes(bytes(raw))
    assert pixels(path)[0, 0, 0] == expected


def test_bytes_without_flag_follow_the_range_in_the_header(tmp_path):
    path = tmp_path / "b.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.full((5, 3, 3), -56, dtype=np.int8))
        file.header.dmin, file.header.dmax = 0, 200
    assert pixels(path)[0, 0, 0] == 200.0


def test_big_endian_mrc_without_map_string(tmp_path):
    path = tmp_path / "b.mrc"
    with mrcfile.new(path) as file:
        file.set_data(stack("int16").astype(">i2"))
    raw = bytearray(path.read_bytes())
    raw[208:212] = b"\0\0\0\0"
    path.write_bytes(bytes(raw))
    np.testing.assert_array_equal(pixels(path), stack())


def offset_file(path: Path, values: np.ndarray, *, map_string: bytes) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(values.astype(np.int16))
        file.set_image_stack()
    raw = bytearray(path.read_bytes())
    raw[208:212] = map_string
    path.write_bytes(bytes(raw))
    return path


def test_unsigned_data_with_an_offset_and_a_bright_background(tmp_path):
    # Their mean is that of signed data; the shadows tell, where the program that wrote them is known.
    rng = np.random.default_rng(3)
    counts = rng.normal(40_000, 2000, (5, 60, 70)).clip(0, 65_000)
    counts[:, 20:30] = rng.normal(3000, 300, (5, 10, 70))
    path = offset_file(tmp_path / "s.mrc", counts - 32768, map_string=b"\0\0\0\0")
    np.testing.assert_allclose(pixels(path), np.trunc(counts - 32768) + 32768)
    assert "32768 was added" in read_mrc(path).notes[0]
    # A few defects in data that are truly signed say nothing.
    signed = rng.normal(0, 100, (5, 60, 70))
    signed[0, 0, :2] = -32768
    path = offset_file(path, signed, map_string=b"\0\0\0\0")
    np.testing.assert_array_equal(pixels(path), np.trunc(signed))
    # Where the program is not known, both ends of the range are at least remarked upon.
    counts[0, 0, 0], counts[0, 0, 1] = 0, 65_535
    path = offset_file(path, counts - 32768, map_string=b"MAP ")
    np.testing.assert_array_equal(pixels(path), np.trunc(counts - 32768))
    assert "Pixels from -32768 to 32767 may be unsigned data with an offset" in read_mrc(path).notes[0]
    assert read_mrc(offset_file(path, (counts - 32768).clip(-29_000), map_string=b"MAP ")).notes == ()


def test_voxel_size_zero_is_unknown_and_one_is_one_angstrom(tmp_path):
    write_tilt_series(tmp_path / "a.mrc", stack(), pixel_size=None)
    write_tilt_series(tmp_path / "b.mrc", stack(), pixel_size=1.0)
    unknown = read_tilt_series(tmp_path / "a.mrc", tilt_angles=ANGLES)
    assert unknown.pixel_size is None
    assert noted(unknown, "Pixel size is not known")
    assert read_tilt_series(tmp_path / "b.mrc", tilt_angles=ANGLES).pixel_size == 1.0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"imagej": True, "resolution": (2.0, 2.0), "metadata": {"unit": "nm", "axes": "TYX"}}, 5.0),
        ({"imagej": True, "resolution": (2.0, 2.0), "metadata": {"unit": "\\u00B5m", "axes": "ZYX"}}, 5000.0),
        ({"imagej": True, "resolution": (72.0, 72.0), "metadata": {"unit": "pixel", "axes": "ZYX"}}, None),
        ({"ome": True, "metadata": {"axes": "TYX", "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "nm"}}, 2.0),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.2}}, 2000.0),
    ],
)
def test_tiff_flavours(tmp_path, options, expected):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, stack(), photometric="minisblack", **options)
    series = read_tilt_series(path, tilt_angles="-40:20")
    np.testing.assert_array_equal(series.projections, stack())
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    assert series.pixel_size == expected


def test_pages_of_another_data_type_are_not_lost(tmp_path):
    # tifffile makes a series of its own of them: half of the tilts would be missing.
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as file:
        for k, image in enumerate(stack("uint16")):
            file.write(image.astype("uint8") if k % 2 else image, metadata=None)
    refused(path, "the pages of s.tif differ in data type (uint16, uint8)", "one stack")
    with tifffile.TiffWriter(path) as file:
        for _ in range(2):
            file.write(stack("uint16"), photometric="minisblack", metadata={})
    refused(path, "2 series of images of the same size (5 and 5 images)")


def test_a_thumbnail_in_a_tiff_is_left_out(tmp_path):
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(stack("uint16"), photometric="minisblack")
        file.write(stack("uint16")[0, ::2, ::2], photometric="minisblack")
    series = read_tilt_series(path, tilt_angles=ANGLES)
    np.testing.assert_array_equal(series.projections, stack())
    assert noted(series, "2 image series; the first was read")


def test_compression_that_needs_another_package_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    path = tmp_path / "s.tif"
    path.write_bytes(tiff_bytes([tiff_page(bytes(42), 7, 6, compression=5)] * 5))
    codecs = dict.fromkeys((1, 8, 32946, 32773), bytes)
    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", codecs)
    with pytest.raises(StinrError, match=r"LZW, which needs the package imagecodecs.*without compression, or install"):
        find_series(path, tilt_angles=ANGLES)
    codecs[5] = bytes
    assert find_series(path, tilt_angles=ANGLES).stack.images.shape == (5, 6, 7)


def test_ome_xml_must_declare_the_images_that_are_there(tmp_path):
    # tifffile fills up with zeros.
    path = tmp_path / "s.ome.tif"
    path.write_bytes(ome_tiff((5, 1, 1)))
    refused(path, "declares 5 images in its OME-XML", "as many as it holds, 1")


def test_ome_xml_opens_no_other_files(tmp_path):
    tifffile.imwrite(tmp_path / "secret.tif", np.full((6, 7), 9, "uint8"))
    path = tmp_path / "s.ome.tif"
    path.write_bytes(ome_tiff((1, 1, 1), '<TiffData IFD="0"><UUID FileName="secret.tif">urn:uuid:1</UUID></TiffData>'))
    assert not read_images(read_tiff(path).images, path).any()


def test_npz_with_other_key_names_comes_before_files_beside_it(tmp_path):
    path = tmp_path / "s.npz"
    mask = np.ones((5, 6, 7), dtype=bool)
    mask[:, 0] = False
    np.savez_compressed(path, Stack=stack(), angles=ANGLES, time=[4, 3, 2, 1, 0], pixel_size=0.5, mask=mask)
    write_tilt_angles(tmp_path / "s.rawtlt", ANGLES + 1)
    series = read_tilt_series(path)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    np.testing.assert_array_equal(series.times, [1, 0.75, 0.5, 0.25, 0])
    assert series.pixel_size == 0.5
    np.testing.assert_array_equal(series.mask, mask)


def test_lists_in_an_npz_that_do_not_fit(tmp_path):
    path = tmp_path / "s.npz"
    np.savez(path, projections=stack(), theta=ANGLES, time=np.arange(4))
    series = read_tilt_series(path)
    assert noted(series, "time lists 4 times for 5 images and was left out.")
    assert noted(series, "Tilt angles from the NumPy arrays.")
    np.savez(path, projections=stack(), theta=ANGLES[:4])
    refused(path, "4 tilt angles for s.npz", "expected 5", tilt_angles=None)
    np.savez(path, projections=stack(), theta=[])
    refused(path, "theta is empty", tilt_angles=None)


def test_given_values_and_geometry_win(tmp_path):
    np.save(tmp_path / "s.npy", stack("uint16"))
    series = read_tilt_series(
        tmp_path / "s.npy",
        tilt_angles=ANGLES,
        times=[5, 4, 3, 2, 1],
        pixel_size=0.7,
        flip_tilt=True,
        axis_offset=1.5,
        exclude=(1,),
    )
    assert (series.pixel_size, series.flip_tilt, series.axis_offset) == (0.7, True, 1.5)
    assert series.time_range == (1.0, 5.0)
    assert not series.used[1]
    assert series.name == "s"


def test_without_angles_the_error_says_how_to_give_them(tmp_path):
    np.save(tmp_path / "s.npy", stack())
    refused(tmp_path / "s.npy", "no tilt angles", "START:STEP", tilt_angles=None)
    refused(tmp_path / "s.npy", "nothing.tlt", "START:STEP", tilt_angles="nothing.tlt")
    refused(tmp_path / "s.npy", "4 tilt angles", "expected 5", tilt_angles=ANGLES[:4])
    refused(tmp_path / "s.npy", "spiral", "dose-symmetric", times="spiral")


def test_paths_that_cannot_be_stacks(tmp_path):
    (tmp_path / "s.docx").write_bytes(b"PK")
    refused(tmp_path / "missing.mrc", "does not exist", ".tif")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "the folder empty holds no file")
    refused(tmp_path / "s.docx", ".docx", ".mrc")
    for name in ("e.mrc", "e.tif", "e.npy", "e.npz"):
        (tmp_path / name).write_bytes(b"")
        refused(tmp_path / name, name)


def test_data_that_are_no_projections(tmp_path):
    np.save(tmp_path / "c.npy", stack().astype(complex))
    np.save(tmp_path / "2d.npy", stack()[0])
    np.save(tmp_path / "text.npy", np.array([["a", "b"]]))
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((5, 6, 7, 3), "uint8"), photometric="rgb")
    np.savez(tmp_path / "empty.npz", angles=ANGLES)
    np.savez(tmp_path / "twice.npz", stack=stack(), images=stack())
    for name, word in [
        ("c.npy", "complex"),
        ("2d.npy", "1 image"),
        ("text.npy", "data type"),
        ("rgb.tif", "colour"),
        ("empty.npz", "projections"),
        ("twice.npz", "images"),
    ]:
        refused(tmp_path / name, name, word)


def test_axes_of_length_one_are_dropped(tmp_path):
    np.save(tmp_path / "s.npy", stack()[:, None])
    assert read_tilt_series(tmp_path / "s.npy", tilt_angles=ANGLES).projections.shape == (5, 6, 7)


def test_numbers_beyond_single_precision_are_said(tmp_path):
    values = stack("float64")
    values[2, 3, 3] = 1e302
    np.save(tmp_path / "s.npy", values)
    refused(tmp_path / "s.npy", "beyond single precision, up to 1e+302")
    values[2, 3, 3] = np.inf
    np.save(tmp_path / "s.npy", values)
    refused(tmp_path / "s.npy", "1 infinite pixel")
