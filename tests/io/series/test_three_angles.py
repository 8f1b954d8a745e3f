"""Lists with three angles per projection (phi, theta, psi): the tilt angle is taken, and what is left out is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.io import savemat

from helpers.reading_cases import refused
from napari_stinr.cli.main import main
from napari_stinr.data.notes import NoteKind
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series, write_tilt_series
from napari_stinr.io.formats.three_angles import recognised
from napari_stinr.io.series.grouping import find_given_series
from napari_stinr.io.series.sidecars import find_angle_file, read_angles, read_timetable

if TYPE_CHECKING:
    from pathlib import Path

N_TILTS = 47
TILTS = np.round(np.linspace(-69.5, 72.3, N_TILTS) + np.random.default_rng(2).normal(0, 0.4, N_TILTS), 3)
PHI, PSI = np.round(np.random.default_rng(5).normal(0, [[0.2], [2.5]], (2, N_TILTS)), 3)
THREE = np.stack([PHI, TILTS, PSI], axis=1)
INDEX = np.arange(1.0, N_TILTS + 1)
SYMMETRIC = np.argsort(np.argsort(np.abs(TILTS))).astype(float)
"""Order of recording of a dose-symmetric series, in the order of the angles."""
SIZES = [f"(up to {np.abs(values).max():.3g} degrees, standard deviation {values.std():.3g})" for values in (PHI, PSI)]
LEFT_OUT = f"column 1 {SIZES[0]} and column 3 {SIZES[1]} are left out."


def columns(*values: np.ndarray) -> np.ndarray:
    return np.stack(values, axis=1)


def write(path: Path, values: np.ndarray, *, separator: str = " ", header: str = "") -> Path:
    """Write a table by the ending of its name."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".mat":
        savemat(path, {"angles": values})
    else:
        np.savetxt(path, values, fmt="%.3f", delimiter=separator, header=header, comments="")
    return path


def angle_note(series) -> str:
    (note,) = [note for note in series.notes if note.kind is NoteKind.ANGLES]
    return note


@pytest.fixture
def stack(tmp_path) -> Path:
    path = tmp_path / "s.mrc"
    write_tilt_series(path, np.random.default_rng(0).random((N_TILTS, 4, 5)).astype("float32"), pixel_size=0.35)
    return path


@pytest.mark.parametrize("separator", [" ", ",", ", ", "\t", ";"])
@pytest.mark.parametrize("name", ["given.txt", "s_angles.txt", "s.rawtlt", "s.csv"])
def test_text_given_or_beside_the_stack(stack, name, separator):
    beside = write(stack.with_name(name), THREE, separator=separator)
    series = read_tilt_series(stack, tilt_angles=beside if name == "given.txt" else None)
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert angle_note(series) == (
        f"Tilt angles from {name}. The list has three angles per projection: the tilt angle was taken from column 2;"
        f" {LEFT_OUT}"
    )
    assert not any("Passed over" in note for note in series.notes)


@pytest.mark.parametrize("name", ["a.npy", "a.mat"])
@pytest.mark.parametrize("is_turned", [False, True])
def test_arrays_on_either_axis(stack, name, is_turned):
    given = write(stack.with_name(name), THREE.T if is_turned else THREE)
    series = read_tilt_series(stack, tilt_angles=given)
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    word = "row" if is_turned else "column"
    assert f"was taken from {word} 2; {LEFT_OUT.replace('column', word)}" in angle_note(series)


def test_a_mat_beside_a_mat(tmp_path):
    images = np.random.default_rng(0).random((4, 5, N_TILTS))
    savemat(tmp_path / "x_Projections.mat", {"projections": images})
    savemat(tmp_path / "x_Angles.mat", {"angles": THREE})
    series = read_tilt_series(tmp_path / "x_Projections.mat")
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert LEFT_OUT in angle_note(series)


@pytest.mark.parametrize("name", ["s.npz", "s.mat"])
def test_in_the_file_of_the_stack(tmp_path, name):
    images = np.random.default_rng(0).random((N_TILTS, 4, 5))
    if name == "s.npz":
        np.savez(tmp_path / name, projections=images, tilt_angles=THREE)
    else:
        savemat(tmp_path / name, {"projections": np.moveaxis(images, 0, 2), "tilt_angles": THREE})
    series = read_tilt_series(tmp_path / name)
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert LEFT_OUT in angle_note(series)


def test_an_array_in_python(stack):
    series = read_tilt_series(stack, tilt_angles=THREE)
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert LEFT_OUT in angle_note(series)
    refused(stack, "the array of tilt angles has the shape (47, 3)", tilt_angles=columns(INDEX, TILTS, PSI))


@pytest.mark.parametrize("place", [1, 3])
def test_another_order_is_said(stack, place):
    order = [1, 0, 2] if place == 1 else [0, 2, 1]
    series = read_tilt_series(stack, tilt_angles=write(stack.with_name("a.txt"), THREE[:, order]))
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert f"from column {place} (not from column 2, as the order phi, theta, psi has it); " in angle_note(series)


def test_zeros_are_not_left_out(stack):
    zero = 0 * TILTS
    series = read_tilt_series(stack, tilt_angles=write(stack.with_name("a.txt"), columns(zero, TILTS, zero)))
    assert angle_note(series).endswith("three angles per projection: the tilt angle was taken from column 2.")
    # A constant turn is none.
    series = read_tilt_series(stack, tilt_angles=write(stack.with_name("a.npy"), columns(zero, TILTS, zero + 90)))
    assert "column 3 (up to 90 degrees, standard deviation 0) are left out" in angle_note(series)


def test_tilts_of_particles_in_the_order_of_recording(stack):
    wide = np.random.default_rng(3).uniform(-11.6, 11.6, N_TILTS)
    order = np.random.default_rng(4).permutation(N_TILTS)
    given = write(stack.with_name("a.txt"), columns(wide, TILTS, PSI)[order])
    np.testing.assert_array_equal(read_tilt_series(stack, tilt_angles=given).tilt_angles, TILTS[order])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (columns(INDEX, TILTS, PSI), ["column 1 goes on like an index or a time"]),
        (columns(TILTS, PSI, SYMMETRIC / 10), ["column 3 goes on"]),
        (columns(SYMMETRIC / 10, TILTS, PSI), ["column 1 goes on"]),
        (columns(INDEX, TILTS, 60 * INDEX), ["2820 among its numbers"]),
        (columns(TILTS, SYMMETRIC, SYMMETRIC * 2.5), ["ranges of 141.", "46, 115"]),
        (columns(PHI, TILTS, TILTS[::-1] / 2), ["ranges of"]),
        (columns(PHI, 0 * PHI, PSI)[:1].repeat(N_TILTS, axis=0), ["ranges of 0, 0, 0"]),
        (columns(PHI, np.where(INDEX == 5, np.nan, TILTS), PSI), ["nan among its numbers"]),
        (columns(PHI % 360, TILTS, PSI), ["among its numbers"]),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.npy", "a.mat"])
def test_what_may_mean_something_else_is_refused(stack, name, table, words):
    given = write(stack.with_name(name), table)
    refused(stack, name, *words, "phi, theta, psi", "3 times the range", "tilt_angle_deg", tilt_angles=given)


def test_beside_the_stack_it_is_passed_over_and_said(stack):
    write(stack.with_name("s.rawtlt"), columns(INDEX, TILTS, PSI))
    refused(stack, "s.rawtlt has 3 columns without a header, beginning with 1, ", tilt_angles=None)
    write(stack.with_name("s.tlt"), TILTS[:, None])
    series = read_tilt_series(stack)
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert "Passed over: s.rawtlt has 3 columns" in angle_note(series)


@pytest.mark.parametrize(
    ("header", "order", "place"),
    [
        ("phi,theta,psi", [0, 1, 2], "column 2, theta; column 1, phi (up to "),
        ("psi,phi,Theta (deg)", [2, 0, 1], "column 3, Theta (deg); column 1, psi (up to "),
        ("\N{GREEK SMALL LETTER PHI},\N{GREEK SMALL LETTER THETA},\N{GREEK SMALL LETTER PSI}", [0, 1, 2], "column 2, "),
        ("alpha,beta,gamma", [1, 0, 2], "column 1, alpha; column 2, beta (up to "),
        ("phi,tilt_angle_deg,psi", [0, 1, 2], "column 2, tilt_angle_deg; "),
        ("rot,tilt,psi", [0, 1, 2], "column 2, tilt; "),
    ],
)
def test_names_tell_which_is_which(stack, header, order, place):
    path = stack.with_name("a.csv")
    rows = "\n".join(",".join(f"{value:.3f}" for value in row) for row in THREE[:, order])
    path.write_text(f"{header}\n{rows}\n", encoding="utf-8")
    series = read_tilt_series(stack, tilt_angles=path)
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert f"the tilt angle was taken from {place}" in angle_note(series)


def test_names_make_clear_what_the_numbers_do_not(stack):
    table = columns(INDEX / 100, TILTS, PSI)
    path = write(stack.with_name("a.csv"), table, separator=",")
    refused(stack, "column 1 goes on", tilt_angles=path)
    write(path, table, separator=",", header="phi,theta,psi")
    np.testing.assert_array_equal(read_tilt_series(stack, tilt_angles=path).tilt_angles, TILTS)


@pytest.mark.parametrize("header", ["theta,phi,psi", "alpha,gamma,beta", "psi,phi,theta"])
def test_names_against_the_numbers_are_refused(stack, header):
    path = write(stack.with_name("a.csv"), THREE, separator=",", header=header)
    refused(stack, f"columns {header.replace(',', ', ')} with ranges of", "tilt_angle_deg", tilt_angles=path)
    middle = header.split(",")[1]
    write(path, THREE, separator=",", header=header.replace(middle, "tilt_angle_deg"))
    np.testing.assert_array_equal(read_tilt_series(stack, tilt_angles=path).tilt_angles, TILTS)


def test_beside_times(stack):
    table = np.column_stack([THREE, INDEX])
    path = write(stack.with_name("times.csv"), table, separator=",", header="phi,theta,psi,time")
    series = read_tilt_series(stack)
    np.testing.assert_array_equal(series.tilt_angles, TILTS)
    assert series.time_range == (1, N_TILTS)
    assert "column 1, phi (up to " in angle_note(series)
    write(path, table, separator=",", header="theta,phi,psi,time")
    with pytest.raises(StinrError, match="largest range in theta"):
        read_timetable(path)


def test_three_angles_are_no_times(stack):
    for name in ("a.txt", "a.npy", "a.mat"):
        path = write(stack.with_name(name), THREE)
        refused(stack, name, tilt_angles=TILTS, times=path)


@pytest.mark.parametrize("name", ["a.txt", "recorded.csv", "a.npy", "a.mat"])
def test_given_together_with_the_stack(stack, name):
    found = find_given_series([write(stack.with_name(name), THREE), stack])
    np.testing.assert_array_equal(found.tilt_angles.values, TILTS)
    assert LEFT_OUT in found.tilt_angles.note
    assert found.times.assumed


def test_several_files_follow_their_names(tmp_path):
    three = THREE[::4]
    paths = []
    for k, angle in enumerate(three[:, 1]):
        paths.append(tmp_path / f"x_{angle:.3f}.mrc")
        write_tilt_series(paths[-1], np.full((1, 4, 5), k + np.arange(5.0)), pixel_size=2.0)
    order = np.random.default_rng(1).permutation(len(three))
    series = read_tilt_series(paths, tilt_angles=write(tmp_path / "a.txt", three[order]))
    np.testing.assert_array_equal(series.tilt_angles, three[:, 1])
    assert "are left out. The names of the files state them in another order" in angle_note(series)


def test_another_number_of_rows_is_said_in_short(stack):
    path = write(stack.with_name("a.txt"), THREE[:-1])
    refused(stack, "46 tilt angles for s.mrc (Tilt angles from a.txt); expected 47", tilt_angles=path)


def test_as_many_angles_as_projections():
    tilts = np.array([-30.0, 0, 30])
    beside = np.array([[0.1, -0.2], [0.5, 0.5], [0.0, -0.1]])
    table = columns(beside[:, 0], tilts, beside[:, 1])
    for values, word in ((table, "column"), (table.T, "row")):
        found = recognised(values, "it")
        np.testing.assert_array_equal(found.values, tilts)
        assert f"taken from {word} 2" in found.remark
    both = np.array([[1.0, 0, 0], [40, 0, 0], [0, 0, 0]])
    with pytest.raises(StinrError, match="rows may be meant as well as its columns"):
        recognised(both, "it")
    np.testing.assert_array_equal(recognised(both, "it", is_array=False).values, [1, 40, 0])


def test_two_columns_as_before(stack):
    path = stack.with_name("a.txt")
    for table in (columns(INDEX, TILTS), columns(TILTS, 60 * INDEX), columns(PHI, TILTS)):
        write(path, table)
        refused(stack, "a.txt has 2 columns without a header, beginning with", tilt_angles=path)
    np.save(stack.with_name("a.npy"), columns(PHI, TILTS))
    refused(stack, "(47, 2)", tilt_angles=stack.with_name("a.npy"))
    write(path, columns(INDEX, TILTS), header="n theta")
    series = read_tilt_series(stack, tilt_angles=path)
    assert angle_note(series) == "Tilt angles from a.txt."
    np.testing.assert_array_equal(read_angles(path), TILTS)


def test_a_table_of_times_of_the_same_name_stays_one(stack):
    beside = stack.with_name("s.csv")
    write(beside, INDEX[:, None])
    series = read_tilt_series(stack, tilt_angles=TILTS)
    assert "Times from s.csv." in series.notes
    assert find_angle_file(stack) is None
    write(beside, columns(INDEX, 2 * INDEX, 3 * INDEX))  # coordinates, say
    assert find_angle_file(stack) is None


def test_radians_are_asked_about(stack):
    series = read_tilt_series(stack, tilt_angles=np.deg2rad(THREE))
    assert any(note.kind is NoteKind.RADIANS for note in series.notes)


def test_info_and_training_say_it(stack, capsys):
    beside = write(stack.with_name("s_angles.txt"), THREE)
    assert main(["info", str(stack)]) == 0
    assert LEFT_OUT in " ".join(capsys.readouterr().out.split())
    write(beside, columns(INDEX, TILTS, PSI))
    main(["info", str(stack)])
    said = capsys.readouterr()
    assert "s_angles.txt has 3 columns without a header" in " ".join((said.out + said.err).split())
