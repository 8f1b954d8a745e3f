"""The 4D layer of a run whose volume lies on files: slices are asked for, and nothing of it is sampled in advance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.plugin_cases import small_draft, wait_for
from napari_stinr import Reconstruction, Trainer, preset_config
from napari_stinr.fields.storage import is_on_file
from napari_stinr.plugin.canvas.layer_data import field_limits, time_axis_of
from napari_stinr.plugin.canvas.streaming import VolumeStream

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def preview(tmp_path: Path) -> Reconstruction:
    """Stop a training on files in the fit of the volume."""
    config = preset_config("growth").with_training(steps=16)
    trainer = Trainer(small_draft().series(), config, device="cpu", threads=1, files=tmp_path)
    for report in trainer.run():
        if report.stage == "volume" and report.step > 12:
            trainer.stop()
    return trainer.reconstruction(with_training_state=False)


@pytest.mark.parametrize("axis", range(3))
def test_slices_of_a_preview_are_those_of_the_volume(preview: Reconstruction, axis: int) -> None:
    assert any(map(is_on_file, preview.field.state_dict().values()))
    stream = VolumeStream(time_axis_of(small_draft()), preview.grid.shape)
    try:
        stream.show(preview)
        wait_for(lambda: stream.field is not None)
        assert stream.field is not None
        assert not stream.field.parts
        part: list[slice | int] = [slice(None)] * 3
        part[axis] = stream.shape[1 + axis] // 2
        whole = preview.render(stream.axis.t_of(3))[tuple(part)]
        wait_for(lambda: bool(np.allclose(stream[(3, *part)], whole, atol=1e-5 * float(whole.max()))))
        assert whole.max() > 0
        low, high = field_limits(stream.field)
        assert low < 0 < high < 10 * float(preview.render(1.0).max())
    finally:
        stream.close()
