"""A density that does not change in time, on grids of several resolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_stinr.config import StaticFieldConfig
from napari_stinr.fields.base import Costs, Field, GridSlices, ParameterGroup, Slices
from napari_stinr.fields.encoding import FeatureGrid, FeatureGrids
from napari_stinr.fields.filters import BAND_LIMIT, PlaneFilter, gaussian_taps
from napari_stinr.fields.storage import let_go, some_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_stinr.config import FieldSettings, TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid


_START_OUTSIDE = -4.0
"""Density outside the cylinder that every tilt sees, before training and before the softplus; 0 inside."""


_LEAST_TAKEN = 1e-3
"""Least density that is taken over, in units of the scale: the softplus is never 0."""
_WIDEST_BLUR = 1.0
"""Standard deviation up to which the blur is widened [voxel]: where atoms are no wider than it, voxels between whose
centres they are cannot make them up (with 1.2 voxels, such a density had 20 % too much mass)."""
_ABOVE_ALL_TAKEN = 8.0
"""What lifts the logarithm of that above 0, where a unit passes on what it gets."""


class Density(nn.Module):
    """Potential as a function of position alone; `scale` is the unit in which it learns [V]."""

    # Grids of nodes at dyadic spacings, the finest at every voxel, are added up, or decoded by a small network, and
    # pass a softplus: positive, and never dead as a clamp can be. Runs of an earlier version have a band limit here,
    # which may leave values just below 0 beside an atom; now the field has a blur.

    scale: torch.Tensor

    def __init__(self, grid: VoxelGrid, config: StaticFieldConfig, *, scale: float) -> None:
        super().__init__()
        across = max(grid.fitted.shape)
        spacings = [1.0]
        while (across - 1) / (2 * spacings[0]) + 1 >= config.coarsest_nodes:
            spacings.insert(0, 2 * spacings[0])
        self.grids = FeatureGrids(
            FeatureGrid(grid, spacing=s, features=config.features, by_rows=s == 1 and not config.hidden)
            for s in spacings
        )
        self.decoder = _decoder(len(spacings) * config.features, config.hidden) if config.hidden else None
        if self.decoder is not None:
            for level in self.grids:
                nn.init.normal_(level.values, std=0.1)
        elif grid.margin:
            self._empty_outside(grid)
        self.register_buffer("scale", torch.tensor(float(scale)))
        self._config = config
        self._band_limit = PlaneFilter.of(BAND_LIMIT, grid) if config.band_limit else None

    def _empty_outside(self, grid: VoxelGrid) -> None:
        """Begin with little where not every tilt looks: what few of them see would be put there, which fits as well."""
        z, x = (torch.from_numpy(grid.fitted.axis_positions(axis)) for axis in (0, 2))
        is_outside = torch.hypot(z[:, None], x[None]) > grid.width / 2 * grid.voxel_size
        *_, finest = self.grids
        with torch.no_grad():
            for rows in some_rows(finest.values):
                finest.values[rows].masked_fill_(is_outside, _START_OUTSIDE)

    @property
    def is_sum_of_grids(self) -> bool:
        """Whether nothing but a softplus is between the sum of the grids and the density."""
        return self.decoder is None and self._band_limit is None

    def on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(rows, depth, width)` float32 density at `(depth,)`, `(rows,)`, `(width,)` positions on the CPU [V]."""
        if self._band_limit is None:
            return self._unlimited_on_lattice(z, y, x)
        return self._band_limit.on_lattice(lambda z, x: self._unlimited_on_lattice(z, y, x), z, x)

    def at(self, coordinates: torch.Tensor) -> torch.Tensor:
        """`(...)` float32 density at `(..., 3)` points (z, y, x) from the centre [V]."""
        if self._band_limit is None:
            return self._unlimited_at(coordinates)
        return self._band_limit.at(self._unlimited_at, coordinates)

    def _unlimited_on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if self.decoder is None:
            return functional.softplus(self.grids.sum_on_lattice(z, y, x).float()) * self.scale
        features = torch.cat([level.on_lattice(z, y, x) for level in self.grids], dim=1)
        return self._decode(features.movedim(1, -1))

    def _unlimited_at(self, coordinates: torch.Tensor) -> torch.Tensor:
        features = torch.stack([level.at(coordinates) for level in self.grids], dim=-2)
        if self.decoder is None:
            return functional.softplus(features[..., 0].sum(-1).float()) * self.scale
        return self._decode(features.flatten(-2))

    def take(self, density: torch.Tensor | Iterable[tuple[slice, torch.Tensor]]) -> None:
        """Become a density `(height, depth, width)` at the voxels that are fitted [V]; a network learns no more.

        It may come in blocks of rows.
        """
        blocks = [(slice(None), density)] if isinstance(density, torch.Tensor) else density
        *coarse, finest = self.grids
        with torch.no_grad():
            for level in coarse:
                level.values.zero_()
            if self.decoder is not None:  # there are other features
                finest.values.zero_()
            for rows, block in blocks:
                raw = (block / self.scale).clamp(min=_LEAST_TAKEN)
                # The inverse of the softplus, which overflows nowhere.
                finest.values[rows, 0] = raw + torch.log(-torch.expm1(-raw))
                let_go(finest.values)
            if self.decoder is not None:
                _pass_on(self.decoder, feature=(len(self.grids) - 1) * self._config.features)

    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        """All parameters, the grid of the voxels by rows; see :meth:`Field.parameter_groups`."""
        if self.decoder is not None:
            return (ParameterGroup("density", list(self.parameters()), training.density_rate, has_long_memory=True),)
        *coarse, finest = (level.values for level in self.grids)
        rate = training.density_rate * contrast
        by_rows = ParameterGroup("density", [finest], rate, by_rows=True)
        if not coarse:
            return (by_rows,)
        return by_rows, ParameterGroup("density", coarse, rate / math.sqrt(n_blocks), has_long_memory=True)

    def costs(self, *, trained: float, rendered: float, static_parts: int = 0, growing_parts: int = 0) -> Costs:
        """Return the costs of a field with this density, from those of the same field without a network."""
        hidden, features = self._config.hidden, 4 * self._config.features  # on about four grids
        network = 2 * features if hidden else 0
        return Costs(
            trained + network + 6 * hidden,
            rendered + network + 2 * hidden,
            products=(features + hidden + 1) * hidden,
            static_parts=static_parts,
            growing_parts=growing_parts,
        )

    def _decode(self, features: torch.Tensor) -> torch.Tensor:
        assert self.decoder is not None
        return functional.softplus(self.decoder(features)[..., 0].float()) * self.scale


class StaticField(Field):
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
        self.blur = blur_of(config, grid)

    @classmethod
    def build(cls, settings: FieldSettings, grid: VoxelGrid, *, scale: float, training: TrainingConfig) -> StaticField:
        """Return the field before training; see :meth:`Field.build`."""
        assert isinstance(settings, StaticFieldConfig)
        return cls(grid, settings, scale=scale)

    @property
    def costs(self) -> Costs:
        """Those of a density."""
        return self.density.costs(trained=12, rendered=9, static_parts=1)

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """`(...)` potential at `(..., 3)` points, at any time [V]."""
        return self.density.at(coordinates) if self.blur is None else self.blur.at(self.density.at, coordinates)

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float = 0.0) -> tuple[Slices, ...]:
        """One part, for all times."""
        return (Slices(self.density.on_lattice(z, y, x)),)

    def projected(
        self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float = 0.0
    ) -> tuple[Slices | GridSlices, ...]:
        """Grids of the density where it is a sum of such; see :meth:`Field.projected`."""
        if not self.density.is_sum_of_grids:
            return self.slices(z, y, x, t)
        return (GridSlices((z, y, x), self.density.grids, float(self.density.scale)),)

    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        """Those of the density."""
        return self.density.parameter_groups(training, contrast=contrast, n_blocks=n_blocks)


def blur_of(config: StaticFieldConfig, grid: VoxelGrid) -> PlaneFilter | None:
    """Return the filter between a density and the potential; None: there is none."""
    if not config.blur:
        return None
    least = config.least_blur / grid.voxel_size if grid.length_unit == "Å" else 0.0
    return PlaneFilter.of(gaussian_taps(max(config.blur, min(least, _WIDEST_BLUR))), grid)


def _decoder(features: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    )


def _pass_on(decoder: nn.Sequential, *, feature: int) -> None:
    """Make a decoder give one of its features, through one unit of each layer."""
    first, second, last = (layer for layer in decoder if isinstance(layer, nn.Linear))
    for values in decoder.parameters():
        values.zero_()
    first.weight[0, feature] = second.weight[0, 0] = last.weight[0, 0] = 1.0
    first.bias[0], last.bias[0] = _ABOVE_ALL_TAKEN, -_ABOVE_ALL_TAKEN
