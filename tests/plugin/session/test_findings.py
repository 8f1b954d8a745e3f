"""What is said of a series before it is trained, and that each cure does what its button says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.plugin_cases import session_in, small_draft, write_stack
from helpers.series_cases import growing_series
from napari_stinr.config import PreprocessingConfig, preset_config
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.findings import Act, Cure, Finding, Level, findings_of, most_important
from napari_stinr.plugin.session.new_draft import draft_of_stack, read_draft
from napari_stinr.plugin.session.requirements import estimate_run
from napari_stinr.plugin.session.session import Session
from napari_stinr.plugin.session.stack_facts import StackLook

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft

AUTO = PreprocessingConfig()


def recorded(**changes: Any) -> SeriesDraft:
    """Growing blobs on a background, `(31, 24, 48)`, -75 to 75 degrees, at known times."""
    series = growing_series(31, width=48, height=24)
    stack = series.projections + np.float32(885)
    draft = draft_of_stack(changes.pop("stack", stack), name="needle", pixel_size=2.0)
    angles = np.linspace(-75, 75, 31)
    return replace(draft, tilt_angles=angles, time_assumed=False, **changes)


def said(draft: SeriesDraft, config: PreprocessingConfig = AUTO, **more: Any) -> tuple[Finding, ...]:
    return findings_of(draft, config, facts=StackLook.of(draft).facts(draft), **more)


def finding(found: tuple[Finding, ...], start: str) -> Finding:
    (one,) = [one for one in found if one.text.startswith(start)]
    return one


def cure(one: Finding, label: str) -> Cure:
    (chosen,) = [cure for cure in one.cures if cure.label == label]
    return chosen


def cured(draft: SeriesDraft, start: str, label: str, **more: Any) -> SeriesDraft:
    change = cure(finding(said(draft, **more), start), label).change
    assert change is not None
    return change(draft)


def prepared(draft: SeriesDraft) -> PreprocessingConfig:
    """Return the settings that a session has for this series."""
    session = Session()
    session.set_draft(draft)
    return session.config.preprocessing


def test_a_good_series_is_right_and_says_what_will_be_reconstructed() -> None:
    found = said(recorded())
    assert {one.level for one in found} == {Level.RIGHT}
    assert found[0].text == "31 of 31 projections, -75 to 75° → 48 × 24 × 48 voxels of 2 Å (9.6 × 4.8 × 9.6 nm)"
    assert most_important(found) is None
    assert finding(found, "The total intensity rises by").cures == ()


def test_large_sizes_are_written_as_people_write_them() -> None:
    assert "(2450 × 1220 × 2450 nm)" in replace(recorded(), pixel_size=510.0).summary


def test_background_is_subtracted_or_kept_and_the_button_shows_which() -> None:
    draft = recorded()
    one = finding(said(draft), "Background 885")
    assert [(cure.label, cure.is_chosen) for cure in one.cures] == [("Subtracted", True), ("Keep", False)]
    kept = cured(draft, "Background", "Keep")
    assert prepared(kept).background == "off"
    again = finding(said(kept, prepared(kept)), "Background 885")
    assert [cure.is_chosen for cure in again.cures] == [False, True]
    change = cure(again, "Subtracted").change
    assert change is not None
    assert prepared(change(kept)).background == "auto"


def test_blank_images_are_left_out_or_used() -> None:
    stack = recorded().preview.values.copy()
    stack[[4, 20]] = 885
    draft = recorded(stack=stack)
    one = finding(said(draft), "2 blank images")
    assert [(cure.label, cure.is_chosen) for cure in one.cures] == [("Left out", True), ("Use", False)]
    assert "number 5, 21 of the stack" in one.tip
    assert prepared(cured(draft, "2 blank images", "Use")).blank_images == "keep"
    unused = draft.used.copy()
    unused[[4, 20]] = False
    assert not [one for one in said(replace(draft, used=unused)) if "blank" in one.text]


def test_a_horizontal_axis_is_asked_about_and_turned_or_kept() -> None:
    draft = recorded(stack=recorded().preview.values.transpose(0, 2, 1))
    one = finding(said(draft), "Tilt axis horizontal")
    assert one.level is Level.TO_DECIDE
    assert most_important(said(draft)) == one
    for label, axis in (("Turn", "horizontal"), ("Keep", "vertical")):
        decided = cured(draft, "Tilt axis horizontal", label)
        assert prepared(decided).axis == axis
        assert finding(said(decided, prepared(decided)), "Tilt axis").level is Level.RIGHT
        assert ("48 × 24 × 48" if axis == "horizontal" else "24 × 48 × 24") in decided.summary
    assert not [one for one in said(recorded()) if "horizontal" in one.text]


def test_times_that_are_assumed_are_chosen_or_kept() -> None:
    draft = replace(recorded(), time_assumed=True)
    one = finding(said(draft), "Times assumed")
    assert one.level is Level.TO_DECIDE
    assert cure(one, "Choose").act is Act.TIME
    kept = cured(draft, "Times assumed", "Keep")
    assert kept.times_argument == "sequential"
    np.testing.assert_array_equal(kept.times, draft.times)
    assert not [one for one in said(kept) if one.text.startswith("Times")]


def test_dark_matter_is_inverted_and_back() -> None:
    draft = recorded(stack=2000 - recorded().preview.values)
    inverted = cured(draft, "The background is brighter", "Invert")
    assert inverted.invert_contrast
    found = said(inverted)
    assert finding(found, "Dark specimen").level is Level.RIGHT
    assert finding(found, "The total intensity rises")
    assert not cured(inverted, "Dark specimen", "Undo").invert_contrast


def test_three_tilts_over_six_degrees_are_to_be_decided() -> None:
    series = growing_series(3, width=48, height=24)
    draft = replace(draft_of_stack(series.projections, pixel_size=2.0), tilt_angles=np.array([0.0, 3.0, 6.0]))
    found = said(draft)
    assert finding(found, "Small range of tilts: 6°").level is Level.TO_DECIDE
    assert finding(found, "Few projections: 3").level is Level.TO_DECIDE
    assert "as long along z" in finding(found, "Small range").tip
    kept = cured(draft, "Small range", "Keep")
    assert finding(said(kept), "Small range").level is Level.RIGHT


def test_unknown_pixel_size_gaps_and_radians_are_asked_about() -> None:
    draft = replace(recorded(), pixel_size=None)
    assert cure(finding(said(draft), "Pixel size not known"), "Give").act is Act.PIXEL_SIZE
    used = np.ones(31, dtype=bool)
    used[10:16] = False
    assert finding(said(replace(recorded(), used=used)), "Gap from -30 to 5°").level is Level.TO_DECIDE
    radians = replace(recorded(), tilt_angles=np.deg2rad(np.linspace(-75, 75, 31)))
    converted = cured(radians, "The angles span only", "Convert")
    np.testing.assert_allclose(converted.tilt_angles, np.linspace(-75, 75, 31))


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_a_blank_stack_is_wrong_and_not_ready(tmp_path: Path, value: float) -> None:
    draft = recorded(stack=np.full((31, 24, 48), value, dtype=np.float32))
    worst = most_important(said(draft))
    assert worst is not None
    assert worst.level is Level.WRONG
    assert worst.text == "All projections of this series are blank"
    assert f"all pixels of each are equal ({value:g} in the last); expected at least 3" in worst.tip
    assert worst.cures[0].act is Act.OPEN
    session = session_in(tmp_path)
    session.set_draft(draft)
    assert session.state == "Empty"
    with pytest.raises(StinrError, match="blank"):
        session.start()


def test_what_is_missing_is_wrong_with_its_cure(tmp_path: Path) -> None:
    draft = read_draft(write_stack(tmp_path, angles=False))
    worst = most_important(said(draft))
    assert worst is not None
    assert (worst.level, worst.cures[0].act) == (Level.WRONG, Act.ANGLES)
    assert "21 of 21 projections have no tilt angle" in worst.text
    few = recorded(used=np.arange(31) < 2)
    assert cured(few, "2 of 31 projections are used", "Use all").used.all()
    binned = replace(recorded(), crop=Crop(0, 3, 0, 40), binning=4)
    assert cured(binned, "3 x 40 pixels binned by 4", "Binning 1").binning == 1
    outside = replace(recorded(), crop=Crop(0, 3, 30, 48))
    assert cure(finding(said(outside), "The axis offset is -15"), "Change").act is Act.AXIS_OFFSET
    assert finding(said(recorded(), settings_problem="Too many are held out."), "Too many").level is Level.WRONG
    assert finding(said(recorded(), lost="needle.mrc has changed"), "needle.mrc").level is Level.WRONG


def test_what_does_not_fit_is_wrong_and_the_binning_that_does_is_its_button() -> None:
    estimate = estimate_run((31, 512, 512), preset_config("growth"), binning=1, available=1_500_000_000, speed=None)
    assert estimate.fitting_binning
    worst = most_important(said(recorded(), estimate=estimate))
    assert worst is not None
    assert worst.level is Level.WRONG
    assert worst.text.startswith("Needs ")
    assert worst.text.endswith("GB, 1.2 can be used")
    change = cure(worst, f"Binning {estimate.fitting_binning}").change
    assert change is not None
    assert change(recorded()).binning == estimate.fitting_binning


def test_a_disk_that_is_too_full_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # 4 % more than what is needed: a twentieth is left alone.
    enough = estimate_run((61, 512, 512), preset_config("static"), binning=1, available=1_800_000_000, speed=None)
    assert enough.disk
    monkeypatch.setattr("napari_stinr.training.fits.free_disk", lambda path: round(1.04 * enough.disk))
    monkeypatch.setattr("napari_stinr.training.requirements.free_disk", lambda path: round(1.04 * enough.disk))
    estimate = estimate_run((61, 512, 512), preset_config("static"), binning=1, available=1_800_000_000, speed=None)
    worst = most_important(said(recorded(), estimate=estimate))
    assert worst is not None
    needed, usable = (float(part.split()[0]) for part in worst.text.removeprefix("Needs ").split(", "))
    assert "GB of disk, " in worst.text
    assert needed > usable


def test_a_crop_is_told_and_undone() -> None:
    draft = replace(recorded(), crop=Crop(2, 22, 4, 44))
    assert "40 × 20 × 40 voxels" in said(draft)[0].text
    assert cured(draft, "Cropped to 20 × 40 pixels", "Whole").crop is None
    assert draft.series().projections.shape == (31, 20, 40)


def test_decisions_stay_with_another_quality_and_with_settings_changed_by_hand(tmp_path: Path) -> None:
    session = Session()
    session.set_draft(small_draft().prepared(background="off"))
    session.choose(quality="Quick look")
    assert session.config.preprocessing.background == "off"
    session.customise(session.config.with_training(steps=7))
    assert session.draft is not None
    session.set_draft(session.draft.prepared(axis="horizontal"))
    assert session.config.training.steps == 7
    assert session.config.preprocessing.axis == "horizontal"
