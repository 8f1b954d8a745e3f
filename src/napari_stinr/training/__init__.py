"""Fit a field to a tilt series.

The trainer and its reports are handed out by name, so that whoever needs a small module of this room only does not
wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_stinr.training.schedule import StepReport
    from napari_stinr.training.trainer import Trainer

_HOMES = {"StepReport": "schedule", "Trainer": "trainer"}

__all__ = ["StepReport", "Trainer"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
