"""What a stack tells about growth and about its tilt axis."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.places import SHARED_DATA
from helpers.series_cases import growing_series
from napari_stinr.plugin.session.new_draft import draft_of_series, draft_of_stack, read_draft
from napari_stinr.plugin.session.stack_facts import axis_warning, growth_text, mean_intensity

HAADF = SHARED_DATA / "etspy" / "HAADF.mrc"


def test_growth_is_seen_and_its_size_told() -> None:
    times = np.arange(31.0)
    noise = np.random.default_rng(0).normal(scale=0.2, size=31)
    assert "rises by 30 %" in growth_text(times, 100 + times + noise)
    assert "falls by" in growth_text(times, 100 - times + noise)


@pytest.mark.parametrize("drift", [0.0, 2.0])
def test_little_more_than_noise_is_no_growth(drift: float) -> None:
    times = np.linspace(0, 1, 31)
    noise = np.random.default_rng(1).normal(scale=3, size=31)
    assert "no clear change" in growth_text(times, 100 + drift * times + noise)


def test_a_vertical_axis_is_no_reason_to_warn_and_a_horizontal_one_is() -> None:
    series = growing_series(61)
    stack = draft_of_series(series).preview.values
    assert axis_warning(stack, series.tilt_angles) == ""
    assert "90 degrees" in axis_warning(stack.transpose(0, 2, 1), series.tilt_angles)


def test_nothing_is_said_of_an_even_stack_and_without_angles() -> None:
    assert axis_warning(np.ones((5, 12, 12)), np.arange(5) * 6.0) == ""
    turned = growing_series(31).projections.transpose(0, 2, 1)
    assert axis_warning(turned, np.full(31, np.nan)) == ""


@pytest.mark.skipif(not HAADF.is_file(), reason="the shared folder with third-party test data is not here")
def test_the_axis_of_a_real_series_is_seen_to_lie_horizontally() -> None:
    draft = read_draft(HAADF)
    stack = draft.preview.values
    assert "90 degrees" in axis_warning(stack, draft.tilt_angles)
    assert axis_warning(stack.transpose(0, 2, 1), draft.tilt_angles) == ""


def test_intensity_is_the_mean_of_the_pixels_that_count() -> None:
    stack = np.arange(4 * 3 * 5, dtype=np.float32).reshape(4, 3, 5)
    mask = np.ones(stack.shape, dtype=bool)
    mask[1, :, 2:] = False
    mask[2] = False
    np.testing.assert_allclose(mean_intensity(stack), stack.mean(axis=(1, 2)))
    masked = mean_intensity(stack, mask)
    np.testing.assert_allclose(masked[[0, 1, 3]], [stack[0].mean(), stack[1, :, :2].mean(), stack[3].mean()])
    assert np.isfinite(masked[2])


def test_intensity_rises_while_something_grows() -> None:
    intensity = mean_intensity(growing_series().projections)
    assert (np.diff(intensity) > -1e-3 * intensity[0]).all()
    assert intensity[-1] > 1.2 * intensity[0]


def test_intensity_leaves_out_what_a_layer_marks_as_not_measured() -> None:
    stack = np.ones((4, 3, 5))
    stack[1, 0, 0] = np.nan
    draft = draft_of_stack(stack)
    np.testing.assert_allclose(mean_intensity(draft.preview.values, draft.preview.mask), 1.0)


def test_pixels_that_were_not_measured_do_not_hide_a_horizontal_axis() -> None:
    series = growing_series(n_tilts=31)
    turned = series.projections.transpose(0, 2, 1).astype(np.float64)
    warning = axis_warning(turned, series.tilt_angles)
    assert "horizontally" in warning
    turned[:, :, 0] = np.nan
    assert axis_warning(turned, series.tilt_angles) == warning
