"""Tilt angles that the names of files state: ``tilt_-60.0deg``, ``name_003[-3.00]``, ``gold_n06``, ``TS_001_-3.0``.

One name alone says little: a hyphen may be a minus or stand between two words, a number may count the images. What is
taken for an angle is decided by the names of all files together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MINUS = "\N{MINUS SIGN}"
# A sign is a character or letter right before the digits, but not behind others: 2024-03-04 has none.
_NUMBER = re.compile(
    rf"(?P<sign>(?:(?<![a-z])(?:minus|neg|plus|pos)[ _-]?|(?<!\d)[-+{_MINUS}nmp])(?=\d))?(?P<digits>\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_WITH_UNIT = re.compile(rf"{_NUMBER.pattern}(?=\s?(?:deg|°))", re.IGNORECASE)
_IN_BRACKETS = re.compile(rf"\[\s?([-+{_MINUS}]?\d+(?:\.\d+)?)\s?(?:deg|°)?\s?\]", re.IGNORECASE)
_POINT = re.compile(r"(?<=\d)[p,](?=\d)", re.IGNORECASE)
"""Stands for the decimal point where names have none: 60p5."""
_FAMILIES = (("-", "+"), (_MINUS, "+"), ("n", "p"), ("m", "p"), ("neg", "pos"), ("minus", "plus"))
"""Signs that go together, that of negative angles first; a positive angle may have none."""
_LARGEST_ANGLE = 180.0
_MOST_TWICE = 0.2
"""Part of the images whose angle was taken twice: two halves of a series share the angle where they begin."""


@dataclass(frozen=True, eq=False)
class NamedAngles:
    """What the names of several files say of their tilt angles."""

    values: NDArray[np.float64]  # `(n_files,)` in the order of the files [degrees]
    rounding: float  # half of the last digit in the names [degrees]
    alone: bool  # no other number differs from name to name
    marked: bool  # by signs, brackets or a unit; else they are the only numbers, all with decimals

    def in_order(self, order: NDArray[np.int64]) -> NamedAngles:
        """Return those of the files in another order, given as positions."""
        return NamedAngles(self.values[order], self.rounding, self.alone, self.marked)


@dataclass(frozen=True)
class _Number:
    """A number in a name."""

    sign: str  # in lower case, without what separates a word from the digits
    digits: str
    glued: bool  # a letter stands before the sign

    @property
    def size(self) -> float:
        return float(self.digits)


def angles_in_names(paths: Sequence[Path]) -> NamedAngles | None:
    """Return the tilt angles that the names of all files state.

    Parameters
    ----------
    paths : sequence of Path
        Files of one series.

    Returns
    -------
    NamedAngles or None
        None where they state none, or more than one number may be the angle.
    """
    names = [_POINT.sub(".", path.stem) for path in paths]
    if len(names) < 2:
        return None
    columns = _columns(names)
    alone = columns is not None and sum(map(_varies, columns)) == 1
    marked = (_the_only(_WITH_UNIT, names), _in_brackets(names), _signed(columns))
    for found in (*marked, _decimals(columns) if alone else None):
        if found is not None:
            values = np.array([value for value, _ in found], dtype=np.float64)
            decimals = min(len(digits.partition(".")[2]) for _, digits in found)
            if np.abs(values).max() <= _LARGEST_ANGLE and _are_different(values):
                return NamedAngles(values, 0.5 * 10.0**-decimals, alone, marked != (None, None, None))
    return None


def _columns(names: Sequence[str]) -> list[list[_Number]] | None:
    """Return the numbers of all names, place by place; None where the text between them differs."""
    if len({_NUMBER.sub("#", name).lower() for name in names}) > 1:
        return None
    rows = [[_number(match, name) for match in _NUMBER.finditer(name)] for name in names]
    return [list(column) for column in zip(*rows, strict=True)]


def _number(match: re.Match[str], name: str) -> _Number:
    sign = (match["sign"] or "").lower()
    word = sign if len(sign) == 1 else sign.rstrip(" _-")
    return _Number(word, match["digits"], name[max(0, match.start() - 1) : match.start()].isalpha())


def _varies(column: Sequence[_Number]) -> bool:
    return len({(number.sign, number.digits) for number in column}) > 1


def _the_only(pattern: re.Pattern[str], names: Sequence[str]) -> list[tuple[float, str]] | None:
    """Return value and digits of the one number of a kind in every name."""
    found = []
    for name in names:
        matches = list(pattern.finditer(name))
        if len(matches) != 1:
            return None
        found.append(_number(matches[0], name))
    return _with_signs(found)


def _in_brackets(names: Sequence[str]) -> list[tuple[float, str]] | None:
    found = [_IN_BRACKETS.findall(name) for name in names]
    if any(len(numbers) != 1 for numbers in found):
        return None
    numbers = [one[0].replace(_MINUS, "-") for one in found]
    # Whole numbers without a sign may count the images.
    is_angle = any("-" in number for number in numbers) or all("." in number for number in numbers)
    return [(float(number), number) for number in numbers] if is_angle else None


def _signed(columns: list[list[_Number]] | None) -> list[tuple[float, str]] | None:
    """Return the one place of the names where some numbers are negative."""
    found = [_with_signs(column) for column in columns or ()]
    negative = [one for one in found if one is not None and any(value < 0 for value, _ in one)]
    return negative[0] if len(negative) == 1 else None


def _decimals(columns: list[list[_Number]] | None) -> list[tuple[float, str]] | None:
    """Return the first numbers that differ and have decimals, as counters have not."""
    found = (one for one in columns or () if _varies(one) and all("." in number.digits for number in one))
    return next(map(_with_signs, found), None)


def _with_signs(column: Sequence[_Number]) -> list[tuple[float, str]] | None:
    """Return value and digits of numbers whose signs mean the same throughout."""
    signs = {number.sign for number in column if number.size}  # 0 may have any
    family = next((pair for pair in _FAMILIES if signs <= {*pair, ""}), None)
    if family is None:
        return None
    minus, _ = family
    # A letter or hyphen that is in all names is part of the text, unless nothing stands before a real minus.
    is_sign = signs != {minus} or len(minus) > 1 or (minus in ("-", _MINUS) and not any(n.glued for n in column))
    return [(-n.size if is_sign and n.size and n.sign == minus else n.size, n.digits) for n in column]


def _are_different(values: NDArray[np.float64]) -> bool:
    return len(np.unique(values)) >= max(2.0, (1 - _MOST_TWICE) * len(values))
