"""Dates as microscopes and their programs write them."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Not strptime: its %b depends on the language of the computer.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE_TIME = re.compile(
    r"(?P<first>\d{1,4})(?P<mark>[-/. ])(?P<second>\d{1,2}|[A-Za-z]{3})(?P=mark)(?P<third>\d{1,4})"
    r"(?:\s+|[Tt,]\s*)(?P<hour>\d{1,2}):(?P<minute>\d{2}):(?P<seconds>\d{2}(?:\.\d+)?)(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"\s*(?P<zone>[Zz]|[-+]\d{2}:?\d{2})?"
)
_FIRST_TWO_DIGIT_YEAR = 70


def posix_seconds(values: Sequence[str]) -> tuple[NDArray[np.float64] | None, str]:
    """Read the dates of a series, such as ``30-Nov-15 15:21:38`` or ``2015-11-30T15:21:38``.

    Parameters
    ----------
    values : sequence of str
        One date for every image.

    Returns
    -------
    seconds : ndarray or None
        `(n_images,)` since 1970, in the time that the dates are in [s]; None where one cannot be read.
    unread : str
        The first that cannot be read, or may be two dates; "" where there is none.
    """
    readings = [[_moment(value, day_first) for value in values] for day_first in (True, False)]
    whole = [np.array(reading, dtype=np.float64) for reading in readings if None not in reading]
    if not whole:
        return None, next((value for value, *read in zip(values, *readings, strict=True) if None in read), "")
    # 4/3/2024 may be in March or April: that is no matter where all images are of one day.
    same = np.diff if len(values) > 1 else np.asarray
    if len(whole) == 2 and not np.array_equal(same(whole[0]), same(whole[1])):
        return None, values[0]
    return whole[0], ""


def _moment(value: str, day_first: bool) -> float | None:
    match = _DATE_TIME.fullmatch(value.strip())
    if match is None:
        return None
    day, month, year = match["first"], match["second"], match["third"]
    is_named = not month.isdigit()
    if len(day) == 4:
        day, year = year, day
    elif not (is_named or match["mark"] == "." or day_first):  # points stand between day, month and year
        day, month = month, day
    if len(year) != 4 and not (is_named and len(year) == 2):  # 04-03-24 leaves too much open
        return None
    century = 0 if len(year) == 4 else 1900 if int(year) >= _FIRST_TWO_DIGIT_YEAR else 2000
    hour, half = int(match["hour"]), (match["half"] or "").lower()
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    try:
        number = _MONTHS.index(month.lower()) + 1 if is_named else int(month)
        start = datetime.datetime(
            century + int(year), number, int(day), hour, int(match["minute"]), tzinfo=_zone(match["zone"])
        )
        return start.timestamp() + float(match["seconds"])
    except (ValueError, OverflowError):  # there is no such date
        return None


def _zone(text: str | None) -> datetime.timezone:
    if text is None or text in "Zz":
        return datetime.UTC
    minutes = 60 * int(text[1:3]) + int(text[-2:])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if text[0] == "-" else minutes))
