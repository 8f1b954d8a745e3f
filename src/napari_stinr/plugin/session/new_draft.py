"""Start a draft: from files, from a series that is complete, or from bare projections."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.checks import MINIMUM_TILTS, asked_about_radians, checked_times
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack
from napari_stinr.io.formats.endings import MDOC_ENDING
from napari_stinr.io.series.discovery import NO_PIXEL_SIZE, TIMES_ASSUMED, find_series
from napari_stinr.io.series.found import Found, FoundSeries, NoAngles
from napari_stinr.io.series.mdoc import is_mdoc
from napari_stinr.plugin.session.draft import SeriesDraft
from napari_stinr.plugin.session.preview import Preview, preview_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.io.series.headers import Headers

_NOTES_OF_PIXELS = (NoteKind.FILE, NoteKind.OTHER, NoteKind.CONTRAST, NoteKind.BINNED)
"""They stay true of a series whatever is corrected; the others are written anew with its angles, times and size."""
_NO_ANGLES = "Tilt angles are not known: give them as a file, or as start and step."


def read_draft(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    angles: str | os.PathLike[str] | None = None,
    times: str | os.PathLike[str] | None = None,
    headers: Headers | None = None,
) -> SeriesDraft:
    """Start from a series in files, with what is found in and beside them.

    Parameters
    ----------
    path : str, path-like or sequence of these
        What :func:`napari_stinr.read_tilt_series` reads: a stack, several files or a folder with one tilt each, or an
        ``.mdoc``.
    angles, times : str or path-like, optional
        Files with the tilt angles [degrees] and the times; they come before what lies beside the stack.
    headers : Headers, optional
        What has been read of the files already.

    Returns
    -------
    SeriesDraft
        With tilt angles NaN where none were found, or where those found do not fit the stack.

    Raises
    ------
    StinrError
        The file is missing, damaged, of another kind, or a list that was given does not fit the stack.
    """
    found = find_series(path, tilt_angles=angles, times=times, headers=headers)
    n_tilts = len(found.stack.images)
    if n_tilts < MINIMUM_TILTS:
        raise StinrError(
            f"{found.paths[0].name} holds {n_tilts} image(s)" if len(found.paths) == 1 else f"{n_tilts} files",
            expected=f"at least {MINIMUM_TILTS} projections",
            cure="Give the whole stack, or all files of a series with one file for every tilt, or their folder.",
        )
    found = replace(found, paths=tuple(file.resolve() for file in found.paths))
    preview = preview_of(found)
    if isinstance(found.tilt_angles, StinrError):
        # A list beside the stack that does not fit it must not keep anyone from opening it with the right one.
        tilt_angles, notes = np.full(n_tilts, np.nan), (*found.notes, _missing(found.tilt_angles))
    else:
        tilt_angles = found.tilt_angles.values
        notes = asked_about_radians(found.notes, tilt_angles)
    return SeriesDraft(
        found,
        preview,
        tilt_angles,
        found.times.values,
        preview.measured,
        name=found.name,
        described_by=_descriptions(path, found.paths),
        time_unit=found.times.unit,
        pixel_size=found.pixel_size,
        angles_argument=_absolute(angles),
        times_argument=_absolute(times),
        time_assumed=found.times.assumed,
        notes=notes,
    )


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
    times = _times_of(series)
    is_assumed = any(note.kind is NoteKind.ORDER_ASSUMED for note in series.notes)
    found = FoundSeries(
        series.name,
        (),
        Stack(
            Images(series.projections.shape, lambda: iter(series.projections)),
            mask=series.mask,
            notes=tuple(note for note in series.notes if note.kind in _NOTES_OF_PIXELS),
        ),
        Found(series.tilt_angles, Note(NoteKind.ANGLES, "Tilt angles of the series.")),
        Found(times, TIMES_ASSUMED if is_assumed else Note(NoteKind.TIMES, "Times of the series."), series.time_unit),
        series.pixel_size,
        NO_PIXEL_SIZE if series.pixel_size is None else Note(NoteKind.PIXEL_SIZE, "Pixel size of the series."),
    )
    return SeriesDraft(
        found,
        Preview.of_array(series.projections, mask=series.mask, as_read=True),
        series.tilt_angles,
        times,
        series.used,
        name=series.name,
        sample=sample,
        time_unit=series.time_unit,
        pixel_size=series.pixel_size,
        flip_tilt=series.flip_tilt,
        axis_offset=series.axis_offset,
        time_assumed=is_assumed,
        notes=series.notes,
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
    missing = np.isnan(values)
    preview = Preview.of_array(values, mask=~missing if missing.any() else None, n_infinite=int(np.isinf(values).sum()))
    order = np.arange(len(values), dtype=np.float64)
    found = FoundSeries(
        name,
        (),
        Stack(Images(preview.shape, lambda: iter(values))),
        NoAngles(f"no tilt angles for {name}", expected=f"{len(values)} angles", cure=_NO_ANGLES),
        Found(order, TIMES_ASSUMED),
        pixel_size,
        NO_PIXEL_SIZE if pixel_size is None else Note(NoteKind.PIXEL_SIZE, "Pixel size of the layer."),
    )
    return SeriesDraft(
        found,
        preview,
        np.full(len(values), np.nan),
        order,
        preview.measured,
        name=name,
        pixel_size=pixel_size,
        time_assumed=True,
    )


def _missing(problem: StinrError) -> Note:
    if isinstance(problem, NoAngles):
        return Note(NoteKind.ANGLES_MISSING, _NO_ANGLES)
    return Note(NoteKind.ANGLES_MISFIT, str(problem))


def _times_of(series: TiltSeries) -> NDArray[np.float64]:
    """Return `(n_tilts,)` times that a series scales to exactly those that it stores [time_unit]."""
    first, last = series.time_range
    times = first + series.times * (last - first)
    times[series.times == 0], times[series.times == 1] = first, last
    # Back from the scaled ones costs the last digit, which few times have.
    magnitude = int(np.ceil(np.log10(max(float(np.abs(times).max()), 1e-30))))
    rounded = np.round(times, 13 - magnitude)
    return rounded if np.array_equal(checked_times(rounded, series.n_tilts)[0], series.times) else times


def _descriptions(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], images: Sequence[Path]
) -> tuple[Path, ...]:
    """Return the ``.mdoc`` files that led to the images: given themselves, or in a folder without images."""
    given = [path] if isinstance(path, (str, os.PathLike)) else path
    descriptions: list[Path] = []
    for file in (Path(one).expanduser().resolve() for one in given):
        if file.is_dir() and file != images[0].resolve().parent:
            descriptions += sorted(file.glob(f"*{MDOC_ENDING}"))
        elif is_mdoc(file):
            descriptions.append(file)
    return tuple(descriptions)


def _absolute(path: str | os.PathLike[str] | None) -> str:
    return "" if path is None else str(Path(path).expanduser().resolve())
