"""Several series one after the other with `stinr run`: lines, exit codes, what is skipped, resumed and refused."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import pytest
import tifffile
import torch
from filelock import FileLock

from helpers import waiting
from helpers.cli_cases import start, write_stack
from helpers.waiting import PATIENCE
from napari_stinr.cli.main import main
from napari_stinr.reconstruction import Reconstruction, load_reconstruction

if TYPE_CHECKING:
    from pathlib import Path

DEFAULTS = "defaults: {device: cpu, threads: 1, steps: 4, times: times.csv, align: off, checkpoint-every: 0.2}\n"
TWO = f"{DEFAULTS}jobs:\n- {{stack: stack.mrc, name: one}}\n- {{stack: stack.mrc, name: two, preset: static}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a series, which is not the current one."""
    write_stack(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def jobs_file(folder: Path, text: str) -> Path:
    path = folder / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1e9, 1e9))  # long ago: as if written before anything was exported
    return path


def run(file: Path, *options: object) -> int:
    return main(["run", str(file), *map(str, options)])


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def same(one: Reconstruction, other: Reconstruction) -> bool:
    values = one.field.state_dict(), other.field.state_dict()
    return one.step == other.step and all(torch.equal(values[0][name], values[1][name]) for name in values[0])


def test_a_line_for_each_job_a_table_and_the_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "defaults: {device: cpu, threads: 1, steps: 4, times: times.csv, align: off, out: runs/<name>.stinr}\n"
        "jobs:\n"
        "- {stack: stack.mrc, name: one, export: {clean: [out/c.tif, out/c.mrc], contamination: out/k.tif,\n"
        "   series: out/s.tif, times: 3}}\n"
        "- {stack: stack.mrc, preset: static, seed: [0, 1]}\n"
    )
    assert run(jobs_file(folder, text)) == 0
    first, second, third, *table = lines(capsys)
    assert first.startswith("1 of 3, one: done, residual ")
    assert " %, contamination " in first
    assert first.endswith("../runs/one.stinr") or str(folder / "runs" / "one.stinr") in first
    assert second.startswith("2 of 3, stack-seed0: done, residual ")
    assert "contamination" not in second
    assert third.startswith("3 of 3, stack-seed1: done")
    assert table[0].split() == ["#", "job", "result", "residual", "contamination", "time", "file"]
    assert [row.split()[1:3] for row in table[2:]] == [[n, "done"] for n in ("one", "stack-seed0", "stack-seed1")]
    runs = [load_reconstruction(folder / "runs" / f"{n}.stinr") for n in ("one", "stack-seed0", "stack-seed1")]
    assert [(r.config.preset, r.step, r.config.training.seed) for r in runs] == [
        ("growth", 4, 0),
        ("static", 4, 0),
        ("static", 4, 1),
    ]
    clean = tifffile.imread(folder / "out" / "c.tif")
    np.testing.assert_array_equal(clean, runs[0].render(0.0))
    np.testing.assert_array_equal(mrcfile.read(folder / "out" / "c.mrc"), clean)
    np.testing.assert_allclose(tifffile.imread(folder / "out" / "k.tif"), runs[0].render(1.0) - clean, atol=1e-6)
    series = tifffile.imread(folder / "out" / "s.tif")
    assert series.shape == (3, *clean.shape)
    np.testing.assert_array_equal(series[1], runs[0].render(0.5))
    assert "job" not in [line.split(":")[0] for line in described(capsys, folder / "runs" / "one.stinr")]


def described(capsys: pytest.CaptureFixture[str], path: Path) -> list[str]:
    assert main(["info", str(path)]) == 0
    return lines(capsys)


def test_a_job_that_another_program_is_at_is_left_to_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = jobs_file(folder, TWO)
    with FileLock(folder / ".stinr-one.stinr.lock"):  # as another program holds it
        assert run(file) == 1
        first, second, *_ = lines(capsys)
        assert first.startswith("1 of 2, one: failed")
        assert "another program is working on one.stinr" in first
        assert second.startswith("2 of 2, two: done")
        assert not (folder / "one.stinr").exists()
        assert main(["train", str(folder / "stack.mrc"), "--out", str(folder / "one.stinr"), "--steps", "4"]) == 2
        assert not (folder / "one.stinr").exists()
    assert run(file) == 0
    assert load_reconstruction(folder / "one.stinr").step == 4
    assert not list(folder.glob(".stinr-*"))


def test_it_is_the_run_of_train(folder: Path) -> None:
    assert run(jobs_file(folder, TWO), "--only", "one") == 0
    options = ["--device", "cpu", "--threads", "1", "--steps", "4", "--align", "off"]
    given = ["--out", str(folder / "alone.stinr"), "--times", str(folder / "times.csv")]
    assert main(["train", str(folder / "stack.mrc"), *given, *options]) == 0
    assert same(load_reconstruction(folder / "one.stinr"), load_reconstruction(folder / "alone.stinr"))
    assert not (folder / "two.stinr").exists()


def test_what_is_done_is_not_done_again_and_missing_volumes_are_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = jobs_file(folder, TWO.replace("name: one", "name: one, export: one.tif"))
    assert run(file) == 0
    stamps = {name: (folder / name).stat().st_mtime_ns for name in ("one.stinr", "two.stinr", "one.tif")}
    capsys.readouterr()
    assert run(file) == 0
    assert [line.split(",")[1] for line in lines(capsys)[:2]] == [" one: done before", " two: done before"]
    assert {name: (folder / name).stat().st_mtime_ns for name in stamps} == stamps
    (folder / "one.tif").unlink()
    assert run(file, "--dry-run") == 0
    assert "done, 1 volume to write" in capsys.readouterr().out
    assert run(file) == 0
    assert (folder / "one.tif").exists()
    assert (folder / "one.stinr").stat().st_mtime_ns == stamps["one.stinr"]
    written = (folder / "one.tif").stat().st_mtime_ns
    os.utime(file, (time.time() + 5, time.time() + 5))  # changed after the volume was written
    assert run(file) == 0
    assert (folder / "one.tif").stat().st_mtime_ns != written


CHANGES: dict[str, tuple[str, str, str]] = {
    "setting": ("steps: 4", "steps: 5", "training.steps was 4 and is 5"),
    "preset": ("name: one", "name: one, preset: static", "preset was 'growth' and is 'static'"),
    "seed": ("name: one", "name: one, seed: 3", "training.seed was 0 and is 3"),
    "angles": ("name: one", "name: one, angles: -60.02:10", "the angles are others"),
    "times": ("name: one", "name: one, times: sequential", "the times are others"),
    "exclude": ("name: one", "name: one, exclude: 3", "exclude was not given and is [3]"),
    "handedness": ("name: one", "name: one, flip-tilt: true", "flip_tilt was not given and is True"),
    "bin": ("name: one", "name: one, bin: 2", "bin was not given and is 2"),
    "crop": ("name: one", "name: one, crop: '0:6,2:14'", "crop was not given and is 0:6,2:14"),
    "pixels": ("name: one", "name: one, pixel-size: 0.7", "pixel_size was 0.5 and is 0.7"),
    "background": ("name: one", "name: one, background: off", "preprocessing.background was 'auto' and is 'off'"),
    "length": ("steps: 4", "seconds: 9", "seconds was not given and is 9"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_changed_options_are_refused_before_anything_begins(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert run(jobs_file(folder, TWO), "--only", "one") == 0
    before = (folder / "one.stinr").read_bytes()
    capsys.readouterr()
    old, new, says = CHANGES[kind]
    assert run(jobs_file(folder, TWO.replace(old, new, 1))) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert "stinr: jobs.yaml line 3, job one: " in line
    assert "one.stinr was made with other options: " in line
    assert says in line
    assert "Give another out, or --again one to begin anew and replace it." in line
    assert (folder / "one.stinr").read_bytes() == before
    assert not (folder / "two.stinr").exists()


def test_other_projections_are_noticed_and_other_names_are_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = jobs_file(folder, TWO)
    assert run(file, "--only", "one") == 0
    moved = folder / "moved"
    moved.mkdir()
    for name in ("stack.mrc", "stack.rawtlt", "times.csv", "one.stinr", "jobs.yaml"):
        (folder / name).rename(moved / name)
    assert run(moved / "jobs.yaml", "--only", "one", "--threads", 2) == 0
    assert "one: done before" in capsys.readouterr().out
    with mrcfile.open(moved / "stack.mrc", "r+") as stack:
        stack.data[3] *= 1.5
    assert run(moved / "jobs.yaml", "--only", "one") == 2
    assert "the projections are others" in capsys.readouterr().err


def test_again_begins_anew_and_replaces(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(jobs_file(folder, TWO)) == 0
    two = (folder / "two.stinr").stat().st_mtime_ns
    file = jobs_file(folder, TWO.replace("name: one", "name: one, seed: 3, steps: 3"))
    assert run(file, "--again", "o*") == 0
    made = load_reconstruction(folder / "one.stinr")
    assert (made.config.training.seed, made.step) == (3, 3)
    assert (folder / "two.stinr").stat().st_mtime_ns == two
    assert run(file, "--again", "three") == 2
    assert "--again is three, and no job is called so; expected one, two" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"precious", None])
def test_a_file_that_no_jobs_have_made_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is None:
        options = ["--device", "cpu", "--threads", "1", "--steps", "1", "--align", "off"]
        assert main(["train", str(folder / "stack.mrc"), "--out", str(folder / "one.stinr"), *options]) == 0
        content = (folder / "one.stinr").read_bytes()
        capsys.readouterr()
    (folder / "one.stinr").write_bytes(content)
    assert run(jobs_file(folder, TWO)) == 2
    assert "one.stinr is there already, and no file of jobs has made it" in capsys.readouterr().err
    assert (folder / "one.stinr").read_bytes() == content
    assert not (folder / "two.stinr").exists()


def test_one_that_fails_does_not_stop_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = jobs_file(folder, TWO)
    fail_at_step(monkeypatch, 2)
    assert run(file) == 1
    first, second, *table = lines(capsys)
    assert first.startswith("1 of 2, one: failed: the training failed (RuntimeError: mat1 and mat2)")
    assert "go on with stinr run" in first
    assert second.startswith("2 of 2, two: done")
    assert [row.split()[2] for row in table[2:]] == ["failed", "done"]
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert run(file) == 0
    assert [line.split(": ")[1].split(",")[0] for line in lines(capsys)[:2]] == ["done", "done before"]
    alone = jobs_file(folder, TWO.replace("name: one", "name: whole"))
    assert run(alone, "--only", "whole") == 0
    assert same(load_reconstruction(folder / "one.stinr"), load_reconstruction(folder / "whole.stinr"))


def test_where_it_is_to_stop_at_the_first_error_no_other_begins(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at_step(monkeypatch, 2)
    assert run(jobs_file(folder, TWO), "--stop-at-first-error") == 1
    assert lines(capsys)[-1].split()[1:4] == ["two", "not", "begun"]
    assert not (folder / "two.stinr").exists()


def fail_at_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the first training that comes to this step fail as torch does."""
    from napari_stinr.training.trainer import Trainer

    advance, failed = Trainer._advance, list[bool]()

    def failing(trainer: Trainer, fraction: float) -> Any:
        if trainer.step == step and not failed:
            failed.append(True)
            raise RuntimeError("mat1 and mat2")
        return advance(trainer, fraction)

    monkeypatch.setattr(Trainer, "_advance", failing)


def test_everything_wrong_is_said_before_the_first_begins(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        DEFAULTS + "jobs:\n"
        "- {stack: stack.mrc, name: good}\n"
        "- {stack: missing.mrc, name: gone}\n"
        "- {stack: stack.mrc, name: binned, bin: 9}\n"
        "- {stack: stack.mrc, name: shifted, align: stack.mrc}\n"
        "- {stack: stack.mrc, name: where, out: stack.mrc/run.stinr}\n"
        "- {stack: stack.mrc, name: ending, export: a.jpg}\n"
        "- {stack: stack.mrc, name: several, export: {series: a.mrc}}\n"
        "- {stack: stack.mrc, name: nothing, preset: static, export: {contamination: c.tif}}\n"
        "- {stack: stack.mrc, name: device, device: cuda:77}\n"
    )
    file = jobs_file(folder, text)
    for options in ((), ("--dry-run",)):
        assert run(file, *options) == 2
        captured = capsys.readouterr()
        told = captured.err.splitlines()
        assert [line.split(",")[1].split(":")[0] for line in told] == [
            " job gone",
            " job binned",
            " job shifted",
            " job where",
            " job ending",
            " job several",
            " job nothing",
            " job device",
        ]
        for line, says in zip(
            told,
            ("missing.mrc", "a binning of 9", "align is", "is a file", "'.jpg'", "11 times", "static run", "cuda:77"),
            strict=True,
        ):
            assert says in line
            assert "; expected " in line
    assert not list(folder.glob("*.stinr"))


def test_what_does_not_fit_into_the_memory_is_refused_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_stinr.training.requirements.free_memory", lambda _: 1000)
    assert run(jobs_file(folder, TWO)) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all("the reconstruction takes" in line for line in told)


def test_a_dry_run_says_what_it_takes_and_does_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    assert run(jobs_file(folder, TWO.replace("times.csv", "times.csv, out: new/<name>.stinr")), "--dry-run") == 0
    table = lines(capsys)
    assert table[0].split() == ["#", "job", "now", "voxels", "steps", "memory", "time", "file"]
    for row, name in zip(table[2:4], ("one", "two"), strict=True):
        assert row.split()[1:8] == [name, "begins", "16", "×", "6", "×", "16"]
        assert row.split()[8] == "4"
        assert "MB" in row
    assert table[-1].startswith("Together about ")
    assert set(folder.rglob("*")) - set(before) == {folder / "jobs.yaml"}


def test_the_jobs_of_an_array_are_numbered_from_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = jobs_file(folder, TWO)
    assert run(file, "--job", 2) == 0
    (line,) = lines(capsys)
    assert line.startswith("2 of 2, two: done")
    assert not (folder / "one.stinr").exists()
    for number in (0, 3):
        assert run(file, "--job", number) == 2
        assert f"--job is {number}; expected 1 to 2" in capsys.readouterr().err
    assert run(file, "--job", 1) == 0


def test_words_that_are_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "no file of jobs is given" in capsys.readouterr().err
    assert run(folder / "none.yaml") == 2
    assert "none.yaml cannot be read" in capsys.readouterr().err
    assert run(jobs_file(folder, TWO), "--only", "three") == 2
    assert "--only is three" in capsys.readouterr().err
    assert run(jobs_file(folder, "jobs:\n- {stack: a.mrc, x: 1}\n- {stack: b.mrc, y: 1}")) == 2
    assert [line.split(":")[1] for line in capsys.readouterr().err.splitlines()] == [
        " jobs.yaml line 2",
        " jobs.yaml line 3",
    ]


def test_several_processes_do_not_do_the_same_jobs_each(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    for name, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    assert run(jobs_file(folder, TWO)) == 2
    assert "stinr run is one of 2 processes" in capsys.readouterr().err
    assert not list(folder.glob("*.stinr"))


def test_the_example_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from napari_stinr.training.jobs.example import EXAMPLE

    assert main(["run", "--example"]) == 0
    assert capsys.readouterr().out == EXAMPLE


LONG = TWO.replace("steps: 4", "steps: 120").replace("preset: static", "steps: 3")
SAVED_AT_EVERY_STEP = LONG.replace("every: 0.2", "every: 0")


def stopped(folder: Path, number: int) -> tuple[Any, Path, str, str]:
    """Start the jobs, and send this signal as soon as the first has a checkpoint."""
    file = jobs_file(folder, SAVED_AT_EVERY_STEP)
    process, out = start("run", file), folder / "one.stinr"
    waiting.wait_for(lambda: out.exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    told, err = process.communicate(timeout=PATIENCE)
    jobs_file(folder, LONG)  # how often it is saved decides nothing
    return process, file, told, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_and_the_same_command_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    process, file, told, err = stopped(folder, number)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert told.startswith("1 of 2, one: stopped at step ")
    assert told.splitlines()[-1].split()[1:4] == ["two", "not", "begun"]
    assert err.splitlines()[-1] == f"stinr: stopped with 0 of 2 jobs done: go on with stinr run {file}."
    reached = load_reconstruction(folder / "one.stinr").step
    assert 0 < reached < 120
    assert run(file) == 0
    captured = capsys.readouterr()
    assert f"stinr: 1 of 2, one goes on at step {reached}" in captured.err
    assert [line.split(": ")[1].split(",")[0] for line in captured.out.splitlines()[:2]] == ["done", "done"]
    assert_as_if_nothing_had_happened(folder)


def test_a_kill_costs_what_came_after_the_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process, file, told, _ = stopped(folder, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert told == ""
    reached = load_reconstruction(folder / "one.stinr").step
    assert run(file, "--dry-run") == 0
    assert f"goes on at step {reached}" in capsys.readouterr().out
    assert run(file) == 0
    assert_as_if_nothing_had_happened(folder)


def assert_as_if_nothing_had_happened(folder: Path) -> None:
    whole = folder / "whole"
    whole.mkdir()
    for name in ("stack.mrc", "stack.rawtlt", "times.csv"):
        (whole / name).write_bytes((folder / name).read_bytes())
    assert run(jobs_file(whole, LONG)) == 0
    for name in ("one", "two"):
        assert same(*(load_reconstruction(place / f"{name}.stinr") for place in (folder, whole)))


def test_half_a_run_of_other_options_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopped(folder, signal.SIGKILL)
    assert run(jobs_file(folder, LONG.replace("steps: 120", "steps: 121"))) == 2
    assert "training.steps was 120 and is 121" in capsys.readouterr().err


def test_a_stop_during_an_export_leaves_none_and_the_next_run_writes_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    file = jobs_file(folder, TWO.replace("name: one", "name: one, export: one.tif"))
    monkeypatch.setattr("napari_stinr.reconstruction.rendering.potentials_at", interrupt)
    assert run(file) == 130
    captured = capsys.readouterr()
    assert captured.out.startswith("1 of 2, one: stopped\n")
    assert "stopped with 0 of 2 jobs done" in captured.err.splitlines()[-1]
    assert not (folder / "one.tif").exists()
    monkeypatch.undo()
    assert run(file) == 0
    assert (folder / "one.tif").exists()
