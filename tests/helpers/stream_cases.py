"""Volumes of the 4D layer that come slowly."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from helpers.waiting import PATIENCE
from napari_stinr.reconstruction.sampled_field import SampledField, Superseded

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pytest


class SlowField:
    """Makes fields slow, and counts what is asked of them; works in pieces until it is let through or superseded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[float] = []
        self.finished: list[float] = []
        self.through = threading.Event()
        at = SampledField.at

        def slow_at(field: SampledField, t: float, part: Any, *, superseded: Callable[[], bool] = bool) -> np.ndarray:
            self.asked.append(t)
            end = time.monotonic() + PATIENCE
            while not self.through.is_set() and time.monotonic() < end:
                if superseded():
                    raise Superseded
                time.sleep(0.002)
            self.finished.append(t)
            return at(field, t, part)

        monkeypatch.setattr(SampledField, "at", slow_at)
        monkeypatch.setattr(SampledField, "is_quick", lambda field, part: False)
