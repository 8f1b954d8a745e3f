"""Regions of a growth field with a surface, and the arrival time that places have by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_stinr.fields.encoding import FeatureGrid, FeatureGrids

OUTSIDE, NEAR_SURFACE, SPECIMEN, WITHOUT_ATOMS = 0, 1, 2, 3
"""Regions of a field with a surface: nothing was there before the first projection; inside and so near to the surface
that every place decides on its own, beginning as specimen; deep inside, where nothing changes; near to the surface as
well, where there are no atoms to decide on instead."""
SPECIMEN_ARRIVAL = -1.0
"""Arrival time deep inside the surface of the specimen [t]: long before any projection."""
SHARPNESS = 50.0
"""How fast the arrival time outside the surface bends away from its least value, which it does not pass [1/t]."""
EARLIEST = 0.02
"""Least arrival time outside [t]: four durations of an arrival at the end, so that nothing is there at t = 0."""


def not_before_earliest(arrival: torch.Tensor) -> torch.Tensor:
    """Arrival time outside the specimen, from a number of any size [t]."""
    return functional.softplus(arrival, beta=SHARPNESS) + EARLIEST


def by_region(arrival: torch.Tensor, near: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Arrival time outside, where it is not before `EARLIEST`, near the surface, and deep inside [t]."""
    decided = torch.where(regions == SPECIMEN, SPECIMEN_ARRIVAL, not_before_earliest(arrival))
    return torch.where((regions == NEAR_SURFACE) | (regions == WITHOUT_ATOMS), near, decided)


@dataclass(frozen=True, eq=False)
class RegionGrids:
    """Grids of which the arrival time is made, some for what is outside the surface, others for what is near it.

    Iterating gives all grids, those for outside first.

    Parameters
    ----------
    outside, near : FeatureGrids
        Grids whose sums are :func:`by_region`'s numbers.
    regions : Tensor
        `(rows, depth, width)` uint8 region of every voxel of a lattice.
    """

    outside: FeatureGrids
    near: FeatureGrids
    regions: torch.Tensor

    def __iter__(self) -> Iterator[FeatureGrid]:
        yield from self.outside
        yield from self.near

    def sum_on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(rows, depth, width)` arrival time at the positions that the regions are for [t]."""
        return by_region(self.outside.sum_on_lattice(z, y, x), self.near.sum_on_lattice(z, y, x), self.regions)
