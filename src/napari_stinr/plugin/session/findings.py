"""What a person should know of a series before it is trained: what is right, to be decided or wrong, with the cures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.checks import asked_about_radians
from napari_stinr.data.coverage import Coverage
from napari_stinr.data.numbers import number_text
from napari_stinr.data.preprocessing.defects import ranges
from napari_stinr.plugin.session.corrections import misfit, times_from
from napari_stinr.plugin.session.draft import EDITED
from napari_stinr.plugin.session.draft_checks import Topic
from napari_stinr.plugin.session.stack_facts import growth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_stinr.config import PreprocessingConfig
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.draft_checks import Fault
    from napari_stinr.plugin.session.requirements import Estimate
    from napari_stinr.plugin.session.stack_facts import StackFacts

_GB = 1e9


class Level(IntEnum):
    """How bad it is."""

    RIGHT = 0
    TO_DECIDE = 1
    WRONG = 2


class Act(StrEnum):
    """What a cure does that is no change of the draft: the page knows how."""

    OPEN = "open"
    ANGLES = "angles"
    TIME = "time"
    PIXEL_SIZE = "pixel size"
    AXIS_OFFSET = "axis offset"
    TABLE = "table"
    CROP = "crop"
    SETTINGS = "settings"


@dataclass(frozen=True)
class Cure:
    """A button beside a finding.

    Parameters
    ----------
    label : str
        One word or two.
    change : callable, optional
        What it makes of the draft.
    act : Act, optional
        What the page does instead.
    is_chosen : bool
        It is how things are now, beside what else can be chosen.
    tip : str
        A sentence.
    """

    label: str
    change: Callable[[SeriesDraft], SeriesDraft] | None = field(default=None, compare=False)
    act: Act | None = None
    is_chosen: bool = False
    tip: str = ""


@dataclass(frozen=True)
class Finding:
    """A sentence on a series.

    Parameters
    ----------
    level : Level
        How bad it is.
    text : str
        A few words, the same in the foot.
    cures : tuple of Cure
        What can be done about it.
    tip : str
        More about it; "" where the text says all.
    """

    level: Level
    text: str
    cures: tuple[Cure, ...] = ()
    tip: str = ""


def findings_of(
    draft: SeriesDraft,
    preprocessing: PreprocessingConfig,
    *,
    facts: StackFacts | None = None,
    lost: str = "",
    estimate: Estimate | None = None,
    settings_problem: str = "",
) -> tuple[Finding, ...]:
    """Say what is to be said of a series, the worst first.

    Parameters
    ----------
    draft : SeriesDraft
        The series, valid or not yet.
    preprocessing : PreprocessingConfig
        What the training will do to it.
    facts : StackFacts, optional
        What its pixels tell, where they have been looked at.
    lost : str
        Why they cannot be read any more.
    estimate : Estimate, optional
        What the training will need.
    settings_problem : str
        What is wrong with the settings for this series.

    Returns
    -------
    tuple of Finding
        At least one.
    """
    found = [
        *_faults(draft, lost, estimate, settings_problem),
        *_assumptions(draft),
        *_coverage(draft),
    ]
    is_blank = draft.fault is not None and draft.fault.topic is Topic.BLANK
    if facts is not None and not is_blank:
        found += [*_axis(draft, preprocessing, facts), *_background(draft, preprocessing, facts)]
        found += [*_blank(draft, preprocessing, facts), *_growth(draft, facts)]
    found += _corrections(draft)
    return tuple(sorted(found, key=lambda finding: -finding.level))


def most_important(findings: tuple[Finding, ...]) -> Finding | None:
    """Return the first that is wrong, else the first that is to be decided; None where all is right."""
    return max((one for one in findings if one.level), key=lambda one: one.level, default=None)


def _faults(draft: SeriesDraft, lost: str, estimate: Estimate | None, settings_problem: str) -> Iterator[Finding]:
    fault = draft.fault
    if lost:
        yield Finding(Level.WRONG, lost, (Cure("Open…", act=Act.OPEN),))
    if fault is not None:
        yield _fault(draft, fault)
        return
    if settings_problem:
        yield Finding(Level.WRONG, settings_problem, (Cure("Settings", act=Act.SETTINGS),))
    if estimate is not None and estimate.problem:
        yield _misfit_of_memory(estimate)
    yield Finding(Level.RIGHT, draft.summary)


def _fault(draft: SeriesDraft, fault: Fault) -> Finding:
    error = fault.error
    text = misfit(draft) if fault.topic is Topic.ANGLES else ""
    cures = {
        Topic.USED: Cure("Use all", lambda d: replace(d, used=d.preview.measured)),
        Topic.ANGLES: Cure("Give", act=Act.ANGLES, tip="Type first angle and step, or drop a file there."),
        Topic.PIXELS: Cure("Open…", act=Act.OPEN),
        Topic.BLANK: Cure("Open…", act=Act.OPEN, tip="Open another stack."),
        Topic.TIMES: Cure("Choose", act=Act.TIME),
        Topic.PIXEL_SIZE: Cure("Give", act=Act.PIXEL_SIZE),
        Topic.AXIS_OFFSET: Cure("Change", act=Act.AXIS_OFFSET),
        Topic.CROP: Cure("Whole", lambda d: replace(d, crop=None), tip="Use the whole images."),
        Topic.BINNING: Cure("Binning 1", lambda d: replace(d, binning=1)),
    }
    said = text or f"{error.found}; expected {error.expected}."
    if fault.topic is Topic.BLANK:
        said, _, _ = error.found.partition(":")
    return Finding(Level.WRONG, said[:1].upper() + said[1:], (cures[fault.topic],), tip=text or str(error))


def _misfit_of_memory(estimate: Estimate) -> Finding:
    from napari_stinr.training.estimates import USABLE_DISK, USABLE_FRACTION

    binning = estimate.fitting_binning
    cure = (
        Cure("Crop", act=Act.CROP, tip="Use a part of the images.")
        if binning is None
        else Cure(f"Binning {binning}", lambda d: replace(d, binning=binning))
    )
    of_what, needed, usable = "", estimate.memory, USABLE_FRACTION * estimate.available
    if estimate.disk:
        # Where a volume on files is told of, there is enough memory for it.
        of_what, needed, usable = " of disk", estimate.disk, USABLE_DISK * estimate.free_disk
    taken, free = (number_text(size / _GB, 2) for size in (needed, usable))
    return Finding(Level.WRONG, f"Needs {taken} GB{of_what}, {free} can be used", (cure,), tip=estimate.problem)


def _assumptions(draft: SeriesDraft) -> Iterator[Finding]:
    """Ask for what nothing in the files tells."""
    angles = draft.filled_angles
    if draft.time_assumed:
        tip = (
            "Nothing tells when the projections were taken. Contamination is told by time: choose the order of "
            "recording, or keep that of the stack."
        )
        keep = Cure("Keep", lambda d: times_from(d, "sequential"), tip="They were recorded in the order of the stack.")
        yield Finding(Level.TO_DECIDE, "Times assumed: order in the file", (Cure("Choose", act=Act.TIME), keep), tip)
    if draft.pixel_size is None:
        yield _asked(
            draft, "pixel size", "Pixel size not known", Cure("Give", act=Act.PIXEL_SIZE), tip="Lengths are in pixels."
        )
    question = asked_about_radians((), angles) if np.isfinite(angles).all() else ()
    if question:
        turn = Cure("Convert", lambda d: d.with_angles(np.rad2deg(d.tilt_angles), EDITED), tip="They are radians.")
        text = f"The angles span only {np.ptp(angles):.3g}°: radians?"
        yield _asked(draft, "radians", text, turn, tip=question[0])


def _asked(draft: SeriesDraft, key: str, text: str, *cures: Cure, tip: str) -> Finding:
    """Return what a person may leave as it is: said again, and no longer asked."""
    if key in draft.accepted:
        return Finding(Level.RIGHT, text, cures, tip)
    keep = Cure("Keep", lambda d: d.accept(key), tip="Leave it as it is.")
    return Finding(Level.TO_DECIDE, text, (*cures, keep), tip)


def _coverage(draft: SeriesDraft) -> Iterator[Finding]:
    seen = Coverage.of(draft.tilt_angles, draft.used)
    if seen is None:
        return
    for key, text, note in (
        ("range", f"Small range of tilts: {seen.covered:.3g}°", seen.narrow_note),
        ("few", f"Few projections: {seen.n_tilts}", seen.few_note),
        (
            "gap",
            "Gap between tilts" if seen.gap is None else f"Gap from {seen.gap[0]:g} to {seen.gap[1]:g}°",
            seen.gap_note,
        ),
    ):
        if note is not None:
            yield _asked(draft, key, text, tip=note)


def _axis(draft: SeriesDraft, preprocessing: PreprocessingConfig, facts: StackFacts) -> Iterator[Finding]:
    turn = Cure(
        "Turn", lambda d: d.prepared(axis="horizontal"), tip="Turn the projections by 90° before they are trained."
    )
    keep = Cure("Keep", lambda d: d.prepared(axis="vertical"), tip="The tilt axis is vertical: turn nothing.")
    is_turned = preprocessing.axis == "horizontal"
    if preprocessing.axis == "auto" and facts.axis.is_horizontal:
        tip = "Neighbouring tilts are alike along the columns. Unless you keep them, the projections are turned by 90°."
        yield Finding(Level.TO_DECIDE, "Tilt axis horizontal", (turn, keep), tip)
    elif preprocessing.axis == "auto" and facts.axis.is_doubtful:
        tip = "The projections do not tell. It is taken as vertical; turn them if the volume looks smeared."
        yield Finding(Level.TO_DECIDE, "Tilt axis may be horizontal", (turn, keep), tip)
    elif is_turned or facts.axis.is_horizontal:
        cures = (replace(turn, label="Turned" if is_turned else "Turn", is_chosen=is_turned),)
        text = "Tilt axis horizontal" if is_turned else "Tilt axis looks horizontal, kept"
        tip = ""
        if is_turned:
            tip = "The projections are trained turned by 90°, and shown " + (
                "like that." if draft.is_turned else "as they lie in the file: press Turned to see them turned, too."
            )
        yield Finding(Level.RIGHT, text, (*cures, replace(keep, is_chosen=not is_turned)), tip)
    elif np.isfinite(facts.axis.shifted):
        yield Finding(Level.RIGHT, "Tilt axis vertical")


def _background(draft: SeriesDraft, preprocessing: PreprocessingConfig, facts: StackFacts) -> Iterator[Finding]:
    found, way = facts.background, preprocessing.background
    keep = Cure("Keep", lambda d: d.prepared(background="off"), tip="Subtract nothing.")
    if draft.invert_contrast:
        undo = Cure("Undo", lambda d: replace(d, invert_contrast=False))
        yield Finding(Level.RIGHT, "Dark specimen: contrast inverted", (undo,))
    elif preprocessing.background_level is not None:
        yield Finding(Level.RIGHT, f"Background {number_text(preprocessing.background_level)} subtracted, as given")
    elif facts.is_bright:
        invert = Cure(
            "Invert", lambda d: replace(d, invert_contrast=True), tip="The specimen is dark: background minus it."
        )
        text, tip = "The background is brighter than the specimen", "Matter has to be bright in the projections."
        yield _asked(draft, "contrast", text, invert, tip=tip)
    elif found.is_common and found.common:
        is_kept = way == "off"
        subtract = Cure(
            "Subtracted", lambda d: d.prepared(background="auto"), is_chosen=not is_kept,
            tip="What the detector counts beside the specimen is no matter.",
        )  # fmt: skip
        text = f"Background {number_text(found.common)}"
        yield Finding(Level.RIGHT, text, (subtract, replace(keep, is_chosen=is_kept)))
    elif found.is_missed and way == "auto":
        tip = (
            f"No part of the projections is clearly empty, and none is darker than {number_text(found.lowest)}: "
            "nothing is subtracted. Where you know the level, give it under Preprocessing."
        )
        settings = Cure("Give", act=Act.SETTINGS, tip="Background level, under Preprocessing.")
        yield Finding(Level.TO_DECIDE, "Background not known", (settings, keep), tip)
    elif way == "off":
        yield Finding(Level.RIGHT, "No background subtracted")


def _blank(draft: SeriesDraft, preprocessing: PreprocessingConfig, facts: StackFacts) -> Iterator[Finding]:
    blank = np.flatnonzero(facts.blank & draft.used)
    if not len(blank):
        return
    is_left_out = preprocessing.blank_images == "mask"
    text = "1 blank image" if len(blank) == 1 else f"{len(blank)} blank images"
    leave = Cure("Left out", lambda d: d.prepared(blank_images="mask"), is_chosen=is_left_out)
    use = Cure("Use", lambda d: d.prepared(blank_images="keep"), is_chosen=not is_left_out)
    tip = f"With next to no signal: number {ranges(blank + 1)} of the stack."
    yield Finding(Level.RIGHT, text, (leave, use), tip)


def _growth(draft: SeriesDraft, facts: StackFacts) -> Iterator[Finding]:
    background = facts.background.common if facts.background.is_common else 0.0
    intensity = facts.sides - facts.intensity if draft.invert_contrast else facts.intensity - background
    used = draft.used & ~facts.blank
    growth = growth_of(draft.times[used], intensity[used])
    if growth is None:
        return
    how = "From the first projection to the last, by a straight line"
    if growth < 0:
        tip = f"{how}: something was lost, or the contrast is inverted."
        yield _asked(draft, "growth", f"The total intensity falls by {-growth:.0%}", tip=tip)
    elif growth:
        yield Finding(Level.RIGHT, f"The total intensity rises by {growth:.0%}", tip=f"{how}: something was growing.")
    else:
        yield Finding(Level.RIGHT, "No clear change of the total intensity", tip=f"{how}.")


def _corrections(draft: SeriesDraft) -> Iterator[Finding]:
    if draft.crop is not None and draft.fault is None:
        height, width = draft.crop.shape
        whole = Cure("Whole", lambda d: replace(d, crop=None), tip="Use the whole images.")
        yield Finding(Level.RIGHT, f"Cropped to {height} × {width} pixels", (Cure("Change", act=Act.CROP), whole))
