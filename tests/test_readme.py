"""The README's own lines, run as they stand on a small series."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.places import ROOT
from helpers.series_cases import growing_series
from napari_stinr.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with the files that the README speaks of."""
    series = growing_series(n_tilts=15, width=11, height=4)
    stinr.write_tilt_series(tmp_path / "stack.mrc", series.projections, pixel_size=0.5)
    stinr.write_tilt_angles(tmp_path / "stack.rawtlt", series.tilt_angles)
    stinr.write_times(tmp_path / "times.csv", series.tilt_angles, series.times)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_python_lines_do_what_they_say(folder: Path) -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(code, names)
    volume, voxel_size = stinr.read_volume(folder / "clean.tif")
    np.testing.assert_array_equal(volume, names["volume"])
    assert voxel_size == pytest.approx(0.5)
    assert (folder / "run.stinr").is_file()


def test_shell_lines_do_what_they_say(folder: Path) -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("stinr ")]
    assert len(commands) == 5
    for command in commands:
        assert main(shlex.split(command, comments=True)[1:]) == 0, command
    assert {"run.stinr", "clean.tif", "movie.tif"} <= {path.name for path in folder.iterdir()}
