"""What is done before a training takes: reading, preprocessing and alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.config import preset_config
from napari_stinr.training.aligning_sizes import (
    CHAIN_SIZE,
    EXPECTED,
    FIT_ROWS,
    FIT_SIZE,
    FIT_VOXELS,
    LEAST_PIXELS,
    LEAST_TILTS,
    LONG,
    PART_OF_ROWS,
    SHORT,
)
from napari_stinr.training.stages import total_steps
from napari_stinr.training.step_costs import FLOAT, FieldSize, as_trained, seconds_of_step

if TYPE_CHECKING:
    from napari_stinr.training.pose_fit import Effort
    from napari_stinr.training.speed import Speed

# Measured: highest resident memory of series of 61 tilts and 256 to 1024 pixels.
_STACKS_PREPARED = 4.6
"""Stacks that the preprocessing holds at most: as read, in progress, turned, their masks, and one with NaN."""
_STACKS_ALIGNED = 2.5
"""Stacks that are held while the alignment is applied: as prepared, warped, and their masks."""
_BYTES_OF_A_WARP = 100
"""For every pixel of an image that is being warped [byte]."""
_BYTES_OF_A_CHAIN = 300
"""For every pixel of the images of a chain: the spectra of one and of those before it, and correlations [byte]."""

# Time for a pixel of every projection, in that of a voxel of a growth field in a step of training; measured.
_PREPARED, _CHAINED, _WARPED = 40, 275, 65
_BESIDE_A_FIT = 1.15
"""A fit with what comes before and after it, by its steps."""


def preparation_memory(shape: tuple[int, int, int], *, threads: int) -> int:
    """Return how much memory it takes to read, preprocess and align a series.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    threads : int
        CPU threads.

    Returns
    -------
    int
        Highest memory, the stack included [bytes].
    """
    n_tilts, height, width = shape
    stack = FLOAT * n_tilts * height * width
    chained = _binned(shape, CHAIN_SIZE)
    copied = 0 if chained == shape else FLOAT * chained[0] * chained[1] * chained[2]
    in_chain = stack * _STACKS_ALIGNED / 2 + copied + _BYTES_OF_A_CHAIN * chained[1] * chained[2]
    warped = stack * _STACKS_ALIGNED + threads * _BYTES_OF_A_WARP * height * width
    return int(max(_STACKS_PREPARED * stack, in_chain, warped))


def preprocessing_seconds(shape: tuple[int, int, int], speed: Speed) -> float:
    """Return how long the preprocessing takes [s]; `shape` is that of the stack."""
    n_tilts, height, width = shape
    return _PREPARED * n_tilts * height * width / speed.growth_voxels


def alignment_seconds(shape: tuple[int, int, int], speed: Speed, *, method: str, reaches_edge: bool = False) -> float:
    """Return how long an alignment takes.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    speed : Speed
        Speed of the machine.
    method : str
        ``coarse``, ``joint`` or ``off``.
    reaches_edge : bool
        Whether matter reaches the edge of the projections: the fits have a margin then.

    Returns
    -------
    float
        Time of a series that is not aligned yet; one that is takes a tenth of it [s].
    """
    if method == "off":
        return 0.0
    chained, small = _binned(shape, CHAIN_SIZE), _binned(shape, FIT_SIZE)
    seconds = (_CHAINED * _size(chained) + _WARPED * _size(shape)) / speed.growth_voxels
    if shape[0] < LEAST_TILTS or min(small[1:]) < LEAST_PIXELS:
        return seconds
    rows = max(FIT_ROWS[0], min(FIT_ROWS[1], FIT_VOXELS // small[2] ** 2))
    seconds += EXPECTED["coarse"] / (SHORT.visits * SHORT.tilts) * _fit_seconds(small, rows, SHORT, speed, reaches_edge)
    if method == "joint":
        n_fits = (EXPECTED["joint"] - EXPECTED["coarse"]) / (LONG.visits * LONG.tilts)
        rows = max(rows, chained[1] // PART_OF_ROWS)
        seconds += n_fits * _fit_seconds(chained, rows, LONG, speed, reaches_edge)
    return seconds


def _fit_seconds(shape: tuple[int, int, int], rows: int, effort: Effort, speed: Speed, reaches_edge: bool) -> float:
    """Time of a fit of some rows, and of what is done for it [s]."""
    n_tilts, height, width = shape
    rows = min(rows, height)
    config = preset_config("growth").voxelwise().with_training(visits=effort.visits, tilts_per_step=effort.tilts)
    config, grid = as_trained((n_tilts, rows, width), config, reaches_edge=reaches_edge)
    steps = total_steps(config, grid) * seconds_of_step(n_tilts, config, grid, FieldSize.of(config, grid), speed)
    return _BESIDE_A_FIT * steps + _WARPED * n_tilts * rows * width / speed.growth_voxels


def _binned(shape: tuple[int, int, int], largest: int) -> tuple[int, int, int]:
    """Shape after the binning with which no image is larger."""
    n_tilts, height, width = shape
    factor = -(-max(height, width) // largest)
    return n_tilts, max(1, height // factor), max(1, width // factor)


def _size(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]
