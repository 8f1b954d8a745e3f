"""A process that compiles the kernels has the numbers of those that come later and load them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers import fresh_kernels
from helpers.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_numbers_are_the_same_from_the_first_run_on(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}

    def digest() -> str:
        command = [sys.executable, str(fresh_kernels.__file__)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=600)
        return done.stdout.strip()

    compiled = digest()
    assert list(tmp_path.rglob("*.nbc"))
    assert digest() == compiled
