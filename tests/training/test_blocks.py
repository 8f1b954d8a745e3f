"""The size of blocks: by the device where nothing was said, kept by the run, and no choice of the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from helpers.series_cases import growing_series
from napari_stinr import preset_config
from napari_stinr.training import batching
from napari_stinr.training.batching import blocks_for
from napari_stinr.training.events import Event, Finished, Prepared
from napari_stinr.training.run import Order, drive

if TYPE_CHECKING:
    import pytest

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def test_a_gpu_takes_larger_blocks_where_nothing_was_said() -> None:
    config = preset_config("growth")
    assert blocks_for(config, CPU) == config
    assert blocks_for(config, GPU).training.voxels_per_step > 10 * config.training.voxels_per_step
    said = config.with_training(voxels_per_step=12_345)
    assert blocks_for(said, GPU) == said


def test_a_run_keeps_its_blocks_and_the_person_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = preset_config("static").with_training(steps=2)
    larger = asked.training.voxels_per_step + 1

    def as_on_a_gpu(config, device):  # type: ignore[no-untyped-def]
        return config.with_training(voxels_per_step=larger)

    monkeypatch.setattr(batching, "blocks_for", as_on_a_gpu)
    monkeypatch.setattr("napari_stinr.training.trainer.blocks_for", as_on_a_gpu)
    checked: list[int] = []
    events: list[Event] = []
    order = Order(
        growing_series(n_tilts=7),
        config=asked,
        device="cpu",
        threads=1,
        check=lambda series, config, step: checked.append(config.training.voxels_per_step),
    )
    drive(order, events.append)
    (prepared,) = [event for event in events if isinstance(event, Prepared)]
    assert prepared.config == asked
    assert checked == [larger]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reconstruction.config.training.voxels_per_step == larger
