"""Which stages a training has, how long each is, and where in them it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.training.batching import blocks_of_rows
from napari_stinr.training.surface import ROUNDS, coarse_grid, search_settings

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid

VOLUME = "volume"
"""Name of the last stage: the fit at full resolution."""
_TIME_OF_A_ROUND = 0.07
"""Part of a run of given length that each round of the search takes; measured: a quarter of the time of the volume."""


@dataclass(frozen=True)
class Stage:
    """A stage of a training.

    Parameters
    ----------
    name : str
        What people read.
    steps : int
        How many steps it has in a run whose number of steps is not given.
    time : float
        Part of a run of given length [1].
    """

    name: str
    steps: int
    time: float


def stages_of(config: ReconstructionConfig, grid: VoxelGrid) -> tuple[Stage, ...]:
    """Return the stages of a training, in order.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings.
    grid : VoxelGrid
        The voxels of the reconstruction.

    Returns
    -------
    tuple of Stage
        The last one is the volume; a field with a surface has rounds that find it before.
    """
    # A step with rays takes from all rows, and counts as one block.
    volume = config.training.visits * blocks_of_rows(config.training, grid)
    if not config.field.seeks_surface:
        return (Stage(VOLUME, volume, 1.0),)
    search = search_settings(config.training)
    steps = search.visits * blocks_of_rows(search, coarse_grid(grid))
    rounds = [Stage(f"surface {k + 1} of {ROUNDS}", steps, _TIME_OF_A_ROUND) for k in range(ROUNDS)]
    return (*rounds, Stage(VOLUME, volume, 1.0 - ROUNDS * _TIME_OF_A_ROUND))


def total_steps(config: ReconstructionConfig, grid: VoxelGrid) -> int:
    """Return how many steps a training has in all stages, where nothing else is asked for.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings.
    grid : VoxelGrid
        The voxels of the reconstruction.

    Returns
    -------
    int
        `steps` of the settings, or as many as visit every row as often as they say.
    """
    return config.training.steps or sum(stage.steps for stage in stages_of(config, grid))


@dataclass
class Progress:
    """Where a training stands in its stages."""

    stage: int = 0  # number of the stage
    first_step: int = 0  # steps that were done when it began
    first_second: float = 0.0  # seconds that were over then

    def fraction(
        self, stages: tuple[Stage, ...], *, step: int, seconds: float, steps: int, limit: float | None
    ) -> float:
        """Return which part of the stage is over.

        Parameters
        ----------
        stages : tuple of Stage
            All stages.
        step : int
            Steps done in all.
        seconds : float
            Time spent in all [s].
        steps : int
            Steps of the whole training.
        limit : float, optional
            Length of the whole training, instead of its steps [s].

        Returns
        -------
        float
            1 or more: the stage is over.
        """
        left, stage = stages[self.stage :], stages[self.stage]
        if limit is not None:
            share = stage.time / sum(other.time for other in left) * (limit - self.first_second)
            return (seconds - self.first_second) / share if share > 0 else 1.0
        share = stage.steps / sum(other.steps for other in left) * (steps - self.first_step)
        # Rounded, so that stages have whole numbers of steps.
        return (step - self.first_step) / round(share) if round(share) > 0 else 1.0
