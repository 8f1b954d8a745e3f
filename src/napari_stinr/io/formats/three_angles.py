"""Lists with three angles per projection, as atomic electron tomography publishes them: phi, theta (the tilt), psi.

phi and psi stay within a few degrees, so that the tilt angles are the column with by far the largest range. Where
another reading makes as much sense, such as an index beside the angles, the list is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_ANGLES = 3
"""Angles of a projection, in this order: about z, about y, about x."""
_EXPECTED = 1
"""Place of the tilt angle, theta."""
_BY_FAR = 3.0
"""The range of the tilt angles is at least so many times that of the others."""
_LARGEST_ANGLE = 180.0
_ALL_DIFFERENT = 0.9
"""Part of the numbers of an index or of times that are different, at least..."""
_EVEN_STEPS = 0.3
"""... and the largest standard deviation of the steps between them, sorted, as a part of their mean."""
_CURE = (
    "Save the tilt angles (degrees) alone, one a line, or name the columns of a text in its first line, as in"
    " phi,theta,psi or tilt_angle_deg,time."
)


@dataclass(frozen=True, eq=False)
class AngleList:
    """Tilt angles of a list.

    Parameters
    ----------
    values : ndarray
        `(n_tilts,)` tilt angles [degrees].
    remark : str
        A sentence on what else the list has for every projection and what becomes of it, "" where there is nothing.
    """

    values: NDArray[np.float64]
    remark: str = ""


def has_three(values: NDArray[np.float64]) -> bool:
    """Return whether an array has three numbers for every projection, on either axis."""
    return values.ndim == 2 and N_ANGLES in values.shape


def angles_of_array(values: NDArray[np.float64]) -> AngleList:
    """Return the tilt angles [degrees] of an array in memory; one of another shape is returned as it is."""
    if not has_three(values):
        return AngleList(values)
    return recognised(values, f"the array of tilt angles has the shape {values.shape}")


def recognised(values: NDArray[np.float64], source: str, *, is_array: bool = True) -> AngleList:
    """Find the tilt angles among three numbers per projection that have no names.

    Parameters
    ----------
    values : ndarray
        `(n_tilts, 3)` or `(3, n_tilts)` angles [degrees].
    source : str
        What they are, for messages: ``"a.npy has the shape (59, 3)"``.
    is_array : bool
        The projections may be on either axis; otherwise each has a row.

    Returns
    -------
    AngleList
        The tilt angles, and a sentence on the others.

    Raises
    ------
    StinrError
        None of the three has by far the largest range, one is an index or times, or a number is no angle.
    """
    axes = ((values, "column"), (values.T, "row")) if is_array else ((values, "column"),)
    readings = [(columns, word) for columns, word in axes if columns.shape[1] == N_ANGLES]
    problems = [_problem(columns, word) for columns, word in readings]
    good = [reading for reading, problem in zip(readings, problems, strict=True) if not problem]
    if len(good) != 1:
        raise StinrError(
            f"{source}{problems[0] or ', whose rows may be meant as well as its columns'}",
            expected=f"one number for every projection, or three angles (phi, theta, psi) of which one, the tilt angle,"
            f" has at least {_BY_FAR:g} times the range of the others, all within -180 to 180 degrees",
            cure=_CURE,
        )
    columns, word = good[0]
    tilt = int(np.ptp(columns, axis=0).argmax())
    places = [f"{word} {k + 1}" for k in range(N_ANGLES)]
    surprise = "" if tilt == _EXPECTED else f" (not from {places[_EXPECTED]}, as the order phi, theta, psi has it)"
    return AngleList(columns[:, tilt].copy(), _sentence(columns, tilt, places, surprise))


def named(
    columns: NDArray[np.float64],
    tilt: int,
    places: Sequence[int],
    words: Sequence[str],
    *,
    source: str,
    is_sure: bool,
) -> AngleList:
    """Return the tilt angles among three columns with names, and what is said of the others.

    Parameters
    ----------
    columns : ndarray
        `(n_tilts, 3)` angles [degrees].
    tilt : int
        Which of the three has the name of the tilt angle.
    places : sequence of int
        Places of the columns in the table, from 0.
    words : sequence of str
        Their names as they are written.
    source : str
        Name of the file, for messages.
    is_sure : bool
        The name says nothing but the tilt angle: it is taken, however the others vary.

    Returns
    -------
    AngleList
        The tilt angles, and a sentence on the others.

    Raises
    ------
    StinrError
        Another column varies more, or holds what is no number.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # what is no number is judged by whoever uses the angles
        ranges = np.ptp(columns, axis=0)
        if not is_sure and not ranges[tilt] >= ranges.max():
            raise StinrError(
                f"{source} has the columns {', '.join(words)} with ranges of {_listed(ranges)}",
                expected=f"the largest range in {words[tilt]}, the tilt angle, in degrees",
                cure="Name the column with the tilt angles tilt_angle_deg.",
            )
        labels = [f"column {place + 1}, {word}" for place, word in zip(places, words, strict=True)]
        return AngleList(columns[:, tilt].copy(), _sentence(columns, tilt, labels))


def _problem(columns: NDArray[np.float64], word: str) -> str:
    """Return why no column can be told to be the tilt angles, "" where one can."""
    if not np.isfinite(columns).all():
        return f", and {columns[~np.isfinite(columns)][0]} among its numbers"
    largest = columns.flat[np.abs(columns).argmax()]
    if np.abs(largest) > _LARGEST_ANGLE:
        return f", and {largest:g} among its numbers"
    ranges = np.ptp(columns, axis=0)
    tilt = int(ranges.argmax())
    others = np.delete(np.arange(N_ANGLES), tilt)
    if ranges[tilt] == 0 or ranges[tilt] < _BY_FAR * ranges[others].max():
        return f", and its {word}s have ranges of {_listed(ranges)}"
    counting = [k for k in others if _counts_on(columns[:, k])]
    return f", and {word} {counting[0] + 1} goes on like an index or a time" if counting else ""


def _counts_on(values: NDArray[np.float64]) -> bool:
    """Return whether numbers may be an index or times, in any order, rather than small angles."""
    different = np.unique(values)
    if len(different) < max(N_ANGLES, _ALL_DIFFERENT * len(values)):
        return False
    changes, steps = np.diff(values), np.diff(different)
    is_in_order = bool((changes >= 0).all() or (changes <= 0).all())
    return is_in_order or float(steps.std()) < _EVEN_STEPS * float(steps.mean())


def _sentence(columns: NDArray[np.float64], tilt: int, labels: Sequence[str], surprise: str = "") -> str:
    found = f"The list has three angles per projection: the tilt angle was taken from {labels[tilt]}{surprise}"
    others = [k for k in range(N_ANGLES) if k != tilt]
    if not columns[:, others].any():
        return f"{found}."
    sizes = [
        f"{labels[k]} (up to {np.abs(columns[:, k]).max():.3g} degrees, standard deviation {columns[:, k].std():.3g})"
        for k in others
    ]
    return f"{found}; {' and '.join(sizes)} are left out."


def _listed(ranges: NDArray[np.float64]) -> str:
    return ", ".join(f"{size:.4g}" for size in ranges)
