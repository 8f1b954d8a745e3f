"""DM3 and DM4 files: what they tell of a tilt series, and forged ones, which do no harm."""

from __future__ import annotations

import struct
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.dm_cases import dm_bytes, file_bytes, image_group, lengths, write_dm
from helpers.places import SHARED_DATA
from napari_stinr.errors import StinrError
from napari_stinr.io.formats import dm
from napari_stinr.io.formats.containers import read_images
from napari_stinr.io.formats.dm import read_dm
from napari_stinr.io.formats.registry import read_stack

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("rsciio", reason="the optional readers (extra formats) are not installed")

ETSPY = SHARED_DATA / "etspy"
NANOMETRES = [(0, 0.5, "nm"), (0, 0.5, "nm")]
SETUP = {
    "Minimum tilt angle (deg)": -40.0,
    "Maximum tilt angle (deg)": 40.0,
    "Tilt angle step (deg)": 20.0,
    "Tilt model": "equal",
}


def stack(dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(2).integers(0, 100, (5, 6, 7)).astype(dtype)


def refused(path: Path, *words: str) -> None:
    start = time.process_time()
    with pytest.raises(StinrError) as caught:
        read_images(read_stack(path).images, path)
    assert time.process_time() - start < 2.0
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["s.dm3", "s.dm4"])
def test_pixels_angles_and_pixel_size_of_both_versions_and_byte_orders(tmp_path, name, order):
    for dtype in ("int16", "uint8", "float32", "float64"):
        path = write_dm(tmp_path / name, stack(dtype), order=order, calibrations=[*NANOMETRES, (2, 20, "deg")])
        found = read_dm(path)
        np.testing.assert_array_equal(read_images(found.images, path), stack(dtype))
        np.testing.assert_allclose(found.tilt_angles, [-40, -20, 0, 20, 40])
        assert found.pixel_size == 5.0
        assert found.timestamps is None


def test_images_are_read_one_by_one_and_again(tmp_path):
    images = read_dm(write_dm(tmp_path / "s.dm4", stack("uint16"))).images
    first = next(images.read())
    np.testing.assert_array_equal(first, stack("uint16")[0])
    assert [image.shape for image in images.read()] == [(6, 7)] * 5


def test_angles_from_the_list_or_the_tomography_setup(tmp_path):
    uneven = [-41.0, -20.5, 0.0, 20.5, 41.0]
    info = {"2": {"Label": "Tilt angle (deg)", "Data": {str(k): angle for k, angle in enumerate(uneven)}}}
    tags = {"Meta Data": {"Dimension info": info}, "Tomography": {"Tomography setup": {"Tilt angles": SETUP}}}
    path = write_dm(tmp_path / "s.dm3", stack(), image_tags=tags, calibrations=[*NANOMETRES, (2, 20, "deg")])
    # What was recorded for every tilt comes before a calibration, which is even.
    found = read_dm(path)
    np.testing.assert_allclose(found.tilt_angles, uneven)
    # The pixel size is from the calibration all the same.
    assert (found.place, found.angle_place) == ("DM tags", "DM tags (list of tilt angles)")
    del tags["Meta Data"]
    write_dm(path, stack(), image_tags=tags)
    np.testing.assert_allclose(read_dm(path).tilt_angles, [-40, -20, 0, 20, 40])
    write_dm(path, stack()[:4], image_tags=tags)
    assert read_dm(path).tilt_angles is None


def test_a_single_image_has_the_angle_of_the_stage_and_its_date(tmp_path):
    moment = datetime(2023, 1, 25, 20, 12, 30, tzinfo=UTC).timestamp()
    tags = {
        "Microscope Info": {"Stage Position": {"Stage Alpha": -72.003}},
        "DataBar": {"Acquisition Time (OS)": (moment + 11_644_473_600) * 1e7},
    }
    path = write_dm(tmp_path / "s.dm3", stack()[0], image_tags=tags, calibrations=[(0, 0.02, "µm")] * 2)
    found = read_dm(path)
    assert found.images.shape == (1, 6, 7)
    assert found.tilt_angles == pytest.approx([-72.003])
    assert found.timestamps == pytest.approx([moment])
    assert found.pixel_size == 200.0


@pytest.mark.parametrize(
    ("date", "clock", "expected"),
    [
        ("1/25/2023", "3:12:30 PM", datetime(2023, 1, 25, 15, 12, 30)),
        ("25.1.2023", "15:12:30", datetime(2023, 1, 25, 15, 12, 30)),
        ("2023-04-05", "12:00:01 AM", datetime(2023, 4, 5, 0, 0, 1)),
        ("5/5/2023", "12:00:00", datetime(2023, 5, 5, 12, 0, 0)),
        ("4/5/2023", "15:12:30", None),
        ("1/25/23", "15:12:30", None),
        ("today", "15:12:30", None),
    ],
)
def test_written_dates_only_where_they_can_mean_one_thing(tmp_path, date, clock, expected):
    tags = {"DataBar": {"Acquisition Date": date, "Acquisition Time": clock}}
    found = read_dm(write_dm(tmp_path / "s.dm3", stack()[0], image_tags=tags)).timestamps
    assert (found is None) if expected is None else found[0] == expected.replace(tzinfo=UTC).timestamp()


def test_several_images_without_a_thumbnail(tmp_path):
    path = write_dm(tmp_path / "s.dm3", stack("uint8")[:, :3], stack("uint8"), thumbnail=False)
    found = read_dm(path)
    np.testing.assert_array_equal(read_images(found.images, path), stack("uint8"))
    assert "2 images" in found.notes[0]
    # A thumbnail that is not listed as one is in colour, which the library cannot map.
    colour = image_group(np.zeros((4, 4), "uint32"), image_type=23)
    path.write_bytes(file_bytes({"ImageList": [colour, image_group(stack("int32"))]}))
    np.testing.assert_array_equal(read_images(read_dm(path).images, path), stack("int32"))


def test_coloured_and_complex_images_are_refused_with_the_cure(tmp_path):
    refused(write_dm(tmp_path / "s.dm3", stack("uint32"), image_type=23), "colour", "Real 4 Bytes")
    refused(write_dm(tmp_path / "s.dm3", stack("complex64")), "complex", "phase")


def test_without_the_library_the_cure_is_said(tmp_path, monkeypatch):
    path = write_dm(tmp_path / "s.dm3", stack())
    monkeypatch.setattr(dm, "file_reader", None)
    with pytest.raises(StinrError, match=r'pip install "napari-stinr\[formats\]"'):
        read_dm(path)


@pytest.mark.parametrize("version", [3, 4])
def test_every_truncation_is_refused(tmp_path, version):
    raw = dm_bytes(stack("uint8"), version=version, calibrations=NANOMETRES)
    path = tmp_path / "s.dm3"
    for length in (*range(40), *range(40, len(raw), 41), len(raw) - 1):
        path.write_bytes(raw[:length])
        refused(path, "s.dm3")


@pytest.mark.parametrize("version", [3, 4])
def test_lengths_beyond_the_file_are_refused(tmp_path, version):
    path = tmp_path / "s.dm3"
    raw = dm_bytes(stack("uint8"), version=version)
    huge = 2**31 - 1 if version == 3 else 2**62
    for value in (huge, -1, -huge):
        for honest in (lengths(version, 20, 10, 210), lengths(version, 20, 4, 5)):
            forged = raw.replace(honest, honest[: -len(lengths(version, 0))] + lengths(version, value))
            assert forged != raw
            path.write_bytes(forged)
            refused(path, "s.dm3")
    # An image of 2**93 pixels in a file of some kilobytes.
    raw = dm_bytes(np.zeros((21, 22, 23), "uint8"), version=version)
    for length in (21, 22, 23):
        raw = raw.replace(
            lengths(version, 1, 3) + struct.pack("<i", length), lengths(version, 1, 3) + b"\xff\xff\xff\x7f"
        )
    path.write_bytes(raw)
    refused(path, "s.dm3")


def test_an_image_with_less_pixels_than_declared_is_refused(tmp_path):
    path = write_dm(tmp_path / "s.dm3", np.zeros((21, 22, 23), "uint8"), calibrations=NANOMETRES)
    # What follows in the file would be taken for pixels.
    path.write_bytes(
        path.read_bytes().replace(lengths(3, 1, 3) + struct.pack("<i", 21), lengths(3, 1, 3) + b"\x16\0\0\0")
    )
    refused(path, "11132 bytes for an image", "it has 10626")


def test_structures_of_unknown_fields_are_refused(tmp_path):
    path = tmp_path / "s.dm3"
    raw = dm_bytes(stack(), image_tags={"position": (1.0, 2.0)})
    for honest, forged in (
        (lengths(3, 15, 0, 2, 0, 7), lengths(3, 15, 0, 2, 0, 13)),
        (lengths(3, 7, 15, 0, 2), lengths(3, 7, 15, 0, 3)),
        (lengths(3, 7, 15, 0, 2), lengths(3, 3, 15, 0, 0)),
    ):
        assert honest in raw
        path.write_bytes(raw.replace(honest, forged))
        refused(path, "s.dm3")


def test_trees_without_images_or_end_are_refused(tmp_path):
    path = tmp_path / "s.dm3"
    for tags in ({"ImageList": []}, {"x": 1}):
        path.write_bytes(file_bytes(tags))
        refused(path, "s.dm3")
    # Three thousand groups within one another.
    deep = (struct.pack(">bh", 20, 1) + b"g" + b"\0\0" + lengths(3, 1)) * 3000
    path.write_bytes(struct.pack(">iii", 3, len(deep), 1) + b"\0\0" + lengths(3, 1) + deep)
    refused(path, "s.dm3")


@pytest.mark.skipif(not (ETSPY / "HAADF.dm3").exists(), reason="shared/data/etspy is not beside the checkout")
def test_real_stack():
    found = read_dm(ETSPY / "HAADF.dm3")
    assert found.images.shape == (91, 64, 64)
    np.testing.assert_allclose(found.tilt_angles, np.arange(-90, 91, 2))
    assert found.pixel_size == 179.949
    # The date of a stack is that of its end: it says nothing of the single tilts.
    assert found.timestamps is None
    values = read_images(found.images, ETSPY / "HAADF.dm3")
    assert (values.min(), values.max()) == (513, 39459)


@pytest.mark.skipif(not (ETSPY / "BF_001.dm3").exists(), reason="shared/data/etspy is not beside the checkout")
def test_real_files_of_one_tilt_each():
    found = [read_dm(ETSPY / f"BF_00{k}.dm3") for k in (1, 2, 3)]
    assert [one.images.shape for one in found] == [(1, 128, 128)] * 3
    assert np.concatenate([one.tilt_angles for one in found]) == pytest.approx([-72, -69, -66], abs=0.01)
    assert [one.pixel_size for one in found] == [191.087] * 3
    dates = np.concatenate([one.timestamps for one in found])
    # Recorded in the reverse of the file order, a minute and a half apart; the first tags say 1/25/2023, 3:12:30 PM.
    assert (np.diff(dates) < -60).all()
    assert (np.diff(dates) > -120).all()
    local = datetime(2023, 1, 25, 15, 12, 30, tzinfo=UTC).timestamp()
    assert (dates[0] - local) / 3600 == pytest.approx(5, abs=0.01)
