"""Files that are given together in any order: the command line understands them as the window does."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.io
import tifffile

from helpers.series_cases import growing_series
from napari_stinr import load_reconstruction, read_tilt_series
from napari_stinr.cli.main import main
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_angles, write_tilt_series, write_times
from napari_stinr.io.series import reading
from napari_stinr.io.series.grouping import find_given_series
from napari_stinr.io.series.reading import load_series
from napari_stinr.plugin.session.dropped import Dropped

if TYPE_CHECKING:
    from pathlib import Path

ANGLES = np.linspace(-60, 60, 11)
SECONDS = np.cumsum(np.random.default_rng(1).integers(20, 90, 11)).astype(float)


def write_stack(folder: Path, name: str = "rod.mrc") -> Path:
    folder.mkdir(exist_ok=True)
    write_tilt_series(folder / name, growing_series(n_tilts=11, width=15, height=7).projections, pixel_size=0.5)
    return folder / name


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Write a stack, and lists that neither lie beside it nor are named like it."""
    lists = tmp_path / "lists"
    lists.mkdir()
    write_tilt_angles(lists / "a.rawtlt", ANGLES)
    write_times(lists / "recorded.csv", ANGLES, SECONDS)
    np.save(lists / "angles.npy", ANGLES)
    scipy.io.savemat(lists / "dose.mat", {"dose": SECONDS})
    return {"stack": write_stack(tmp_path / "data"), **{path.name: path for path in lists.iterdir()}}


@pytest.mark.parametrize("names", list(itertools.permutations(["stack", "a.rawtlt", "recorded.csv"])), ids=" ".join)
def test_stack_and_lists_in_any_order(files, names):
    given = [files[name] for name in names]
    series = load_series(find_given_series(given))
    expected = read_tilt_series(files["stack"], tilt_angles=files["a.rawtlt"], times=files["recorded.csv"])
    assert series.fingerprint() == expected.fingerprint()
    assert series.fingerprint() == Dropped.of(given).draft(None).series().fingerprint()


@pytest.mark.parametrize("names", list(itertools.permutations(["stack", "angles.npy", "dose.mat"])), ids=" ".join)
def test_lists_that_are_arrays(files, names):
    series = load_series(find_given_series([files[name] for name in names]))
    np.testing.assert_array_equal(series.tilt_angles, ANGLES)
    assert series.time_range == (SECONDS[0], SECONDS[-1])


def test_options_come_before_lists(files):
    given = [files["a.rawtlt"], files["stack"], files["recorded.csv"]]
    found = find_given_series(given, tilt_angles="0:5", times="interleaved", pixel_size=0.7)
    np.testing.assert_array_equal(found.tilt_angles.values, 5 * np.arange(11))
    assert "interleaved" in found.times.note
    assert found.pixel_size == 0.7


def test_training_takes_stack_and_lists(files, tmp_path):
    out = tmp_path / "run.stinr"
    given = [str(files[name]) for name in ("recorded.csv", "stack", "a.rawtlt")]
    assert main(["train", *given, "--preset", "static", "--steps", "1", "--device", "cpu", "--out", str(out)]) == 0
    expected = read_tilt_series(files["stack"], tilt_angles=files["a.rawtlt"], times=files["recorded.csv"])
    assert load_reconstruction(out).provenance["fingerprint"] == expected.fingerprint()


def test_info_says_what_the_lists_give(files, capsys):
    assert main(["info", *(str(files[name]) for name in ("a.rawtlt", "recorded.csv", "stack"))]) == 0
    told = capsys.readouterr().out
    assert "-60 to 60 degrees" in told
    assert "Tilt angles from a.rawtlt." in told
    assert "Times from recorded.csv." in told


def test_several_series_are_refused_as_in_the_window(files, tmp_path, capsys):
    given = [files["stack"], write_stack(tmp_path / "other", "tube.mrc")]
    with pytest.raises(StinrError) as in_window:
        Dropped.of(given).draft(None)
    for words in (["info"], ["train", "--angles=-60:12", "--out", str(tmp_path / "run.stinr")]):
        assert main([words[0], *map(str, given), *words[1:]]) == 2
        assert str(in_window.value) in capsys.readouterr().err
    assert str(in_window.value).startswith("2 tilt series: rod.mrc, tube.mrc; expected one")


def test_lists_without_a_stack_are_refused(files):
    with pytest.raises(StinrError, match=r"a\.rawtlt is a list of angles or times; expected the stack"):
        find_given_series([files["a.rawtlt"], files["recorded.csv"]])


def test_images_of_one_series_and_their_list(tmp_path):
    images = growing_series(n_tilts=5, width=15, height=7).projections
    paths = [tmp_path / f"t_{number}.mrc" for number in range(5)]
    for path, image in zip(paths, images, strict=True):
        write_tilt_series(path, image[None], pixel_size=0.5)
    write_tilt_angles(tmp_path / "list.tlt", np.arange(5.0))
    series = load_series(find_given_series([*paths[::-1], tmp_path / "list.tlt"]))
    np.testing.assert_array_equal(series.projections, images)
    np.testing.assert_array_equal(series.tilt_angles, np.arange(5.0))


@pytest.mark.parametrize("find", [find_given_series, lambda paths: Dropped.of(paths).draft(None).found])
def test_files_of_several_frames_with_angles_in_their_names_are_one_series(tmp_path, find):
    frames = np.random.default_rng(0).random((5, 4, 7, 15), dtype=np.float32)
    paths = [tmp_path / f"t_{angle:.1f}deg.tif" for angle in range(-20, 30, 10)]
    for path, own in zip(paths, frames, strict=True):
        tifffile.imwrite(path, own, photometric="minisblack")
    series = load_series(find(paths))
    np.testing.assert_array_equal(series.tilt_angles, np.arange(-20, 30, 10))
    np.testing.assert_allclose(series.projections, frames.mean(axis=1), rtol=1e-6)


def test_series_with_an_angle_in_their_names_are_told_by_their_headers(tmp_path):
    paths = [tmp_path / f"rod_{angle}deg.npz" for angle in (30, 60)]
    for path in paths:
        np.savez(path, projections=growing_series(n_tilts=11, width=15, height=7).projections, tilt_angles=ANGLES)
    with pytest.raises(StinrError, match="2 tilt series"):
        find_given_series(paths)


def write_mdoc(stack: Path) -> Path:
    path = stack.with_name(stack.name + ".mdoc")
    sections = (
        f"[ZValue = {k}]\nTiltAngle = {angle:g}\nDateTime = 26-Nov-26  10:{k:02d}:00\n"
        for k, angle in enumerate(ANGLES)
    )
    path.write_text(f"ImageFile = {stack.name}\nPixelSpacing = 0.5\n\n" + "\n".join(sections))
    return path


def test_the_mdoc_of_a_stack_gives_no_more_where_it_is_named(files):
    stack = files["stack"]
    mdoc = write_mdoc(stack)
    write_times(stack.with_name("times.csv"), ANGLES, SECONDS)
    expected = read_tilt_series(stack)
    assert expected.time_range == (SECONDS[0], SECONDS[-1])
    for given in ([stack, mdoc], [mdoc, stack], [stack, mdoc.parent / "." / ".." / mdoc.parent.name / mdoc.name]):
        assert load_series(find_given_series(given)).fingerprint() == expected.fingerprint()
    # A list that is given comes before it, as without it.
    np.savetxt(files["a.rawtlt"], ANGLES + 1)
    stack.with_name("times.csv").unlink()
    angles = str(files["a.rawtlt"])
    found = find_given_series([stack, mdoc], tilt_angles=angles)
    np.testing.assert_allclose(found.tilt_angles.values, ANGLES + 1)
    assert load_series(found).fingerprint() == read_tilt_series(stack, tilt_angles=angles).fingerprint()


def test_the_mdoc_of_another_stack_is_a_list(files, tmp_path):
    other = write_mdoc(write_stack(tmp_path / "other"))
    assert "rod.mrc.mdoc" in find_given_series([files["stack"], other]).tilt_angles.note


def test_a_file_that_changes_between_headers_and_pixels_is_refused(files, monkeypatch):
    stack, angles = files["stack"], str(files["a.rawtlt"])
    found = find_given_series([stack], tilt_angles=angles)
    os.utime(stack, ns=(0, 0))
    with pytest.raises(StinrError, match=r"rod\.mrc has changed since it was opened.*Open it again"):
        load_series(found)
    found = find_given_series([stack], tilt_angles=angles)
    checks = reading._check_unchanged

    def cut_after(series):
        checks(series)
        monkeypatch.setattr(reading, "_check_unchanged", checks)
        stack.write_bytes(stack.read_bytes())

    monkeypatch.setattr(reading, "_check_unchanged", cut_after)
    with pytest.raises(StinrError, match=r"rod\.mrc has changed"):
        load_series(found)


def test_one_of_several_files_that_changes_is_named(tmp_path):
    for number, image in enumerate(growing_series(n_tilts=5, width=15, height=7).projections):
        write_tilt_series(tmp_path / f"t_{number}.mrc", image[None], pixel_size=0.5)
    found = find_given_series([tmp_path], tilt_angles="0:3")
    os.utime(tmp_path / "t_3.mrc", ns=(0, 0))
    with pytest.raises(StinrError, match=r"t_3\.mrc has changed since it was opened"):
        load_series(found)
