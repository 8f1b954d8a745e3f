"""A file of jobs: what it says of every job, and all that is wrong with it, with the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from helpers.places import ROOT
from napari_stinr.cli.main import app
from napari_stinr.training.jobs.example import EXAMPLE
from napari_stinr.training.jobs.file import FaultyJobsError, Job, read_jobs
from napari_stinr.training.jobs.options import CHECKPOINT_EVERY, JobOptions
from napari_stinr.training.run import CHECKPOINT_EVERY as OF_TRAIN

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, text: str) -> tuple[Job, ...]:
    (folder / "jobs.yaml").write_text(text, encoding="utf-8")
    return read_jobs(folder / "jobs.yaml")


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(FaultyJobsError) as caught:
        read(folder, text)
    return [str(problem) for problem in caught.value.problems]


def test_options_are_those_of_train_and_none_is_forgotten() -> None:
    train = get_command(app).commands["train"]  # type: ignore[attr-defined]
    words = {option.opts[0].lstrip("-").replace("-", "_") for option in train.params} - {"help", "resume"}
    assert JobOptions.model_fields.keys() - {"name", "export"} == words
    assert CHECKPOINT_EVERY == OF_TRAIN


def test_defaults_of_options_are_those_of_train() -> None:
    train = get_command(app).commands["train"]  # type: ignore[attr-defined]
    for option in train.params:
        name = option.opts[0].lstrip("-").replace("-", "_")
        if name in JobOptions.model_fields and name not in ("stack", "out"):
            assert JobOptions.model_fields[name].default == option.default, name


def test_a_job_has_the_defaults_where_it_says_nothing_else(tmp_path: Path) -> None:
    one, two = read(
        tmp_path,
        "defaults: {steps: 20, preset: static, flip-tilt: yes, pixel_size: 0.5, times: interleaved}\n"
        "jobs:\n"
        "  - {stack: a.mrc}\n"
        "  - {stack: [b1.tif, b2.tif], name: b, seconds: 5, config: {preset: growth}, flip_tilt: no, times: ~,\n"
        "     bin: 2, exclude: [0, 57:60], angles: -60:2, align: off, background: off, keep-blank: true}",
    )
    a, b = one.options, two.options
    assert (a.name, a.steps, a.preset, a.flip_tilt) == ("a", 20, "static", True)
    assert (a.pixel_size, a.times) == (0.5, "interleaved")
    assert a.out == tmp_path / "a.stinr"
    assert a.stack == (tmp_path / "a.mrc",)
    assert b.stack == (tmp_path / "b1.tif", tmp_path / "b2.tif")
    assert (b.steps, b.seconds, b.preset, b.flip_tilt, b.times) == (None, 5.0, None, False, None)
    assert (b.exclude, b.angles, b.align, b.bin, b.keep_blank) == ("0,57:60", "-60:2", "off", 2, True)
    assert b.settings.alignment.method == "off"
    assert b.settings.preprocessing.background == "off"
    assert b.settings.preprocessing.blank_images == "keep"


def test_paths_are_relative_to_the_file_and_words_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "settings.yaml").write_text("preset: growth\ntraining: {steps: 7}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (job,) = read(
        tmp_path / "set",
        "jobs: [{stack: ../a.mrc, angles: a.tlt, times: a.csv, align: pose.yaml, config: ../settings.yaml,"
        " out: runs/<name>.stinr, export: {clean: [x.tif, x.mrc], series: <name>_s.tif, times: 3}}]",
    )
    options, here = job.options, tmp_path / "set"
    assert options.stack == (tmp_path / "a.mrc",)
    assert (options.angles, options.times, options.align) == tuple(
        str(here / n) for n in ("a.tlt", "a.csv", "pose.yaml")
    )
    assert options.settings.training.steps == 7
    assert options.out == here / "runs" / "a.stinr"
    assert [(v.path.name, v.times, v.contamination) for v in options.export.volumes] == [
        ("x.tif", ("0",), False),
        ("x.mrc", ("0",), False),
        ("a_s.tif", ("0", "0.5", "1"), False),
    ]


def test_seeds_and_patterns_are_several_jobs(tmp_path: Path) -> None:
    for name in ("p2.mrc", "p1.mrc", "q.tif", "odd[1].mrc"):
        (tmp_path / name).touch()
    jobs = read(
        tmp_path,
        "jobs:\n"
        "  - {stack: p*.mrc, name: <stack>-x, export: <name>.tif}\n"
        "  - {stack: q.tif, seed: [3, 4]}\n"
        "  - {stack: 'odd[1].mrc', seed: [5]}\n",
    )
    assert [job.name for job in jobs] == ["p1-x", "p2-x", "q-seed3", "q-seed4", "odd[1]"]
    assert [job.options.seed for job in jobs] == [None, None, 3, 4, 5]
    assert jobs[0].options.export.clean == (tmp_path / "p1-x.tif",)
    assert jobs[2].options.settings.training.seed == 3
    assert [job.place for job in jobs] == [f"jobs.yaml line {n}" for n in (2, 2, 3, 3, 4)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("jobs: [{out: a.stinr}]", "line 1: stack is not given; expected a stack, a folder"),
        ("jobs:\n- stack: a.mrc\n  paces: 4", "line 3: there is no option paces"),
        ("defaults:\n  resume: a.stinr\njobs:\n- stack: a.mrc", "line 2: there is no option resume"),
        ("jobs:\n- stack: a.mrc\n  steps: many", "line 3: steps is 'many'; expected input should be a valid integer"),
        ("defaults:\n  bin: 0\njobs:\n- stack: a.mrc", "line 2: bin is '0'; expected input should be greater"),
        ("jobs:\n- stack: a.mrc\n  export:\n    washed: a.tif", "line 4: there is no option washed"),
        ("jobs:\n- stack: a.mrc\n  export:\n    voxel-size: -1", "line 4: export.voxel_size is '-1'"),
        ("jobs:\n- stack: a.mrc\n  steps: 3\n  seconds: 3", "line 2: both steps and seconds are given"),
        ("jobs:\n- stack: a.mrc\n  preset: stable", "line 2: the preset is 'stable'; expected one of growth"),
        ("jobs:\n- stack: a.mrc\n  config: {training: {strides: 3}}", "line 2: the setting training.strides is 3"),
        ("jobs:\n- stack: a.mrc\n  config: missing.yaml", "missing.yaml cannot be read"),
        ("jobs:\n- stack: z*.mrc", "line 2: stack is z*.mrc, which fits no file"),
        ("jobs:\n- stack: a.mrc\n  seed: []", "seed is an empty list"),
        ("jobs:\n- a.mrc", "line 2: job 1 is 'a.mrc'; expected `stack: FILE`"),
        ("jobs: []", "lists no jobs"),
        ("stack: a.mrc", "there is no option stack; expected defaults, jobs"),
        ("defaults: {stack: a.mrc}\njobs: [{stack: b.mrc}]", "defaults give a stack"),
        ("jobs:\n- stack: x/a.mrc\n- stack: y/a.mrc", "line 3: a job is called a, like that of jobs.yaml line 2"),
        ("jobs:\n- {stack: a.mrc, out: r.stinr}\n- {stack: b.mrc, out: x/../r.stinr}", "r.stinr, which is written by"),
        (
            "jobs:\n- {stack: a.mrc, export: b.mrc}\n- {stack: b.mrc}",
            "b.mrc, which is read by that of jobs.yaml line 3",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in problem for problem in problems(tmp_path, text)), problems(tmp_path, text)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "jobs:\n- {stack: a.mrc, steps: x}\n- {stack: b.mrc}\n- {stack: c.mrc, sed: 1}")
    assert [problem.partition(":")[0] for problem in found] == ["jobs.yaml line 2", "jobs.yaml line 4"]
    assert "Write seed, if that is meant." in found[1]


def test_the_example_is_a_file_of_jobs(tmp_path: Path) -> None:
    (tmp_path / "particles").mkdir()
    (tmp_path / "particles" / "p.mrc").touch()
    jobs = read(tmp_path, EXAMPLE)
    assert [job.name for job in jobs] == ["needle", "rod", "rod-1", "rod-2", "p-static"]
    assert jobs[1].options.exclude == "0,57:60"
    assert jobs[4].options.settings.training.visits == 200
    assert jobs[4].options.settings.preset == "static"
    assert all(len(line) <= 120 for line in EXAMPLE.splitlines())


def test_the_jobs_in_the_docs_can_be_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    (block,) = (part for part in text.split("```yaml\n")[1:] if part.startswith("defaults:"))
    jobs = read(tmp_path, block.partition("```")[0])
    assert [job.name for job in jobs] == ["needle", "rod-0", "rod-1", "rod-2"]
    assert f"--array=1-{len(jobs)} " in text
