"""Fit a field to a tilt series.

The trainer and its reports are handed out by name, so that whoever needs a small module of this room only does not
wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.lazy import lazy_names

if TYPE_CHECKING:
    from napari_stinr.training.schedule import StepReport
    from napari_stinr.training.trainer import Trainer

_HOMES = {"StepReport": "schedule", "Trainer": "trainer"}

__all__ = ["StepReport", "Trainer"]

__getattr__ = lazy_names(__name__, _HOMES)
