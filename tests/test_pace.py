"""How fast something goes, and how long it will take."""

from __future__ import annotations

import pytest

from napari_stinr.pace import Pace, remaining_text


def test_pace_forgets_what_is_long_ago() -> None:
    pace = Pace(window=10)
    assert pace.per_second is None
    for second in range(101):
        pace.add(second, 1000 + (second if second < 50 else 50 + 3 * (second - 50)))
    assert pace.per_second == pytest.approx(3)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (41.6, "42 s left"), (190, "3 min 10 s left"), (7500, "2 h 5 min left")]
)
def test_remaining_time(seconds: float | None, text: str) -> None:
    assert remaining_text(seconds) == text
