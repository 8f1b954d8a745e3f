"""Numbers as people write them."""

from __future__ import annotations

from math import floor, log10

_SMALLEST, _LARGEST = 1e-4, 1e7
"""Beyond these, a number is written with a power of ten: nobody counts so many zeros."""


def number_text(value: float, digits: int = 3) -> str:
    """Return a number with so many digits that tell something, and without an exponent where it can be read.

    Parameters
    ----------
    value : float
        Any number.
    digits : int
        Digits that are kept after rounding.

    Returns
    -------
    str
        Such as ``"2450"`` where a format of three digits gives ``"2.45e+03"``.

    Examples
    --------
    >>> number_text(2451.2), number_text(0.5), number_text(33.62, 4)
    ('2450', '0.5', '33.62')
    """
    if not _SMALLEST <= abs(value) < _LARGEST:
        return f"{value:.{digits}g}"
    decimals = digits - 1 - floor(log10(abs(value)))
    text = f"{round(value, decimals):.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
