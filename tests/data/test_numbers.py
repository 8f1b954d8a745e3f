"""Numbers are written without an exponent where a person can read them."""

from __future__ import annotations

import pytest

from napari_stinr.data.numbers import number_text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (2451.2, 3, "2450"),
        (859.9, 3, "860"),
        (33.62, 4, "33.62"),
        (0.5, 3, "0.5"),
        (0.000123, 3, "0.000123"),
        (-1234567, 3, "-1230000"),
        (99.96, 3, "100"),
        (0.0, 3, "0"),
        (3e9, 3, "3e+09"),
        (2e-7, 3, "2e-07"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: float, digits: int, text: str) -> None:
    assert number_text(value, digits) == text
