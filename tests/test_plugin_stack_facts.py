"""What a stack tells about growth and about its tilt axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from series_cases import growing_series

from napari_stinr.plugin.draft_sources import draft_of_series, read_draft
from napari_stinr.plugin.stack_facts import axis_warning, growth_text

HAADF = Path(__file__).resolve().parents[2] / "shared" / "data" / "etspy" / "HAADF.mrc"


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
    stack = draft_of_series(growing_series(61)).stack
    assert axis_warning(stack) == ""
    assert "90 degrees" in axis_warning(stack.transpose(0, 2, 1))


def test_nothing_is_said_of_an_even_stack() -> None:
    assert axis_warning(np.ones((5, 4, 6))) == ""


@pytest.mark.skipif(not HAADF.is_file(), reason="the shared folder with third-party test data is not here")
def test_the_axis_of_a_real_series_is_seen_to_lie_horizontally() -> None:
    stack = read_draft(HAADF).stack
    assert "90 degrees" in axis_warning(stack)
    assert axis_warning(stack.transpose(0, 2, 1)) == ""
