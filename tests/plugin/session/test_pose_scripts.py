"""A pose that was found, read or set by hand goes into the script and beside the settings: the same volume again."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.plugin_cases import GROWTH, run_to_end, session_in, write_stack
from napari_stinr.alignment.pose_files import write_pose
from napari_stinr.cli.main import main
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.plugin.session.alignment_pose import KnownPose
from napari_stinr.plugin.session.alignment_run import prepared_series
from napari_stinr.plugin.session.new_draft import read_draft
from napari_stinr.plugin.session.scripts import python_script, save_settings

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.session import Session


def moved(n_tilts: int = 21) -> stinr.Pose:
    """Return a pose of which every list and number counts, with as many digits as there are."""
    generator = np.random.default_rng(5)
    dx, dy, angle_error, turn = (scale * generator.normal(0, 1, n_tilts) for scale in (0.6, 0.4, 0.3, 0.2))
    gain = 1 + 0.05 * generator.normal(0, 1, n_tilts)
    return stinr.Pose(dx, dy, angle_error, gain, axis_offset=1 / 3, axis_rotation=0.7, rotation=turn)


def session_with_pose(folder: Path, draft: SeriesDraft) -> Session:
    session = session_in(folder / "checkpoints", GROWTH)
    session.set_draft(draft)
    settings = session.config.preprocessing
    prepared = prepared_series(draft, settings)
    session.set_pose(
        KnownPose.of_prepared(moved(draft.n_tilts), prepared, draft, origin="set by hand", preprocessing=settings)
    )
    return session


def trained(session: Session) -> stinr.Reconstruction:
    session.start()
    run_to_end(session)
    assert session.failure == ""
    return session.reconstruction


def same(ours: stinr.Reconstruction, theirs: stinr.Reconstruction) -> None:
    np.testing.assert_array_equal(ours.render(0.0), theirs.render(0.0))
    assert ours.config == theirs.config
    assert ours.pose is not None
    assert theirs.pose is not None
    assert ours.pose.to_yaml() == theirs.pose.to_yaml()


DRAFTS = {
    "as found": lambda draft: draft,
    "corrected": lambda draft: replace(draft, crop=Crop(1, 7, 1, 14), flip_tilt=True, axis_offset=0.4),
}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.mark.parametrize("kind", DRAFTS)
def test_script_and_command_give_the_volume_of_the_window(tmp_path: Path, kind: str) -> None:
    draft = DRAFTS[kind](read_draft(write_stack(tmp_path / "needle")))
    session = session_with_pose(tmp_path, draft)
    ours, pose, settings = trained(session), session.pose, tmp_path / "my settings.yaml"
    assert pose is not None
    script = python_script(draft, session.config, device="cpu", threads=1, pose=pose)
    exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})
    same(ours, stinr.load_reconstruction("run.stinr"))
    written = save_settings(settings, draft, session.config, pose=pose)
    assert [file.name for file in written] == ["my settings.yaml", "my settings_pose.yaml"]
    (line,) = [line for line in settings.read_text().splitlines() if line.startswith("# stinr train")]
    assert main([*shlex.split(line[2:])[1:], "--threads", "1", "--device", "cpu"]) == 0
    same(ours, stinr.load_reconstruction(settings.with_suffix(".stinr")))


def test_without_the_pose_the_volume_is_another_one(tmp_path: Path) -> None:
    draft = read_draft(write_stack(tmp_path / "needle"))
    session = session_with_pose(tmp_path, draft)
    ours = trained(session)
    theirs = stinr.reconstruct(draft.series(), config=session.config, device="cpu", threads=1)
    assert np.abs(ours.render(0.0) - theirs.render(0.0)).max() > 0.1 * ours.render(0.0).max()


def test_script_looks_for_a_pose_where_start_does(tmp_path: Path) -> None:
    draft = read_draft(write_stack(tmp_path / "needle"))
    session = session_with_pose(tmp_path, draft)
    assert session.pose_of_script == "It has the pose of the page Align (set by hand)."
    # Binned, it lies elsewhere: Start aligns again.
    session.set_draft(replace(draft, binning=2))
    assert session.pose is None
    assert session.pose_of_script == "It aligns the projections itself (coarse), as Start does."
    session.align_first(False)
    assert session.pose_of_script == "It takes the projections as they lie, as Start does."


@pytest.mark.parametrize("ending", [".yaml", ".xf", ".aln"])
def test_reconstruct_takes_a_pose_from_a_file(tmp_path: Path, ending: str) -> None:
    draft = read_draft(write_stack(tmp_path / "needle"))
    series, pose, file = draft.series(), moved(), tmp_path / f"needle{ending}"
    write_pose(file, replace(pose, gain=np.ones(21)), shape=(7, 15), tilt_angles=series.tilt_angles)
    fit = {"config": GROWTH, "device": "cpu", "threads": 1}
    from_file = stinr.reconstruct(series, pose=str(file), **fit)
    known = stinr.reconstruct(series, pose=replace(pose, gain=np.ones(21)), **fit)
    assert from_file.pose is not None
    assert from_file.config.preprocessing.axis == ("auto" if ending == ".yaml" else "vertical")
    # Foreign files have fewer digits.
    tolerance = 0 if ending == ".yaml" else 0.05 * known.render(0.0).max()
    np.testing.assert_allclose(from_file.render(0.0), known.render(0.0), rtol=0, atol=tolerance)


def test_reconstruct_refuses_what_fits_nothing(tmp_path: Path) -> None:
    series = read_draft(write_stack(tmp_path / "needle")).series()
    with pytest.raises(stinr.StinrError, match="both align and pose are given"):
        stinr.reconstruct(series, pose=moved(), align="coarse")
    with pytest.raises(stinr.StinrError, match="20"):
        stinr.reconstruct(series, pose=moved(20), config=GROWTH)
    with pytest.raises(stinr.StinrError, match=r"\.txt"):
        stinr.reconstruct(series, pose=tmp_path / "pose.txt")
