"""What a stack tells about growth, background, blank images and its tilt axis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.places import SHARED_DATA
from helpers.series_cases import growing_series
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.plugin.session import stack_facts
from napari_stinr.plugin.session.new_draft import draft_of_stack, read_draft
from napari_stinr.plugin.session.stack_facts import StackFacts, StackLook, growth_of, mean_intensity

if TYPE_CHECKING:
    from numpy.typing import NDArray

HAADF = SHARED_DATA / "etspy" / "HAADF.mrc"


def facts_of(stack: NDArray[Any], angles: NDArray[np.float64]) -> StackFacts:
    draft = replace(draft_of_stack(stack), tilt_angles=angles)
    return StackLook.of(draft).facts(draft)


def test_growth_is_seen_and_its_size_told() -> None:
    times = np.arange(31.0)
    noise = np.random.default_rng(0).normal(scale=0.2, size=31)
    assert growth_of(times, 100 + times + noise) == pytest.approx(0.3, abs=0.01)
    falling = growth_of(times, 100 - times + noise)
    assert falling is not None
    assert falling < 0


@pytest.mark.parametrize("drift", [0.0, 2.0])
def test_little_more_than_noise_is_no_growth(drift: float) -> None:
    times = np.linspace(0, 1, 31)
    noise = np.random.default_rng(1).normal(scale=3, size=31)
    assert growth_of(times, 100 + drift * times + noise) == 0
    assert growth_of(np.zeros(31), noise) is None


def test_a_horizontal_axis_is_seen_and_a_vertical_one() -> None:
    series = growing_series(61)
    assert not facts_of(series.projections, series.tilt_angles).axis.is_horizontal
    assert facts_of(series.projections.transpose(0, 2, 1), series.tilt_angles).axis.is_horizontal


def test_nothing_is_said_of_the_axis_without_angles() -> None:
    turned = growing_series(31).projections.transpose(0, 2, 1)
    axis = facts_of(turned, np.full(31, np.nan)).axis
    assert not axis.is_horizontal
    assert not axis.is_doubtful


@pytest.mark.skipif(not HAADF.is_file(), reason="the shared folder with third-party test data is not here")
def test_axis_and_background_of_a_real_series_are_seen() -> None:
    draft = read_draft(HAADF)
    facts = StackLook.of(draft).facts(draft)
    assert facts.axis.is_horizontal
    assert facts.background.common == pytest.approx(885, abs=5)
    assert not facts.is_bright
    assert not facts.blank.any()


def test_a_large_stack_is_looked_at_binned_and_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    series = growing_series(31)
    stack = series.projections.repeat(4, axis=1).repeat(4, axis=2) + np.float32(5)
    stack[7] = 5
    whole = facts_of(stack, series.tilt_angles)
    monkeypatch.setattr(stack_facts, "_MOST_PIXELS", stack.size // 4)
    binned = facts_of(stack, series.tilt_angles)
    np.testing.assert_allclose(binned.intensity, whole.intensity, rtol=1e-5)
    assert np.flatnonzero(whole.blank).tolist() == np.flatnonzero(binned.blank).tolist() == [7]
    assert whole.background.common == pytest.approx(5, rel=0.02)
    assert binned.background.common == pytest.approx(5, rel=0.02)


def test_what_a_crop_leaves_out_is_not_looked_at() -> None:
    series = growing_series(31)
    height, width = series.projections.shape[1:]
    stack = np.concatenate([series.projections, np.full((31, 10, width), 1e4, dtype=np.float32)], axis=1)
    draft = replace(draft_of_stack(stack), tilt_angles=series.tilt_angles, crop=Crop(0, height, 0, width))
    look = StackLook.of(draft)
    np.testing.assert_allclose(look.facts(draft).intensity, mean_intensity(series.projections), rtol=1e-5)
    assert look.is_of(draft)
    assert not look.is_of(replace(draft, crop=None))


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
    turned[:, :, 0] = np.nan
    assert facts_of(turned, series.tilt_angles).axis.is_horizontal
