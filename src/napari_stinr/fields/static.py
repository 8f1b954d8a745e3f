"""A density that does not change in time, on grids of several resolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_stinr.errors import StinrError
from napari_stinr.fields.encoding import FeatureGrid, FeatureGrids

if TYPE_CHECKING:
    from napari_stinr.config import StaticFieldConfig
    from napari_stinr.data.geometry import VoxelGrid


class Density(nn.Module):
    """Potential that is never negative, as a function of position alone.

    Grids of nodes at dyadic spacings, the finest at every voxel, are added up, or decoded by a small network, and
    pass a softplus: positive, and never dead as a clamp can be.

    Parameters
    ----------
    grid : VoxelGrid
        The voxels of the reconstruction.
    config : StaticFieldConfig
        Settings of the grids and the decoder.
    scale : float
        Typical potential of the data; the unit in which the field learns [V].

    Raises
    ------
    StinrError
        More than one feature, and no hidden units to decode them.
    """

    scale: torch.Tensor

    def __init__(self, grid: VoxelGrid, config: StaticFieldConfig, *, scale: float) -> None:
        super().__init__()
        if config.features > 1 and not config.hidden:
            raise StinrError(
                f"{config.features} features and no hidden units",
                expected="1 feature, or hidden units that decode them",
                cure="Set field.hidden, e.g. to 32, or field.features to 1.",
            )
        across = max(grid.shape)
        spacings = [1.0]
        while (across - 1) / (2 * spacings[0]) + 1 >= config.coarsest_nodes:
            spacings.insert(0, 2 * spacings[0])
        self.grids = FeatureGrids(FeatureGrid(grid, spacing=s, features=config.features) for s in spacings)
        self.decoder = _decoder(len(spacings) * config.features, config.hidden) if config.hidden else None
        if self.decoder is not None:
            for level in self.grids:
                nn.init.normal_(level.values, std=0.1)
        self.register_buffer("scale", torch.tensor(float(scale)))

    def on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the density at all positions of a rectangular lattice.

        Parameters
        ----------
        z, y, x : Tensor
            `(depth,)`, `(rows,)`, `(width,)` positions from the centre [the unit of voxel_size], on the CPU.

        Returns
        -------
        Tensor
            `(rows, depth, width)` density [V].
        """
        features = [level.on_lattice(z, y, x) for level in self.grids]
        if self.decoder is None:
            raw = torch.stack(features).sum(0) if len(features) > 1 else features[0]
            return functional.softplus(raw[:, 0]) * self.scale
        return self._decode(torch.cat(features, dim=1).movedim(1, -1))

    def at(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Return the density at any points.

        Parameters
        ----------
        coordinates : Tensor
            `(..., 3)` positions (z, y, x) from the centre [the unit of voxel_size].

        Returns
        -------
        Tensor
            `(...)` density [V].
        """
        features = torch.stack([level.at(coordinates) for level in self.grids], dim=-2)
        if self.decoder is None:
            return functional.softplus(features[..., 0].sum(-1)) * self.scale
        return self._decode(features.flatten(-2))

    def _decode(self, features: torch.Tensor) -> torch.Tensor:
        assert self.decoder is not None
        return functional.softplus(self.decoder(features)[..., 0].float()) * self.scale


class StaticField(nn.Module):
    """V(z, y, x, t) = density(z, y, x): what existing software assumes.

    Parameters
    ----------
    grid : VoxelGrid
        The voxels of the reconstruction.
    config : StaticFieldConfig
        Settings of the density.
    scale : float
        Typical potential of the data [V].
    """

    def __init__(self, grid: VoxelGrid, config: StaticFieldConfig, *, scale: float) -> None:
        super().__init__()
        self.density = Density(grid, config, scale=scale)

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Return the potential at points and times.

        Parameters
        ----------
        coordinates : Tensor
            `(..., 3)` positions (z, y, x) from the centre [the unit of voxel_size].
        times : Tensor
            `(...)` times, not used [t].

        Returns
        -------
        Tensor
            `(...)` potential [V].
        """
        return self.density.at(coordinates)

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the density at all positions of a lattice, and no arrival time.

        Parameters
        ----------
        z, y, x : Tensor
            `(depth,)`, `(rows,)`, `(width,)` positions from the centre [the unit of voxel_size], on the CPU.

        Returns
        -------
        density : Tensor
            `(rows, depth, width)` density [V].
        arrival : None
            Nothing arrives.
        """
        return self.density.on_lattice(z, y, x), None


def _decoder(features: int, hidden: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    )
