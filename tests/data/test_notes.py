"""A note is its text for people and its kind for the program."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from helpers.series_cases import bin_series
from napari_stinr import TiltSeries
from napari_stinr.data.notes import Note, NoteKind, as_note
from napari_stinr.data.preprocessing.contrast import invert_contrast


def series_of(*notes: str, angles: np.ndarray | None = None) -> TiltSeries:
    angles = np.linspace(-60, 60, 31) if angles is None else angles
    stack = np.random.default_rng(0).random((31, 6, 8), dtype=np.float32)
    return TiltSeries(stack, angles, pixel_size=1.0, notes=notes)


def kinds_of(series: TiltSeries) -> list[NoteKind]:
    return [note.kind for note in series.notes]


def test_a_note_is_its_text():
    note = Note(NoteKind.TIMES, "Times from times.csv.")
    assert note == note.text == str(note) == f"{note}" == "Times from times.csv."
    assert type(note.text) is str
    assert "times.csv" in note
    assert note.kind is NoteKind.TIMES


def test_the_kind_of_a_note_cannot_be_changed_and_is_not_lost():
    note = Note(NoteKind.BINNED, "Binned.")
    with pytest.raises(AttributeError):
        note.kind = NoteKind.OTHER
    pickled = [pickle.loads(pickle.dumps(note, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in (copy.copy(note), copy.deepcopy(note), *pickled):
        assert (other, other.kind) == (note, NoteKind.BINNED)
    assert as_note(note, NoteKind.FILE) is note


def test_plain_sentences_of_scripts_become_notes():
    series = series_of("From a detector with a dead row.")
    assert kinds_of(series) == [NoteKind.OTHER]
    assert series.notes == ("From a detector with a dead row.",)


def test_what_is_done_to_a_series_is_noted_by_kind():
    series = invert_contrast(bin_series(series_of("mine"), 2))
    assert kinds_of(series) == [NoteKind.OTHER, NoteKind.BINNED, NoteKind.CONTRAST]
    assert bin_series(series, 1) is series


def test_the_question_about_radians_comes_and_goes_with_the_angles():
    series = series_of("mine", angles=np.linspace(-1.5, 1.5, 31))
    assert kinds_of(series) == [NoteKind.OTHER, NoteKind.RADIANS]
    assert kinds_of(replace(series, axis_offset=1.0)) == [NoteKind.OTHER, NoteKind.RADIANS]
    assert kinds_of(replace(series, tilt_angles=np.linspace(-60, 60, 31))) == [NoteKind.OTHER]
