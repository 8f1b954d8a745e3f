"""Checkpoints that nobody asked for: every run has a file of its own, and only our own old ones are cleared away."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from napari_stinr.io import atomic_output
from napari_stinr.plugin.session.autosave import KEPT, autosave_path

if TYPE_CHECKING:
    from pathlib import Path

ENDING = ".autosave.stinr"


@pytest.fixture
def automatic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in the place of the automatic one; it does not exist yet."""
    monkeypatch.setattr("napari_stinr.plugin.session.autosave.automatic_folder", lambda: tmp_path / "automatic")
    return tmp_path / "automatic"


def fill(folder: Path, n_files: int, *, ending: str = ENDING) -> list[Path]:
    """Write files into a folder, the oldest first."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"run{k:02d}{ending}" for k in range(n_files)]
    for k, file in enumerate(files):
        file.write_bytes(b"")
        os.utime(file, (1000 + k, 1000 + k))
    return files


def test_name_of_the_series_is_in_the_name_of_the_file(automatic: Path) -> None:
    path = autosave_path("needle", "")
    assert path.parent == automatic
    assert path.name.startswith("needle_")
    assert path.name.endswith(ENDING)


def test_a_file_that_is_there_is_never_given_again(tmp_path: Path) -> None:
    given = []
    for _ in range(20):
        given.append(autosave_path("needle", str(tmp_path)))
        given[-1].write_bytes(b"")
    assert len(set(given)) == 20


def test_runs_that_start_in_the_same_second_get_a_file_each(tmp_path: Path) -> None:
    assert len({autosave_path("needle", str(tmp_path)) for _ in range(20)}) == 20


@pytest.mark.parametrize("name", ["a/b: c?*<>|", "../../etc", "", "Å × nm", "line\nbreak", "n" * 250])
def test_any_name_of_a_series_gives_a_file_that_can_be_written(tmp_path: Path, name: str) -> None:
    path = autosave_path(name, str(tmp_path))
    assert path.parent == tmp_path
    with atomic_output(path) as temporary:
        temporary.write_bytes(b"content")
    assert path.read_bytes() == b"content"


def test_only_the_newest_are_kept_in_the_automatic_folder(automatic: Path) -> None:
    files = fill(automatic, KEPT + 5)
    autosave_path("needle", "").write_bytes(b"")
    left = set(automatic.iterdir())
    assert len(left) == KEPT
    assert set(files[-(KEPT - 1) :]) < left


def test_few_are_all_kept(automatic: Path) -> None:
    files = fill(automatic, KEPT - 1)
    autosave_path("needle", "")
    assert sorted(automatic.iterdir()) == files


def test_files_of_other_names_are_left_alone(automatic: Path) -> None:
    mine = fill(automatic, KEPT + 5, ending=".stinr") + fill(automatic, 3, ending=".tif")
    fill(automatic, KEPT + 5)
    autosave_path("needle", "")
    assert all(file.exists() for file in mine)


def test_nothing_is_removed_from_a_folder_that_a_person_chose(tmp_path: Path) -> None:
    files = fill(tmp_path, KEPT + 5)
    autosave_path("needle", str(tmp_path))
    assert sorted(tmp_path.iterdir()) == files


def test_home_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert autosave_path("needle", "~/runs").parent == tmp_path / "runs"


def test_a_file_that_cannot_be_removed_does_not_stop_the_run(automatic: Path) -> None:
    fill(automatic, KEPT + 2)
    (automatic / "run00.autosave.stinr").unlink()
    (automatic / "run00.autosave.stinr").mkdir()
    os.utime(automatic / "run00.autosave.stinr", (1, 1))
    path = autosave_path("needle", "")
    assert not path.exists()
