"""The slice that is seen while the axis is moved by hand, and the picture on which the axis is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.plugin_cases import GROWTH
from helpers.series_cases import blob_projection
from napari_stinr.alignment.pose import Pose
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.plugin.session.alignment_run import SeriesView, view_of
from napari_stinr.plugin.session.alignment_slice import preview_slice, summed
from napari_stinr.plugin.session.new_draft import draft_of_series

ANGLES = np.arange(0.0, 180.0, 4.0)
BLOB = (8.0, -3.0, 5.0, 4.0)
"""z, y, x from the axis, and height."""


def seen(*, axis_offset: float = 0.0, height: int = 21, width: int = 51) -> SeriesView:
    """Return a view of one blob, recorded with the axis beside the centre."""
    images = np.stack([blob_projection(height, width, (BLOB,), angle) for angle in ANGLES])
    images = np.roll(images, int(axis_offset), axis=2)
    return view_of(draft_of_series(TiltSeries(images, ANGLES, pixel_size=1.0)), GROWTH)


def pose(**changes: float) -> Pose:
    return replace(Pose.identity(len(ANGLES)), **changes)


def test_blob_is_where_the_geometry_says() -> None:
    view = seen()
    volume = preview_slice(view, pose(), row=10 + int(BLOB[1]))
    z, x = np.unravel_index(int(volume.argmax()), volume.shape)
    assert (z - 25, x - 25) == (BLOB[0], BLOB[2])
    assert np.abs(preview_slice(view, pose(), row=20)).max() < 0.02 * volume.max()


@pytest.mark.parametrize("offset", [4.0, -3.0])
def test_slice_is_sharp_where_the_axis_is_right(offset: float) -> None:
    view = seen(axis_offset=offset)
    peaks = [preview_slice(view, pose(axis_offset=at), row=7).max() for at in (offset - 3, offset, offset + 3)]
    assert peaks[1] > 1.3 * max(peaks[0], peaks[2])


def test_turned_axis_and_shifts_are_undone() -> None:
    view = seen()
    straight = preview_slice(view, pose(), row=7)
    turned = preview_slice(view, pose(axis_rotation=25.0), row=7)
    assert turned.max() < 0.8 * straight.max()
    moved = replace(pose(), dx=4.0 * (-1) ** np.arange(len(ANGLES)))
    assert preview_slice(view, moved, row=7).max() < 0.8 * straight.max()


def test_wide_series_has_larger_pixels_and_the_same_slice() -> None:
    images = np.stack([blob_projection(5, 600, ((60.0, 0.0, 90.0, 4.0),), angle) for angle in ANGLES])
    wide = np.repeat(images, 3, axis=1)
    view = view_of(draft_of_series(TiltSeries(wide, ANGLES)), GROWTH)
    volume = preview_slice(view, pose(), row=7)
    n = len(volume)
    assert n <= 256
    z, x = (np.array(np.unravel_index(int(volume.argmax()), volume.shape)) - (n - 1) / 2) * 600 / n
    assert (z, x) == pytest.approx((60, 90), abs=3)


def test_shifts_are_undone_in_the_sum_and_the_axis_is_left() -> None:
    shifts = np.round(4 * np.sin(np.arange(len(ANGLES))))
    images = np.stack([blob_projection(21, 51, ((0.0, 0.0, 0.0, 4.0),), angle) for angle in ANGLES])
    rolled = np.stack([np.roll(image, int(y), 0) for image, y in zip(images, shifts, strict=True)])
    view = view_of(
        draft_of_series(TiltSeries(rolled, ANGLES)), GROWTH.with_preprocessing(axis="vertical", bad_pixels="keep")
    )
    undone = replace(pose(axis_offset=7.0, axis_rotation=10.0), dy=shifts)
    for is_maximum in (False, True):
        image = summed(view, undone, is_maximum=is_maximum)
        assert np.unravel_index(int(image.argmax()), image.shape) == (10, 25)
        assert (image > 0.5 * image.max()).sum() < (summed(view, pose(), is_maximum=True) > 0.5 * image.max()).sum()
