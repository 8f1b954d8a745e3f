"""A run whose volume lies on files has the numbers of one in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch

from helpers.series_cases import VOXELWISE_GROWTH, growing_series
from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.fields.storage import is_on_file
from napari_stinr.reconstruction import run_file
from napari_stinr.training import whole_atoms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.reconstruction import Reconstruction

SERIES = growing_series(n_tilts=21, width=31, height=37)
GROWTH = preset_config("growth").with_training(steps=28, voxels_per_step=16 * 31 * 31)
STATIC = preset_config("static").with_training(steps=9, voxels_per_step=16 * 31 * 31)
WITH_MARGIN = VOXELWISE_GROWTH.with_training(steps=9, margin=0.2, voxels_per_step=16 * 31 * 31)
KINDS = pytest.mark.parametrize("config", [GROWTH, STATIC, WITH_MARGIN], ids=["growth", "static", "margin"])


@pytest.fixture(scope="module", autouse=True)
def _whatever_shows_is_atoms() -> Iterator[None]:
    """After so few steps nothing stands apart yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_atoms, "_RESOLVED", 1.0)
        yield


def trained(
    config: ReconstructionConfig, files: Path | None, *, until: int | None = None
) -> tuple[Trainer, list[float]]:
    trainer, losses = Trainer(SERIES, config, device="cpu", threads=1, files=files), []
    for report in trainer.run():
        losses.append(report.loss)
        if report.step == until:
            trainer.stop()
    return trainer, losses


def assert_same(one: Reconstruction, other: Reconstruction) -> None:
    for mine, others in (
        (one.field.state_dict(), other.field.state_dict()),
        (one.training_state, other.training_state),
    ):
        assert mine.keys() == others.keys()
        different = [name for name in mine if not torch.equal(mine[name], others[name])]
        assert set(different) <= {"seconds", "stage"}  # they have the time of day in them


@KINDS
def test_same_numbers_as_in_memory(config: ReconstructionConfig, tmp_path: Path) -> None:
    in_memory, losses = trained(config, None)
    on_files, same = trained(config, tmp_path)
    assert same == losses
    found = on_files.reconstruction()
    assert_same(found, in_memory.reconstruction())
    large = {name for name, value in found.field.state_dict().items() if is_on_file(value)}
    large |= {name for name, value in found.training_state.items() if is_on_file(value)}
    n_finest = 1 + 2
    assert len(large) == n_finest + (2 if config is GROWTH else 0)
    # Files without a name: nothing is left behind, whatever happens.
    assert not os.listdir(tmp_path)


@KINDS
def test_the_file_is_that_of_a_run_in_memory(config: ReconstructionConfig, tmp_path: Path) -> None:
    runs = []
    for files in (None, tmp_path):
        trainer, _ = trained(config, files, until=7)
        trainer._seconds = 1.0
        trainer._progress.first_second = 0.5
        runs.append(tmp_path / f"{len(runs)}.stinr")
        trainer.reconstruction().save(runs[-1])
    assert runs[0].read_bytes() == runs[1].read_bytes()


@pytest.mark.parametrize("stopped_at", [2, 8, 18, 21, 23, 26])
@pytest.mark.parametrize("goes_on", ["in memory", "on files", "on files from a mapped run"])
def test_a_stop_changes_no_number(
    stopped_at: int, goes_on: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, at_once = trained(GROWTH, None)
    first, before = trained(GROWTH, tmp_path, until=stopped_at)
    first.reconstruction().save(tmp_path / "run.stinr")
    if "mapped" in goes_on:
        monkeypatch.setattr(run_file, "_PART_OF_MEMORY", 0.0)
        monkeypatch.setattr(run_file, "_LEAST_IN_ITS_FILE", 2**15)
    found = load_reconstruction(tmp_path / "run.stinr")
    *_, finest = found.field.density.grids
    assert is_on_file(finest.values) == is_on_file(found.field.regions) == ("mapped" in goes_on)
    files = None if goes_on == "in memory" else tmp_path
    second = Trainer.resume(found, SERIES, device="cpu", threads=1, files=files)
    before += [report.loss for report in second.run()]
    assert before == at_once
    # What was gone on with is as it was.
    first.reconstruction().save(tmp_path / "again.stinr")
    assert found.render(0.5) == pytest.approx(load_reconstruction(tmp_path / "again.stinr").render(0.5), abs=0)
