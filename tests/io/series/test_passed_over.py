"""A bad .mdoc, list or date beside a good stack loses what is bad of it, and nothing else."""

from __future__ import annotations

import struct

import mrcfile
import numpy as np
import pytest

from helpers.reading_cases import refused
from napari_stinr.data.notes import NoteKind
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series, write_tilt_angles, write_tilt_series, write_times
from napari_stinr.io.series.dates import posix_seconds
from napari_stinr.io.series.timetables import dose_times

RECORDED = np.array([0, 3, -3, -6, 6, 9, -9])
"""Angles in the order of recording."""
BY_ANGLE = np.argsort(RECORDED)
ANGLES = RECORDED[BY_ANGLE].astype(float)
DATES = [f"04-Mar-24  10:{k:02d}:00" for k in range(7)]


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "s.mrc"
    images = np.arange(7.0)[BY_ANGLE, None, None] + np.arange(5.0) + np.zeros((7, 4, 5))
    write_tilt_series(path, images, pixel_size=2.0)
    return path


def mdoc(stack, *, angle="{a}.01", head="", name=None, **fields) -> None:
    """Sections in the order of the stack; a field is one text for each image in the order of recording."""
    sections = []
    for place, k in enumerate(BY_ANGLE):
        lines = [f"[ZValue = {place}]", f"TiltAngle = {angle.format(a=RECORDED[k])}"]
        lines += [f"{key} = {values[k]}" for key, values in fields.items() if values[k] is not None]
        sections.append("\n".join(lines) + "\n\n")
    (stack.parent / (name or f"{stack.name}.mdoc")).write_text(head + "".join(sections))


def in_time(series, *, skip=()) -> bool:
    recorded = [k for k in BY_ANGLE[np.argsort(series.times, kind="stable")] if k not in skip]
    return recorded == sorted(recorded)


def passed_over(series) -> str:
    return " ".join(note for note in series.notes if "Passed over" in note)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"PriorRecordDose": ["NaN"] * 7}, "PriorRecordDose is 'NaN' in section 0"),
        ({"PriorRecordDose": ["1.5", "", "3", "4", "5", "6", "7"]}, "PriorRecordDose is ''"),
        ({"PriorRecordDose": ["inf", *"123456"]}, "PriorRecordDose is 'inf'"),
        ({"PriorRecordDose": [None, *"123456"]}, "PriorRecordDose is missing in 1 of 7 sections"),
        ({"PixelSpacing": ["unknown"] * 7}, "PixelSpacing is 'unknown'"),
    ],
)
def test_a_bad_field_costs_itself_alone(stack, fields, reason):
    mdoc(stack, DateTime=DATES, **fields)
    series = read_tilt_series(stack)
    np.testing.assert_allclose(series.tilt_angles, [float(f"{angle:g}.01") for angle in ANGLES])
    assert in_time(series)
    assert series.time_unit == "s"
    assert reason in passed_over(series)
    assert "s.mrc.mdoc" in passed_over(series)


def test_a_bad_date_leaves_the_doses(stack):
    mdoc(stack, DateTime=["today", *DATES[1:]], PriorRecordDose=[str(1.5 * k) for k in range(7)])
    series = read_tilt_series(stack)
    assert in_time(series)
    assert series.time_unit == "e/Å²"
    assert "DateTime is 'today' in section 3" in passed_over(series)


def test_a_bad_angle_leaves_the_dates_and_the_list(stack):
    mdoc(stack, angle="NaN", DateTime=DATES)
    write_tilt_angles(stack.with_suffix(".rawtlt"), ANGLES)
    series = read_tilt_series(stack)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    assert in_time(series)
    assert "TiltAngle is 'NaN'" in passed_over(series)
    refused(stack, "TiltAngle is 'NaN'", tilt_angles=stack.with_name("s.mrc.mdoc"))


@pytest.mark.parametrize(
    "form",
    ["2024-03-04 10:{:02d}:00", "2024/03/04T10:{:02d}:00Z", "04.03.2024 10:{:02d}:00", "04/03/2024 10:{:02d}:00 AM"],
)
def test_dates_in_other_forms(stack, form):
    mdoc(stack, DateTime=[form.format(k) for k in range(7)])
    series = read_tilt_series(stack)
    assert in_time(series)
    assert series.time_range == (0, 360)
    assert not passed_over(series)


@pytest.mark.parametrize(
    ("dates", "seconds"),
    [
        (["31-Dec-99 23:59:59", "01-Jan-2000 00:00:09"], 10),
        (["2024-Mar-31 23:00:00", "2024-Apr-01 01:00:00"], 7200),
        (["2024-03-04 11:00:00+01:00", "2024-03-04 10:00:30Z"], 30),
        (["13/03/2024 10:00:00", "01/04/2024 10:00:00"], 19 * 86400),
        (["03/31/2024 11:00:00 PM", "04/01/2024 1:00:00 am"], 7200),
        (["01/02/2024 10:00:00", "02/02/2024 10:00:00"], None),  # a day or a month
        (["30-02-2024 10:00:00", "01-03-2024 10:00:00"], None),
        (["04-03-24 10:00:00", "04-03-24 10:01:00"], None),
        (["2024-03-04 10:00:00", ""], None),
    ],
)
def test_dates_that_can_be_meant_one_way_only(dates, seconds):
    found, unread = posix_seconds(dates)
    assert (None if found is None else found[1] - found[0]) == seconds
    assert bool(unread) == (seconds is None and "" not in dates)


def test_doses_with_a_tie_tell_the_order_of_the_others(stack):
    mdoc(stack, PriorRecordDose=[0, 0, 1.5, 3, 4.5, 6, 7.5])
    series = read_tilt_series(stack)
    assert in_time(series, skip=(0, 1))
    assert series.times[BY_ANGLE == 0] == series.times[BY_ANGLE == 1] == 0
    (note,) = [note for note in series.notes if note.kind is NoteKind.TIMES]
    assert "PriorRecordDose is 0 for 2 images: which of these came first is not known" in note
    # The exposure of the first was not counted, that of the second was.
    mdoc(stack, PriorRecordDose=[0, 0, 1.5, 3, 4.5, 6, 7.5], ExposureDose=[0, *[1.5] * 6])
    assert in_time(read_tilt_series(stack))
    mdoc(stack, PriorRecordDose=[0, 0, 1.5, 3, 4.5, 6, 7.5], DateTime=DATES)
    series = read_tilt_series(stack)
    assert in_time(series)
    assert series.time_unit == "s"


def test_doses_that_are_mostly_the_same_are_no_times(stack):
    mdoc(stack, PriorRecordDose=[0, 0, 0, 0, 0, 1, 2])
    series = read_tilt_series(stack)
    assert any(note.kind is NoteKind.ORDER_ASSUMED for note in series.notes)
    assert "PriorRecordDose has only 3 different value(s) for 7 images" in passed_over(series)
    refused(stack, "DateTime", times=stack.with_name("s.mrc.mdoc"))
    assert dose_times(np.zeros(3))[0] is None


def test_doses_of_single_files_with_a_tie(tmp_path):
    for k, dose in enumerate([0, 0, 1.5, 3]):
        path = tmp_path / f"x_{3 - k}.mrc"  # named against the order of recording
        write_tilt_series(path, np.full((1, 4, 5), k + np.arange(5.0)), pixel_size=2.0)
        text = f"[ZValue = 0]\nTiltAngle = {RECORDED[k]}\nPriorRecordDose = {dose}\n"
        path.with_name(f"{path.name}.mdoc").write_text(text)
    series = read_tilt_series(tmp_path)
    np.testing.assert_array_equal(series.tilt_angles[2:], [-3, -6])
    assert any("PriorRecordDose is 0 for 2 images" in note for note in series.notes)


PIECES = "".join(f"[ZValue = {k}]\nPieceCoordinates = {100 * k} 0 0\nTiltAngle = 0\n\n" for k in range(7))


def test_the_mdoc_of_a_montage_blocks_nothing_that_is_given(stack):
    beside = stack.with_name("s.mrc.mdoc")
    write_tilt_angles(stack.with_suffix(".rawtlt"), ANGLES)
    table = stack.with_name("clock.csv")
    write_times(table, RECORDED, np.arange(7))  # in the order of recording: rows are found by their angles
    for text in (PIECES, PIECES.partition("[ZValue = 2]")[0]):
        beside.write_text(text)
        series = read_tilt_series(stack, tilt_angles=stack.with_suffix(".rawtlt"), times=table)
        np.testing.assert_array_equal(series.tilt_angles, ANGLES)
        assert in_time(series)
        assert "s.mrc.mdoc describes a montage" in passed_over(series)
    series = read_tilt_series(stack)  # of two pieces: not those of this stack
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    beside.write_text(PIECES)
    with pytest.raises(StinrError, match="describes a montage"):
        read_tilt_series(stack)
    for options in ({"tilt_angles": beside}, {"tilt_angles": ANGLES, "times": beside}):
        refused(stack, "describes a montage", **options)
    refused([stack, beside], "describes a montage")


def test_one_piece_of_every_tilt_is_no_montage(stack):
    mdoc(stack, DateTime=DATES, PieceCoordinates=[f"0 0 {k}" for k in range(7)])
    assert in_time(read_tilt_series(stack))


@pytest.mark.parametrize("head", ["Montage = 1\n\n", "[MontSection = 0]\nFoo = 1\n\n"])
def test_a_montage_shows_in_its_head_too(stack, head):
    mdoc(stack, head=head)
    with pytest.raises(StinrError, match="describes a montage"):
        read_tilt_series(stack)


def test_rubbish_beside_a_stack_is_passed_over(stack):
    stack.with_name("s.mrc.mdoc").write_bytes(bytes(range(256)))
    mdoc(stack, DateTime=DATES, name="s.mdoc")
    series = read_tilt_series(stack)
    assert in_time(series)
    assert "s.mrc.mdoc cannot be read" in passed_over(series)


@pytest.mark.parametrize("text", ["0\n" * 7, "nan\n" * 7, "1\n2\n", "400\n" + "1\n" * 6, "rubbish\n", "5\n" * 7])
def test_a_bad_list_leaves_the_next_one_and_the_header(tmp_path, text):
    path = tmp_path / "s.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.ones((7, 4, 5), dtype=np.float32) * np.arange(5, dtype=np.float32))
        file.set_image_stack()
        file.voxel_size = 2.0
    records = b"".join(struct.pack("<h", int(100 * angle)) for angle in ANGLES)
    blob = bytearray(path.read_bytes())
    blob[1024:1024] = records
    struct.pack_into("<i", blob, 92, len(records))
    blob[104:108] = b"SERI"
    struct.pack_into("<2h", blob, 128, 2, 1)
    path.write_bytes(blob)
    path.with_suffix(".tlt").write_text(text)
    series = read_tilt_series(path)
    np.testing.assert_allclose(series.tilt_angles, ANGLES)
    assert any(note.kind is NoteKind.ANGLES and "Passed over" in note for note in series.notes)
    with pytest.raises(StinrError):
        read_tilt_series(path, tilt_angles=path.with_suffix(".tlt"))
    write_tilt_angles(tmp_path / "s_angles.txt", ANGLES + 1)
    np.testing.assert_allclose(read_tilt_series(path).tilt_angles, ANGLES + 1)


@pytest.mark.parametrize("times", [np.full(7, np.nan), np.zeros(7), np.arange(5.0)])
def test_bad_times_beside_a_stack_are_passed_over(stack, times):
    write_tilt_angles(stack.with_suffix(".rawtlt"), ANGLES)
    table = stack.with_name("s_times.csv")
    table.write_text("".join(f"{time}\n" for time in times))
    mdoc(stack, DateTime=DATES)
    series = read_tilt_series(stack)
    assert in_time(series)
    assert any(note.kind is NoteKind.TIMES and "Passed over" in note for note in series.notes)
    with pytest.raises(StinrError):
        read_tilt_series(stack, times=table)
