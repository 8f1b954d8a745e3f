"""From which directions a specimen was seen, and what is to be expected where there are few."""

from __future__ import annotations

import math
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Coverage:
    """From which directions a series shows its specimen.

    Parameters
    ----------
    covered : float
        Range of the tilt angles [degrees].
    n_tilts : int
        Number of projections.
    step : float
        Median step between neighbours [degrees].
    gap : tuple of float or None
        Tilt angles at both sides of the widest gap, where it is wider than usual [degrees].
    """

    covered: float
    n_tilts: int
    step: float
    gap: tuple[float, float] | None

    @classmethod
    def of(cls, tilt_angles: ArrayLike, used: ArrayLike) -> Coverage | None:
        """Look at tilt angles.

        Parameters
        ----------
        tilt_angles : array-like
            `(n_tilts,)` tilt angles, in any order [degrees].
        used : array-like
            `(n_tilts,)` bool, which projections count.

        Returns
        -------
        Coverage or None
            None where the angles are not known yet.
        """
        angles = np.sort(np.asarray(tilt_angles, dtype=np.float64)[np.asarray(used, dtype=bool)])
        if len(angles) < 2 or not np.isfinite(angles).all():
            return None
        steps = np.diff(angles)
        step, widest = float(np.median(steps)), int(steps.argmax())
        is_wide = steps[widest] > max(_WIDE_GAP, _MANY_STEPS * step)
        gap = (float(angles[widest]), float(angles[widest + 1])) if is_wide else None
        return cls(float(np.ptp(angles)), len(angles), step, gap)

    @property
    def narrow_note(self) -> Note | None:
        """What a small range does."""
        if self.covered >= _NARROW:
            return None
        longer = elongation(self.covered)
        much = f"{longer:.1f} times" if longer < 100 else "more than 100 times"
        return _note(
            f"The tilt angles cover {self.covered:.3g} degrees: expect what you see to be {much} as long along z."
        )

    @property
    def few_note(self) -> Note | None:
        """What few projections do."""
        if self.n_tilts >= _FEW:
            return None
        return _note(f"There are {self.n_tilts} projections: expect streaks, and no atoms that can be trusted.")

    @property
    def gap_note(self) -> Note | None:
        """What a gap does."""
        if self.gap is None:
            return None
        return _note(
            f"There is no projection between {self.gap[0]:g} and {self.gap[1]:g} degrees, where others are "
            f"{self.step:.3g} apart: expect streaks in these directions."
        )


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
    seen = Coverage.of(tilt_angles, used)
    notes = () if seen is None else (seen.narrow_note, seen.few_note, seen.gap_note)
    return tuple(note for note in notes if note is not None)


def _note(text: str) -> Note:
    return Note(NoteKind.COVERAGE, text)
