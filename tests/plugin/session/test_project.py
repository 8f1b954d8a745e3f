"""A project gives back all that a person has done, finds what was moved, and says what is missing or was changed."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.plugin_cases import WITHOUT_SEARCH, run_to_end, session_in, small_draft, write_stack
from napari_stinr.alignment.pose import Pose
from napari_stinr.config import PreprocessingConfig
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.alignment_pose import KnownPose
from napari_stinr.plugin.session.draft import SeriesDraft
from napari_stinr.plugin.session.new_draft import read_draft
from napari_stinr.plugin.session.project import CONTENT, PROJECT_ENDING, READ_ANEW, Project
from napari_stinr.plugin.session.project_reading import open_project
from napari_stinr.plugin.session.project_values import FileReference, decoded, encoded

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.session import Session

VIEW = {"page": "Explore", "t": 0.5}
# Of every field another value than that of a draft that nobody has corrected.
CORRECTIONS: dict[str, Any] = {
    "name": "my needle",
    "time_unit": "s",
    "pixel_size": 0.7,
    "flip_tilt": True,
    "axis_offset": -1.25,
    "binning": 2,
    "invert_contrast": True,
    "angles_argument": "edited",
    "times_argument": "edited",
    "pixel_size_given": True,
    "time_assumed": False,
    "crop": Crop(1, 6, 2, 14),
    "preprocessing": {"axis": "vertical"},
    "accepted": frozenset({"a", "b"}),
}


def corrected(draft: SeriesDraft) -> SeriesDraft:
    angles, times, used = draft.tilt_angles + 0.1, draft.times[::-1] * 1.5, draft.used.copy()
    used[[3, 5]], angles[3] = False, np.nan
    return replace(draft, tilt_angles=angles, times=times, used=used, **CORRECTIONS)


def assert_same(draft: SeriesDraft | None, expected: SeriesDraft, *, but: frozenset[str] = frozenset()) -> None:
    assert draft is not None
    for name in {one.name for one in fields(SeriesDraft)} - READ_ANEW - but:
        value, wanted = getattr(draft, name), getattr(expected, name)
        if isinstance(wanted, np.ndarray):
            np.testing.assert_array_equal(value, wanted, err_msg=name)
        else:
            assert value == wanted, name
        assert type(value) is type(wanted), name


def with_series(folder: Path, draft: SeriesDraft) -> Session:
    session = session_in(folder, WITHOUT_SEARCH)
    session.set_draft(draft)
    return session


def saved(session: Session, path: Path, **options: Any) -> Path:
    return Project.of(session, VIEW).save(path, **options)


def test_every_correction_comes_back(tmp_path):
    draft = corrected(read_draft(write_stack(tmp_path)))
    plain = read_draft(tmp_path / "needle.mrc")
    same = {"described_by", "sample", "notes", "found", "preview"}
    for name in {one.name for one in fields(SeriesDraft)} - same:
        assert not np.array_equal(getattr(draft, name), getattr(plain, name)), f"{name} is not corrected in this test"
    opened = open_project(saved(with_series(tmp_path, draft), tmp_path / f"a{PROJECT_ENDING}"))
    assert (opened.missing, opened.problems, opened.view) == ((), (), VIEW)
    assert_same(opened.draft, draft)
    np.testing.assert_array_equal(opened.draft.projections(), draft.projections())


def test_what_nobody_corrected_is_as_it_was_found(tmp_path):
    draft = read_draft(write_stack(tmp_path))
    opened = open_project(saved(with_series(tmp_path, draft), tmp_path / f"a{PROJECT_ENDING}"))
    assert opened.draft.tilt_angles is opened.draft.found.tilt_angles.values
    assert opened.draft.series().fingerprint() == draft.series().fingerprint()


def test_series_without_a_file_is_inside(tmp_path):
    draft = corrected(small_draft(sample={"grid": (48, 24, 48), "seed": 1}))
    opened = open_project(saved(with_series(tmp_path, draft), tmp_path / f"a{PROJECT_ENDING}"))
    assert_same(opened.draft, draft)
    np.testing.assert_array_equal(opened.draft.projections(), draft.projections())


def test_settings_pose_and_runs_come_back(tmp_path):
    session = with_series(tmp_path, read_draft(write_stack(tmp_path)))
    for steps in (14, 15):
        session.customise(session.config.with_training(steps=steps))
        session.start()
        run_to_end(session)
    first, second = session.runs.runs
    session.runs.rename(first, "the first")
    session.come_back(first)
    pose = replace(Pose.identity(21), dx=np.linspace(-1, 1, 21))
    preprocessing = session.config.preprocessing
    session.set_pose(KnownPose(pose, "by hand", session.draft, preprocessing, (7, 15), remarks=("a remark",)))
    session.device, session.threads = "cpu", 1
    path = saved(session, tmp_path / f"a{PROJECT_ENDING}")
    other = session_in(tmp_path)
    open_project(path).give_to(other)
    assert other.config == session.config
    assert (other.preset, other.is_customised, other.device, other.threads) == ("growth", True, "cpu", 1)
    assert (other.known_pose.origin, other.known_pose.remarks) == ("by hand", ("a remark",))
    np.testing.assert_array_equal(other.known_pose.pose.dx, pose.dx)
    assert other.known_pose.fits(other.draft, other.config)
    runs = other.runs.runs
    # The one that was worked on comes last, and is worked on again.
    assert [run.label for run in runs] == ["#1", "the first"]
    assert [run.reconstruction.step for run in runs] == [15, 14]
    assert [run.when for run in runs] == [second.when, first.when]
    assert other.reconstruction is runs[1].reconstruction
    assert other.run_draft is other.draft
    assert other.log.losses == first.log.losses
    np.testing.assert_array_equal(other.reconstruction.render(0.0), first.reconstruction.render(0.0))


def test_with_runs_by_reference_their_checkpoints_are_read(tmp_path):
    session = with_series(tmp_path, read_draft(write_stack(tmp_path)))
    session.start()
    run_to_end(session)
    path = saved(session, tmp_path / f"a{PROJECT_ENDING}", keep_runs=False)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [CONTENT]
    assert len(open_project(path).runs) == 1
    session.checkpoint.unlink()
    opened = open_project(path)
    assert opened.runs == ()
    assert "is not where it was" in opened.problems[0]
    assert opened.draft is not None


def test_moved_together_it_finds_its_files(tmp_path):
    (tmp_path / "old").mkdir()
    stack = write_stack(tmp_path / "old" / "data")
    draft = replace(read_draft(stack), angles_argument=str(stack.with_suffix(".rawtlt")))
    saved(with_series(tmp_path, draft), tmp_path / "old" / f"a{PROJECT_ENDING}")
    (tmp_path / "old").rename(tmp_path / "new")
    opened = open_project(tmp_path / "new" / f"a{PROJECT_ENDING}")
    assert opened.draft.path == (tmp_path / "new" / "data" / "needle.mrc").resolve()
    assert opened.draft.angles_argument == str(tmp_path / "new" / "data" / "needle.rawtlt")
    assert opened.problems == ()


def test_stack_that_was_moved_is_told_and_found_where_a_person_says(tmp_path):
    draft = corrected(read_draft(write_stack(tmp_path / "data")))
    path = saved(with_series(tmp_path, draft), tmp_path / f"a{PROJECT_ENDING}")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    opened = open_project(path)
    assert (opened.draft, opened.missing) == (None, ("needle.mrc",))
    assert_same(open_project(path, look_in=tmp_path / "elsewhere").draft, draft)


def test_stack_that_changed_is_told(tmp_path):
    stack = write_stack(tmp_path)
    path = saved(with_series(tmp_path, corrected(read_draft(stack))), tmp_path / f"a{PROJECT_ENDING}")
    content = bytearray(stack.read_bytes())
    content[-1] ^= 1
    stack.write_bytes(content)
    opened = open_project(path)
    assert "needle.mrc changed since the project was saved" in opened.problems[0]
    assert opened.draft.pixel_size == 0.7
    write_stack(tmp_path, n_tilts=23)
    opened = open_project(path)
    assert "has 23 projections and had 21" in opened.problems[1]
    assert opened.draft.pixel_size == 0.5


def test_it_is_written_whole_or_not_at_all_and_the_same_each_time(tmp_path):
    session = with_series(tmp_path, read_draft(write_stack(tmp_path)))
    session.start()
    run_to_end(session)
    path = saved(session, tmp_path / f"a{PROJECT_ENDING}")
    before = path.read_bytes()
    assert saved(session, path).read_bytes() == before

    def cancel(done: float, total: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saved(session, path, progress=cancel)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".stinr*"))
    with pytest.raises(StinrError, match=PROJECT_ENDING):
        saved(session, tmp_path / "a.zip")


def test_what_is_no_project_is_refused_in_one_sentence(tmp_path):
    path = saved(with_series(tmp_path, read_draft(write_stack(tmp_path))), tmp_path / f"a{PROJECT_ENDING}")
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read(CONTENT))
    bad = tmp_path / f"b{PROJECT_ENDING}"

    def rewritten(compression: int = zipfile.ZIP_STORED, **changes: Any) -> Path:
        with zipfile.ZipFile(bad, "w", compression) as archive:
            archive.writestr(CONTENT, json.dumps({**content, **changes}))
        return bad

    assert open_project(rewritten()).draft is not None
    with pytest.raises(StinrError, match="later version"):
        open_project(rewritten(version=99))
    for changes in (
        {"format": "another"}, {"version": "x"}, {"series": {}}, {"series": 3}, {"settings": {}}, {"runs": 3},
        {"runs": [{}]}, {"pose": {"pose": "x"}}, {"settings": {**content["settings"], "threads": 0}},
    ):  # fmt: skip
        with pytest.raises(StinrError, match=rf"b{PROJECT_ENDING} cannot be read"):
            open_project(rewritten(**changes))
    with pytest.raises(StinrError, match="compressed"):
        open_project(rewritten(zipfile.ZIP_DEFLATED))
    for start in (b"", b"text", path.read_bytes()[:-30]):
        bad.write_bytes(start)
        with pytest.raises(StinrError, match="cannot be read"):
            open_project(bad)
    with pytest.raises(StinrError, match="does not exist"):
        open_project(tmp_path / f"missing{PROJECT_ENDING}")


def test_values_come_back_as_they_were_and_nothing_else_is_made_of_a_file():
    values = (None, True, 3, 0.1, float("inf"), "text", (1, (2.5,)), frozenset({"x"}), {"a": (1,)}, Crop(1, 2, 3, 9))
    assert decoded(json.loads(json.dumps(encoded(values), allow_nan=False))) == values
    for bad in ({"kind": "Path", "values": {}}, {"array": [1], "shape": [1], "of": "O"}, {"other": 1}):
        with pytest.raises((LookupError, ValueError)):
            decoded(bad)
    with pytest.raises(TypeError):
        encoded(PreprocessingConfig())


def test_of_a_large_file_pieces_tell_it_from_others(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_stinr.io.series.content._WHOLE_BYTES", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(2**20))
    reference = FileReference.of(path, tmp_path)
    assert reference.is_same(path)
    shutil.copy(path, tmp_path / "copy")
    assert reference.is_same(tmp_path / "copy")
    path.write_bytes(bytes(2**19) + b"x" + bytes(2**19 - 1))
    assert not reference.is_same(path)
    assert not reference.is_same(tmp_path / "missing")
