"""Which rows each process holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.training.distributed.place import check_rows
from napari_stinr.training.pieces import even_bag

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.training.distributed.place import Place


def bands_of(config: ReconstructionConfig, grid: VoxelGrid, place: Place) -> tuple[range, ...]:
    """Return the rows of every process.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings of the run.
    grid : VoxelGrid
        Its voxels.
    place : Place
        How many processes there are.

    Returns
    -------
    tuple of range
        One band for each, of which every draw takes as many rows, to within one.

    Raises
    ------
    StinrError
        There are more processes than rows in a step.
    """
    bag = even_bag(config.training, grid)
    check_rows(grid.height, len(bag.ends), place)
    return tuple(bag.stretches(place.n_ranks))
