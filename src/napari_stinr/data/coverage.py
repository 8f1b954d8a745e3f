"""From which directions a specimen was seen, and what is to be expected where there are few."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.notes import Note, NoteKind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_NARROW = 90.0
"""Range of tilt angles below which a word is said [degrees]."""
_FEW = 10
_WIDE_GAP, _MANY_STEPS = 10.0, 3.0
"""Step between neighbouring tilt angles from which a word is said [degrees, and median steps]."""


def elongation(tilt_range: float) -> float:
    """Return by how much features are longer along the beam than across it.

    Parameters
    ----------
    tilt_range : float
        Range of the tilt angles, from 0 to 180 [degrees].

    Returns
    -------
    float
        Factor for a range that is symmetrical about 0 (Radermacher 1988, J. Electron Microsc. Tech. 9, 359) [1].
    """
    half = math.radians(tilt_range) / 2
    waves = math.sin(half) * math.cos(half)
    return math.sqrt((half + waves) / (half - waves)) if half - waves > 0 else math.inf


def coverage_notes(tilt_angles: ArrayLike, used: ArrayLike) -> tuple[Note, ...]:
    """Say what the tilt angles of a series do not show.

    Parameters
    ----------
    tilt_angles : array-like
        `(n_tilts,)` tilt angles, in any order; nothing is said of angles that are not known yet [degrees].
    used : array-like
        `(n_tilts,)` bool, which projections count.

    Returns
    -------
    tuple of Note
        One for a small range, one for few projections, one for the widest gap between neighbours; none where all is
        as usual.
    """
    angles = np.sort(np.asarray(tilt_angles, dtype=np.float64)[np.asarray(used, dtype=bool)])
    if len(angles) < 2 or not np.isfinite(angles).all():
        return ()
    notes, covered, steps = [], float(np.ptp(angles)), np.diff(angles)
    if covered < _NARROW:
        longer = elongation(covered)
        much = f"{longer:.1f} times" if longer < 100 else "more than 100 times"
        notes.append(f"The tilt angles cover {covered:.3g} degrees: expect what you see to be {much} as long along z.")
    if len(angles) < _FEW:
        notes.append(f"There are {len(angles)} projections: expect streaks, and no atoms that can be trusted.")
    widest = int(steps.argmax())
    if steps[widest] > max(_WIDE_GAP, _MANY_STEPS * float(np.median(steps))):
        notes.append(
            f"There is no projection between {angles[widest]:g} and {angles[widest + 1]:g} degrees, where others are "
            f"{float(np.median(steps)):.3g} apart: expect streaks in these directions."
        )
    return tuple(Note(NoteKind.COVERAGE, text) for text in notes)
