"""What an objective is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stinr.config import TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.measurements import Measurements
    from napari_stinr.fields.filters import PlaneFilter
    from napari_stinr.projection.views import Views
    from napari_stinr.training.held_out import HeldOut


@dataclass(frozen=True, eq=False)
class Fit:
    """What is fitted to what, and how."""

    measurements: Measurements  # the data to train on; the objective computes where they lie
    views: Views  # what every tilt of the stack sees
    grid: VoxelGrid  # of the reconstruction; what is fitted has its margin, too
    config: TrainingConfig
    threads: int = 1  # of the projector on a CPU
    bfloat16: bool = False  # evaluate networks in bfloat16
    blur: PlaneFilter | None = None  # of the field
    held_out: HeldOut | None = None  # predicted, and not trained on
