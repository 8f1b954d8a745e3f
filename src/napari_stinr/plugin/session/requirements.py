"""What a run of a window will need; the cure for one that does not fit is worded for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_stinr.training import requirements
from napari_stinr.training.requirements import Estimate, free_memory, memory_beside

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.plugin.session.draft import SeriesDraft

__all__ = ["WINDOW_CURE", "Estimate", "check_fits", "estimate_run", "free_memory", "memory_beside", "trained_shape"]

WINDOW_CURE = "Set Binning on the page Series to {binning}"

estimate_run = partial(requirements.estimate_run, cure=WINDOW_CURE)
check_fits = partial(requirements.check_fits, cure=WINDOW_CURE)


def trained_shape(draft: SeriesDraft, config: ReconstructionConfig) -> tuple[int, int, int]:
    """Return `(n_tilts, height, width)` of what is trained, not binned: cropped, and turned where that is decided."""
    n_tilts, height, width = draft.cropped_shape
    return (n_tilts, width, height) if config.preprocessing.axis == "horizontal" else (n_tilts, height, width)
