"""A training that is stopped in the search for a surface goes on as if it had never stopped."""

from __future__ import annotations

import pytest

from helpers.series_cases import growing_series
from napari_stinr import Trainer, preset_config

CONFIG = preset_config("growth").with_training(steps=14)
SERIES = growing_series(n_tilts=21, width=15, height=7)


def trainer() -> Trainer:
    return Trainer(SERIES, CONFIG, device="cpu", threads=1)


@pytest.fixture(scope="module")
def losses_at_once() -> list[float]:
    return [report.loss for report in trainer().run()]


# In the middle of a round, at the border of two, at the border to the volume, and within it.
@pytest.mark.parametrize("stopped_at", [2, 3, 4, 6, 9, 11])
def test_a_stop_in_any_stage_changes_no_number(stopped_at: int, losses_at_once: list[float]) -> None:
    first, before = trainer(), []
    for report in first.run():
        before.append(report.loss)
        if report.step == stopped_at:
            first.stop()
    second = Trainer.resume(first.reconstruction(), SERIES, device="cpu", threads=1)
    assert before + [report.loss for report in second.run()] == losses_at_once
