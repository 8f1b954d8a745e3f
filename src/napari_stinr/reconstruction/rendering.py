"""Sample a field on a voxel grid, block of rows by block of rows, so that memory stays small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.errors import StinrError
from napari_stinr.fields import GrowthField, JointField, StaticField

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid

_VOXELS_AT_ONCE = 1_000_000


def field_blocks(
    field: GrowthField | StaticField | JointField, grid: VoxelGrid, t: float
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor | None]]:
    """Sample a field in blocks of rows.

    Parameters
    ----------
    field : GrowthField, StaticField or JointField
        What to sample.
    grid : VoxelGrid
        Where.
    t : float
        When; only a joint field looks at it [t].

    Yields
    ------
    rows : slice
        Rows of the block.
    density : Tensor
        `(rows, depth, width)` density; for a joint field the potential at t [V].
    arrival : Tensor or None
        `(rows, depth, width)` arrival time; None where the field has none [t].
    """
    z, y, x = (torch.from_numpy(grid.axis_positions(axis)) for axis in range(3))
    n_rows = max(1, _VOXELS_AT_ONCE // (grid.depth * grid.width))
    for start in range(0, grid.height, n_rows):
        rows = slice(start, min(start + n_rows, grid.height))
        with torch.inference_mode():
            if isinstance(field, JointField):
                yield rows, field.on_lattice(z, y[rows], x, t), None
            else:
                density, arrival = field.slices(z, y[rows], x)
                yield rows, density, arrival


def arrived(field: GrowthField | StaticField | JointField, arrival: torch.Tensor, t: float) -> torch.Tensor:
    """Return which part of the matter has arrived.

    Parameters
    ----------
    field : GrowthField, StaticField or JointField
        The field that `arrival` comes from; it knows the duration of an arrival.
    arrival : Tensor
        `(...)` arrival time [t].
    t : float
        When [t].

    Returns
    -------
    Tensor
        `(...)` fraction, 0 to 1.
    """
    assert isinstance(field, GrowthField)
    return torch.sigmoid((t - arrival) / field.width)


def potential_at(
    field: GrowthField | StaticField | JointField,
    grid: VoxelGrid,
    t: float,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Sample the potential at one time.

    Parameters
    ----------
    field : GrowthField, StaticField or JointField
        What to sample.
    grid : VoxelGrid
        Where.
    t : float
        When [t].
    progress : callable, optional
        Called as ``progress(done, height)`` with the number of rows, after every block; an error that it raises ends
        the work.

    Returns
    -------
    ndarray
        `(z, y, x)` float32 potential [V].

    Raises
    ------
    StinrError
        The time is not a finite number.
    """
    check_time(t)
    volume = np.empty(grid.shape, dtype=np.float32)
    for rows, density, arrival in field_blocks(field, grid, t):
        values = density if arrival is None else density * arrived(field, arrival, t)
        volume[:, rows] = values.transpose(0, 1).numpy()
        if progress is not None:
            progress(rows.stop, grid.height)
    return volume


def check_time(t: float) -> None:
    """Check that a time is one.

    Parameters
    ----------
    t : float
        Time [t].

    Raises
    ------
    StinrError
        It is not a finite number.
    """
    if not np.isfinite(t):
        raise StinrError(f"the time is {t}", expected="a finite number", cure="0 is the first projection, 1 the last.")


def total_potential(
    field: GrowthField | StaticField | JointField, grid: VoxelGrid, times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum a field over all voxels at several times.

    Parameters
    ----------
    field : GrowthField, StaticField or JointField
        What to sum.
    grid : VoxelGrid
        Where.
    times : ndarray
        `(n_times,)` when [t].

    Returns
    -------
    ndarray
        `(n_times,)` sums [V].
    """
    totals = np.zeros(len(times))
    if isinstance(field, JointField):
        for k, t in enumerate(times):
            totals[k] = sum(float(values.sum(dtype=torch.float64)) for _, values, _ in field_blocks(field, grid, t))
        return totals
    for _, density, arrival in field_blocks(field, grid, 0.0):
        for k, t in enumerate(times):
            values = density if arrival is None else density * arrived(field, arrival, t)
            totals[k] += float(values.sum(dtype=torch.float64))
    return totals
