"""The alignment on its own: what is found and seen of it, and that a training takes it and does not align again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.plugin_cases import GROWTH, WITHOUT_SEARCH, end_all_trainings, run_to_end, session_in
from helpers.series_cases import growing_series
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.warp import aligned
from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.alignment_history import MOST_ACTS, Act, History
from napari_stinr.plugin.session.alignment_pose import KnownPose
from napari_stinr.plugin.session.alignment_run import PoseLook, find_pose, nudged, view_of
from napari_stinr.plugin.session.new_draft import draft_of_series
from napari_stinr.plugin.session.states import Action
from napari_stinr.plugin.session.tasks import Cancelled, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft

N_TILTS = 21
DX = np.array([0, 1, -1, 0, 2, -2, 0, 1, -1, 0, 0, 3, 0, -1, 1, 0, 2, 0, -2, -1, 1], dtype=float)
DY = np.linspace(-2, 2, N_TILTS).round()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    end_all_trainings()


def shifted_draft(**options: Any) -> SeriesDraft:
    """Blobs of which some projections were shifted by whole pixels while they were recorded."""
    series = growing_series(**{"n_tilts": N_TILTS, "width": 31, "height": 14, **options})
    images = [np.roll(image, (int(y), int(x)), (0, 1)) for image, x, y in zip(series.projections, DX, DY, strict=True)]
    return draft_of_series(replace(series, projections=np.stack(images)))


def known_pose(draft: SeriesDraft, **options: Any) -> KnownPose:
    """Return the pose that undoes the shifts of `shifted_draft`."""
    pose = replace(Pose.identity(N_TILTS), dx=DX, dy=DY)
    return KnownPose(pose, "given by a test", draft, GROWTH.preprocessing, draft.binned_shape[1:], **options)


def test_shifts_are_found_and_gone_once_they_are_undone() -> None:
    told: list[float] = []

    class Told(Progress):
        def __call__(self, done: float, total: float, remark: str = "", /) -> None:
            told.append(done / total)

    known, look = find_pose(shifted_draft(), GROWTH, Told(), method="coarse", threads=1)
    assert told == []  # too small for fits, of which there would be something to tell
    np.testing.assert_allclose(known.pose.dy, DY, atol=0.7)
    before, after = look.shifts(aligned=False), look.shifts(aligned=True)
    assert before is not None
    assert after is not None
    for as_recorded, left in zip(before, after, strict=True):
        assert np.abs(np.diff(left)).max() < 0.3 * np.abs(np.diff(as_recorded)).max()
    likeness = [np.nanmin(look.correlation(aligned=is_aligned)) for is_aligned in (False, True)]
    assert likeness[1] > likeness[0] + 0.2
    as_recorded, straight = look.sinogram(aligned=False), look.sinogram(aligned=True)
    assert as_recorded.shape == straight.shape == (N_TILTS, 31)
    roughness = [np.abs(np.diff(rows, axis=0)).mean() for rows in (as_recorded, straight)]
    assert roughness[1] < 0.8 * roughness[0]
    assert "Largest shift" in " ".join(known.describe())


def test_a_search_ends_where_its_progress_is_cancelled() -> None:
    draft = draft_of_series(growing_series(n_tilts=31, width=31, height=20))
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        find_pose(draft, GROWTH, progress, method="coarse", threads=1)


def test_check_warns_of_shifts_and_no_longer_once_they_are_undone() -> None:
    drift = np.linspace(-4, 4, N_TILTS).round()
    series = growing_series(n_tilts=N_TILTS, width=31, height=20)
    images = [np.roll(image, int(y), 0) for image, y in zip(series.projections, drift, strict=True)]
    draft = draft_of_series(replace(series, projections=np.stack(images)))
    view = view_of(draft, GROWTH)
    assert "shifted against each other" in view.warning
    assert view.warning.endswith("press Align.")
    pose = replace(Pose.identity(N_TILTS), dy=drift)
    assert "shifted" not in PoseLook.at(view, pose, threads=1).warning


@pytest.mark.parametrize(
    ("changes", "still_fits"),
    [
        ({"times": np.arange(N_TILTS)[::-1].astype(float)}, True),
        ({"pixel_size": 3.0, "flip_tilt": True, "name": "other"}, True),
        ({"used": np.arange(N_TILTS) != 4}, True),
        ({"binning": 2}, False),
        ({"axis_offset": 1.0}, False),
        ({"invert_contrast": True}, False),
        ({"tilt_angles": np.linspace(-60, 60, N_TILTS)}, False),
    ],
)
def test_pose_fits_until_what_it_rests_on_changes(changes: dict[str, Any], still_fits: bool) -> None:
    draft = shifted_draft()
    assert known_pose(draft).fits(replace(draft, **changes), GROWTH) is still_fits


def test_pose_does_not_fit_what_nobody_has_looked_at() -> None:
    draft = shifted_draft()
    fewer = replace(draft, used=np.arange(N_TILTS) != 4)
    assert not known_pose(fewer).fits(draft, GROWTH)
    assert not known_pose(draft).fits(draft, GROWTH.with_preprocessing(intensity="keep"))
    assert not known_pose(draft).fits(None, GROWTH)
    assert not known_pose(draft).fits(draft_of_series(growing_series(n_tilts=7, width=31, height=20)), GROWTH)


def test_training_takes_the_pose_and_does_not_align_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("aligned again")

    monkeypatch.setattr("napari_stinr.training.aligning.align_prepared", refuse)
    session = session_in(tmp_path, WITHOUT_SEARCH)
    draft = shifted_draft()
    session.set_draft(draft)
    session.set_pose(known_pose(draft))
    session.start()
    run_to_end(session)
    assert session.state == "Done", session.failure
    np.testing.assert_array_equal(session.reconstruction.pose.dx, DX)
    np.testing.assert_array_equal(session.reconstruction.pose.dy, DY)
    assert session.run_notes[0] == "Not aligned again: the pose of the page Align was taken (given by a test)."
    expected = aligned(draft.series(), known_pose(draft).pose)
    inside = expected.mask
    difference = session.series.projections - expected.projections
    assert np.ptp(difference[inside]) < 1e-3 * np.ptp(expected.projections)  # a background apart


def test_what_a_training_found_is_not_looked_for_by_the_next_one(tmp_path: Path) -> None:
    session = session_in(tmp_path, WITHOUT_SEARCH)
    session.set_draft(shifted_draft())
    session.start()
    run_to_end(session)
    assert session.known_pose.origin == "found by the last run"
    np.testing.assert_array_equal(session.pose.dx, session.reconstruction.pose.dx)
    assert not session.run_notes[0].startswith("Not aligned again")


def test_training_without_the_tick_takes_what_was_recorded(tmp_path: Path) -> None:
    session = session_in(tmp_path, WITHOUT_SEARCH)
    draft = shifted_draft()
    session.set_draft(draft)
    session.set_pose(known_pose(draft))
    session.align_first(False)
    assert session.pose is None
    session.start()
    run_to_end(session)
    assert session.reconstruction.pose is None
    session.align_first(True)
    assert session.pose is not None


def test_tick_is_kept_by_other_choices_and_is_what_the_settings_say(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    session.choose(preset="growth", quality="High")
    assert (session.aligns_first, session.method) == (True, "joint")
    session.align_first(False)
    assert session.config.alignment.method == "off"
    assert not session.is_customised
    session.choose(quality="Standard")
    assert session.config.alignment.method == "off"
    session.align_first(True)
    assert session.config.alignment.method == session.method == "coarse"


def test_nothing_else_begins_while_a_pose_is_looked_for(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    session.set_draft(shifted_draft())
    session.set_aligning(True)
    for action in (Action.START, Action.ALIGN, Action.RESUME_FROM_FILE):
        assert "being aligned" in session.why_not(action)
    with pytest.raises(StinrError, match="stop that on the page Align"):
        session.start()
    session.set_aligning(False)
    assert not session.why_not(Action.START)


def test_another_stack_has_no_pose(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    draft = shifted_draft()
    session.set_draft(draft)
    session.set_pose(known_pose(draft))
    session.set_draft(shifted_draft())
    assert session.known_pose is None


@pytest.mark.parametrize("rotation", [0.0, 20.0])
def test_nudged_image_goes_where_it_was_pushed(rotation: float) -> None:
    series = growing_series(n_tilts=5, width=31, height=31)
    pose = replace(Pose.identity(5), axis_rotation=rotation)
    moved = nudged(pose, 2, x=3.0, y=-2.0)
    before, after = (aligned(series, at).projections for at in (pose, moved))
    inner = slice(8, -8)
    np.testing.assert_allclose(after[2][inner, inner], np.roll(before[2], (-2, 3), (0, 1))[inner, inner], atol=0.02)
    np.testing.assert_allclose(after[1], before[1], atol=1e-5)


def test_history_takes_back_one_act_after_the_other() -> None:
    history, done = History(), list[int]()
    for number, kind in enumerate(("", "nudge 3", "nudge 3", "nudge 4")):
        history.add(Act(f"act {number}", lambda number=number: done.append(number), kind))
    assert history.newest is not None
    assert history.newest.title == "act 3"
    while history.take_back() is not None:
        pass
    assert done == [3, 1, 0]
    for number in range(MOST_ACTS + 5):
        history.add(Act(str(number), lambda: None))
    history.clear()
    assert history.take_back() is None
