"""Where a draft comes from: a file, a layer, a sample; and angles and times from files, schemes and steps."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.errors import StinrError
from napari_stinr.io.series import sidecars
from napari_stinr.io.series.discovery import find_series
from napari_stinr.io.series.found import Found
from napari_stinr.io.series.reading import load_series
from napari_stinr.io.series.sources import MDOC_ENDING, rows_of
from napari_stinr.io.series.timetables import fitted
from napari_stinr.plugin.session.draft import SeriesDraft

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.data.tilt_series import TiltSeries

_NO_ANGLES = "Tilt angles are not known: give them as a file, or as start and step."
_STACK_ORDER = "sequential"


def read_draft(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    angles: str | os.PathLike[str] | None = None,
    times: str | os.PathLike[str] | None = None,
) -> SeriesDraft:
    """Read a series with what is found in and beside it.

    Parameters
    ----------
    path : str, path-like or sequence of these
        What :func:`napari_stinr.read_tilt_series` reads: a stack, several files or a folder with one tilt each, or an
        ``.mdoc``.
    angles, times : str or path-like, optional
        Files with the tilt angles [degrees] and the times; they come before what lies beside the stack.

    Returns
    -------
    SeriesDraft
        With tilt angles NaN where none were found, or where those found do not fit the stack.

    Raises
    ------
    StinrError
        The file is missing, damaged, of another kind, or a list that was given does not fit the stack.
    """
    found = find_series(path, tilt_angles=angles, times=times)
    n_tilts = len(found.stack.images)
    if n_tilts < MINIMUM_TILTS:
        raise StinrError(
            f"{found.paths[0].name} holds {n_tilts} image(s)" if len(found.paths) == 1 else f"{n_tilts} files",
            expected=f"at least {MINIMUM_TILTS} projections",
            cure="Give the whole stack, or all files of a series with one file for every tilt, or their folder.",
        )
    problem = found.tilt_angles if isinstance(found.tilt_angles, StinrError) else None
    if problem is not None:
        # Without angles the stack can still be shown, and the angles be given.
        stand_in = np.linspace(0.0, 90.0, n_tilts)
        found = replace(found, tilt_angles=Found(stand_in, _NO_ANGLES))
    draft = draft_of_series(load_series(found))
    draft = replace(
        draft,
        angles_argument=_absolute(angles),
        times_argument=_absolute(times),
        time_assumed=found.times.assumed,
        paths=tuple(file.resolve() for file in found.paths),
        described_by=_descriptions(path, found.paths),
    )
    if problem is None:
        return draft
    # A list beside the stack that does not fit it must not keep anyone from opening it with the right one.
    why = _NO_ANGLES if problem.found.startswith("no tilt angles") else str(problem)
    notes = (*(note for note in draft.notes if note != _NO_ANGLES), why)
    return replace(draft, tilt_angles=np.full(draft.n_tilts, np.nan), notes=notes)


def misfit(draft: SeriesDraft) -> str:
    """Return why the angles that were found with a stack were not taken, "" where there is no such reason.

    Parameters
    ----------
    draft : SeriesDraft
        From :func:`read_draft`, which puts the reason last.

    Returns
    -------
    str
        One line.
    """
    last = draft.notes[-1] if draft.notes else ""
    return "" if last == _NO_ANGLES or np.isfinite(draft.tilt_angles).any() else last


def draft_of_series(series: TiltSeries, *, sample: Mapping[str, Any] | None = None) -> SeriesDraft:
    """Start from a tilt series that is complete.

    Parameters
    ----------
    series : TiltSeries
        The series.
    sample : mapping, optional
        Settings of the simulation it comes from.

    Returns
    -------
    SeriesDraft
        The same series, to be edited.
    """
    first, last = series.time_range
    times = _without_rounding(first + series.times * (last - first))
    times[series.times == 0], times[series.times == 1] = first, last
    return SeriesDraft(
        series.projections,
        series.tilt_angles,
        times,
        series.used,
        name=series.name,
        sample=sample,
        mask=series.mask,
        time_unit=series.time_unit,
        pixel_size=series.pixel_size,
        flip_tilt=series.flip_tilt,
        axis_offset=series.axis_offset,
        time_assumed=any("assumed to be stack order" in note for note in series.notes),
        notes=series.notes,
        read_times=(times, series.times),
    )


def draft_of_stack(stack: ArrayLike, *, name: str = "tilt series", pixel_size: float | None = None) -> SeriesDraft:
    """Start from bare projections.

    Parameters
    ----------
    stack : array_like
        `(n_tilts, height, width)` projections, or with one axis of length 1 more [any unit].
    name : str
        Name shown to people.
    pixel_size : float, optional
        Width of a pixel [Å].

    Returns
    -------
    SeriesDraft
        With tilt angles NaN and times in stack order.

    Raises
    ------
    StinrError
        There are not three axes, or fewer than three projections.
    """
    values = np.asarray(stack)
    if values.ndim > 3:
        values = values.reshape(tuple(n for n in values.shape if n > 1))
    if values.ndim != 3 or len(values) < MINIMUM_TILTS:
        raise StinrError(
            f"{name} has the shape {np.shape(stack)}",
            expected=f"(projections, height, width) with {MINIMUM_TILTS} projections or more",
            cure="Choose a stack with one projection for each tilt along its first axis.",
        )
    n_tilts = len(values)
    order = np.arange(n_tilts, dtype=np.float64)
    missing = np.isnan(values)
    mask = ~missing if missing.any() else None
    unknown, used = np.full(n_tilts, np.nan), ~missing.all(axis=(1, 2))
    return SeriesDraft(
        values,
        unknown,
        order,
        used,
        name=name,
        pixel_size=pixel_size,
        mask=mask,
        n_infinite=int(np.isinf(values).sum()),
        time_assumed=True,
    )


def angles_from(draft: SeriesDraft, source: str) -> SeriesDraft:
    """Take the tilt angles from a file, or from start and step.

    Parameters
    ----------
    draft : SeriesDraft
        The stack.
    source : str
        A file (``.rawtlt``, ``.tlt``, ``.mdoc``, CSV), or ``START:STEP`` [degrees].

    Returns
    -------
    SeriesDraft
        With these angles.

    Raises
    ------
    StinrError
        It is neither, or there are not as many angles as projections.
    """
    angles = sidecars.parse_angle_range(source, draft.n_tilts)
    argument, file = source.strip(), None
    if angles is None:
        file = Path(source).expanduser().resolve()
        angles, argument = sidecars.read_angles(file), str(file)
    _check_count(angles, draft.n_tilts, "tilt angles", source)
    notes = tuple(note for note in draft.notes if note != _NO_ANGLES)
    return replace(draft.with_angles(draft.from_list(file, angles), argument), notes=notes)


def times_from(draft: SeriesDraft, source: str) -> SeriesDraft:
    """Take the times from a file, or from an acquisition order.

    Parameters
    ----------
    draft : SeriesDraft
        The stack.
    source : str
        An acquisition order, or a file with times (``.csv``, ``.mdoc``).

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
    timetable = sidecars.read_timetable(file)
    _check_count(timetable.times, draft.n_tilts, "times", source)
    timetable = timetable.reordered(rows_of(draft.paths, file))
    if np.isfinite(draft.tilt_angles).all():
        timetable = fitted(timetable, draft.tilt_angles)
    return replace(draft, times=timetable.times, time_unit=timetable.unit, times_argument=str(file), time_assumed=False)


def _check_count(values: NDArray[np.float64], n_tilts: int, what: str, source: str) -> None:
    if len(values) != n_tilts:
        raise StinrError(
            f"{len(values)} {what} in {source} for {n_tilts} projections",
            expected=f"{n_tilts}, one for every projection",
            cure="Add or remove lines, or give the right file.",
        )


def _descriptions(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], images: Sequence[Path]
) -> tuple[Path, ...]:
    """Return the ``.mdoc`` files that led to the images: given themselves, or in a folder without images."""
    given = [path] if isinstance(path, (str, os.PathLike)) else path
    found: list[Path] = []
    for file in (Path(one).expanduser().resolve() for one in given):
        if file.is_dir() and file != images[0].resolve().parent:
            found += sorted(file.glob(f"*{MDOC_ENDING}"))
        elif file.suffix.lower() == MDOC_ENDING:
            found.append(file)
    return tuple(found)


def _absolute(path: str | os.PathLike[str] | None) -> str:
    return "" if path is None else str(Path(path).expanduser().resolve())


def _without_rounding(times: NDArray[np.float64]) -> NDArray[np.float64]:
    # To 0..1 and back costs the last digit of a time, and a script that reads the file must find the same times.
    magnitude = int(np.ceil(np.log10(max(float(np.abs(times).max()), 1e-30))))
    return np.round(times, 13 - magnitude)
