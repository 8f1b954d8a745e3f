"""The presets: which field, and how it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.config.field_settings import GrowthFieldConfig, JointFieldConfig, StaticFieldConfig
from napari_stinr.config.training_settings import TrainingConfig

if TYPE_CHECKING:
    from napari_stinr.config.field_settings import FieldSettings

PARTS_OF_PRESETS: dict[str, tuple[FieldSettings, TrainingConfig]] = {
    "growth": (GrowthFieldConfig(), TrainingConfig()),
    "static": (StaticFieldConfig(), TrainingConfig(early_tilts=0)),
    "paper": (
        JointFieldConfig(),
        TrainingConfig(batches="rays", steps=10_000, density_rate=0.02, warm_up_steps=50, suppress_noise=False),
    ),
}
PRESETS = tuple(PARTS_OF_PRESETS)
