"""Read a tilt series from the files that microscopes and other programs write.

A format is one function ``(path) -> Stack`` and one entry in :data:`napari_stinr.io.stacks.READERS`. Tilt angles, times
and the pixel size may be given, stand in a file beside the stack, or in its header; they are looked for in that order,
and the notes of the tilt series say where each was found.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr import preprocessing
from napari_stinr.acquisition_order import ACQUISITION_ORDERS, acquisition_rank
from napari_stinr.errors import StinrError
from napari_stinr.io import sidecars
from napari_stinr.io.mdoc import read_mdoc
from napari_stinr.io.stacks import READERS, read_stack
from napari_stinr.tilt_series import TiltSeries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from napari_stinr.io.containers import Stack

__all__ = ["READERS", "read_stack", "read_tilt_series"]

_HOW_TO_GIVE_ANGLES = "Give them as a file (one angle a line), as START:STEP in degrees (e.g. -60:2), or as an array."
_HOW_TO_GIVE_TIMES = f"a file with the times, or the acquisition order ({', '.join(ACQUISITION_ORDERS)})"


@dataclass(frozen=True, eq=False)
class _Found:
    """Values and a sentence for the notes that says where they come from."""

    values: NDArray[np.float64]
    note: str
    unit: str = ""


def read_tilt_series(
    path: str | os.PathLike[str],
    *,
    tilt_angles: str | os.PathLike[str] | ArrayLike | None = None,
    times: str | os.PathLike[str] | ArrayLike | None = None,
    pixel_size: float | None = None,
    flip_tilt: bool = False,
    axis_offset: float = 0.0,
    exclude: Iterable[int] = (),
    binning: int = 1,
    invert_contrast: bool = False,
) -> TiltSeries:
    """Read a tilt series with its tilt angles, times and pixel size.

    Parameters
    ----------
    path : str or path-like
        The stack: MRC (``.mrc .mrcs .st .ali .preali``), TIFF (plain, ImageJ or OME; the first axis is the tilt),
        ``.npz``, ``.npy``.
    tilt_angles : str, path-like or array_like, optional
        `(n_tilts,)` tilt angles [degrees], a file with them, or ``"START:STEP"``. Default: a file beside the stack
        (``.rawtlt``, ``.tlt``, ``.mdoc``, ...), else the header.
    times : str, path-like or array_like, optional
        `(n_tilts,)` times in any unit, a file with them (header ``tilt_angle_deg,time`` or one number a line), or the
        acquisition order: ``"sequential"``, ``"bidirectional"``, ``"dose-symmetric"``, ``"interleaved"``. Default: a
        table beside the stack (``times.csv``, ...), else the DateTime of its ``.mdoc``, else the header, else stack
        order.
    pixel_size : float, optional
        Width of a detector pixel [Å]. Default: from the header.
    flip_tilt : bool
        Use the opposite handedness of the tilt.
    axis_offset : float
        Position of the rotation axis relative to the centre of the image [pixel of the file].
    exclude : iterable of int
        Positions of projections to leave out, from 0.
    binning : int
        Edge of the squares of pixels whose mean becomes one pixel, see `bin_series` [pixel of the file].
    invert_contrast : bool
        Matter is dark in the projections: turn them round, see `invert_contrast`.

    Returns
    -------
    TiltSeries
        Checked data; `notes` says where angles, times and pixel size come from and what was changed or assumed.

    Raises
    ------
    StinrError
        The file is missing, damaged or of another kind, there are no tilt angles, the lists do not fit the stack, or
        the binning is too large.
    """
    stack_path = Path(path).expanduser()
    stack = read_stack(stack_path)
    timetable = _find_timetable(times, stack, stack_path)
    angles = _find_angles(tilt_angles, timetable, stack, stack_path)
    when = _find_times(times, timetable, angles.values, stack, stack_path)
    size, size_note = _find_pixel_size(pixel_size, stack, stack_path)
    series = TiltSeries(
        stack.projections,
        angles.values,
        when.values,
        pixel_size=size,
        mask=stack.mask,
        axis_offset=axis_offset,
        flip_tilt=flip_tilt,
        name=stack_path.stem,
        time_unit=when.unit,
        notes=(*stack.notes, angles.note, when.note, size_note),
    )
    excluded = list(exclude)
    series = series.exclude(excluded) if excluded else series
    series = preprocessing.invert_contrast(series) if invert_contrast else series
    return preprocessing.bin_series(series, binning)


def _find_timetable(
    times: str | os.PathLike[str] | ArrayLike | None, stack: Stack, path: Path
) -> sidecars.Timetable | None:
    if isinstance(times, (str, os.PathLike)):
        if times in ACQUISITION_ORDERS:
            return None
        given = Path(times).expanduser()
        if not given.is_file():
            raise StinrError(
                f"times are {str(times)!r}, which is no file",
                expected=_HOW_TO_GIVE_TIMES,
                cure="Check the name, or give an array of times.",
            )
        return sidecars.read_timetable(given)
    if times is not None or (stack.complete and stack.times is not None):
        return None
    beside = sidecars.find_timetable(path)
    return None if beside is None else sidecars.read_timetable(beside)


def _find_angles(
    given: str | os.PathLike[str] | ArrayLike | None, timetable: sidecars.Timetable | None, stack: Stack, path: Path
) -> _Found:
    found = _given_angles(given, len(stack.projections)) if given is not None else _own_angles(timetable, stack, path)
    if found is None:
        raise StinrError(
            f"no tilt angles for {path.name}: neither a file beside it nor its header has them",
            expected=f"{len(stack.projections)} angles",
            cure=_HOW_TO_GIVE_ANGLES,
        )
    _check_count(found, "tilt angles", stack, path)
    if timetable is not None and timetable.tilt_angles is not None:
        sidecars.check_agreement(found.values, timetable.tilt_angles, timetable.source)
    return found


def _given_angles(given: str | os.PathLike[str] | ArrayLike, n_tilts: int) -> _Found:
    if not isinstance(given, (str, os.PathLike)):
        return _Found(_numbers(given, "tilt angles", _HOW_TO_GIVE_ANGLES), "Tilt angles as given.")
    text = os.fspath(given)
    angles = sidecars.parse_angle_range(text, n_tilts)
    if angles is not None:
        return _Found(angles, f"Tilt angles from {text} (start:step, degrees).")
    file = Path(text).expanduser()
    if not file.is_file():
        raise StinrError(
            f"tilt angles are {text!r}, which is no file", expected="a file or START:STEP", cure=_HOW_TO_GIVE_ANGLES
        )
    return _Found(sidecars.read_angles(file), f"Tilt angles from {file.name}.")


def _own_angles(timetable: sidecars.Timetable | None, stack: Stack, path: Path) -> _Found | None:
    in_stack = None if stack.tilt_angles is None else _Found(stack.tilt_angles, f"Tilt angles from the {stack.place}.")
    if stack.complete and in_stack is not None:
        return in_stack
    beside = sidecars.find_angle_file(path)
    if beside is not None:
        return _Found(sidecars.read_angles(beside), f"Tilt angles from {beside.name}.")
    if in_stack is None and timetable is not None and timetable.tilt_angles is not None:
        return _Found(timetable.tilt_angles, f"Tilt angles from {timetable.source}.")
    return in_stack


def _find_times(
    given: str | os.PathLike[str] | ArrayLike | None,
    timetable: sidecars.Timetable | None,
    angles: NDArray[np.float64],
    stack: Stack,
    path: Path,
) -> _Found:
    if timetable is not None:
        found = _Found(timetable.times, f"Times from {timetable.source}.", timetable.unit)
    elif isinstance(given, str):
        found = _Found(acquisition_rank(angles, given).astype(np.float64), f"Times from the acquisition order {given}.")
    elif given is not None:
        found = _Found(_numbers(given, "times", f"Give {_HOW_TO_GIVE_TIMES}."), "Times as given.")
    else:
        found = _own_times(stack, path)
    _check_count(found, "times", stack, path)
    return found


def _own_times(stack: Stack, path: Path) -> _Found:
    in_stack = None if stack.times is None else _Found(stack.times, f"Times from the {stack.place}.", stack.time_unit)
    if stack.complete and in_stack is not None:
        return in_stack
    beside = sidecars.find_mdoc(path)
    seconds = None if beside is None else read_mdoc(beside).seconds
    if beside is not None and seconds is not None:
        return _Found(seconds, f"Times from the DateTime of {beside.name}.", "s")
    if in_stack is not None:
        return in_stack
    order = np.arange(len(stack.projections), dtype=np.float64)
    return _Found(
        order, f"Times are not in the files and were assumed to be stack order; otherwise give {_HOW_TO_GIVE_TIMES}."
    )


def _find_pixel_size(given: float | None, stack: Stack, path: Path) -> tuple[float | None, str]:
    if given is not None:
        return given, f"Pixel size {given:g} Å as given."
    if stack.pixel_size is not None:
        return stack.pixel_size, f"Pixel size {stack.pixel_size:g} Å from the {stack.place}."
    beside = sidecars.find_mdoc(path)
    size = None if beside is None else read_mdoc(beside).pixel_size
    if beside is not None and size is not None:
        return size, f"Pixel size {size:g} Å from {beside.name}."
    return (
        None,
        "Pixel size is not known: lengths are in pixels and the potential is per pixel until it is given, in Å.",
    )


def _numbers(values: object, what: str, cure: str) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StinrError(f"the {what} are {str(values)[:60]}", expected="numbers", cure=cure) from error


def _check_count(found: _Found, what: str, stack: Stack, path: Path) -> None:
    n_tilts = len(stack.projections)
    if found.values.shape != (n_tilts,):
        raise StinrError(
            f"{found.values.size} {what} for {path.name} ({found.note.rstrip('.')})",
            expected=f"{n_tilts}, one for every projection",
            cure="Add or remove lines, or give the right file.",
        )
