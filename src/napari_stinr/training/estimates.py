"""What a run will take, before it is started: memory, steps and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.cores import available_threads
from napari_stinr.errors import StinrError
from napari_stinr.reconstruction.rendering import RENDERED_AT_ONCE
from napari_stinr.training.preparation import preparation_memory
from napari_stinr.training.remaining import StageTime
from napari_stinr.training.speed import Speed, measure_speed
from napari_stinr.training.stages import stages_of, total_steps
from napari_stinr.training.step_costs import (
    FLOAT,
    FieldSize,
    as_trained,
    seconds_of_step,
    work_space,
)
from napari_stinr.training.surface import coarse_grid, search_settings

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields.base import Costs

__all__ = [
    "Memory",
    "Speed",
    "expected_memory",
    "expected_seconds",
    "expected_stages",
    "expected_steps",
    "fitting_binning",
    "measure_speed",
    "memory_of_run",
    "memory_on_files",
]

BINNINGS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Binnings that are considered."""

USABLE_FRACTION = 0.8
"""Part of the free memory that a run may take."""
USABLE_DISK = 0.95
"""Part of the free disk space that it may take."""

# Measured with GNU's memory allocator, which does not give small pieces back: highest resident memory of whole runs.
_STACKS_HELD = 2.6
_STACKS_WITH_HELD_OUT = 0.9
_SPECTRA_AT_ONCE, _SPECTRA = 2**22, 4
_FIELD_WITH_MOMENTS, _FIELD_IN_A_CHECKPOINT = 4, 3
_SEARCHED_VALUES = 60
"""Numbers that are held for every coarse voxel while the surface is sought, the graph of its cut included."""
_SEARCHED_LONGER = 1.8
"""A step of the search for the surface, by what its projection and its update take; measured."""
_LEAST_ON_FILES = 2**26
"""Voxels from which a volume is worth files: a smaller one fits beside what a run takes in any case."""
_VOLUMES_ON_FILES, _VOLUMES_OF_ATOMS = 3, 2.25
"""Numbers of every voxel on files: the density with its moments; regions, labels, and what is divided into atoms."""
_ATOMS_AT_ONCE, _BLOCKS_AT_ONCE = 0.5, 0.4e9
"""Numbers for every voxel in memory while atoms are told on files, in tables of as many peaks as noise has, and memory
for blocks of rows then [byte]."""
_MOMENTS = 2
_DIVIDED_VALUES, _DIVIDED_ON_A_GPU = 8, 16
"""Numbers that are held for every voxel while atoms are told from each other and decided on, labels included."""


@dataclass(frozen=True)
class Memory:
    """Memory that is needed, or free [bytes].

    Parameters
    ----------
    device : int
        Of the device that computes.
    beside : int or None
        Of the computer itself, where the device has memory of its own.
    disk : int
        Of the disk where the files of a volume are that lies on some, and the run is saved.
    """

    device: int
    beside: int | None = None
    disk: int = 0

    def fits(self, free: Memory) -> bool:
        """Whether so much may be taken, with some of it left alone."""
        return self.fits_memory(free) and self.disk <= USABLE_DISK * free.disk

    def fits_memory(self, free: Memory) -> bool:
        """Whether so much memory may be taken, whatever the disk says."""
        return self.device <= USABLE_FRACTION * free.device and (
            self.beside is None or free.beside is None or self.beside <= USABLE_FRACTION * free.beside
        )


def memory_of_run(
    shape: tuple[int, int, int], config: ReconstructionConfig, *, reaches_edge: bool = False, on_gpu: bool = False
) -> Memory:
    """Return how much memory a run needs from the reading of its files on, beyond what the idle program has.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings, with blocks that suit the device.
    reaches_edge : bool
        Whether matter reaches the edge of the projections: a margin is fitted unless the settings say otherwise.
    on_gpu : bool
        Whether the training is on a device with memory of its own: all that comes before it is not.

    Returns
    -------
    Memory
        Highest memory, within a third.
    """
    prepared = preparation_memory(shape, threads=available_threads())
    if not on_gpu:
        return Memory(max(prepared, expected_memory(shape, config, reaches_edge=reaches_edge)))
    config, grid = as_trained(shape, config, reaches_edge=reaches_edge)
    size = FieldSize.of(config, grid)
    costs, field, volume, stack = (
        size.costs,
        FLOAT * size.parameters,
        FLOAT * grid.n_voxels,
        FLOAT * shape[0] * shape[1] * shape[2],
    )
    at_once = max(work_space(shape[0], config, grid, costs), _rendering(grid, costs))
    if config.field.seeks_surface:
        at_once = max(at_once, _DIVIDED_ON_A_GPU * volume)
    kept = int(_STACKS_HELD * stack + _FIELD_IN_A_CHECKPOINT * field + volume)
    return Memory(int(stack + _FIELD_WITH_MOMENTS * field + at_once), max(prepared, kept))


def expected_memory(shape: tuple[int, int, int], config: ReconstructionConfig, *, reaches_edge: bool = False) -> int:
    """Return how much memory a training on the CPU needs beyond what the idle program has.

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
    config, grid = as_trained(shape, config, reaches_edge=reaches_edge)
    size = FieldSize.of(config, grid)
    costs, field, volume = size.costs, FLOAT * size.parameters, FLOAT * grid.n_voxels
    stack = FLOAT * n_tilts * height * width
    held = _STACKS_HELD * stack
    at_start = held + _SPECTRA * min(stack, FLOAT * _SPECTRA_AT_ONCE)
    if config.training.held_out:
        at_start += _STACKS_WITH_HELD_OUT * stack
    rendering = _rendering(grid, costs)
    training = held + _FIELD_WITH_MOMENTS * field + max(work_space(n_tilts, config, grid, costs), rendering)
    search = 0.0
    if config.field.seeks_surface:
        # The volume is there already, and a snapshot of it is made like what was found. Later its atoms are told.
        coarse = coarse_grid(grid)
        search = held + 2 * field + 2 * volume + FLOAT * _SEARCHED_VALUES * coarse.fitted.n_voxels
        search = max(search, held + _FIELD_WITH_MOMENTS * field + rendering + _DIVIDED_VALUES * volume)
    return int(max(at_start, search, training + max(field + volume, _FIELD_IN_A_CHECKPOINT * field)))


def memory_on_files(
    shape: tuple[int, int, int], config: ReconstructionConfig, *, reaches_edge: bool = False
) -> Memory | None:
    """Return what a run on the CPU needs whose volume lies on files.

    Parameters
    ----------
    shape, config, reaches_edge
        As for :func:`memory_of_run`.

    Returns
    -------
    Memory or None
        With the disk that it takes, for two files of the run, too, of which the new one takes the place of the old one;
        None for a run that cannot be on files, as of every step all of its density is needed, or need not.
    """
    prepared = preparation_memory(shape, threads=available_threads())
    config, grid = as_trained(shape, config, reaches_edge=reaches_edge)
    size, voxels = FieldSize.of(config, grid), grid.fitted.n_voxels
    if size.by_rows < _LEAST_ON_FILES:
        return None
    n_tilts, height, width = shape
    stack, rest = FLOAT * n_tilts * height * width, FLOAT * (size.parameters - size.by_rows)
    held = _STACKS_HELD * stack + (_FIELD_WITH_MOMENTS + _MOMENTS) * rest
    at_once = max(work_space(n_tilts, config, grid, size.costs), _rendering(grid, size.costs))
    disk = float(_VOLUMES_ON_FILES * FLOAT * size.by_rows)
    run = disk + _FIELD_IN_A_CHECKPOINT * rest
    if config.field.seeks_surface:
        at_once = max(at_once, _BLOCKS_AT_ONCE + _ATOMS_AT_ONCE * FLOAT * voxels)
        disk += _VOLUMES_OF_ATOMS * FLOAT * voxels
        run += (1 + FLOAT) * voxels
    return Memory(int(max(prepared, held + at_once)), disk=int(disk + 2 * run))


def fitting_binning(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    available_bytes: int,
    *,
    beside_bytes: int | None = None,
    reaches_edge: bool = False,
    disk_bytes: int = 0,
) -> int:
    """Return the smallest binning with which a run fits into memory, or on files.

    Parameters
    ----------
    shape : tuple of int
        Shape of the stack before binning: (n_tilts, height, width).
    config : ReconstructionConfig
        The settings.
    available_bytes : int
        Free memory of the device, of which a fifth is left alone [bytes].
    beside_bytes : int, optional
        The same of the computer itself, where the device has memory of its own [bytes].
    reaches_edge : bool
        Whether matter reaches the edge of the projections: a margin is fitted unless the settings say otherwise.
    disk_bytes : int
        Free disk space; none by default, where all is to be in memory [bytes].

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
    needed, free = Memory(0), Memory(available_bytes, beside_bytes, disk_bytes)
    for binning in possible:
        binned = (n_tilts, height // binning, width // binning)
        needed = memory_of_run(binned, config, reaches_edge=reaches_edge, on_gpu=beside_bytes is not None)
        on_files = memory_on_files(binned, config, reaches_edge=reaches_edge) if disk_bytes else None
        if needed.fits(free) or (on_files is not None and on_files.fits(free)):
            return binning
    raise StinrError(
        f"a run on {n_tilts} projections of {height} x {width} pixels needs {needed.device / 1e9:.2g} GB of memory "
        f"even when binned {possible[-1]} x {possible[-1]}",
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
    return total_steps(*as_trained(shape, config, reaches_edge=reaches_edge))


def expected_stages(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    speed: Speed,
    *,
    reaches_edge: bool = False,
    on_files: bool = False,
) -> tuple[StageTime, ...]:
    """Return how long the stages of a training take on the CPU.

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
    on_files : bool
        Whether the volume lies on files.

    Returns
    -------
    tuple of StageTime
        In order, with the steps that each has in a run of `expected_steps`.
    """
    config, grid = as_trained(shape, config, reaches_edge=reaches_edge)
    *rounds, volume = stages_of(config, grid)
    share = total_steps(config, grid) / sum(stage.steps for stage in (*rounds, volume))
    in_volume = seconds_of_step(shape[0], config, grid, FieldSize.of(config, grid), speed, on_files=on_files)
    in_search = 0.0
    if rounds:
        search = config.model_copy(update={"training": search_settings(config.training)})
        coarse = coarse_grid(grid)
        in_search = _SEARCHED_LONGER * seconds_of_step(
            shape[0], search, coarse, FieldSize.of_search(config, coarse), speed
        )
    return (
        *(StageTime(stage.name, stage.steps * share, in_search) for stage in rounds),
        StageTime(volume.name, volume.steps * share, in_volume),
    )


def expected_seconds(
    shape: tuple[int, int, int], config: ReconstructionConfig, speed: Speed, *, reaches_edge: bool = False
) -> float:
    """Return how long a training takes on the CPU.

    Parameters
    ----------
    shape, config, speed, reaches_edge
        As for :func:`expected_stages`.

    Returns
    -------
    float
        Time of all stages [s].
    """
    stages = expected_stages(shape, config, speed, reaches_edge=reaches_edge)
    return sum(stage.steps * stage.step_seconds for stage in stages)


def _rendering(grid: VoxelGrid, costs: Costs) -> float:
    """Memory that it takes to render a volume, a part at a time [bytes]."""
    return FLOAT * costs.rendered_values * min(grid.n_voxels, max(RENDERED_AT_ONCE, grid.depth * grid.width))
