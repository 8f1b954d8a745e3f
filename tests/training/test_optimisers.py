"""The optimiser leaves alone what it does not need."""

from __future__ import annotations

import subprocess
import sys

from helpers.places import TESTS

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
