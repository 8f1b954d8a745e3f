"""Tilt angles in the names of files: read, followed, and never contradicted in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_stinr.data.notes import NoteKind
from napari_stinr.io import read_tilt_series, write_tilt_angles, write_times
from napari_stinr.io.series.names import angles_in_names

DOSE_SYMMETRIC = [0, 3, -3, -6, 6, 9, -9]
"""Angles in the order of recording."""


@pytest.mark.parametrize(
    ("names", "angles"),
    [
        ("gold_n06 gold_n03 gold_p00 gold_p03", [-6, -3, 0, 3]),
        ("gold_n06 gold_n03 gold_00 gold_03", [-6, -3, 0, 3]),
        ("au.m06 au.p06 au.m00", [-6, 6, 0]),
        ("goldN06 goldN03 goldP00 goldP03", [-6, -3, 0, 3]),
        ("a_neg06 a_pos06 a_0", [-6, 6, 0]),
        ("a_minus_1.5 a_plus_1.5 a_0.0", [-1.5, 1.5, 0]),
        ("tilt-60 tilt-3 tilt0 tilt3", [-60, -3, 0, 3]),
        ("tilt_-60 tilt_-3 tilt_-1", [-60, -3, -1]),
        ("tilt_+03 tilt_-03 tilt_+00", [3, -3, 0]),
        ("tilt_\N{MINUS SIGN}3 tilt_0 tilt_3", [-3, 0, 3]),
        ("t_m60p5 t_p0p0 t_p60p5", [-60.5, 0, 60.5]),
        ("P_2_001[0.00]_EER P_2_002[3.00]_EER P_2_003[-3.00]_EER", [0, 3, -3]),
        ("TS_001_0.0_Mar14_10.21.33 TS_002_3.0_Mar14_10.22.31 TS_003_-3.0_Mar14_10.23.31", [0, 3, -3]),
        ("TS_01_000_0.0 TS_01_001_3.0 TS_01_002_-3.0", [0, 3, -3]),
        ("tilt_-60.0deg tilt_0.0deg tilt_3.0deg", [-60, 0, 3]),
        ("x_n60deg y_0deg z_p3deg", [-60, 0, 3]),
        ("tilt_0.0 tilt_2.0 tilt_4.0", [0, 2, 4]),
        # Two halves of a series begin at the same angle.
        ("a_1[0.0] a_2[-3.0] a_3[-6.0] a_4[0.0] a_5[3.0] a_6[6.0]", [0, -3, -6, 0, 3, 6]),
    ],
)
def test_angles_that_names_state(names, angles):
    found = angles_in_names([Path(f"{name}.tif") for name in names.split()])
    assert found is not None
    np.testing.assert_allclose(found.values, angles)


@pytest.mark.parametrize(
    "names",
    [
        "1 2 10",
        "scan_12 scan_13 scan_14",
        "scan-12 scan-13 scan-14",
        "p12 p13 p14",
        "n12 n13 n14",
        "a[1] a[2] a[3]",
        "2024-03-04_001 2024-03-04_002 2024-03-05_003",
        "img_-3.0_-12.5 img_0.0_-11 img_3_3",  # which of them?
        "tilt_-190 tilt_0 tilt_190",
        "tilt_n06 tilt_-3 tilt_p03",  # n and - for the same
        "tilt_-3 other_0 tilt_3",
        "a_n03 a_n03 a_p03",
        "01_0.5 02_0.5 03_0.5",
        "01_0.5 02_1.5 03_2.5",  # without a sign it may be anything
    ],
)
def test_names_that_state_none(names):
    assert angles_in_names([Path(f"{name}.tif") for name in names.split()]) is None


def image(k: int) -> np.ndarray:
    return np.full((4, 5), 10 * k + 1, dtype=np.float32) + np.arange(5, dtype=np.float32)


def write(folder: Path, form: str, angles=DOSE_SYMMETRIC) -> Path:
    """Image k was recorded k-th, and its name says its angle."""
    folder.mkdir(exist_ok=True)
    for k, angle in enumerate(angles):
        sign = "n" if angle < 0 else "p"
        tifffile.imwrite(folder / form.format(k=k, angle=float(angle), sign=sign, size=abs(angle)), image(k))
    return folder


def of_image(series) -> dict[int, float]:
    """Return the angle of every image k."""
    return {
        round(float(one[0, 0] - 1) / 10): float(a)
        for one, a in zip(series.projections, series.tilt_angles, strict=True)
    }


def said(series) -> str:
    (note,) = [note for note in series.notes if note.kind is NoteKind.ANGLES]
    return note.text


RIGHT = dict(enumerate(map(float, DOSE_SYMMETRIC)))
FORMS = pytest.mark.parametrize(
    "form", ["TS_{k:02d}[{angle:.2f}].tif", "TS_{k:02d}_{angle:.1f}.tif", "g_{sign}{size:02d}.tif"]
)


@FORMS
def test_names_serve_where_nothing_else_gives_angles(tmp_path, form):
    series = read_tilt_series(write(tmp_path / "s", form))
    assert of_image(series) == RIGHT
    assert "from the names of the files" in said(series)


@FORMS
@pytest.mark.parametrize("span", ["-9:3", "9:-3"])
def test_a_range_goes_to_the_angles_in_the_names(tmp_path, form, span):
    series = read_tilt_series(write(tmp_path / "s", form), tilt_angles=span)
    assert of_image(series) == RIGHT
    assert span in said(series)
    assert "names of the files state" in said(series)


@FORMS
@pytest.mark.parametrize("given", [False, True])
def test_a_list_sorted_by_angle_goes_to_the_angles_in_the_names(tmp_path, form, given):
    folder = write(tmp_path / "s", form)
    measured = np.sort(DOSE_SYMMETRIC) + np.array([0.2, -0.1, 0, 0.1, 0, 0.3, 0.2])
    path = tmp_path / "a.tlt" if given else folder / "a.tlt"
    write_tilt_angles(path, measured)
    series = read_tilt_series(folder, **({"tilt_angles": path} if given else {}))
    right = {k: float(measured[sorted(DOSE_SYMMETRIC).index(angle)]) for k, angle in enumerate(DOSE_SYMMETRIC)}
    assert of_image(series) == pytest.approx(right)
    assert "a.tlt" in said(series)
    assert ("in another order" in said(series)) == ("{k" in form)


def test_a_table_of_angles_and_times_goes_to_the_angles_in_the_names(tmp_path):
    folder = write(tmp_path / "s", "TS_{k:02d}[{angle:.2f}].tif")
    order = np.argsort(DOSE_SYMMETRIC)
    write_times(folder / "times.csv", np.sort(DOSE_SYMMETRIC), order)
    series = read_tilt_series(folder)
    assert of_image(series) == RIGHT
    np.testing.assert_allclose(series.times, np.arange(7) / 6)


@pytest.mark.parametrize("angles", ["-10:3", "0:10", [float(a) for a in sorted(DOSE_SYMMETRIC)]])
def test_other_angles_are_taken_and_the_contradiction_is_said(tmp_path, angles):
    files = sorted(write(tmp_path / "s", "TS_{k:02d}[{angle:.2f}].tif").iterdir())
    series = read_tilt_series(files, tilt_angles=angles)
    expected = (
        np.arange(7) * float(angles.split(":")[1]) + float(angles.split(":")[0]) if isinstance(angles, str) else angles
    )
    np.testing.assert_allclose(series.tilt_angles, expected)
    assert "The names of the files say 0, 3, -3, -6, ... degrees, which disagree with these angles" in said(series)


def test_angles_as_the_names_say_are_no_contradiction(tmp_path):
    files = sorted(write(tmp_path / "s", "TS_{k:02d}[{angle:.2f}].tif").iterdir())
    series = read_tilt_series(files, tilt_angles=DOSE_SYMMETRIC)
    assert "disagree" not in said(series)


def test_dates_and_angles_in_mdocs_come_first_and_are_held_against_the_names(tmp_path):
    folder = write(tmp_path / "s", "TS_{k:02d}[{angle:.2f}].tif")
    for k, file in enumerate(sorted(folder.glob("*.tif"))):
        date = f"DateTime = 04-Mar-24  10:{30 - k:02d}:00\n"
        file.with_name(f"{file.name}.mdoc").write_text(f"[ZValue = 0]\nTiltAngle = {DOSE_SYMMETRIC[k] + 0.02}\n{date}")
    series = read_tilt_series(folder)
    np.testing.assert_allclose(series.tilt_angles, np.array(DOSE_SYMMETRIC[::-1]) + 0.02)
    assert "disagree" not in said(series)
    wrong = folder / "TS_03[-6.00].tif.mdoc"
    wrong.write_text(wrong.read_text().replace("-5.98", "5.98"))
    assert "TS_03[-6.00].tif has 5.98 degrees, and its name says -6" in said(read_tilt_series(folder))
