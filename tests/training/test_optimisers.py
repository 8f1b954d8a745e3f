"""The optimiser leaves alone what it does not need."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from helpers.places import TESTS
from helpers.series_cases import VOXELWISE_GROWTH, growing_series
from napari_stinr.training import Trainer

TRAIN = """
import sys
sys.path[:0] = [{folder!r}, {tests!r}]
from helpers.series_cases import growing_series
import napari_stinr as stinr
from napari_stinr.training.estimates import measure_speed

measure_speed(1)
stinr.reconstruct(growing_series(n_tilts=15, width=11, height=4), steps=2)
assert "triton" not in sys.modules
import triton  # others still find it
"""


def test_training_never_loads_triton_whose_llvm_clashes_with_software_opengl(tmp_path):
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text("__version__ = '3.9.0'\n")
    code = TRAIN.format(folder=str(tmp_path), tests=str(TESTS))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_that_counted_the_steps_of_all_rows_together_goes_on() -> None:
    series = growing_series(n_tilts=15, width=11, height=4)
    config = VOXELWISE_GROWTH.with_training(steps=8)
    trainer = Trainer(series, config, device="cpu", threads=1)
    for report in trainer.run():
        if report.step == 4:
            trainer.stop()
    run = trainer.reconstruction()
    earlier = {
        name: value[0] if name.endswith(".step") and value.ndim else value for name, value in run.training_state.items()
    }
    assert any(value.shape != run.training_state[name].shape for name, value in earlier.items())
    ours, theirs = (
        list(Trainer.resume(replace(run, training_state=state), series, device="cpu", threads=1).run())
        for state in (run.training_state, earlier)
    )
    assert [report.loss for report in ours] == [report.loss for report in theirs]
    assert len(ours) == 4
