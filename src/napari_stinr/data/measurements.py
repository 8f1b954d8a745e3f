"""How large the numbers in the data are, so that one learning rate suits all data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries


def projection_contrast(series: TiltSeries) -> float:
    """Return how far the brightest parts of the projections rise above their mean.

    The density must climb to its peaks in the steps it has: the higher they are, the larger a step has to be.

    Parameters
    ----------
    series : TiltSeries
        The data.

    Returns
    -------
    float
        99.9th percentile over mean of the absolute values that count [1].
    """
    values = np.abs(series.projections if series.mask is None else series.projections[series.mask])
    mean = float(values.mean(dtype=float))
    return float(np.percentile(values, 99.9)) / mean if mean > 0 else 1.0


def typical_potential(series: TiltSeries, grid: VoxelGrid) -> float:
    """Return the potential that would give the projections if it filled the grid evenly.

    Parameters
    ----------
    series : TiltSeries
        The data.
    grid : VoxelGrid
        The voxels of the reconstruction.

    Returns
    -------
    float
        Mean absolute projection over the path length; 1 where the data are all 0 [V].
    """
    counted = series.projections.size if series.mask is None else int(series.mask.sum())
    typical = float(np.abs(series.measured).sum(dtype=float)) / counted / (grid.width * grid.voxel_size)
    return typical if typical > 0 else 1.0
