"""Several processes that share a run: the numbers of one, whoever goes on with it, and what is left when one dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers import rank_losses
from helpers.rank_cases import start_ranks, trained_by, wait_for, write_series
from napari_stinr import load_reconstruction

GROWTH = """preset: growth
training: {{visits: 30, surface_visits: 12, voxels_per_step: 13500, blocks_per_step: {blocks}, held_out: 2}}
alignment: {{method: "off"}}
"""
STATIC = """preset: static
training: {{visits: 12, voxels_per_step: 13500, blocks_per_step: {blocks}}}
alignment: {{method: "off"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(tmp_path, n_tilts=31, width=29, height=34)
    return tmp_path


def settings(folder: Path, text: str, *, blocks: int) -> list[str]:
    (folder / "settings.yaml").write_text(text.format(blocks=blocks), encoding="utf-8")
    return ["--config", "settings.yaml"]


def differing(one: Path, other: Path, *, but: tuple[str, ...] = ()) -> list[str]:
    """Names of what is not the same to the last digit in the files of two runs."""
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    clocks = ("training.seconds", "training.stage")
    return [name for name in first if name not in (*clocks, *but) and not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("text", [GROWTH, STATIC], ids=["growth", "static"])
def test_two_processes_have_the_numbers_of_one(text: str, folder: Path) -> None:
    options = settings(folder, text, blocks=2)
    trained_by(1, [*options, "--out", "one.stinr"], folder)
    said = trained_by(2, [*options, "--out", "two.stinr"], folder)
    assert not differing(folder / "one.stinr", folder / "two.stinr")
    one, two = (load_reconstruction(folder / f"{name}.stinr") for name in ("one", "two"))
    np.testing.assert_array_equal(one.render(0.0), two.render(0.0))
    if text is GROWTH:
        assert one.field.atoms is not None
        assert two.provenance["held_out"] == one.provenance["held_out"]
    # Nothing is left beside the run, and only one of them speaks.
    assert sorted(path.name for path in folder.iterdir()) == [
        "one.stinr", "s.mrc", "s.rawtlt", "settings.yaml", "two.stinr",
    ]  # fmt: skip
    assert len(said) == len(set(said))


def test_any_number_of_processes_goes_on_with_a_run(folder: Path) -> None:
    options = settings(folder, GROWTH, blocks=2)
    for name, numbers in (("many", (2, 1, 3)), ("one", (1, 1, 1))):
        run = f"{name}.stinr"
        # The second stop is in the fit of the volume, after atoms were told from each other.
        for n, steps in zip(numbers, (20, 56, 60), strict=True):
            goes_on = ["--resume", run, "--steps", str(steps)] if n is not numbers[0] or (folder / run).exists() else []
            trained_by(n, [*(goes_on or [*options, "--steps", str(steps)]), "--out", run], folder)
    many, one = (load_reconstruction(folder / f"{name}.stinr") for name in ("many", "one"))
    assert many.step == one.step == 60
    truth = one.render(0.0)
    assert np.abs(many.render(0.0) - truth).max() < 1e-5 * np.abs(truth).max()


def test_loss_of_held_out_projections_is_that_of_one_process(folder: Path) -> None:
    script = Path(rank_losses.__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=240)
    one, two = rank_losses.losses_alone(), np.array(done.stdout.split(), dtype=float).reshape(-1, 2)
    assert len(one) == 3
    np.testing.assert_allclose(two, one, rtol=1e-6)


def test_run_of_a_new_number_of_processes_has_a_block_for_each(folder: Path) -> None:
    trained_by(2, ["--preset", "static", "--align", "coarse", "--steps", "3", "--out", "two.stinr"], folder)
    run = load_reconstruction(folder / "two.stinr")
    assert run.config.training.blocks_per_step == 2
    assert run.config.alignment.method == "coarse"


def test_several_processes_train_with_the_pose_that_one_finds(tmp_path: Path) -> None:
    write_series(tmp_path, jitter=3, n_tilts=25, width=36, height=22)
    options = [*settings(tmp_path, STATIC, blocks=2), "--align", "coarse"]
    for n, name in ((1, "one"), (2, "two")):
        trained_by(n, [*options, "--out", f"{name}.stinr"], tmp_path)
    one, two = (load_reconstruction(tmp_path / f"{name}.stinr") for name in ("one", "two"))
    assert one.pose is not None
    assert one.pose.dx.std() > 1
    assert two.pose is not None
    np.testing.assert_array_equal(two.pose.dx, one.pose.dx)
    np.testing.assert_array_equal(two.pose.dy, one.pose.dy)
    np.testing.assert_array_equal(two.render(0.0), one.render(0.0))


def test_killed_process_ends_the_run_with_one_line_and_a_whole_checkpoint(folder: Path) -> None:
    arguments = ["train", "s.mrc", "--preset", "static", "--align", "off", "--steps", "1000000", "--out", "run.stinr"]
    ranks = start_ranks(2, [*arguments, "--checkpoint-every", "0", "--device", "cpu"], folder)
    try:
        wait_for(folder / "run.stinr", ranks)
        ranks.processes[1].kill()
        code, lines = ranks.ended()
    finally:
        ranks.stop()
    assert code == 2
    told = [line for line in lines if "processes has ended" in line]
    assert len(told) == 1
    assert "The last checkpoint is" in told[0]
    assert lines[-1] == told[0]
    assert load_reconstruction(folder / "run.stinr").step > 0
    assert not list(folder.glob(".stinr-*"))


def test_stopped_run_is_saved_and_gone_on_with(folder: Path) -> None:
    arguments = ["train", "s.mrc", "--preset", "static", "--align", "off", "--steps", "1000000", "--out", "run.stinr"]
    ranks = start_ranks(2, [*arguments, "--checkpoint-every", "0", "--device", "cpu"], folder)
    try:
        wait_for(folder / "run.stinr", ranks)
        for process in ranks.processes:  # as torchrun and the terminal do
            process.send_signal(signal.SIGTERM)
        code, lines = ranks.ended()
    finally:
        ranks.stop()
    assert code == 130
    assert "and saved run.stinr" in lines[-1]
    step = load_reconstruction(folder / "run.stinr").step
    trained_by(1, ["--resume", "run.stinr", "--out", "run.stinr", "--steps", str(step + 2)], folder)
    assert load_reconstruction(folder / "run.stinr").step == step + 2


def test_failure_of_another_process_is_told_by_the_first(folder: Path) -> None:
    trained_by(1, ["--preset", "static", "--align", "off", "--steps", "2", "--out", "run.stinr"], folder)
    ranks = start_ranks(2, ["train", "s.mrc", "--device", "cuda:7", "--out", "new.stinr"], folder)
    try:
        code, lines = ranks.ended()
    finally:
        ranks.stop()
    assert code == 2
    assert len(lines) == 1
    assert "cuda:7" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--preset", "paper"], "without a network"),
        (["--device", "mps"], "the device of 2 processes is 'mps'"),
        (["--preset", "none"], "the preset is 'none'"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_is_done(arguments, told, folder: Path) -> None:
    ranks = start_ranks(2, ["train", "s.mrc", "--out", "new.stinr", *arguments], folder)
    try:
        code, lines = ranks.ended()
    finally:
        ranks.stop()
    assert code == 2
    assert len(lines) == 1
    assert told in lines[0]
    assert not (folder / "new.stinr").exists()


def test_rows_of_a_process_may_lie_on_files(folder: Path) -> None:
    options = settings(folder, GROWTH, blocks=2)
    trained_by(1, [*options, "--out", "one.stinr"], folder)
    script = Path(rank_losses.__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script), "files"]
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=240)
    assert not differing(folder / "one.stinr", folder / "run.stinr")
    assert not list(folder.glob(".stinr-*"))
