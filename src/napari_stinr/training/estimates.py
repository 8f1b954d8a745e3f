"""What a run will take, before it is started: memory, steps and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_stinr.config import GrowthFieldConfig, JointFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.errors import StinrError
from napari_stinr.fields import build_field
from napari_stinr.training.batching import Bag, planned_steps, rows_per_block
from napari_stinr.training.speed import Speed, measure_speed

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig, StaticFieldConfig

__all__ = ["Speed", "expected_memory", "expected_seconds", "expected_steps", "fitting_binning", "measure_speed"]

BINNINGS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Binnings that are considered."""

USABLE_FRACTION = 0.8
"""Part of the free memory that a run may take."""

_FLOAT = 4
_ROWS_TOGETHER = 16
_RENDERED_AT_ONCE = 1_000_000
# Measured with GNU's memory allocator, which does not give small pieces back: highest resident memory of whole runs.
_STACKS_HELD = 3.3
_STACKS_WITH_HELD_OUT = 2.25
_SPECTRA_AT_ONCE, _SPECTRA = 2**22, 4
_ARRAYS_OF_A_BLOCK = {"static": 12, "growth": 18}
_ARRAYS_OF_LINES = 12
_ARRAYS_OF_RENDERING = {"static": 9, "growth": 14, "joint": 3}
_FIELD_WITH_MOMENTS, _FIELD_IN_A_CHECKPOINT = 4, 3


def expected_memory(shape: tuple[int, int, int], config: ReconstructionConfig) -> int:
    """Return how much memory a run needs beyond what the idle program has.

    Stack, field, gradient, moments of the optimiser, the work space of a block, and one snapshot with all that a
    resumed run needs. Volumes that are shown come on top.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.

    Returns
    -------
    int
        Highest memory during the run, within a third [bytes].
    """
    n_tilts, height, width = shape
    grid = _grid(shape)
    field, volume = _FLOAT * _n_parameters(config, grid), _FLOAT * grid.n_voxels
    stack = _FLOAT * n_tilts * height * width
    held = _STACKS_HELD * stack
    at_start = held + _SPECTRA * min(stack, _FLOAT * _SPECTRA_AT_ONCE)
    if config.training.held_out:
        at_start += _STACKS_WITH_HELD_OUT * stack
    rendered_at_once = _FLOAT * min(grid.n_voxels, max(_RENDERED_AT_ONCE, grid.depth * grid.width))
    rendering = rendered_at_once * (_ARRAYS_OF_RENDERING[config.field.kind] + _network_values(config, trained=False))
    training = held + _FIELD_WITH_MOMENTS * field + max(_work_space(shape, config), rendering)
    return int(max(at_start, training + max(field + volume, _FIELD_IN_A_CHECKPOINT * field)))


def fitting_binning(shape: tuple[int, int, int], config: ReconstructionConfig, available_bytes: int) -> int:
    """Return the smallest binning with which a run fits into memory.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack before binning: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    available_bytes : int
        Free memory, of which a fifth is left alone [bytes].

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
        needed = expected_memory((n_tilts, height // binning, width // binning), config)
        if needed <= USABLE_FRACTION * available_bytes:
            return binning
    raise StinrError(
        f"a run on {n_tilts} projections of {height} x {width} pixels needs {needed / 1e9:.2g} GB of memory even "
        f"when binned {possible[-1]} x {possible[-1]}",
        expected=f"at most {USABLE_FRACTION * available_bytes / 1e9:.2g} GB, {USABLE_FRACTION:.0%} of what is free",
        cure="Close other programs, cut the projections to the specimen, or use a machine with more memory.",
    )


def expected_steps(shape: tuple[int, int, int], config: ReconstructionConfig) -> int:
    """Return how many steps a run has.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.

    Returns
    -------
    int
        The number of steps that the training reports.
    """
    return planned_steps(config.training, _grid(shape))


def expected_seconds(shape: tuple[int, int, int], config: ReconstructionConfig, speed: Speed) -> float:
    """Return how long a run takes on the CPU.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    speed : Speed
        Speed of the machine.

    Returns
    -------
    float
        Time of the whole run [s].
    """
    grid = _grid(shape)
    update = _n_parameters(config, grid) / speed.parameters
    if isinstance(config.field, JointFieldConfig):
        samples = config.training.rays_per_step * max(grid.depth, grid.width)
        work = samples * _joint_products(config.field) / _joint_products(JointFieldConfig()) / speed.samples
    else:
        rows, tilts = _block(shape, config)
        voxels = rows * grid.depth * grid.width
        # The compiled projector works on sixteen rows at a time, whether there are so many or not.
        projected = -(-rows // _ROWS_TOGETHER) * _ROWS_TOGETHER * grid.depth * grid.width * tilts
        grows = isinstance(config.field, GrowthFieldConfig)
        work = projected / (speed.growth_voxels if grows else speed.static_voxels)
        work += voxels * _decoder_products(config.field) / _joint_products(JointFieldConfig()) / speed.samples
    return expected_steps(shape, config) * (work + update)


def _grid(shape: tuple[int, int, int]) -> VoxelGrid:
    _, height, width = shape
    return VoxelGrid(width, height, width)


def _n_parameters(config: ReconstructionConfig, grid: VoxelGrid) -> int:
    with torch.device("meta"):  # shapes without memory
        return sum(parameter.numel() for parameter in build_field(config, grid, scale=1.0).parameters())


def _block(shape: tuple[int, int, int], config: ReconstructionConfig) -> tuple[int, float]:
    """Rows of a block, and its mean number of tilts."""
    training, grid = config.training, _grid(shape)
    draws = Bag(grid.height, rows_per_block(training, grid)).n_draws
    n_trained = max(1, shape[0] - training.held_out)
    tilt_draws = Bag(n_trained, training.tilts_per_step).n_draws
    early = min(training.early_tilts, n_trained) * (1 - 1 / tilt_draws)
    return -(-grid.height // draws), n_trained / tilt_draws + early


def _work_space(shape: tuple[int, int, int], config: ReconstructionConfig) -> float:
    grid, field = _grid(shape), config.field
    if isinstance(field, JointFieldConfig):
        samples = config.training.rays_per_step * max(grid.depth, grid.width)
        return _FLOAT * samples * _network_values(config, trained=True)
    rows, tilts = _block(shape, config)
    values = _ARRAYS_OF_A_BLOCK[field.kind] + _network_values(config, trained=True)
    return _FLOAT * rows * grid.width * (grid.depth * values + tilts * _ARRAYS_OF_LINES)


def _network_values(config: ReconstructionConfig, *, trained: bool) -> int:
    """Numbers that a network holds for every point."""
    field = config.field
    if isinstance(field, JointFieldConfig):
        return 2 * field.hidden * field.layers + 4 * _encoded(field) if trained else 0
    if not field.hidden:
        return 0
    levels = 4 * field.features
    return 2 * levels + (6 if trained else 2) * field.hidden


def _joint_products(field: JointFieldConfig) -> int:
    return _encoded(field) * field.hidden + field.hidden**2 * (field.layers - 1) + field.hidden


def _encoded(field: JointFieldConfig) -> int:
    return 6 * field.spatial_frequencies + 2 * field.time_frequencies


def _decoder_products(field: StaticFieldConfig) -> int:
    return (4 * field.features + field.hidden + 1) * field.hidden
