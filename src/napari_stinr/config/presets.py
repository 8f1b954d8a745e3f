"""The presets: which field, and how it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_stinr.config.field_settings import GrowthFieldConfig, JointFieldConfig, StaticFieldConfig
from napari_stinr.config.training_settings import TrainingConfig

if TYPE_CHECKING:
    from napari_stinr.config.field_settings import FieldSettings


class Parts(NamedTuple):
    """What a preset is made of, and what it assumes, in one sentence for people."""

    field: FieldSettings
    training: TrainingConfig
    assumption: str


PARTS_OF_PRESETS = {
    "growth": Parts(
        GrowthFieldConfig(has_surface=True),
        TrainingConfig(),
        "Contamination arrives once, stays, and lies outside the surface of the specimen.",
    ),
    "static": Parts(
        StaticFieldConfig(),
        TrainingConfig(early_tilts=0),
        "Nothing changes: what existing software assumes, for comparison.",
    ),
    "paper": Parts(
        JointFieldConfig(),
        TrainingConfig(batches="rays", steps=20_000, density_rate=0.02, warm_up_steps=50, suppress_noise=False),
        "One network of position and time, as published in 2023: for other dynamics; slow.",
    ),
}
PRESETS = tuple(PARTS_OF_PRESETS)
