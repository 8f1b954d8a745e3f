"""Tilt angles that come from elsewhere, put against those that the names of several files state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.io.series.headers import Headers
from napari_stinr.io.series.mdoc import is_mdoc
from napari_stinr.io.series.names import angles_in_names
from napari_stinr.io.series.sources import rows_of
from napari_stinr.io.series.timetables import ANGLE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.series.names import NamedAngles

_MEASURED_WITHIN = 1.0
"""What was measured or refined may differ by so much from the angle that was asked for [degrees]..."""
_PART_OF_STEP = 0.4
"""... or by this part of the step between two tilts, where that is less."""


def angles_of_files(
    paths: Sequence[Path],
    values: NDArray[np.float64],
    *,
    file: Path | None = None,
    headers: Headers | None = None,
) -> tuple[NDArray[np.float64], str]:
    """Give the tilt angles of a list or a range to the files of a series.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    values : ndarray
        `(n_files,)` tilt angles as they are listed [degrees].
    file : Path, optional
        The list; None for a range.
    headers : Headers, optional
        What has been read already.

    Returns
    -------
    angles : ndarray
        `(n_files,)` in the order of `paths`, as the names of the files state them; where the names state none, or
        others, as the list is sorted by name; unchanged for a single file [degrees].
    remark : str
        What stands beside the angles in the list, and how the names were followed, or where they disagree; "" where
        there is nothing to say.
    """
    headers = headers or Headers()
    assigned, remark = _assigned(paths, values, file, headers)
    of_list = "" if file is None else headers.angle_list(file).remark
    return assigned, f"{of_list} {remark}".strip()


def _assigned(
    paths: Sequence[Path], values: NDArray[np.float64], file: Path | None, headers: Headers
) -> tuple[NDArray[np.float64], str]:
    rows = rows_of(paths, file, headers)
    if rows is None or values.shape != rows.shape:
        return values, ""
    if file is not None and is_mdoc(file) and {path.name for path in paths} <= set(headers.mdoc(file).frame_files):
        return values[rows], contradiction(paths, values[rows], is_measured=True)  # it says itself which is whose
    angles, remark = as_named(paths, values[rows], is_measured=file is not None)
    is_confirmed = file is None and not remark and angles_in_names(paths) is not None
    return angles, "The names of the files state the same angles." if is_confirmed else remark


def as_named(
    paths: Sequence[Path], angles: NDArray[np.float64], *, is_measured: bool = True
) -> tuple[NDArray[np.float64], str]:
    """Give every file of a series the tilt angle that its name states, where these are the angles of the list.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    angles : ndarray
        `(n_files,)` tilt angles in their order as far as the list tells it [degrees].
    is_measured : bool
        They may differ a little from what was asked for.

    Returns
    -------
    angles : ndarray
        `(n_files,)` in the order of the files [degrees].
    remark : str
        How the names were followed, or where they disagree; "" where there is nothing to say.
    """
    against = contradiction(paths, angles, is_measured=is_measured)
    named = angles_in_names(paths) if against else None
    if named is None:
        return angles, ""
    assigned = np.empty_like(angles)
    assigned[np.argsort(named.values, kind="stable")] = np.sort(angles)
    if contradiction(paths, assigned, is_measured=is_measured):
        return angles, against
    return assigned, "The names of the files state them in another order: each file has the angle in its name."


def contradiction(paths: Sequence[Path], angles: NDArray[np.float64], *, is_measured: bool) -> str:
    """Return where the names of files disagree with the angles that they have.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    angles : ndarray
        `(n_files,)` tilt angles in their order [degrees].
    is_measured : bool
        They come from headers, which may differ a little from what was asked for.

    Returns
    -------
    str
        A sentence; "" where the names agree, or state no angles.
    """
    named = angles_in_names(paths) if angles.shape == (len(paths),) and np.isfinite(angles).all() else None
    if named is None or (np.abs(angles - named.values) <= _largest_difference(named, is_measured=is_measured)).all():
        return ""
    worst = int(np.abs(angles - named.values).argmax())
    few = ", ".join(f"{value:g}" for value in named.values[:4]) + (", ..." if len(paths) > 4 else "")
    return (
        f"The names of the files say {few} degrees, which disagree with these angles: {paths[worst].name} has"
        f" {angles[worst]:g} degrees, and its name says {named.values[worst]:g}."
    )


def _largest_difference(named: NamedAngles, *, is_measured: bool) -> float:
    exact = named.rounding + ANGLE_TOLERANCE
    steps = np.diff(np.unique(named.values))
    return max(exact, min(_MEASURED_WITHIN, _PART_OF_STEP * float(steps.min()))) if is_measured else exact
