"""Sample a field on a voxel grid, block of rows by block of rows, so that memory stays small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch

from napari_stinr.errors import StinrError
from napari_stinr.fields.base import potential
from napari_stinr.fields.storage import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import Field, GrowthField
    from napari_stinr.fields.base import Slices

RENDERED_AT_ONCE = 1_000_000
"""Voxels that are sampled together."""
_PART_OF_MEMORY = 0.7
"""How much of the free memory may be taken to sample a field only once."""
_VOLUMES_BESIDE = 2
"""Volumes that are held beside what is sampled: one time, and the first where only what was added is wanted."""


def rows_at_a_time(grid: VoxelGrid) -> Iterator[slice]:
    """Blocks of rows of about `RENDERED_AT_ONCE` voxels."""
    n_rows = max(1, RENDERED_AT_ONCE // (grid.depth * grid.width))
    for start in range(0, grid.height, n_rows):
        yield slice(start, min(start + n_rows, grid.height))


def lattice_of(grid: VoxelGrid) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the positions of the voxels along each axis.

    Parameters
    ----------
    grid : VoxelGrid
        The voxels.

    Returns
    -------
    tuple of Tensor
        `(depth,)`, `(height,)`, `(width,)` float64 positions (z, y, x) from the centre [length_unit].
    """
    z, y, x = (torch.from_numpy(grid.axis_positions(axis)) for axis in range(3))
    return z, y, x


def sampled_blocks(field: Field, grid: VoxelGrid, t: float) -> Iterator[tuple[slice, tuple[Slices, ...]]]:
    """Rows and parts `(rows, depth, width)` of a field; see :meth:`Field.slices` for what `t` means."""
    z, y, x = lattice_of(grid)
    for rows in rows_at_a_time(grid):
        with torch.inference_mode():
            yield rows, field.slices(z, y[rows], x, t)


def potential_at(
    field: Field, grid: VoxelGrid, t: float, *, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:
    """`(z, y, x)` float32 potential at one time [V].

    `progress(done, height)` is called with the number of rows after every block; an error that it raises ends the work.
    A StinrError says that the time is not a finite number.
    """
    return next(potentials_at(field, grid, [t], progress=progress))


def potentials_at(
    field: Field, grid: VoxelGrid, times: Sequence[float], *, progress: Callable[[int, int], None] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield the potential at several times, one after the other, sampling a field once that serves them all.

    What is sampled (density and arrival time: two numbers for every voxel, and for those beyond the grid that a blur
    reaches) is kept for the next time where the memory suffices; else the field is sampled for every time.

    Parameters
    ----------
    field : Field
        The field.
    grid : VoxelGrid
        The voxels.
    times : sequence of float
        When [t].
    progress : callable, optional
        Called as ``progress(done, total)`` with the number of rows of all volumes after every block of rows; an error
        that it raises ends the work.

    Yields
    ------
    ndarray
        `(z, y, x)` float32 potential, in the same memory every time: to be used up before the next is asked for [V].

    Raises
    ------
    StinrError
        A time is not a finite number.
    """
    for t in times:
        check_time(t)
    return _potentials(field, grid, times, progress)


def _potentials(
    field: Field, grid: VoxelGrid, times: Sequence[float], progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float32]]:
    volume = np.empty(grid.shape, dtype=np.float32)
    z, y, x = lattice_of(grid)
    along_z, along_x = (None, None) if field.blur is None else field.blur.axes(z, x)
    if along_z is not None and along_x is not None:
        z, x = along_z.positions, along_x.positions
    keeps = field.serves_all_times and len(times) > 1
    kept: list[tuple[Slices, ...]] = []
    for number, t in enumerate(times):
        for place, rows in enumerate(rows_at_a_time(grid)):
            with torch.inference_mode():
                parts = kept[place] if place < len(kept) else field.slices(z, y[rows], x, t)
                values = potential(parts, t)
                if along_z is not None and along_x is not None:
                    values = along_x.apply(along_z.apply(values, axis=1), axis=2)
                volume[:, rows] = values.transpose(0, 1).numpy()
            if place == 0 and number == 0:
                keeps = keeps and _can_keep(parts, rows, grid)
            if keeps and place == len(kept):
                kept.append(parts)
            if progress is not None:
                progress(number * grid.height + rows.stop, len(times) * grid.height)
        yield volume


def _can_keep(parts: tuple[Slices, ...], rows: slice, grid: VoxelGrid) -> bool:
    """Whether there is memory for the parts of all rows, of which some are given, beside what is made of them."""
    n_bytes = sum(values.nbytes for part in parts for values in part.values)
    kept = n_bytes * grid.height // (rows.stop - rows.start)
    volumes = _VOLUMES_BESIDE * 4 * grid.depth * grid.height * grid.width
    free = psutil.virtual_memory().available
    return bool(kept + volumes < _PART_OF_MEMORY * free)


def _sampled(
    grid: VoxelGrid, sampled: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
) -> NDArray[np.float32]:
    """`(z, y, x)` float32 values, of which `sampled(z, y, x)` has `(rows, depth, width)` ones."""
    volume = np.empty(grid.shape, dtype=np.float32)
    z, y, x = lattice_of(grid)
    for rows in rows_at_a_time(grid):
        with torch.inference_mode():
            volume[:, rows] = sampled(z, y[rows], x).transpose(0, 1).numpy()
    return volume


def uncertain_potential(field: GrowthField, grid: VoxelGrid) -> NDArray[np.float32]:
    """`(z, y, x)` float32 potential of the atoms of a field that might as well be on the other side [V]."""
    return _sampled(grid, lambda z, y, x: _blurred(field, lambda z, x: field.uncertain(z, y, x), z, x))


def _blurred(field: Field, sampled: Callable[..., torch.Tensor], z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return sampled(z, x) if field.blur is None else field.blur.on_lattice(sampled, z, x)


def uncertain_part(field: GrowthField, grid: VoxelGrid) -> float:
    """Mass of the atoms that are on one side as well as on the other, by that of the specimen; 0 without atoms [1]."""
    if field.atoms is None:
        return 0.0
    z, y, x = lattice_of(grid.fitted)
    uncertain, specimen = 0.0, 0.0
    for rows in rows_at_a_time(grid.fitted):
        with torch.inference_mode():
            density, labels = field.density.on_lattice(z, y[rows], x), field.atoms.labels[rows]
            uncertain += float(density[field.atoms.are_uncertain[labels]].sum(dtype=torch.float64))
            specimen += float(density[field.atoms.are_specimen[labels]].sum(dtype=torch.float64))
        let_go(field.atoms.labels)
    return uncertain / specimen if specimen > 0 else 0.0


def check_time(t: float) -> None:
    """Check that a time is finite; a StinrError says that it is not."""
    if not np.isfinite(t):
        raise StinrError(f"the time is {t}", expected="a finite number", cure="0 is the first projection, 1 the last.")


def total_potential(field: Field, grid: VoxelGrid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n_times,)` sums of a field over all voxels at several times [V]."""
    totals = np.zeros(len(times))
    z, y, x = lattice_of(grid)
    shares_z, shares_x = torch.ones(len(z), dtype=torch.float64), torch.ones(len(x), dtype=torch.float64)
    if field.blur is not None:
        # Not every volume is blurred: only what each voxel has of the sum is.
        along_z, along_x = field.blur.axes(z, x)
        z, x, shares_z, shares_x = along_z.positions, along_x.positions, along_z.shares, along_x.shares
    # One pass over the volume for all times where the field allows that, else one for each.
    passes = [range(len(times))] if field.serves_all_times else [range(k, k + 1) for k in range(len(times))]
    for together in passes:
        for rows in rows_at_a_time(grid):
            with torch.inference_mode():
                parts = field.slices(z, y[rows], x, float(times[together.start]))
                for k in together:
                    planes = potential(parts, float(times[k])).sum(0, dtype=torch.float64)
                    totals[k] += float(shares_z @ planes @ shares_x)
    return totals
