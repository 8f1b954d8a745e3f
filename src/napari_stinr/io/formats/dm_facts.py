"""What the tags of a DigitalMicrograph image say about tilt angles, date and pixel size."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.io.formats.units import stated_length

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_FILETIME_PER_SECOND = 1e7
_FILETIME_OF_1970 = 11_644_473_600.0
"""Seconds between 1601, where the clock of Windows begins, and 1970."""
_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_DEGREES = ("deg", "°", "degree", "degrees")
_LARGEST_ANGLE = 180.0
_STEP_TOLERANCE = 1e-3
_DATE = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})")
_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:\s*([AaPp])\.?[Mm]\.?)?")


def value_at(tags: object, *names: str) -> Any:
    """Return the value or group of a path in the tags, None where there is none."""
    for name in names:
        tags = tags.get(name) if isinstance(tags, dict) else None
    return tags


def tilt_angles(image: Mapping[str, Any], n_tilts: int) -> tuple[NDArray[np.float64] | None, str]:
    """Return `(n_tilts,)` tilt angles [degrees], None where no tag has them, and what of the tags does."""
    if n_tilts == 1:
        alpha = _number(value_at(image, "ImageTags", "Microscope Info", "Stage Position", "Stage Alpha"))
        return (None if alpha is None else _sensible(np.array([alpha]))), "stage position"
    for found, place in (
        (_listed_angles(image, n_tilts), "list of tilt angles"),
        (_calibrated_angles(image, n_tilts), "calibration"),
        (_planned_angles(image, n_tilts), "tomography setup"),
    ):
        angles = None if found is None else _sensible(found)
        if angles is not None:
            return angles, place
    return None, ""


def pixel_size(image: Mapping[str, Any], axis: int = 0) -> float | None:
    """Return the width of a pixel [Å] from the calibration of the first axis, its height from the second, else None."""
    calibrations = _calibrations(image)
    if len(calibrations) <= axis:
        return None
    scale, unit = value_at(calibrations[axis], "Scale"), value_at(calibrations[axis], "Units")
    return stated_length(abs(scale), unit) if _number(scale) is not None and isinstance(unit, str) else None


def timestamp(image: Mapping[str, Any]) -> float | None:
    """Return seconds since 1970 [s], None where no tag says them, or only as some countries write: 4/5/2016."""
    bar = value_at(image, "ImageTags", "DataBar")
    ticks = _number(value_at(bar, "Acquisition Time (OS)"))
    seconds = None if ticks is None else ticks / _FILETIME_PER_SECOND - _FILETIME_OF_1970
    if seconds is None or not _EARLIEST < seconds < _LATEST:
        seconds = _written_time(value_at(bar, "Acquisition Date"), value_at(bar, "Acquisition Time"))
    return seconds if seconds is not None and _EARLIEST < seconds < _LATEST else None


def _calibrations(image: Mapping[str, Any]) -> list[Any]:
    found = value_at(image, "ImageData", "Calibrations", "Dimension")
    return list(found.values()) if isinstance(found, dict) else []


def _listed_angles(image: Mapping[str, Any], n_tilts: int) -> NDArray[np.float64] | None:
    info = value_at(image, "ImageTags", "Meta Data", "Dimension info", "2")
    label, listed = value_at(info, "Label"), value_at(info, "Data")
    if not isinstance(label, str) or not isinstance(listed, dict) or len(listed) != n_tilts:
        return None
    angles = [_number(listed.get(str(k))) for k in range(n_tilts)]
    return np.array(angles, dtype=np.float64) if "tilt" in label.lower() and "deg" in label.lower() else None


def _calibrated_angles(image: Mapping[str, Any], n_tilts: int) -> NDArray[np.float64] | None:
    calibrations = _calibrations(image)
    if len(calibrations) < 3 or value_at(calibrations[2], "Units") not in _DEGREES:
        return None
    origin, scale = (_number(value_at(calibrations[2], name)) for name in ("Origin", "Scale"))
    return None if origin is None or scale is None else (np.arange(n_tilts, dtype=np.float64) - origin) * scale


def _planned_angles(image: Mapping[str, Any], n_tilts: int) -> NDArray[np.float64] | None:
    tomography = value_at(image, "ImageTags", "Tomography")
    groups = tomography.values() if isinstance(tomography, dict) else ()
    plan = next((found for group in groups if isinstance(found := value_at(group, "Tilt angles"), dict)), {})
    names = ("Minimum tilt angle (deg)", "Maximum tilt angle (deg)", "Tilt angle step (deg)")
    lowest, highest, step = (_number(plan.get(name)) for name in names)
    if lowest is None or highest is None or step is None or step <= 0 or plan.get("Tilt model", "equal") != "equal":
        return None
    is_whole = abs((n_tilts - 1) * step - (highest - lowest)) < _STEP_TOLERANCE * step
    return np.linspace(lowest, highest, n_tilts) if is_whole else None


def _sensible(angles: NDArray[np.float64]) -> NDArray[np.float64] | None:
    fits = np.isfinite(angles).all() and np.abs(angles).max() <= _LARGEST_ANGLE
    return angles if fits and (len(angles) == 1 or np.ptp(angles) > 0) else None


def _written_time(date: object, time: object) -> float | None:
    if not isinstance(date, str) or not isinstance(time, str):
        return None
    days, clock = _DATE.fullmatch(date.strip()), _TIME.fullmatch(time.strip())
    if days is None or clock is None:
        return None
    hour, half = int(clock[1]), (clock[4] or "").lower()
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    moments = set()
    for year, month, day in _readings(*(int(number) for number in days.groups())):
        try:
            moments.add(datetime(year, month, day, hour, int(clock[2]), int(clock[3]), tzinfo=UTC).timestamp())
        except ValueError:  # there is no such date
            continue
    return moments.pop() if len(moments) == 1 else None


def _readings(first: int, second: int, third: int) -> tuple[tuple[int, int, int], ...]:
    # Year, month and day in the ways that people write them; two digits for the year leave too much open.
    if first > 99:
        return ((first, second, third),)
    return ((third, first, second), (third, second, first)) if third > 99 else ()


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
