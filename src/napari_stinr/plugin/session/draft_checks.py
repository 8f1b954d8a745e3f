"""What keeps a draft from being reconstructed, and what it is about, so that its cure can stand beside it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.checks import (
    MINIMUM_TILTS,
    check_axis_offset,
    checked_angles,
    checked_pixel_size,
    checked_times,
)
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Callable


class Topic(StrEnum):
    """What a person has to look at."""

    USED = "used"
    ANGLES = "angles"
    PIXELS = "pixels"
    BLANK = "blank"
    TIMES = "times"
    PIXEL_SIZE = "pixel size"
    AXIS_OFFSET = "axis offset"
    CROP = "crop"
    BINNING = "binning"


@dataclass(frozen=True)
class Fault:
    """Something that a person has to change before the series can be reconstructed."""

    topic: Topic
    error: StinrError


def fault_of(draft: Any) -> Fault | None:
    """Return the first thing that is wrong with a draft.

    Parameters
    ----------
    draft : SeriesDraft
        A series, valid or not yet.

    Returns
    -------
    Fault or None
        None where it can be reconstructed.
    """
    for topic, check in _CHECKS.items():
        try:
            check(draft)
        except StinrError as error:
            return Fault(topic, error)
    return None


def _check_used(draft: Any) -> None:
    n_used = int((draft.used & draft.preview.measured).sum())
    if n_used < MINIMUM_TILTS:
        raise StinrError(
            f"{n_used} of {draft.n_tilts} projections are used",
            expected=f"at least {MINIMUM_TILTS}",
            cure="Tick more of them in the table.",
        )


def _check_angles(draft: Any) -> None:
    missing = np.flatnonzero(~np.isfinite(draft.tilt_angles) & draft.used)
    n_used = int((draft.used & draft.preview.measured).sum())
    if len(missing):
        raise StinrError(
            f"{len(missing)} of {n_used} projections have no tilt angle, the first is number {missing[0] + 1}",
            expected="an angle for each that is used",
            cure="Give a file with the angles, start and step, or type them into the table.",
        )
    checked_angles(draft.filled_angles, draft.n_tilts)


def _check_pixels(draft: Any) -> None:
    if draft.preview.n_infinite:
        raise StinrError(
            f"{draft.name} has {draft.preview.n_infinite} infinite pixel(s)",
            expected="finite numbers, or NaN where nothing was measured",
            cure="Correct the layer, or set these pixels to NaN.",
        )


def _check_blank(draft: Any) -> None:
    if draft.preview.blank is not None:
        raise draft.preview.blank


def _check_axis_offset(draft: Any) -> None:
    _, height, width = draft.shape
    if draft.crop is None:
        check_axis_offset(draft.axis_offset, width)
    elif abs(draft.crop.turned_axis_offset(draft.axis_offset, height)) >= draft.cropped_shape[1] / 2:
        # Which way the axis lies is known when the pixels are looked at: one of both has to be within.
        check_axis_offset(draft.crop.axis_offset(draft.axis_offset, width), draft.cropped_shape[2])


def _check_crop(draft: Any) -> None:
    if draft.crop is not None:
        draft.crop.check(*draft.shape[1:])


def _check_binning(draft: Any) -> None:
    _, height, width = draft.binned_shape
    if height < 1 or width < 2:
        raise StinrError(
            f"{draft.cropped_shape[1]} x {draft.cropped_shape[2]} pixels binned by {draft.binning}",
            expected="at least 1 x 2 pixels",
            cure="Choose a smaller binning.",
        )


_CHECKS: dict[Topic, Callable[[Any], object]] = {
    Topic.USED: _check_used,
    Topic.PIXELS: _check_pixels,
    Topic.BLANK: _check_blank,
    Topic.ANGLES: _check_angles,
    Topic.TIMES: lambda draft: checked_times(draft.times, draft.n_tilts),
    Topic.PIXEL_SIZE: lambda draft: checked_pixel_size(draft.pixel_size),
    Topic.CROP: _check_crop,
    Topic.AXIS_OFFSET: _check_axis_offset,
    Topic.BINNING: _check_binning,
}
