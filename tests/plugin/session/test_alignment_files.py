"""Poses in files, and the same pose for another channel; what was written is taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_stinr as stinr
from helpers.plugin_cases import GROWTH, small_draft
from helpers.series_cases import growing_series
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.warp import aligned
from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.alignment_files import (
    other_channel,
    pose_of_channel,
    read_known_pose,
    save_pose,
    write_channel,
)
from napari_stinr.plugin.session.alignment_run import view_of
from napari_stinr.plugin.session.new_draft import draft_of_series, read_draft

if TYPE_CHECKING:
    from pathlib import Path

N_TILTS = 21
RANDOM = np.random.default_rng(3)


def some_pose() -> Pose:
    return Pose(
        RANDOM.normal(size=N_TILTS).round(2),
        RANDOM.normal(size=N_TILTS).round(2),
        np.zeros(N_TILTS),
        np.ones(N_TILTS),
        axis_offset=1.25,
        axis_rotation=2.0,
    )


def write_channel_file(folder: Path, *, width: int = 15, height: int = 7) -> Path:
    """Write twice the projections of `small_draft`, as if another detector had seen them; no angles beside."""
    series = growing_series(n_tilts=N_TILTS, width=width, height=height)
    stinr.write_tilt_series(folder / "other.mrc", 2 * series.projections, pixel_size=0.5)
    return folder / "other.mrc"


@pytest.mark.parametrize("ending", ["yaml", "xf", "aln"])
@pytest.mark.parametrize("is_turned", [False, True])
def test_saved_pose_is_loaded_again(tmp_path: Path, ending: str, is_turned: bool) -> None:
    draft, config = small_draft(N_TILTS), GROWTH
    if is_turned:
        series = growing_series(n_tilts=N_TILTS, width=15, height=7)
        draft = draft_of_series(replace(series, projections=np.rot90(series.projections, axes=(1, 2)).copy()))
        config = GROWTH.with_preprocessing(axis="horizontal")
    view = view_of(draft, config)
    assert view.is_turned is is_turned
    known = view.known(some_pose(), "given by a test")
    path = tmp_path / f"needle.{ending}"
    save_pose(path, known)
    read = read_known_pose(path, view)
    assert read.origin == f"read from needle.{ending}"
    for k in (0, 7, 20):
        for one, other in zip(read.pose.places((7, 15), k), known.pose.places((7, 15), k), strict=True):
            np.testing.assert_allclose(one, other, atol=0.02)


def test_saving_is_taken_back_with_all_its_files(tmp_path: Path) -> None:
    known = view_of(small_draft(N_TILTS), GROWTH).known(some_pose(), "given by a test")
    path = tmp_path / "needle.xf"
    written, _ = save_pose(path, known)
    assert {file.name for file in tmp_path.iterdir()} == {"needle.xf", "needle.tlt", "needle.xtilt"}
    written.undo()
    assert not list(tmp_path.iterdir())


def test_saving_over_a_file_is_taken_back(tmp_path: Path) -> None:
    known = view_of(small_draft(N_TILTS), GROWTH).known(some_pose(), "given by a test")
    path = tmp_path / "needle.yaml"
    save_pose(path, known)
    before = path.read_text()
    written, _ = save_pose(path, known.moved(Pose.identity(N_TILTS), "set by hand"))
    assert path.read_text() != before
    written.undo()
    assert path.read_text() == before


def test_file_that_somebody_changed_meanwhile_is_not_taken_away(tmp_path: Path) -> None:
    known = view_of(small_draft(N_TILTS), GROWTH).known(some_pose(), "given by a test")
    written, _ = save_pose(tmp_path / "needle.yaml", known)
    (tmp_path / "needle.yaml").write_text("mine")
    with pytest.raises(StinrError, match="changed after it was written"):
        written.undo()
    assert (tmp_path / "needle.yaml").read_text() == "mine"


def test_format_without_gains_says_so(tmp_path: Path) -> None:
    known = view_of(small_draft(N_TILTS), GROWTH).known(replace(some_pose(), gain=np.linspace(1, 2, N_TILTS)), "")
    _, remarks = save_pose(tmp_path / "needle.aln", known)
    assert len(remarks) == 1
    assert "gains" in remarks[0]


def test_pose_of_another_series_is_refused(tmp_path: Path) -> None:
    known = view_of(small_draft(N_TILTS), GROWTH).known(some_pose(), "")
    save_pose(tmp_path / "needle.yaml", known)
    with pytest.raises(StinrError, match="the pose of 21 projections"):
        read_known_pose(tmp_path / "needle.yaml", view_of(small_draft(15), GROWTH))


def test_other_channel_has_angles_times_and_pose_of_the_first(tmp_path: Path) -> None:
    draft = small_draft(N_TILTS, axis_offset=0.5, flip_tilt=True)
    known = view_of(draft, GROWTH).known(some_pose(), "found by Align (coarse)")
    other = other_channel(write_channel_file(tmp_path), known)
    np.testing.assert_array_equal(other.tilt_angles, draft.tilt_angles)
    np.testing.assert_array_equal(other.times, draft.times)
    assert (other.axis_offset, other.flip_tilt) == (0.5, True)
    assert not other.problem
    np.testing.assert_allclose(other.series().projections, 2 * draft.series().projections, rtol=1e-6)
    settings = GROWTH.with_preprocessing(**other.preprocessing)
    taken = pose_of_channel(other, known, settings.preprocessing)
    assert taken.fits(other, settings)
    assert taken.origin == "taken over from needle"


def test_channel_of_another_size_is_refused(tmp_path: Path) -> None:
    known = view_of(small_draft(N_TILTS), GROWTH).known(some_pose(), "")
    with pytest.raises(StinrError, match="recorded together with this series"):
        other_channel(write_channel_file(tmp_path, width=16), known)


def test_aligned_channel_is_written_whole_and_taken_back(tmp_path: Path) -> None:
    known = view_of(small_draft(N_TILTS), GROWTH).known(some_pose(), "")
    path, out = write_channel_file(tmp_path), tmp_path / "out.mrc"
    written = write_channel(path, out, known, GROWTH.preprocessing)
    read = read_draft(out).series()
    np.testing.assert_allclose(read.tilt_angles, known.draft.tilt_angles, atol=1e-3)
    prepared = other_channel(path, known).series()
    expected = aligned(prepared, known.pose)
    background = np.ptp(read.projections[expected.mask] - expected.projections[expected.mask])
    assert background < 0.05 * np.ptp(expected.projections)
    with pytest.raises(StinrError, match="a new name"):
        write_channel(path, out, known, GROWTH.preprocessing)
    written.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["other.mrc"]
