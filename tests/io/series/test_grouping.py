"""Files that are given together in any order: the command line understands them as the window does."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.io

from helpers.series_cases import growing_series
from napari_stinr import load_reconstruction, read_tilt_series
from napari_stinr.cli.main import main
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_angles, write_tilt_series, write_times
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
