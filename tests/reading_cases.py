"""A small stack, and the check that a file is refused with one clear sentence."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series

ANGLES = np.array([-40.0, -20.0, 0.0, 20.0, 40.0])


def stack(dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(1).integers(0, 100, (5, 6, 7)).astype(dtype)


def refused(path, *words: str, **options: object) -> None:
    options.setdefault("tilt_angles", ANGLES)
    with pytest.raises(StinrError) as caught:
        read_tilt_series(path, **options)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert caught.value.cure
