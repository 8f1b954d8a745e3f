"""Times of an export as people state them: from 0 to 1, or in the unit of the run."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.reconstruction.reconstruction import Reconstruction

_TIME = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf))\s*(.*?)\s*", re.IGNORECASE)
_ROUNDING = 1e-9
"""A time may lie beyond the first or last projection by this part of the time between them: numbers are rounded."""


def stated_time(text: str | float, reconstruction: Reconstruction) -> float:
    """Return the time that a person states of a reconstruction.

    Parameters
    ----------
    text : str or float
        A number from 0 (first projection) to 1 (last), or a text with the unit of the run behind it, such as ``"30s"``.
    reconstruction : Reconstruction
        The run.

    Returns
    -------
    float
        From 0 to 1 [t].

    Raises
    ------
    StinrError
        It is no number, outside the series, or in another unit.
    """
    first, last = reconstruction.time_range
    match = _TIME.fullmatch(str(text))
    unit = match[2] if match else ""
    if match is None or (unit and not _is_same_unit(unit, reconstruction.time_unit)):
        raise _refused(text, reconstruction)
    t = (float(match[1]) - first) / (last - first) if unit else float(match[1])
    if not (math.isfinite(t) and -_ROUNDING <= t <= 1 + _ROUNDING):
        raise _refused(text, reconstruction)
    return min(max(t, 0.0), 1.0)


def _refused(text: str | float, reconstruction: Reconstruction) -> StinrError:
    (first, last), unit = reconstruction.time_range, reconstruction.time_unit
    span = f", or {first:g} to {last:g} {unit} with that unit behind the number" if unit else ""
    example = f" or --time {first + (last - first) / 2:g}{unit}" if unit else ""
    return StinrError(
        f"the time is {text}",
        expected=f"0 to 1, from the first projection to the last{span}",
        cure=f"Give --time 0.5{example}, for instance.",
    )


def _is_same_unit(unit: str, other: str) -> bool:
    return bool(other) and _plain(unit) == _plain(other)


def _plain(unit: str) -> str:
    """Return a unit as any keyboard has it: e/A2 for e/Å²."""
    letters = unicodedata.normalize("NFKD", unit)
    kept = (letter for letter in letters if not unicodedata.combining(letter) and letter not in " ^*")
    return "".join(kept).replace("\N{GREEK SMALL LETTER MU}", "u")
