"""What one step of a training takes: memory and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_stinr.config import GrowthFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.data.margin import margin_voxels
from napari_stinr.fields import build_field
from napari_stinr.fields.surface import SurfaceField
from napari_stinr.projection.backends import ROWS_TOGETHER
from napari_stinr.training.batching import Bag, rows_per_block
from napari_stinr.training.speed import PRODUCTS_OF_A_SAMPLE
from napari_stinr.training.surface import grids_alone

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.fields import Field
    from napari_stinr.fields.base import Costs
    from napari_stinr.training.speed import Speed

FLOAT = 4
"""Size of a number [byte]."""
_ARRAYS_OF_LINES = 12
_SLOWER_ON_FILES = 4.0
"""By how much the update of parameters by rows is longer on files, by what it takes in memory; measured."""
_LONGER_WAY = 1.15
"""Way of a ray through a box with a margin, over its edge, at a mean angle."""


def as_trained(
    shape: tuple[int, int, int], config: ReconstructionConfig, *, reaches_edge: bool
) -> tuple[ReconstructionConfig, VoxelGrid]:
    """Return what the trainer makes of the settings, and its grid.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    reaches_edge : bool
        Whether matter reaches the edge of the projections.

    Returns
    -------
    config : ReconstructionConfig
        Voxel by voxel where there is a margin.
    grid : VoxelGrid
        With its margin.
    """
    _, height, width = shape
    margin = margin_voxels(width, config.training.margin, reaches_edge=reaches_edge)
    return config.voxelwise() if margin else config, VoxelGrid(width, height, width, margin=margin)


@dataclass(frozen=True)
class FieldSize:
    """How large a field is, and what it takes.

    Parameters
    ----------
    parameters : int
        All of its parameters.
    by_rows : int
        Those of which a step moves only the rows of its block.
    costs : Costs
        What the field takes.
    """

    parameters: int
    by_rows: int
    costs: Costs

    @classmethod
    def of(cls, config: ReconstructionConfig, grid: VoxelGrid) -> FieldSize:
        """Return the size of the field that these settings make."""
        with torch.device("meta"):  # shapes without memory
            return cls._of(build_field(config, grid, scale=1.0), config)

    @classmethod
    def of_search(cls, config: ReconstructionConfig, coarse: VoxelGrid) -> FieldSize:
        """Return the size of the field that the surface is sought with."""
        assert isinstance(config.field, GrowthFieldConfig)
        with torch.device("meta"):
            field = SurfaceField(coarse, grids_alone(config.field), scale=1.0, centre=(0.0, 0.0), radius=1.0)
        return cls._of(field, config)

    @classmethod
    def _of(cls, field: Field, config: ReconstructionConfig) -> FieldSize:
        groups = field.parameter_groups(config.training, contrast=1.0, n_blocks=1)
        by_rows = sum(parameter.numel() for group in groups if group.by_rows for parameter in group.parameters)
        return cls(sum(parameter.numel() for parameter in field.parameters()), by_rows, field.costs)


def seconds_of_step(
    n_tilts: int,
    config: ReconstructionConfig,
    grid: VoxelGrid,
    size: FieldSize,
    speed: Speed,
    *,
    on_files: bool = False,
) -> float:
    """Return how long one step takes on the CPU.

    Parameters
    ----------
    n_tilts : int
        Projections of the series.
    config : ReconstructionConfig
        The settings of the training that the step is one of.
    grid : VoxelGrid
        The voxels that are fitted.
    size : FieldSize
        Of the field.
    speed : Speed
        Speed of the machine.
    on_files : bool
        Whether what is by rows lies on files.

    Returns
    -------
    float
        Time [s].
    """
    fitted, costs = grid.fitted, size.costs
    if config.training.batches == "rays":
        work = size.parameters / speed.parameters
        points = config.training.rays_per_step * max(fitted.depth, fitted.width)
    else:
        rows, tilts = _block(n_tilts, config, grid)
        rows = min(config.training.blocks_per_step * rows, grid.height)
        work = (size.parameters - (1 - rows / grid.height) * size.by_rows) / speed.parameters
        if on_files:
            work += rows / grid.height * size.by_rows * _SLOWER_ON_FILES / speed.parameters
        points = rows * fitted.depth * fitted.width
        # The compiled projector works on sixteen rows at a time, whether there are so many or not.
        projected = -(-rows // ROWS_TOGETHER) * ROWS_TOGETHER * _seen_voxels(grid) * tilts
        work += projected * (costs.static_parts / speed.static_voxels + costs.growing_parts / speed.growth_voxels)
    return work + points * costs.products / PRODUCTS_OF_A_SAMPLE / speed.samples


def work_space(n_tilts: int, config: ReconstructionConfig, grid: VoxelGrid, costs: Costs) -> float:
    """Return the memory that one step takes beside the field [bytes]."""
    fitted = grid.fitted
    if config.training.batches == "rays":
        return FLOAT * config.training.rays_per_step * max(fitted.depth, fitted.width) * costs.trained_values
    rows, tilts = _block(n_tilts, config, grid)
    values = fitted.depth * fitted.width * costs.trained_values + tilts * grid.width * _ARRAYS_OF_LINES
    return FLOAT * rows * values


def _seen_voxels(grid: VoxelGrid) -> float:
    """Voxels of a slice that a tilt sees, on the average: the projector passes the others over."""
    fitted = grid.fitted
    return min(fitted.depth * fitted.width, _LONGER_WAY * grid.width * fitted.depth)


def _block(n_tilts: int, config: ReconstructionConfig, grid: VoxelGrid) -> tuple[int, float]:
    """Rows of a block, and its mean number of tilts."""
    training = config.training
    draws = Bag(grid.height, rows_per_block(training, grid)).n_draws
    n_trained = max(1, n_tilts - training.held_out)
    tilt_draws = Bag(n_trained, training.tilts_per_step).n_draws
    early = min(training.early_tilts, n_trained) * (1 - 1 / tilt_draws)
    return -(-grid.height // draws), n_trained / tilt_draws + early
