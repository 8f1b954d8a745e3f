"""Continuous V(z, y, x, t): one module per kind of field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.config.field_settings import FIELD_KINDS, GrowthFieldConfig, JointFieldConfig, StaticFieldConfig
from napari_stinr.fields.base import Field
from napari_stinr.fields.growth import GrowthField
from napari_stinr.fields.joint import JointField
from napari_stinr.fields.static import StaticField

if TYPE_CHECKING:
    from napari_stinr.config import FieldSettings, ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid

__all__ = ["Field", "GrowthField", "JointField", "StaticField", "build_field", "register"]

_FIELDS: dict[str, type[Field]] = {}


def register(settings: type[FieldSettings], field: type[Field]) -> None:
    """Make a kind of field known: to settings files, saved runs, and everything that trains or shows a field.

    Parameters
    ----------
    settings : type of FieldSettings
        Its settings; the default of `kind` is the name of the kind.
    field : type of Field
        The field.
    """
    kind: str = settings.model_fields["kind"].default
    FIELD_KINDS[kind], _FIELDS[kind] = settings, field


register(GrowthFieldConfig, GrowthField)
register(StaticFieldConfig, StaticField)
register(JointFieldConfig, JointField)


def build_field(config: ReconstructionConfig, grid: VoxelGrid, *, scale: float) -> Field:
    """Build the field that a configuration describes, before training.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings.
    grid : VoxelGrid
        The voxels of the reconstruction.
    scale : float
        Typical potential of the data [V].

    Returns
    -------
    Field
        The field, on the CPU.
    """
    return _FIELDS[config.field.kind].build(config.field, grid, scale=scale, training=config.training)
