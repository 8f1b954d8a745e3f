"""Settings of a reconstruction: frozen, documented, and the same in Python, in YAML and in the saved file.

A preset is a complete :class:`ReconstructionConfig`: ``growth`` (default), ``static`` and ``paper``.
"""

from napari_stinr.config.alignment_settings import AlignmentConfig
from napari_stinr.config.faults import settings_fault
from napari_stinr.config.field_settings import (
    FieldSettings,
    GrowthFieldConfig,
    JointFieldConfig,
    StaticFieldConfig,
)
from napari_stinr.config.preprocessing_settings import AS_RECORDED, PreprocessingConfig
from napari_stinr.config.presets import PRESETS
from napari_stinr.config.qualities import QUALITIES
from napari_stinr.config.settings import ReconstructionConfig, preset_config
from napari_stinr.config.training_settings import TrainingConfig
from napari_stinr.config.yaml_text import read_settings_text

__all__ = [
    "AS_RECORDED",
    "PRESETS",
    "QUALITIES",
    "AlignmentConfig",
    "FieldSettings",
    "GrowthFieldConfig",
    "JointFieldConfig",
    "PreprocessingConfig",
    "ReconstructionConfig",
    "StaticFieldConfig",
    "TrainingConfig",
    "preset_config",
    "read_settings_text",
    "settings_fault",
]
