"""The queue of a window as a file of jobs and back: the same series, settings, poses and files as `stinr run`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from helpers.plugin_cases import (
    WITHOUT_SEARCH,
    end_all_trainings,
    same_series,
    session_in,
    small_draft,
    wait_for,
    write_stack,
)
from napari_stinr import StinrError, preset_config
from napari_stinr.alignment.pose import Pose
from napari_stinr.cli.main import main
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.plugin.session.alignment_pose import KnownPose
from napari_stinr.plugin.session.jobs_file import load_jobs, save_jobs
from napari_stinr.plugin.session.new_draft import read_draft
from napari_stinr.plugin.session.queue import Job
from napari_stinr.reconstruction import load_reconstruction
from napari_stinr.training.jobs.file import read_jobs
from napari_stinr.training.jobs.queue import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.session import Session

SHORT = WITHOUT_SEARCH.with_training(steps=6).with_alignment("off")
JOBS = """\
defaults: {device: cpu, threads: 1, align: off, out: runs/<name>.stinr}
jobs:
- {stack: needle.mrc, name: one, times: interleaved, steps: 40, checkpoint-every: 0}
- {stack: needle.mrc, name: two, preset: static, seed: 1, steps: 4}
"""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    end_all_trainings()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_stack(tmp_path)
    return tmp_path


def corrected(folder: Path) -> SeriesDraft:
    """Return a draft in which everything is corrected that can be."""
    draft = read_draft(folder / "needle.mrc")
    angles, used = draft.tilt_angles - np.linspace(0, 0.37, draft.n_tilts), draft.used.copy()
    used[[2, 5]] = False
    draft = draft.with_rows(angles, np.linspace(0, 7, draft.n_tilts)[::-1] ** 2, used)
    return replace(
        draft,
        pixel_size=0.7,
        pixel_size_given=True,
        flip_tilt=True,
        axis_offset=0.25,
        crop=Crop(1, 7, 0, 14),
        binning=2,
        invert_contrast=True,
    )


def states(session: Session) -> list[JobState]:
    return [job.state for job in session.queue.jobs]


def run_through(session: Session) -> None:
    session.queue.start()
    wait_for(lambda: not session.queue.is_running, session)


def test_a_saved_queue_is_read_as_the_same_series_and_settings(folder: Path) -> None:
    plain, other = read_draft(folder / "needle.mrc"), corrected(folder)
    paper = preset_config("paper").with_training(steps=5)
    jobs = [
        Job(plain, SHORT.with_training(seed=3, density_rate=0.1).with_preprocessing(background="off"), "cpu", 1),
        Job(other, paper, threads=2),
        Job(other, preset_config("growth").with_alignment("joint")),
        Job(plain, preset_config("static")),
    ]
    (folder / "set").mkdir()
    written = save_jobs(folder / "set" / "queue.yaml", jobs)
    assert written[0] == folder / "set" / "queue.yaml"
    assert len(written) == 5  # edited angles and times of two jobs
    found = load_jobs(written[0], threads=1)
    for job, again, alone in zip(jobs, found, read_jobs(written[0]), strict=True):
        assert again.config == job.config
        assert alone.options.settings == job.config
        assert again.device == job.device
        same_series(again.draft.series(), job.draft.series())
        same_series(alone.options.found().read(), job.draft.series())
    assert len({job.text for job in found}) == 4
    twice = save_jobs(folder / "twice.yaml", found)[0]
    assert [job.config for job in load_jobs(twice, threads=1)] == [job.config for job in jobs]
    assert [job.options.out.parent for job in read_jobs(twice)] == [folder / "set"] * 4


@pytest.mark.parametrize("is_turned", [False, True])
def test_the_pose_of_the_window_goes_into_a_file_beside(folder: Path, is_turned: bool) -> None:
    draft, config = read_draft(folder / "needle.mrc"), WITHOUT_SEARCH.with_training(steps=3)
    pose = replace(Pose.identity(draft.n_tilts), dx=np.linspace(-1, 1, draft.n_tilts))
    shape = draft.binned_shape[1:][::-1] if is_turned else draft.binned_shape[1:]
    known = KnownPose(pose, "by hand", draft, config.preprocessing, shape, is_turned=is_turned)
    other = Job(read_draft(folder / "needle.mrc"), config.with_alignment("off"))
    path, pose_path = save_jobs(folder / "queue.yaml", [Job(draft, config), other], known=known)
    assert pose_path.parent == folder
    first, second = load_jobs(path, threads=1)
    assert first.asked is not None
    assert first.asked.pose is not None
    np.testing.assert_allclose(first.asked.pose.dx, pose.dx)
    assert first.config.preprocessing.axis == ("horizontal" if is_turned else config.preprocessing.axis)
    assert second.asked is not None
    assert second.asked.pose is None


def test_what_is_in_the_viewer_only_has_no_file(tmp_path: Path) -> None:
    with pytest.raises(StinrError, match="in this viewer only"):
        save_jobs(tmp_path / "queue.yaml", [Job(small_draft(), SHORT)])
    assert not list(tmp_path.iterdir())


def test_a_window_does_the_jobs_of_a_file_and_the_command_line_finds_them_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "jobs.yaml"
    file.write_text(JOBS)
    session = session_in(folder / "autosave")
    session.queue.extend(*load_jobs(file, threads=1))
    assert [job.text for job in session.queue.jobs] == ["one", "two"]
    run_through(session)
    assert states(session) == [JobState.DONE] * 2
    assert not list((folder / "autosave").glob("*"))
    assert main(["run", str(file)]) == 0
    assert [line.split(": ")[1].split(",")[0] for line in capsys.readouterr().out.splitlines()[:2]] == [
        "done before",
        "done before",
    ]
    assert_as_alone(folder, tmp=folder / "alone")


def test_what_the_command_line_has_begun_the_window_ends_and_the_reverse(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "jobs.yaml"
    file.write_text(JOBS)
    stop_at_step(monkeypatch, 9)
    assert main(["run", str(file)]) == 1
    monkeypatch.undo()
    assert load_reconstruction(folder / "runs" / "one.stinr").step == 9
    session = session_in(folder / "autosave")
    session.queue.extend(*load_jobs(file, threads=1))
    session.queue.start()
    wait_for(lambda: session.log.steps, session)
    session.queue.stop()
    wait_for(lambda: not session.queue.is_running, session)
    first, second = session.queue.jobs
    assert session.log.steps[0] == 10
    assert first.state in (JobState.STOPPED, JobState.DONE)
    assert second.state is JobState.WAITING
    capsys.readouterr()
    assert main(["run", str(file)]) == 0
    assert_as_alone(folder, tmp=folder / "alone")


def stop_at_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    from napari_stinr.training.trainer import Trainer

    advance = Trainer._advance

    def failing(trainer: Trainer, fraction: float) -> Any:
        if trainer.step == step:
            raise RuntimeError("the power has failed")
        return advance(trainer, fraction)

    monkeypatch.setattr(Trainer, "_advance", failing)


def assert_as_alone(folder: Path, *, tmp: Path) -> None:
    write_stack(tmp)
    (tmp / "jobs.yaml").write_text(JOBS)
    assert main(["run", str(tmp / "jobs.yaml")]) == 0
    for name in ("one", "two"):
        one, other = (load_reconstruction(place / "runs" / f"{name}.stinr") for place in (folder, tmp))
        values = one.field.state_dict(), other.field.state_dict()
        assert one.step == other.step
        assert all(torch.equal(values[0][each], values[1][each]) for each in values[0])


def test_another_run_in_the_file_is_left_alone(folder: Path) -> None:
    file = folder / "jobs.yaml"
    file.write_text(JOBS)
    assert main(["run", str(file)]) == 0
    before = (folder / "runs" / "two.stinr").read_bytes()
    file.write_text(JOBS.replace("seed: 1", "seed: 2"))
    session = session_in(folder / "autosave")
    session.queue.extend(*load_jobs(file, threads=1))
    run_through(session)
    assert states(session) == [JobState.DONE, JobState.FAILED]
    done, failed = session.queue.jobs
    assert done.remark == "done before: one.stinr"
    assert "training.seed was 1 and is 2" in failed.remark
    assert "let `stinr run` begin it --again" in failed.remark
    assert (folder / "runs" / "two.stinr").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("jobs: [{stack: needle.mrc, seconds: 4}]", "line 1, job needle: seconds is given"),
        ("jobs: [{stack: missing.mrc}]", "missing.mrc"),
        ("jobs: [{stack: needle.mrc, exclude: 99}]", "exclude has 99; expected positions from 0 to 20"),
        (
            "jobs: [{stack: needle.mrc, sed: 1}, {stack: needle.mrc, bin: x}]",
            "1 more: see stinr run jobs.yaml --dry-run",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(folder: Path, text: str, says: str) -> None:
    (folder / "jobs.yaml").write_text(text)
    with pytest.raises(StinrError) as caught:
        load_jobs(folder / "jobs.yaml", threads=1)
    assert says in str(caught.value)
