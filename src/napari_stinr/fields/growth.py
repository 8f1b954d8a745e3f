"""A density with an arrival time: specimen and contamination in one field that can only grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_stinr.fields.encoding import FeatureGrid, FeatureGrids
from napari_stinr.fields.static import Density

if TYPE_CHECKING:
    from napari_stinr.config import GrowthFieldConfig
    from napari_stinr.data.geometry import VoxelGrid


class GrowthField(nn.Module):
    """V(z, y, x, t) = density * sigmoid((t - arrival) / width).

    An atom is either specimen (arrival < 0) or contamination (0 to 1), so one density with an arrival time has half
    the unknowns of "static part + growing part". It is monotone in t by construction, V at t = 0 is in closed form,
    and both functions are of space alone: one query per voxel serves every tilt.

    Parameters
    ----------
    grid : VoxelGrid
        The voxels of the reconstruction.
    config : GrowthFieldConfig
        Settings of density and arrival time.
    scale : float
        Typical potential of the data [V].
    width : float
        Duration of an arrival [t]; training narrows it.
    """

    width: torch.Tensor

    def __init__(self, grid: VoxelGrid, config: GrowthFieldConfig, *, scale: float, width: float = 0.3) -> None:
        super().__init__()
        self.density = Density(grid, config, scale=scale)
        self.arrival = FeatureGrids(
            FeatureGrid(grid, spacing=spacing, start=config.arrival_start if index == 0 else 0.0)
            for index, spacing in enumerate(config.arrival_spacings)
        )
        self.register_buffer("width", torch.tensor(float(width)))

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Return the potential at points and times.

        Parameters
        ----------
        coordinates : Tensor
            `(..., 3)` positions (z, y, x) from the centre [the unit of voxel_size].
        times : Tensor
            `(...)` times, or one time for all [t].

        Returns
        -------
        Tensor
            `(...)` potential [V].
        """
        arrival = torch.stack([level.at(coordinates)[..., 0] for level in self.arrival]).sum(0)
        return self.density.at(coordinates) * torch.sigmoid((times - arrival) / self.width)

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return density and arrival time at all positions of a lattice.

        Parameters
        ----------
        z, y, x : Tensor
            `(depth,)`, `(rows,)`, `(width,)` positions from the centre [the unit of voxel_size], on the CPU.

        Returns
        -------
        density : Tensor
            `(rows, depth, width)` density [V].
        arrival : Tensor
            `(rows, depth, width)` arrival time [t].
        """
        arrival = torch.stack([level.on_lattice(z, y, x)[:, 0] for level in self.arrival]).sum(0)
        return self.density.on_lattice(z, y, x), arrival
