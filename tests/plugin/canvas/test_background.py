"""Bars in napari's activity dock, which tell a remaining time beside them."""

from __future__ import annotations

import pytest

from napari_stinr.plugin.canvas.background import ActivityBars

pytestmark = pytest.mark.qt


def test_what_was_done_before_does_not_count_for_the_pace(monkeypatch, qapp):
    now = [100.0]
    monkeypatch.setattr("napari_stinr.plugin.canvas.background.time.monotonic", lambda: now[0])
    bars = ActivityBars()
    bars.open("run", "training")
    bar = bars._bars["run"]
    bar._time = lambda: now[0]
    for step in range(451, 491):
        now[0] += 1.0
        bars.update("run", step, 750, first=450)
    assert (bar.n, bar.total) == (490, 750)
    # 40 steps in 39 s; those before, which took no time of these, would make it many times as fast.
    assert bar.format_dict["rate"] == pytest.approx(1.0, rel=0.05)
    bars.close("run")
    assert bars.owners == ()
