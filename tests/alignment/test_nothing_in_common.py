"""Of projections that have nothing in common, no shift is told."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr import TiltSeries
from napari_stinr.alignment.check import misalignment


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_is_not_said_to_be_shifted_by_a_number_of_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stack = rng.poisson(20, (41, 96, 96)).astype(np.float32) - 20
    note = misalignment(TiltSeries(stack, np.linspace(-60, 60, 41)))
    assert note is not None
    assert "too little in common" in note
