"""Times of a tilt series from one file, and how their rows are matched with the projections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.io.series.mdoc import Mdoc

DOSE_UNIT = "e/Å²"
ANGLE_TOLERANCE = 0.05
"""Largest difference between two lists of the same tilt angles [degrees]."""
_DOSE_DIGITS = 6
"""Decimals of a dose that count; sums have others."""
_REFINED_BY = 1.0
"""Alignment moves single angles by less than this, beside an offset that all of them share [degrees]."""


@dataclass(frozen=True, eq=False)
class Timetable:
    """Times of a tilt series from one file."""

    times: NDArray[np.float64]  # `(n_tilts,)` in stack order [unit]
    tilt_angles: NDArray[np.float64] | None = None  # `(n_tilts,)` that the same file gives [degrees]
    unit: str = ""  # "" where it is not known
    source: str = "the table of times"  # name of the file
    # The angles are those of the goniometer, from which refined ones differ, and the rows may be in the order of the
    # recording where the stack is sorted by angle.
    from_microscope: bool = False
    remark: str = ""  # a sentence on what is not known
    angle_remark: str = ""  # a sentence on what stands beside the tilt angles

    def reordered(self, order: NDArray[np.int64] | None) -> Timetable:
        """Return the rows in another order, given as positions; unchanged for None or where their number differs."""
        if order is None or self.times.shape != order.shape:
            return self
        angles = self.tilt_angles
        return replace(self, times=self.times[order], tilt_angles=angles if angles is None else angles[order])


def timetable_of(mdoc: Mdoc, name: str) -> Timetable | None:
    """Return the times of an ``.mdoc`` of this name, in the order of its sections: dates, else doses, else None."""
    doses, remark = (None, "") if mdoc.doses is None else dose_times(mdoc.doses, mdoc.exposures)
    for times, what, unit in ((mdoc.seconds, "DateTime", "s"), (doses, "PriorRecordDose", DOSE_UNIT)):
        if times is not None:
            said = remark if times is doses else ""
            return Timetable(times, mdoc.tilt_angles, unit, f"the {what} of {name}", from_microscope=True, remark=said)
    return None


def dose_times(
    doses: NDArray[np.float64], exposures: NDArray[np.float64] | None = None, *, what: str = "PriorRecordDose"
) -> tuple[NDArray[np.float64] | None, str]:
    """Return doses that tell when the images were taken, in which few may be the same.

    Parameters
    ----------
    doses : ndarray
        `(n_images,)` before each image [e/Å²].
    exposures : ndarray, optional
        `(n_images,)` of each image [e/Å²]. They may tell the order of images before which the dose is the same.
    what : str
        What `doses` are, for the remark.

    Returns
    -------
    times : ndarray or None
        `(n_images,)` dose before each image, or after it where that tells more [e/Å²]; None where most are the same.
    remark : str
        Which images have the same dose, or why none is taken; "" where every image has another.
    """
    doses = np.round(doses, _DOSE_DIGITS)
    numbers, counts = np.unique(doses, return_counts=True)
    if exposures is not None and len(np.unique(np.round(doses + exposures, _DOSE_DIGITS))) > len(numbers):
        return dose_times(doses + exposures, what="PriorRecordDose + ExposureDose")
    if len(numbers) == len(doses):
        return doses, ""
    if 2 * len(numbers) <= len(doses):
        return None, f"{what} has only {len(numbers)} different value(s) for {len(doses)} images"
    others = "" if (counts > 1).sum() == 1 else f", and other doses are the same {(counts > 1).sum() - 1} time(s)"
    tie = f"{what} is {numbers[counts.argmax()]:g} for {counts.max()} images{others}"
    return doses, f"{tie}: which of these came first is not known."


def fitted(timetable: Timetable, angles: NDArray[np.float64]) -> Timetable:
    """Check that the rows of a table of times belong to the projections, by the tilt angles it lists.

    Parameters
    ----------
    timetable : Timetable
        Times, with or without angles.
    angles : ndarray
        `(n_tilts,)` tilt angles of the stack [degrees].

    Returns
    -------
    Timetable
        The same, in the order of the stack where the angles tell it.

    Raises
    ------
    StinrError
        The counts differ, or an angle differs in any order by more than 0.05 degrees; for an ``.mdoc``, by more than a
        degree beside a common offset. A table in the opposite order may be meant either way, and is refused, too.
    """
    listed, name = timetable.tilt_angles, timetable.source
    if listed is None:
        return timetable
    if listed.shape != angles.shape:
        raise StinrError(
            f"{name} lists {len(listed)} tilt angles",
            expected=f"{len(angles)}, one for every projection",
            cure="Add or remove rows.",
        )
    # Rows name their angles, so that they find their images in any order; refined angles differ from the microscope's.
    is_same = _differ_by_an_offset if timetable.from_microscope else _are_equal
    if is_same(listed, angles):
        return timetable
    order, by_angle = np.argsort(listed, kind="stable"), np.argsort(angles, kind="stable")
    # A table the other way round may as well have the rows of the stack, and angles of the opposite handedness.
    is_clear = timetable.from_microscope or not _are_equal(listed[::-1], angles)
    if is_clear and is_same(listed[order], angles[by_angle]) and len(np.unique(angles)) == len(angles):
        rows = np.empty_like(order)
        rows[by_angle] = order
        return replace(timetable.reordered(rows), source=f"{name} (its rows found by their tilt angles)")
    wrong = np.flatnonzero(~(np.abs(listed - angles) <= ANGLE_TOLERANCE))
    if len(wrong):
        first = int(wrong[0])
        raise StinrError(
            f"{name} gives {listed[first]:g} degrees for projection {first + 1}",
            expected=f"{angles[first]:g} degrees, its tilt angle (within {ANGLE_TOLERANCE})",
            cure="Put the rows in the order of the stack, or correct the angles.",
        )
    return timetable


def _are_equal(listed: NDArray[np.float64], angles: NDArray[np.float64]) -> bool:
    return bool((np.abs(listed - angles) <= ANGLE_TOLERANCE).all())


def _differ_by_an_offset(listed: NDArray[np.float64], angles: NDArray[np.float64]) -> bool:
    difference = listed - angles
    return bool((np.abs(difference - np.median(difference)) <= _REFINED_BY).all())
