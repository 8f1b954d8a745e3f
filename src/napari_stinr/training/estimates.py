"""What a run will take, before it is started: memory, steps and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_stinr.config import GrowthFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.data.margin import margin_voxels
from napari_stinr.errors import StinrError
from napari_stinr.fields import build_field
from napari_stinr.fields.surface import SurfaceField
from napari_stinr.projection.backends import ROWS_TOGETHER
from napari_stinr.reconstruction.rendering import RENDERED_AT_ONCE
from napari_stinr.training.batching import Bag, rows_per_block
from napari_stinr.training.speed import PRODUCTS_OF_A_SAMPLE, Speed, measure_speed
from napari_stinr.training.stages import stages_of, total_steps
from napari_stinr.training.surface import coarse_grid, grids_alone, search_settings

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.fields.base import Costs

__all__ = ["Speed", "expected_memory", "expected_seconds", "expected_steps", "fitting_binning", "measure_speed"]

BINNINGS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Binnings that are considered."""

USABLE_FRACTION = 0.8
"""Part of the free memory that a run may take."""

_FLOAT = 4
# Measured with GNU's memory allocator, which does not give small pieces back: highest resident memory of whole runs.
_STACKS_HELD = 2.6
_STACKS_WITH_HELD_OUT = 0.9
_SPECTRA_AT_ONCE, _SPECTRA = 2**22, 4
_ARRAYS_OF_LINES = 12
_FIELD_WITH_MOMENTS, _FIELD_IN_A_CHECKPOINT = 4, 3
_SEARCHED_VALUES = 60
"""Numbers that are held for every coarse voxel while the surface is sought, the graph of its cut included."""
_DIVIDED_VALUES = 8
"""Numbers that are held for every voxel while atoms are told from each other and decided on, labels included."""
_LONGER_WAY = 1.15
"""Way of a ray through a box with a margin, over its edge, at a mean angle."""


def expected_memory(shape: tuple[int, int, int], config: ReconstructionConfig, *, reaches_edge: bool = False) -> int:
    """Return how much memory a run needs beyond what the idle program has.

    Stack, field, gradient, moments of the optimiser, the work space of a block, and one snapshot with all that a
    resumed run needs. Volumes that are shown come on top.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    reaches_edge : bool
        Whether matter reaches the edge of the projections: a margin is fitted unless the settings say otherwise.

    Returns
    -------
    int
        Highest memory during the run, within a third [bytes].
    """
    n_tilts, height, width = shape
    config, grid = _as_trained(shape, config, reaches_edge)
    n_parameters, costs = _size_and_costs(config, grid)
    field, volume = _FLOAT * n_parameters, _FLOAT * grid.n_voxels
    stack = _FLOAT * n_tilts * height * width
    held = _STACKS_HELD * stack
    at_start = held + _SPECTRA * min(stack, _FLOAT * _SPECTRA_AT_ONCE)
    if config.training.held_out:
        at_start += _STACKS_WITH_HELD_OUT * stack
    rendering = _FLOAT * costs.rendered_values * min(grid.n_voxels, max(RENDERED_AT_ONCE, grid.depth * grid.width))
    training = held + _FIELD_WITH_MOMENTS * field + max(_work_space(n_tilts, config, grid, costs), rendering)
    search = 0.0
    if config.field.seeks_surface:
        # The volume is there already, and a snapshot of it is made like what was found. Later its atoms are told.
        coarse = coarse_grid(grid)
        search = held + 2 * field + 2 * volume + _FLOAT * _SEARCHED_VALUES * coarse.fitted.n_voxels
        search = max(search, held + _FIELD_WITH_MOMENTS * field + rendering + _DIVIDED_VALUES * volume)
    return int(max(at_start, search, training + max(field + volume, _FIELD_IN_A_CHECKPOINT * field)))


def fitting_binning(
    shape: tuple[int, int, int], config: ReconstructionConfig, available_bytes: int, *, reaches_edge: bool = False
) -> int:
    """Return the smallest binning with which a run fits into memory.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack before binning: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    available_bytes : int
        Free memory, of which a fifth is left alone [bytes].
    reaches_edge : bool
        Whether matter reaches the edge of the projections: a margin is fitted unless the settings say otherwise.

    Returns
    -------
    int
        1, 2, 3, 4, 6, 8, 12 or 16.

    Raises
    ------
    StinrError
        Not even the largest is enough.
    """
    n_tilts, height, width = shape
    possible = [n for n in BINNINGS if n == 1 or (height >= n and width >= 2 * n)]
    needed = 0
    for binning in possible:
        binned = (n_tilts, height // binning, width // binning)
        needed = expected_memory(binned, config, reaches_edge=reaches_edge)
        if needed <= USABLE_FRACTION * available_bytes:
            return binning
    raise StinrError(
        f"a run on {n_tilts} projections of {height} x {width} pixels needs {needed / 1e9:.2g} GB of memory even "
        f"when binned {possible[-1]} x {possible[-1]}",
        expected=f"at most {USABLE_FRACTION * available_bytes / 1e9:.2g} GB, {USABLE_FRACTION:.0%} of what is free",
        cure="Close other programs, cut the projections to the specimen, or use a machine with more memory.",
    )


def expected_steps(shape: tuple[int, int, int], config: ReconstructionConfig, *, reaches_edge: bool = False) -> int:
    """Return how many steps a run has.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    reaches_edge : bool
        Whether matter reaches the edge of the projections: a margin is fitted unless the settings say otherwise.

    Returns
    -------
    int
        The number of steps that the training reports.
    """
    return total_steps(*_as_trained(shape, config, reaches_edge))


def expected_seconds(
    shape: tuple[int, int, int], config: ReconstructionConfig, speed: Speed, *, reaches_edge: bool = False
) -> float:
    """Return how long a run takes on the CPU.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    speed : Speed
        Speed of the machine.
    reaches_edge : bool
        Whether matter reaches the edge of the projections: a margin is fitted unless the settings say otherwise.

    Returns
    -------
    float
        Time of the whole run [s].
    """
    config, grid = _as_trained(shape, config, reaches_edge)
    *rounds, volume = stages_of(config, grid)
    share = total_steps(config, grid) / sum(stage.steps for stage in (*rounds, volume))
    seconds = volume.steps * share * _seconds_of_step(shape[0], config, grid, *_size_and_costs(config, grid), speed)
    if rounds:
        search = config.model_copy(update={"training": search_settings(config.training)})
        coarse = coarse_grid(grid)
        n_steps = sum(stage.steps for stage in rounds) * share
        seconds += n_steps * _seconds_of_step(shape[0], search, coarse, *_search_costs(config, coarse), speed)
    return seconds


def _seconds_of_step(
    n_tilts: int, config: ReconstructionConfig, grid: VoxelGrid, n_parameters: int, costs: Costs, speed: Speed
) -> float:
    fitted = grid.fitted
    work = n_parameters / speed.parameters
    if config.training.batches == "rays":
        points = config.training.rays_per_step * max(fitted.depth, fitted.width)
    else:
        rows, tilts = _block(n_tilts, config, grid)
        points = rows * fitted.depth * fitted.width
        # The compiled projector works on sixteen rows at a time, whether there are so many or not.
        projected = -(-rows // ROWS_TOGETHER) * ROWS_TOGETHER * _seen_voxels(grid) * tilts
        work += projected * (costs.static_parts / speed.static_voxels + costs.growing_parts / speed.growth_voxels)
    return work + points * costs.products / PRODUCTS_OF_A_SAMPLE / speed.samples


def _search_costs(config: ReconstructionConfig, coarse: VoxelGrid) -> tuple[int, Costs]:
    """Return the number of parameters of the field that the surface is sought with, and what it takes."""
    assert isinstance(config.field, GrowthFieldConfig)
    with torch.device("meta"):
        field = SurfaceField(coarse, grids_alone(config.field), scale=1.0, centre=(0.0, 0.0), radius=1.0)
    return sum(parameter.numel() for parameter in field.parameters()), field.costs


def _as_trained(
    shape: tuple[int, int, int], config: ReconstructionConfig, reaches_edge: bool
) -> tuple[ReconstructionConfig, VoxelGrid]:
    """Return what the trainer makes of the settings, and its grid."""
    _, height, width = shape
    margin = margin_voxels(width, config.training.margin, reaches_edge=reaches_edge)
    return config.voxelwise() if margin else config, VoxelGrid(width, height, width, margin=margin)


def _seen_voxels(grid: VoxelGrid) -> float:
    """Voxels of a slice that a tilt sees, on the average: the projector passes the others over."""
    fitted = grid.fitted
    return min(fitted.depth * fitted.width, _LONGER_WAY * grid.width * fitted.depth)


def _size_and_costs(config: ReconstructionConfig, grid: VoxelGrid) -> tuple[int, Costs]:
    """Return the number of parameters of a field, and what it takes."""
    with torch.device("meta"):  # shapes without memory
        field = build_field(config, grid, scale=1.0)
    return sum(parameter.numel() for parameter in field.parameters()), field.costs


def _block(n_tilts: int, config: ReconstructionConfig, grid: VoxelGrid) -> tuple[int, float]:
    """Rows of a block, and its mean number of tilts."""
    training = config.training
    draws = Bag(grid.height, rows_per_block(training, grid)).n_draws
    n_trained = max(1, n_tilts - training.held_out)
    tilt_draws = Bag(n_trained, training.tilts_per_step).n_draws
    early = min(training.early_tilts, n_trained) * (1 - 1 / tilt_draws)
    return -(-grid.height // draws), n_trained / tilt_draws + early


def _work_space(n_tilts: int, config: ReconstructionConfig, grid: VoxelGrid, costs: Costs) -> float:
    """Memory of one step of training [bytes]."""
    fitted = grid.fitted
    if config.training.batches == "rays":
        return _FLOAT * config.training.rays_per_step * max(fitted.depth, fitted.width) * costs.trained_values
    rows, tilts = _block(n_tilts, config, grid)
    values = fitted.depth * fitted.width * costs.trained_values + tilts * grid.width * _ARRAYS_OF_LINES
    return _FLOAT * rows * values
