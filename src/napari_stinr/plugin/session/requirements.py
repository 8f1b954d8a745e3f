"""What a run of a window will need; the cure for one that does not fit is worded for it."""

from __future__ import annotations

from functools import partial

from napari_stinr.training import requirements
from napari_stinr.training.requirements import Estimate, free_memory, memory_beside

__all__ = ["WINDOW_CURE", "Estimate", "check_fits", "estimate_run", "free_memory", "memory_beside"]

WINDOW_CURE = "Set Binning on the page Series to {binning}"

estimate_run = partial(requirements.estimate_run, cure=WINDOW_CURE)
check_fits = partial(requirements.check_fits, cure=WINDOW_CURE)
