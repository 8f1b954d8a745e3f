"""Correct a draft: tilt angles and times from files, schemes, and start and step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError
from napari_stinr.io.series.assigned import angles_of_files
from napari_stinr.io.series.headers import Headers
from napari_stinr.io.series.sidecars import angles_file, parse_angle_range
from napari_stinr.io.series.sources import rows_of
from napari_stinr.io.series.timetables import fitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft

_STACK_ORDER = "sequential"


def angles_from(draft: SeriesDraft, source: str, headers: Headers | None = None) -> SeriesDraft:
    """Take the tilt angles from a file, or from start and step.

    Parameters
    ----------
    draft : SeriesDraft
        The stack.
    source : str
        A file (``.rawtlt``, ``.tlt``, ``.mdoc``, CSV), or ``START:STEP`` [degrees].
    headers : Headers, optional
        What has been read of the file already.

    Returns
    -------
    SeriesDraft
        With these angles.

    Raises
    ------
    StinrError
        It is neither, or there are not as many angles as projections.
    """
    headers = headers or Headers()
    angles = parse_angle_range(source, draft.n_tilts)
    argument, file = source.strip(), None
    if angles is None:
        file = angles_file(source).resolve()
        angles, argument = headers.angles(file), str(file)
    _check_count(angles, draft.n_tilts, "tilt angles", source)
    notes = tuple(note for note in draft.notes if note.kind is not NoteKind.ANGLES_MISSING)
    given, remark = angles_of_files(draft.paths, angles, file=file, headers=headers)
    if remark:
        notes = (*(note for note in notes if note.kind is not NoteKind.ANGLES), Note(NoteKind.ANGLES, remark))
    return replace(draft.with_angles(given, argument), notes=notes)


def times_from(draft: SeriesDraft, source: str, headers: Headers | None = None) -> SeriesDraft:
    """Take the times from a file, or from an acquisition order.

    Parameters
    ----------
    draft : SeriesDraft
        The stack.
    source : str
        An acquisition order, or a file with times (``.csv``, ``.mdoc``).
    headers : Headers, optional
        What has been read of the file already.

    Returns
    -------
    SeriesDraft
        With these times.

    Raises
    ------
    StinrError
        It is neither, there are not as many times as projections, or an order needs angles that are not known.
    """
    if source in ACQUISITION_ORDERS:
        if source != _STACK_ORDER and not np.isfinite(draft.tilt_angles).all():
            raise StinrError(
                f"the acquisition order is {source} and tilt angles are missing",
                expected="the tilt angle of every projection",
                cure="Give the tilt angles first.",
            )
        rank = acquisition_rank(draft.tilt_angles, source).astype(np.float64)
        return replace(draft, times=rank, time_unit="", times_argument=source, time_assumed=False)
    file = Path(source).expanduser().resolve()
    headers = headers or Headers()
    timetable = headers.timetable(file)
    _check_count(timetable.times, draft.n_tilts, "times", source)
    timetable = timetable.reordered(rows_of(draft.paths, file, headers))
    if np.isfinite(draft.tilt_angles).all():
        timetable = fitted(timetable, draft.tilt_angles)
    return replace(draft, times=timetable.times, time_unit=timetable.unit, times_argument=str(file), time_assumed=False)


def misfit(draft: SeriesDraft) -> str:
    """Return why the angles that were found with a stack were not taken.

    Parameters
    ----------
    draft : SeriesDraft
        The series.

    Returns
    -------
    str
        A sentence; "" where there is no such reason any more.
    """
    if np.isfinite(draft.tilt_angles).any():
        return ""
    return next((note.text for note in draft.notes if note.kind is NoteKind.ANGLES_MISFIT), "")


def _check_count(values: NDArray[np.float64], n_tilts: int, what: str, source: str) -> None:
    if len(values) != n_tilts:
        raise StinrError(
            f"{len(values)} {what} in {source} for {n_tilts} projections",
            expected=f"{n_tilts}, one for every projection",
            cure="Add or remove lines, or give the right file.",
        )
