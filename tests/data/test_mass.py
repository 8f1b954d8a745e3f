"""How much the mass grows: nothing, a little, at once, and where it cannot be told."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr import TiltSeries
from napari_stinr.data.mass import MassGrowth
from napari_stinr.data.measurements import Measurements
from napari_stinr.data.notes import NoteKind

N_TILTS = 41
TIMES = np.linspace(0, 1, N_TILTS)


def growth(masses: np.ndarray, *, noise: float = 0.0, level: float = 0.0, **options: object) -> MassGrowth:
    """Growth of a block of such masses that wanders through the view."""
    images = np.zeros((N_TILTS, 12, 40), dtype=np.float32)
    for k, mass in enumerate(masses):
        start = 5 + round(10 * (1 + np.sin(k)))
        images[k, 3:9, start : start + 8] = mass
    images += np.random.default_rng(5).normal(level, max(noise, 1e-9), images.shape).astype(np.float32)
    series = TiltSeries(images, np.linspace(-60, 60, N_TILTS), TIMES, pixel_size=1.0, **options)
    return MassGrowth.of(Measurements.of(series))


@pytest.mark.parametrize("level", [0.0, 0.5], ids=["empty background", "background"])
@pytest.mark.parametrize(
    ("course", "expected", "early"),
    [(TIMES, 1 / 3, 0.1), (TIMES > 0.02, 1 / 3, 1.0), ((TIMES > 0.5) * 0.05, 0.05 / 2.05, 0.0)],
    ids=["steady", "at once", "little"],
)
def test_what_grows_is_measured_whenever_it_comes(
    course: np.ndarray, expected: float, early: float, level: float
) -> None:
    found = growth(2.0 + course, noise=0.002, level=level)
    assert found.fraction == pytest.approx(expected, abs=0.01)
    assert found.early == pytest.approx(early, abs=0.03)
    assert not found.is_none
    assert found.note() is None


def test_nothing_grows_where_the_mass_is_that_of_the_start() -> None:
    found = growth(np.full(N_TILTS, 2.0), noise=0.02)
    assert found.is_none
    note = found.note()
    assert note is not None
    assert note.kind is NoteKind.GROWTH


def test_the_clock_runs_with_the_matter_and_back() -> None:
    found = growth(2.0 + np.minimum(TIMES / 0.1, 1.0))
    clocked = found.clock(TIMES)
    assert clocked[0] == 0
    assert clocked[-1] == 1
    assert np.diff(clocked).min() > 0
    assert clocked[np.searchsorted(TIMES, 0.1)] == pytest.approx(0.55, abs=0.02)
    np.testing.assert_allclose(found.times_of(clocked), TIMES, atol=1e-9)
    np.testing.assert_allclose(growth(2.0 + TIMES).clock(TIMES), TIMES, atol=0.01)


def test_where_nothing_is_known_to_grow_the_clock_is_that_of_the_series() -> None:
    np.testing.assert_array_equal(growth(np.full(N_TILTS, 2.0), noise=0.02).clock(TIMES), TIMES)
    np.testing.assert_array_equal(MassGrowth(None).clock(TIMES), TIMES)


def test_masses_too_uneven_to_rule_it_out_do_not() -> None:
    uneven = 2.0 * (1 + 0.05 * np.random.default_rng(6).normal(size=N_TILTS))
    assert not growth(uneven).is_none
    assert growth(uneven).early == 0


def test_where_a_pixel_does_not_count_the_growth_is_not_known() -> None:
    mask = np.ones((N_TILTS, 12, 40), dtype=bool)
    mask[3, :, :10] = False
    assert growth(np.full(N_TILTS, 2.0), mask=mask).fraction is None
    assert growth(2.0 + TIMES, mask=mask).early == 0


def test_a_few_pixels_that_do_not_count_are_made_up_for() -> None:
    mask = np.ones((N_TILTS, 12, 40), dtype=bool)
    mask[3, 2, 2] = mask[5, 6:8, 19] = mask[:, 5, 20] = False
    whole, masked = growth(2.0 + TIMES), growth(2.0 + TIMES, mask=mask)
    assert masked.fraction == pytest.approx(whole.fraction, rel=0.02)
    assert masked.scatter < 0.01
    assert growth(np.full(N_TILTS, 2.0), mask=mask).is_none
