"""A draft becomes the tilt series that a script reads, and says what is wrong with it before that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import pytest

from helpers.plugin_cases import same_series, small_draft, write_stack
from napari_stinr import read_tilt_series
from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError
from napari_stinr.io import write_tilt_angles, write_times
from napari_stinr.plugin.session.corrections import angles_from, times_from
from napari_stinr.plugin.session.draft import EDITED
from napari_stinr.plugin.session.new_draft import draft_of_series, draft_of_stack, read_draft

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft

ANGLES = np.linspace(0, 180, 21)
SECONDS = np.cumsum(np.random.default_rng(4).uniform(20, 90, 21)).round(3)


def edited(draft: SeriesDraft, **columns: NDArray[Any]) -> SeriesDraft:
    """Return the draft with some columns of its table edited."""
    table = {"angles": draft.tilt_angles, "times": draft.times, "used": draft.used}
    return draft.with_rows(**(table | columns))


def without(n_tilts: int, *left_out: int) -> NDArray[np.bool_]:
    """Return the column `used` with some projections left out."""
    used = np.ones(n_tilts, dtype=bool)
    used[list(left_out)] = False
    return used


def test_angles_beside_the_stack_are_found_and_no_argument_is_needed(tmp_path: Path) -> None:
    draft = read_draft(write_stack(tmp_path))
    np.testing.assert_array_equal(draft.tilt_angles, ANGLES)
    assert not draft.problem
    assert (draft.angles_argument, draft.times_argument) == ("", "")
    assert draft.time_assumed


def test_times_beside_the_stack_are_found_and_nothing_is_assumed(tmp_path: Path) -> None:
    stack = write_stack(tmp_path)
    write_times(tmp_path / "times.csv", ANGLES, SECONDS)
    draft = read_draft(stack)
    np.testing.assert_array_equal(draft.times, SECONDS)
    assert not draft.time_assumed


def test_a_stack_without_angles_opens_and_asks_for_them(tmp_path: Path) -> None:
    draft = read_draft(write_stack(tmp_path, angles=False))
    assert np.isnan(draft.tilt_angles).all()
    assert draft.pixel_size == 0.5
    assert "no tilt angle" in draft.problem
    assert any("angles are not known" in note for note in draft.notes)
    given_now = angles_from(draft, "0:9")
    assert not given_now.problem
    same_series(given_now.series(), read_tilt_series(tmp_path / "needle.mrc", tilt_angles="0:9"))


def test_times_beside_a_stack_without_angles_are_those_of_a_script(tmp_path: Path) -> None:
    stack = write_stack(tmp_path, angles=False)
    (tmp_path / "times.csv").write_text("\n".join(map(repr, SECONDS.tolist())))
    draft = angles_from(read_draft(stack), "0:9")
    same_series(draft.series(), read_tilt_series(stack, tilt_angles="0:9"))


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "missing", "two"])
def test_what_is_no_tilt_series_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    stack = write_stack(tmp_path)
    content = stack.read_bytes()
    if kind == "cut":
        stack.write_bytes(content[: len(content) // 2])
    elif kind == "text":
        stack.write_text("no stack at all")
    elif kind == "empty":
        stack.write_bytes(b"")
    elif kind == "missing":
        stack.unlink()
    else:
        with mrcfile.new(stack, np.zeros((2, 7, 15), dtype=np.float32), overwrite=True):
            pass
        write_tilt_angles(tmp_path / "needle.rawtlt", ANGLES[:2])
    with pytest.raises(StinrError, match="needle") as caught:
        read_draft(stack)
    assert caught.value.cure


def test_a_list_beside_the_stack_that_does_not_fit_is_said_and_stands_in_nobodys_way(tmp_path: Path) -> None:
    stack = write_stack(tmp_path)
    write_tilt_angles(tmp_path / "needle.rawtlt", ANGLES[:-1])
    draft = read_draft(stack)
    assert np.isnan(draft.tilt_angles).all()
    assert "20 tilt angles for needle.mrc (Tilt angles from needle.rawtlt); expected 21" in draft.notes[-1]
    write_tilt_angles(tmp_path / "right.rawtlt", ANGLES)
    same_series(
        read_draft(stack, angles=tmp_path / "right.rawtlt").series(),
        angles_from(draft, f"{tmp_path}/right.rawtlt").series(),
    )


@pytest.mark.parametrize(
    "times",
    [SECONDS + 1.7e9, 1.7 * np.arange(21), np.arange(21) / 20, np.arange(21) / 7, np.random.default_rng(5).random(21)],
    ids=["clock", "dose", "scaled", "sevenths", "all digits"],
)
def test_times_of_any_table_stay_those_of_a_script(tmp_path: Path, times: NDArray[np.float64]) -> None:
    stack = write_stack(tmp_path)
    write_times(tmp_path / "times.csv", ANGLES, times)
    same_series(read_draft(stack).series(), read_tilt_series(stack))


@pytest.mark.parametrize("name", ["other.rawtlt", "other.tlt", "other.csv"])
def test_angles_from_a_file(tmp_path: Path, name: str) -> None:
    stack, file = write_stack(tmp_path, angles=False), tmp_path / name
    header = ["tilt_angle_deg"] if name.endswith("csv") else []
    file.write_text("\n".join([*header, *map(repr, (ANGLES - 90).tolist())]))
    draft = angles_from(read_draft(stack), str(file))
    np.testing.assert_array_equal(draft.tilt_angles, ANGLES - 90)
    same_series(draft.series(), read_tilt_series(stack, tilt_angles=draft.angles_argument))


@pytest.mark.parametrize("text", ["-60:6", " -60 : 6 ", "-60.0:6.0"])
def test_angles_from_start_and_step(tmp_path: Path, text: str) -> None:
    stack = write_stack(tmp_path)
    draft = angles_from(read_draft(stack), text)
    np.testing.assert_array_equal(draft.tilt_angles, np.arange(-60, 61, 6))
    same_series(draft.series(), read_tilt_series(stack, tilt_angles=draft.angles_argument))


@pytest.mark.parametrize("order", ACQUISITION_ORDERS)
def test_times_from_an_acquisition_order(tmp_path: Path, order: str) -> None:
    stack = write_stack(tmp_path)
    draft = times_from(angles_from(read_draft(stack), "-60:6"), order)
    assert not draft.time_assumed
    same_series(draft.series(), read_tilt_series(stack, tilt_angles="-60:6", times=order))


def test_an_acquisition_order_follows_the_angles_that_are_given_after_it(tmp_path: Path) -> None:
    stack = write_stack(tmp_path)
    draft = angles_from(times_from(read_draft(stack), "dose-symmetric"), "-60:6")
    same_series(draft.series(), read_tilt_series(stack, tilt_angles="-60:6", times="dose-symmetric"))


def test_an_acquisition_order_follows_the_angles_that_are_typed_after_it(tmp_path: Path) -> None:
    stack = write_stack(tmp_path)
    draft = edited(times_from(read_draft(stack), "dose-symmetric"), angles=ANGLES - 90)
    times = draft.times.tolist() if draft.times_argument == EDITED else draft.times_argument
    same_series(draft.series(), read_tilt_series(stack, tilt_angles=(ANGLES - 90).tolist(), times=times))


@pytest.mark.parametrize("order", sorted(set(ACQUISITION_ORDERS) - {"sequential"}))
def test_an_order_by_angles_needs_them(order: str) -> None:
    draft = draft_of_stack(np.zeros((5, 4, 6)))
    with pytest.raises(StinrError, match="angles first"):
        times_from(draft, order)


def test_stack_order_needs_no_angles_and_is_then_no_assumption() -> None:
    draft = times_from(draft_of_stack(np.zeros((5, 4, 6))), "sequential")
    np.testing.assert_array_equal(draft.times, np.arange(5))
    assert not draft.time_assumed


@pytest.mark.parametrize("take", [angles_from, times_from])
@pytest.mark.parametrize("n", [20, 22])
def test_a_list_of_another_length_is_refused_with_both_numbers(tmp_path: Path, take: Any, n: int) -> None:
    file = tmp_path / "list.csv"
    column = "tilt_angle_deg" if take is angles_from else "time"
    file.write_text("\n".join([column, *map(str, range(n))]))
    with pytest.raises(StinrError, match=rf"{n} .* for 21 projections"):
        take(small_draft(), str(file))


@pytest.mark.parametrize("take", [angles_from, times_from])
@pytest.mark.parametrize("text", ["nothing.csv", "from 0 to 180", ""])
def test_what_is_neither_a_file_nor_a_rule_is_refused(tmp_path: Path, take: Any, text: str) -> None:
    with pytest.raises(StinrError) as caught:
        take(small_draft(), str(tmp_path / text) if text.endswith("csv") else text)
    assert caught.value.cure


def test_a_table_of_times_with_other_angles_is_refused(tmp_path: Path) -> None:
    write_times(tmp_path / "t.csv", ANGLES[::-1], SECONDS)
    with pytest.raises(StinrError, match="180 degrees for projection 1"):
        times_from(small_draft(), str(tmp_path / "t.csv"))


def test_what_is_not_edited_keeps_its_source() -> None:
    draft = replace(small_draft(), angles_argument="0:9", times_argument="interleaved")
    same = edited(draft)
    assert (same.angles_argument, same.times_argument) == ("0:9", "interleaved")
    assumed = edited(replace(draft, times_argument="", time_assumed=True), angles=ANGLES[::-1])
    assert (assumed.angles_argument, assumed.times_argument, assumed.time_assumed) == (EDITED, "", True)
    other_times = edited(draft, times=SECONDS)
    assert (other_times.angles_argument, other_times.times_argument, other_times.time_assumed) == ("0:9", EDITED, False)
    fewer = edited(draft, used=without(21, 3))
    assert (fewer.angles_argument, fewer.times_argument, fewer.excluded) == ("0:9", "interleaved", [3])


def test_unknown_angles_that_stay_unknown_are_not_edited() -> None:
    draft = draft_of_stack(np.zeros((5, 4, 6)))
    assert edited(draft, used=without(5, 1)).angles_argument == ""


NAN_AT_4 = np.where(np.arange(21) == 4, np.nan, ANGLES)
INF_AT_4 = np.where(np.arange(21) == 4, np.inf, np.arange(21.0))


@pytest.mark.parametrize(
    ("columns", "changes", "found"),
    [
        ({"angles": NAN_AT_4}, {}, "1 of 21 projections have no tilt angle, the first is number 5"),
        ({"angles": np.full(21, 30.0)}, {}, "all tilt angles are 30 degrees"),
        ({"angles": ANGLES + 1}, {}, "a tilt angle is 181 degrees"),
        ({"times": np.full(21, 7.0)}, {}, "all times are 7"),
        ({"times": INF_AT_4}, {}, "number 5 of the times is inf"),
        ({"times": np.r_[-1e308, np.arange(19.0), 1e308]}, {}, "the times range from -1e+308 to 1e+308"),
        ({"used": np.arange(21) < 2}, {}, "2 of 21 projections are used"),
        ({}, {"pixel_size": -1.0}, "the pixel size is -1 Å"),
        ({}, {"pixel_size": 0.0}, "the pixel size is 0 Å"),
        ({}, {"pixel_size": np.nan}, "the pixel size is nan Å"),
        ({}, {"axis_offset": 7.5}, "the axis offset is 7.5 pixels"),
        ({}, {"axis_offset": -9.0}, "the axis offset is -9 pixels"),
        ({}, {"axis_offset": np.nan}, "the axis offset is nan pixels"),
        ({}, {"binning": 8}, "7 x 15 pixels binned by 8"),
    ],
)
def test_each_wrong_thing_is_named_and_stops_the_series(columns: Any, changes: Any, found: str) -> None:
    draft = replace(edited(small_draft(), **columns), **changes)
    assert draft.problem.startswith(found)
    with pytest.raises(StinrError) as caught:
        draft.series()
    assert str(caught.value) == draft.problem
    assert caught.value.cure in draft.problem


def test_projections_without_a_pixel_that_counts_are_not_used_ones() -> None:
    mask = np.zeros((21, 7, 15), dtype=bool)
    mask[:2] = True
    draft = small_draft()
    draft = replace(draft, preview=replace(draft.preview, mask=mask))
    with pytest.raises(StinrError):
        draft.series()
    assert "2 of 21 projections" in draft.problem


def test_angle_of_a_projection_that_is_left_out_may_be_unknown() -> None:
    draft = edited(small_draft(), angles=NAN_AT_4, used=without(21, 4))
    assert not draft.problem
    assert not draft.series().used[4]


def test_one_detector_row_is_enough_as_it_is_for_a_script(tmp_path: Path) -> None:
    draft = read_draft(write_stack(tmp_path, height=1))
    assert not draft.problem
    same_series(draft.series(), read_tilt_series(tmp_path / "needle.mrc"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exclude": [0, 7, 20]},
        {"invert_contrast": True},
        {"binning": 2},
        {"flip_tilt": True, "axis_offset": -1.3, "pixel_size": 0.77},
        {"exclude": [2, 3], "invert_contrast": True, "binning": 3, "axis_offset": 0.4, "times": "interleaved"},
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_series_is_the_one_that_a_script_reads(tmp_path: Path, options: dict[str, Any], masked: bool) -> None:
    stack = write_stack(tmp_path)
    if masked:
        with mrcfile.open(stack, mode="r+") as file:
            file.data[5, :, :4] = np.nan
            file.data[9] = np.nan
    draft = read_draft(stack)
    draft = times_from(draft, options["times"]) if "times" in options else draft
    used = draft.used & without(21, *options.get("exclude", ()))
    draft = edited(draft, used=used)
    draft = replace(draft, **{name: value for name, value in options.items() if name not in ("exclude", "times")})
    same_series(draft.series(), read_tilt_series(stack, **options))
    assert not masked or not draft.series().used[9]


def test_what_is_noted_of_the_pixels_of_a_series_stays() -> None:
    said = (
        Note(NoteKind.FILE, "32768 was added to every pixel."),
        Note(NoteKind.BINNED, "Binned by 2."),
        Note(NoteKind.CONTRAST, "Contrast inverted."),
        Note(NoteKind.OTHER, "From a detector with a dead row."),
    )
    series = replace(small_draft().series(), notes=(*said, Note(NoteKind.TIMES, "Times from times.csv.")))
    again = draft_of_series(series).series()
    assert [(note.kind, note.text) for note in again.notes[:4]] == [(note.kind, note.text) for note in said]
    # Those of angles, times and size come from the draft, each once.
    assert len({note.kind for note in again.notes}) == len(again.notes)


def test_binned_shape_is_that_of_the_series() -> None:
    draft = small_draft(binning=2)
    assert draft.binned_shape == draft.series().projections.shape
    assert "7 × 3 × 7 voxels of 2 Å" in draft.summary


@pytest.mark.parametrize("shape", [(5, 1, 4, 6), (1, 5, 4, 6), (5, 4, 6)])
def test_axes_of_length_one_do_not_matter(shape: tuple[int, ...]) -> None:
    assert draft_of_stack(np.zeros(shape)).binned_shape == (5, 4, 6)


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 6), (5, 3, 4, 6)])
def test_what_is_no_stack_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(StinrError, match=rf"layer has the shape \({shape[0]}, "):
        draft_of_stack(np.zeros(shape), name="layer")
