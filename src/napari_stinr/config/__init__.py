"""Settings of a reconstruction: frozen, documented, and the same in Python, in YAML and in the saved file.

A preset is a complete :class:`ReconstructionConfig`: ``growth`` (default), ``static`` and ``paper``.
"""

from napari_stinr.config.settings import (
    PRESETS,
    QUALITIES,
    FieldConfig,
    GrowthFieldConfig,
    JointFieldConfig,
    ReconstructionConfig,
    StaticFieldConfig,
    TrainingConfig,
    preset_config,
)
from napari_stinr.config.yaml_text import read_settings_text

__all__ = [
    "PRESETS",
    "QUALITIES",
    "FieldConfig",
    "GrowthFieldConfig",
    "JointFieldConfig",
    "ReconstructionConfig",
    "StaticFieldConfig",
    "TrainingConfig",
    "preset_config",
    "read_settings_text",
]
