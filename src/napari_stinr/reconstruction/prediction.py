"""Predicted projections: what a reconstruction says that the microscope should have seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.data.checks import SAME_SIZE
from napari_stinr.errors import StinrError
from napari_stinr.fields import GrowthField, JointField
from napari_stinr.projection.operator import projector_for
from napari_stinr.projection.views import SliceGeometry
from napari_stinr.reconstruction.rendering import field_blocks

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
    positions = torch.tensor(list(tilts), dtype=torch.int64)
    times = torch.from_numpy(series.times[positions.numpy()]).float()
    width = float(field.width) if isinstance(field, GrowthField) else 1.0
    projector = projector_for(SliceGeometry.of(series, grid), device=torch.device("cpu"), threads=threads)
    predicted = np.empty((len(positions), series.height, series.width), dtype=np.float32)
    # Only a joint field looks at the time when it is sampled; the other two serve all tilts with one query.
    together = [slice(k, k + 1) for k in range(len(positions))] if isinstance(field, JointField) else [slice(None)]
    for chosen in together if len(positions) else []:
        for rows, density, arrival in field_blocks(field, grid, float(times[chosen][0])):
            with torch.inference_mode():
                lines = projector.project(density, arrival, tilts=positions[chosen], times=times[chosen], width=width)
            predicted[chosen, rows] = lines.numpy()
    return predicted


def _check_match(reconstruction: Reconstruction, series: TiltSeries) -> None:
    grid = reconstruction.grid
    same_size = abs(series.voxel_size / grid.voxel_size - 1) < SAME_SIZE
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
