"""A small stack, and the check that a file is refused with one clear sentence."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def refused_at_once(path: Path, *words: str, read: Callable[[Path], object]) -> None:
    """Check that a reader refuses a file with one line, in less than 2 s of processor time and with little memory."""
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(StinrError) as caught:
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 2.0
    assert peak < 50e6
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)
