"""What is done before a training takes: reading, preprocessing and alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.config import preset_config
from napari_stinr.training.stages import total_steps
from napari_stinr.training.step_costs import FLOAT, FieldSize, as_trained, seconds_of_step

if TYPE_CHECKING:
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

# As in `training.aligning`.
_CHAIN_SIZE, _FIT_SIZE = 512, 160
_FIT_VOXELS, _FIT_ROWS = 130_000, (16, 40)
_PART_OF_ROWS = 4
_SHORT, _LONG = (60, 12), (150, 20)
_COARSE, _JOINT = 20_000, 35_000
_LEAST_TILTS, _LEAST_PIXELS = 9, 16

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
    chained = _binned(shape, _CHAIN_SIZE)
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
    chained, small = _binned(shape, _CHAIN_SIZE), _binned(shape, _FIT_SIZE)
    seconds = (_CHAINED * _size(chained) + _WARPED * _size(shape)) / speed.growth_voxels
    if shape[0] < _LEAST_TILTS or min(small[1:]) < _LEAST_PIXELS:
        return seconds
    rows = max(_FIT_ROWS[0], min(_FIT_ROWS[1], _FIT_VOXELS // small[2] ** 2))
    seconds += _COARSE / (_SHORT[0] * _SHORT[1]) * _fit_seconds(small, rows, _SHORT, speed, reaches_edge)
    if method == "joint":
        n_fits = (_JOINT - _COARSE) / (_LONG[0] * _LONG[1])
        rows = max(rows, chained[1] // _PART_OF_ROWS)
        seconds += n_fits * _fit_seconds(chained, rows, _LONG, speed, reaches_edge)
    return seconds


def _fit_seconds(
    shape: tuple[int, int, int], rows: int, effort: tuple[int, int], speed: Speed, reaches_edge: bool
) -> float:
    """Time of a fit of some rows, and of what is done for it [s]; the effort is visits and tilts."""
    n_tilts, height, width = shape
    rows, (visits, tilts) = min(rows, height), effort
    config = preset_config("growth").voxelwise().with_training(visits=visits, tilts_per_step=tilts)
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
