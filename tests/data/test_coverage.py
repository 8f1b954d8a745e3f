"""What is said of few directions: the right number, and nothing where all is as usual."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr.data.coverage import coverage_notes, elongation
from napari_stinr.data.notes import NoteKind


def notes_of(angles: np.ndarray, without: tuple[int, ...] = ()) -> list[str]:
    return [str(note) for note in coverage_notes(angles, ~np.isin(np.arange(len(angles)), without))]


@pytest.mark.parametrize(("tilt_range", "factor"), [(180, 1.0), (140, 1.31), (120, 1.55), (90, 2.12), (60, 3.25)])
def test_elongation_has_the_published_values(tilt_range: float, factor: float) -> None:
    assert elongation(tilt_range) == pytest.approx(factor, abs=0.006)


def test_elongation_is_that_of_the_point_spread_function() -> None:
    # Second moments of a band of directions, from numbers: 1 / length² along an axis is the mean square of the
    # frequencies along it, all of them weighted alike.
    half = np.deg2rad(25)
    directions = np.linspace(-half, half, 20_001)
    across, along = np.cos(directions), np.sin(directions)
    assert elongation(50) == pytest.approx(np.sqrt(np.mean(across**2) / np.mean(along**2)), rel=1e-3)


@pytest.mark.parametrize("angles", [np.arange(0, 181, 2.0), np.arange(-60, 61, 3.0), np.arange(-76, 77, 2.0)[::-1]])
def test_nothing_is_said_of_usual_series(angles: np.ndarray) -> None:
    assert notes_of(angles) == []


def test_three_tilts_over_six_degrees() -> None:
    notes = notes_of(np.array([-3.0, 0.0, 3.0]))
    assert len(notes) == 2
    assert "cover 6 degrees" in notes[0]
    assert "33.1 times" in notes[0]
    assert "3 projections" in notes[1]


def test_angles_that_are_all_the_same_are_no_error() -> None:
    assert "more than 100 times" in notes_of(np.zeros(12))[0]


def test_a_gap_is_found_in_any_order_and_where_projections_are_left_out() -> None:
    angles = np.random.default_rng(1).permutation(np.arange(-60, 61, 2.0))
    assert notes_of(angles) == []
    left_out = tuple(np.flatnonzero((angles > 10) & (angles < 30)))
    (note,) = notes_of(angles, left_out)
    assert "between 10 and 30 degrees" in note
    assert "2 apart" in note


def test_nothing_is_said_of_angles_that_are_not_known() -> None:
    assert notes_of(np.full(5, np.nan)) == []


def test_they_have_their_kind() -> None:
    (note,) = coverage_notes(np.arange(0, 60, 4.0), np.ones(15, dtype=bool))
    assert note.kind is NoteKind.COVERAGE
