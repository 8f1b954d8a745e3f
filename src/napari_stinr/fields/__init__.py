"""Continuous V(z, y, x, t): one module per kind of field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.config import GrowthFieldConfig, JointFieldConfig
from napari_stinr.fields.growth import GrowthField
from napari_stinr.fields.joint import JointField
from napari_stinr.fields.static import StaticField

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid

__all__ = ["GrowthField", "JointField", "StaticField", "build_field"]


def build_field(
    config: ReconstructionConfig, grid: VoxelGrid, *, scale: float
) -> GrowthField | StaticField | JointField:
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
    GrowthField, StaticField or JointField
        The field, on the CPU.
    """
    if isinstance(config.field, JointFieldConfig):
        return JointField(grid, config.field, scale=scale)
    if isinstance(config.field, GrowthFieldConfig):
        return GrowthField(grid, config.field, scale=scale, width=config.training.first_width)
    return StaticField(grid, config.field, scale=scale)
