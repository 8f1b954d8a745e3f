"""Times that `stinr export` takes: from 0 to 1, or in the unit of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.cli_cases import write_stack
from napari_stinr.cli.main import main
from napari_stinr.errors import StinrError
from napari_stinr.io import read_volume
from napari_stinr.reconstruction import load_reconstruction
from napari_stinr.reconstruction.export_times import stated_time

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.reconstruction import Reconstruction


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    words = ("--steps", "3", "--device", "cpu", "--threads", "1", "--out", str(folder / "run.stinr"))
    assert main(["train", str(write_stack(folder)), *words]) == 0
    run = replace(load_reconstruction(folder / "run.stinr"), time_range=(10.0, 70.0), time_unit="s")
    run.save(folder / "run.stinr", overwrite=True)
    return folder / "run.stinr"


@pytest.fixture(scope="module")
def run(trained: Path) -> Reconstruction:
    return load_reconstruction(trained)


@pytest.mark.parametrize(
    ("words", "t"),
    [("0.5", 0.5), ("30s", 1 / 3), ("1e1 s", 0.0), ("70S", None), ("70 s", 1.0), (".25", 0.25), ("1", 1.0)],
)
def test_times_are_rendered(trained: Path, run: Reconstruction, tmp_path: Path, words: str, t: float | None) -> None:
    code = main(["export", str(trained), str(tmp_path / "a.mrc"), "--time", words])
    assert code == (2 if t is None else 0)
    if t is not None:
        np.testing.assert_array_equal(read_volume(tmp_path / "a.mrc")[0], run.render(t))


@pytest.mark.parametrize(
    "words", ["30", "-1", "1.5", "5s", "71s", "-20 s", "30min", "30 e/Å²", "nan", "inf s", "half", ""]
)
def test_times_outside_are_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    assert main(["export", str(trained), str(tmp_path / "a.tif"), "--time", "0", "--time", words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"stinr: the time is {words}".rstrip())
    assert "0 to 1, from the first projection to the last, or 10 to 70 s with that unit" in line
    assert not (tmp_path / "a.tif").exists()


def test_the_unit_is_that_of_the_run(run: Reconstruction) -> None:
    dose = replace(run, time_range=(0.0, 60.0), time_unit="e/Å²")
    for words in ("30e/Å²", "30 e/A^2", "30e/A2", "30 e/\N{ANGSTROM SIGN}2"):
        assert stated_time(words, dose) == 0.5
    bare = replace(run, time_range=(0.0, 60.0), time_unit="")
    assert stated_time(0.5, bare) == 0.5
    for words in ("30s", "30"):
        with pytest.raises(
            StinrError, match=rf"the time is {words}; expected 0 to 1, from the first projection to the last\. "
        ):
            stated_time(words, bare)
