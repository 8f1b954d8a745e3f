"""Predicted projections: what a reconstruction says that the microscope should have seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.data.checks import is_same_size
from napari_stinr.errors import StinrError
from napari_stinr.projection.backends import projector_for
from napari_stinr.projection.operator import project_field
from napari_stinr.projection.views import SliceShape, Views
from napari_stinr.reconstruction.rendering import lattice_of, rows_at_a_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction.reconstruction import Reconstruction


def predict_projections(
    reconstruction: Reconstruction, series: TiltSeries, tilts: Sequence[int], *, threads: int = 1
) -> NDArray[np.float32]:
    """Project a reconstruction as a tilt series sees it: at the angles and times of some of its tilts.

    These are the projections that the training compares with the measured ones. The potential of a joint field is
    sampled at the voxels, where the training sampled it along random rays.

    Parameters
    ----------
    reconstruction : Reconstruction
        What to project.
    series : TiltSeries
        Tilt angles, times, handedness and rotation axis; its projections are not looked at.
    tilts : sequence of int
        Positions in the stack, from 0.
    threads : int
        CPU threads.

    Returns
    -------
    ndarray
        `(len(tilts), height, width)` float32 predicted projections [V times the length unit].

    Raises
    ------
    StinrError
        The series has another size or pixel size than the reconstruction, or a position is not in the stack.
    """
    _check_match(reconstruction, series)
    _check_tilts(tilts, series)
    field, grid = reconstruction.field, reconstruction.grid
    predicted = np.empty((len(tilts), series.height, series.width), dtype=np.float32)
    if not len(tilts):
        return predicted
    fitted = grid.fitted  # rays see what is in the margin, too
    views = Views.of(series)[torch.tensor(list(tilts), dtype=torch.int64)]
    projector = projector_for(SliceShape.of(series, fitted), device=torch.device("cpu"), threads=threads)
    z, y, x = lattice_of(fitted)
    for rows in rows_at_a_time(fitted):
        with torch.inference_mode():
            predicted[:, rows] = project_field(projector, field, (z, y[rows], x), views).numpy()
    return predicted


def _check_match(reconstruction: Reconstruction, series: TiltSeries) -> None:
    grid = reconstruction.grid
    same_size = is_same_size(series.voxel_size, grid.voxel_size)
    if (series.height, series.width) != (grid.height, grid.width) or not same_size:
        raise StinrError(
            f"projections of {series.height} x {series.width} pixels of {series.voxel_size:g} {series.length_unit}",
            expected=f"{grid.height} x {grid.width} pixels of {grid.voxel_size:g} {grid.length_unit}, "
            "as the reconstruction has",
            cure="Give the series, and the binning, that the reconstruction was trained with.",
        )


def _check_tilts(tilts: Sequence[int], series: TiltSeries) -> None:
    for tilt in tilts:
        if not 0 <= tilt < series.n_tilts:
            raise StinrError(
                f"projection {tilt} is to be predicted",
                expected=f"a position from 0 to {series.n_tilts - 1}",
                cure="Positions count from 0 in stack order.",
            )
