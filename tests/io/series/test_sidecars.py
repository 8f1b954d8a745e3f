"""Tilt angles and times in text files: found, parsed, checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.places import SHARED_DATA
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series, write_tilt_angles, write_times
from napari_stinr.io.series.mdoc import MAXIMUM_TEXT_BYTES, read_mdoc
from napari_stinr.io.series.sidecars import find_angle_file, parse_angle_range, read_angles, read_timetable

NO_DATA = "the shared folder with third-party test data is not here"
needs_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=NO_DATA)
ANGLES = np.array([-30.5, 0.0, 30.5])
SECTION = "[ZValue = {}]\nTiltAngle = {}\nDateTime = {}\n\n"


@pytest.fixture
def npy(tmp_path):
    path = tmp_path / "s.npy"
    np.save(path, np.random.default_rng(0).random((3, 4, 5)))
    return path


def mdoc_text(*sections: tuple[int, float, str]) -> str:
    return "PixelSpacing = 4.2\nVoltage = 300\n\n[T = title]\n\n" + "".join(SECTION.format(*s) for s in sections)


@needs_data
def test_mdoc_of_a_dose_symmetric_series():
    mdoc = read_mdoc(SHARED_DATA / "mdoc" / "tilt_series.mdoc")
    assert mdoc.tilt_angles.shape == mdoc.seconds.shape == (41,)
    assert mdoc.seconds[1] == 59.0  # 15:21:38 to 15:22:37
    assert mdoc.pixel_size == 5.4
    assert np.abs(mdoc.tilt_angles).max() == pytest.approx(60, abs=0.1)
    assert np.corrcoef(np.abs(mdoc.tilt_angles), mdoc.seconds)[0, 1] > 0.99  # low tilts came first


@needs_data
def test_a_montage_is_refused():
    with pytest.raises(StinrError, match=r"montage_section\.mdoc describes a montage"):
        read_mdoc(SHARED_DATA / "mdoc" / "montage_section.mdoc")


def test_mdoc_sections_in_any_order_and_both_kinds_of_year(tmp_path):
    path = tmp_path / "a.mdoc"
    path.write_text(
        mdoc_text(
            (2, 30.5, "31-Dec-23  23:59:59"), (0, -30.5, "01-Jan-2024  00:00:09"), (1, 0.0, "01-JAN-24 00:01:00")
        ),
        newline="\r\n",
    )
    mdoc = read_mdoc(path)
    np.testing.assert_array_equal(mdoc.tilt_angles, ANGLES)
    np.testing.assert_array_equal(mdoc.seconds, [10, 61, 0])
    assert mdoc.pixel_size == 4.2


def test_equal_dates_are_no_times(tmp_path, npy):
    date = "31-Dec-23  23:59:59"
    (tmp_path / "s.mdoc").write_text(mdoc_text(*((k, angle, date) for k, angle in enumerate(ANGLES))))
    series = read_tilt_series(npy)
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    assert any("stack order" in note for note in series.notes)
    with pytest.raises(StinrError, match="DateTime"):
        read_tilt_series(npy, times=tmp_path / "s.mdoc")


@pytest.mark.parametrize("date", ["yesterday", "31-Feb-23 10:00:00", "10-Foo-23 10:00:00", "10-Jan-23 25:00:00"])
def test_dates_that_do_not_exist(tmp_path, date):
    path = tmp_path / "a.mdoc"
    path.write_text(mdoc_text((0, 0.0, date)))
    mdoc = read_mdoc(path)
    assert mdoc.timestamps is None
    np.testing.assert_array_equal(mdoc.tilt_angles, [0])
    assert mdoc.lost == (f"DateTime is '{date}' in section 0, which is no date like 30-Nov-15 15:21:38",)
    with pytest.raises(StinrError, match=rf"a\.mdoc cannot be read \(DateTime is '{date}'"):
        read_timetable(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-60:2", [-60, -58, -56]),
        (" 70 : -1.5 ", [70, 68.5, 67]),
        (".5:+.25", [0.5, 0.75, 1.0]),
        ("angles.txt", None),
        ("C:angles", None),
        ("0:1:2", None),
    ],
)
def test_angle_range(text, expected):
    found = parse_angle_range(text, 3)
    assert found is None if expected is None else np.array_equal(found, expected)


@pytest.mark.parametrize(
    "text",
    [
        "tilt_angle_deg,time\n-30.5,2\n0,0\n30.5,1\n",
        '"Time" ; "Tilt_Angle_Deg"\r\n2;-30.5\r\n0;0\r\n1;30.5\r\n',
        "\ufeff# made by hand\ntilt_angle_deg\ttime\n\n-30.5\t2 # late\n0\t0\n30.5\t1",
    ],
)
def test_tables_with_a_header(tmp_path, npy, text):
    path = tmp_path / "times.csv"
    path.write_text(text, encoding="utf-8", newline="")
    found = read_timetable(path)
    np.testing.assert_array_equal(found.times, [2, 0, 1])
    np.testing.assert_array_equal(found.tilt_angles, ANGLES)
    series = read_tilt_series(npy)  # the table beside it serves for both
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    np.testing.assert_array_equal(series.times, [1, 0, 0.5])


def test_one_number_a_line(tmp_path, npy):
    (tmp_path / "when.txt").write_text("7\n6\n\n5\n")
    (tmp_path / "s.tlt").write_text(" -30.50\n 0.00\n  30.50\n")
    series = read_tilt_series(npy, times=tmp_path / "when.txt")
    np.testing.assert_array_equal(series.times, [1, 0.5, 0])
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    assert any("s.tlt" in note for note in series.notes)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("-30,5\n0,0\n30,5\n", "utf-8"),
        ("-30,5\n0\n30,5\n", "utf-8"),
        ("Tilt angle (deg)\n-30,5\n0,0\n30,5\n", "utf-8"),
        ("tilt_angle [°];Zeit\n-30,5;1\n0;2\n30,5;3,5\n", "utf-8"),
        ("Alpha\tNr\r\n-30,5\t1\r\n0,0\t2\r\n30,5\t3\r\n", "utf-16"),
        ("sep=;\nNr;Alpha (°);\n1;-30,5;\n2;0;\n3;30,5;\n", "utf-8-sig"),
        ("% IMOD\n! made by hand\n// by me\n\N{MINUS SIGN}30.5\n0\n30.5", "utf-8"),
        ("-30.5,\n0,\n30.5,\n", "utf-8"),
        ("tilt angle\n-30.5\n0\n30.5\n", "utf-16"),
        ("tilt_angle_deg time\n-30,5 1,5\n0,0 2,5\n30,5 3,0\n", "utf-8"),
        ("tilt_angle_deg,time\n-30.5, 1\n0, 2\n30.5, 3\n", "utf-8"),
    ],
)
def test_lists_as_people_keep_them(tmp_path, text, encoding):
    path = tmp_path / "angles.txt"
    path.write_bytes(text.encode(encoding))
    np.testing.assert_array_equal(read_angles(path), ANGLES)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("-60,0\n-58,1\n-56,2\n", "2 columns without a header, beginning with -60, 0; .*tilt_angle_deg,time"),
        ("1 -30.5\n2 0\n3 30.5\n", "2 columns without a header, beginning with 1, -30.5"),
        ("998\n999\n1,000\n1,001\n", "line 3 is '1,000'"),
        ("angle (rad)\n-0.5\n0\n0.5\n", r"angle \(rad\)"),
        ("Winkel;Zeit\n-30,5;1\n0;2\n30,5;3\n", "columns Winkel, Zeit"),
        ("tilt_angle_deg;time\n-30,5;1\n0;2\nend;3\n", "line 4 is 'end;3'"),
        ("tilt_angle_deg,time\n-30,5,1\n0,2\n", "line 2 is '-30,5,1'"),
    ],
)
def test_lists_that_may_mean_two_things_are_refused_in_the_words_of_the_file(tmp_path, text, word):
    path = tmp_path / "angles.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StinrError, match=word):
        read_angles(path)


def test_whole_numbers_with_a_header_are_two_columns(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("tilt_angle_deg,time (s)\n-60,5\n-58,5\n-56,6\n")
    found = read_timetable(path)
    np.testing.assert_array_equal(found.tilt_angles, [-60, -58, -56])
    np.testing.assert_array_equal(found.times, [5, 5, 6])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no numbers"),
        ("1\ntwo\n3\n", "line 2"),
        ("1 2\n3 4\n5 6\n", "2 columns"),
        ("a,b\n1,2\n", "columns a, b"),
        ("tilt_angle_deg,time\n1,2\n3\n", "line 3"),
    ],
)
def test_tables_that_say_nothing(tmp_path, text, word):
    path = tmp_path / "times.csv"
    path.write_text(text)
    with pytest.raises(StinrError, match=word):
        read_timetable(path)


def test_angles_in_the_table_must_be_those_of_the_stack(tmp_path, npy):
    table = tmp_path / "t.csv"
    write_times(table, ANGLES + 0.04, [0, 1, 2])
    read_tilt_series(npy, tilt_angles=ANGLES, times=table)
    write_times(table, ANGLES[::-1], [0, 1, 2])
    with pytest.raises(StinrError, match=r"t\.csv gives 30\.5 degrees for projection 1; expected -30\.5"):
        read_tilt_series(npy, tilt_angles=ANGLES, times=table)
    write_times(table, ANGLES[:2], [0, 1])
    with pytest.raises(StinrError, match="lists 2 tilt angles; expected 3"):
        read_tilt_series(npy, tilt_angles=ANGLES, times=table)


def test_a_table_beside_the_stack_is_found_by_the_words_people_use(tmp_path, npy):
    (tmp_path / "s.csv").write_text("% from the microscope\nTilt angle (deg);Time\n-30,5;0\n0,0;2\n30,5;1\n")
    series = read_tilt_series(npy)
    np.testing.assert_array_equal(series.tilt_angles, [-30.5, 0, 30.5])
    np.testing.assert_array_equal(series.times, [0, 1, 0.5])


def test_unrelated_csv_of_the_same_name_is_passed_over(tmp_path, npy):
    (tmp_path / "s.csv").write_text("particle,area\nA,3\n")
    series = read_tilt_series(npy, tilt_angles=ANGLES)
    assert any("stack order" in note for note in series.notes)


def test_wrong_number_of_lines_names_the_file(tmp_path, npy):
    write_tilt_angles(tmp_path / "s.rawtlt", [0, 1, 2, 3])
    with pytest.raises(StinrError, match=r"4 tilt angles for s\.npy \(Tilt angles from s\.rawtlt\); expected 3"):
        read_tilt_series(npy)


def test_aligned_stacks_take_the_refined_angles(tmp_path):
    for name in ("s.tlt", "s.rawtlt"):
        write_tilt_angles(tmp_path / name, ANGLES)
    assert find_angle_file(tmp_path / "s.ali").name == "s.tlt"
    assert find_angle_file(tmp_path / "s.mrc").name == "s.rawtlt"


def test_text_files_have_a_limit(tmp_path):
    path = tmp_path / "s.rawtlt"
    path.write_bytes(b"1\n" * (MAXIMUM_TEXT_BYTES // 2 + 1))
    with pytest.raises(StinrError, match="larger than 8 MB"):
        read_angles(path)


@pytest.mark.parametrize("ending", [".npy", ".csv", ".mdoc"])
def test_binary_rubbish_is_one_clear_error(tmp_path, ending):
    path = tmp_path / f"r{ending}"
    path.write_bytes(np.random.default_rng(3).bytes(4000))
    for read in (read_angles, read_timetable):
        with pytest.raises(StinrError):
            read(path)


@pytest.mark.parametrize(
    ("angles", "asked"),
    [
        (np.deg2rad(np.arange(-60, 61, 2)), "The tilt angles span only 2.09 degrees: are they in radians?"),
        (np.linspace(0, np.pi, 181), "only 3.14 degrees"),
        (np.linspace(-60, 60, 61), ""),
        (np.linspace(0, np.pi, 16).round(2), "only 3.14 degrees"),
        (np.arange(-3.0, 4.0), "span only 6 degrees"),  # they may be meant: it is a question
        (np.linspace(-1, 1, 4), ""),
        (np.linspace(-3.2, 3.2, 25), ""),
        (np.linspace(0, 9, 181), ""),
    ],
)
def test_angles_that_look_like_radians_are_asked_about_once(tmp_path, angles, asked):
    np.save(tmp_path / "s.npy", np.random.default_rng(0).random((len(angles), 4, 5)))
    write_tilt_angles(tmp_path / "s.rawtlt", angles)
    series = read_tilt_series(tmp_path / "s.npy").exclude([1])
    found = [note for note in series.notes if "radians" in note]
    assert len(found) == bool(asked)
    assert not asked or asked in found[0]
    in_degrees = replace(series, tilt_angles=np.linspace(-60, 60, len(angles)))
    assert not [note for note in in_degrees.notes if "radians" in note]
