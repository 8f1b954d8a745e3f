"""A specimen inside a smooth closed surface, and matter that grows outside: to find that surface at coarse resolution.

Voxel by voxel, sparse data do not tell specimen from contamination: a haze of half-labelled atoms fits them as well,
and the training ends in it. A surface has a hundred unknowns instead of a hundred thousand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_stinr.errors import StinrError
from napari_stinr.fields.base import Field, ParameterGroup, Slices
from napari_stinr.fields.encoding import FeatureGrid
from napari_stinr.fields.growth import arrival_width
from napari_stinr.fields.regions import EARLIEST
from napari_stinr.fields.static import Density, blur_of

if TYPE_CHECKING:
    from napari_stinr.config import FieldSettings, GrowthFieldConfig, TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields.base import Costs

_DIRECTIONS = 16
"""Directions around the axis of the surface in which its radius is held."""
_HEIGHT_STEP = 4.0
"""Distance of the rows in which it is held [voxel]."""
_RADIUS_RATE = 0.3
"""Learning rate of the radius [voxel per step]."""
_FIRST_SOFTNESS, _LAST_SOFTNESS = 3.0, 0.5
"""Thickness of the surface at the start and at the end: a wide one feels where it should be [voxel]."""
_ROUGHNESS_AROUND, _ROUGHNESS_ALONG = 1e-4, 3e-6
"""What a square of a difference between neighbouring radii adds to the relative loss [1/voxel²]: much around the axis,
where a round specimen has none, little along it, where a particle ends."""
_FIRST_STIFFNESS = 10.0
"""Factor of both at the start."""
_RELUCTANCE = 3e-4
"""What the same mass as that of all projections outside the surface adds to the relative loss [1]: little, to decide
where the data do not, as where everything grew before the second projection."""
_ARRIVAL_SPACING = 8.0
"""Distance of the nodes of the arrival time [voxel]: what is finer belongs to the full resolution."""
_SHARPNESS = 20.0
"""As in fields.regions, softer [1/t]."""


@dataclass(frozen=True, eq=False)
class _Plane:
    """Where the voxels of a slice lie around the axis: the same in every step."""

    z: torch.Tensor  # `(depth,)` positions that this is for [voxel]
    x: torch.Tensor  # `(width,)`
    directions: torch.Tensor  # `(directions, depth * width)` weights of the directions
    distances: torch.Tensor  # `(depth, width)` from the axis [voxel]


class SurfaceField(Field):
    """V = density * (inside + (1 - inside) * sigmoid((t - arrival) / width)) with arrival > 0.

    Inside is a region around an axis parallel to the tilt axis: nearer to it than a radius that depends on direction
    and height.

    Parameters
    ----------
    grid : VoxelGrid
        Coarse voxels; lengths below are in them.
    config : GrowthFieldConfig
        Settings of the density.
    scale : float
        Typical potential of the data [V].
    centre : tuple of float
        Position (z, x) of the axis of the surface from the centre of the grid [voxel].
    radius : float
        Distance of the surface from its axis before training [voxel].
    """

    centre: torch.Tensor
    schedule: torch.Tensor

    def __init__(
        self,
        grid: VoxelGrid,
        config: GrowthFieldConfig,
        *,
        scale: float,
        centre: tuple[float, float],
        radius: float,
    ) -> None:
        super().__init__()
        n_heights = max(2, round(grid.height / _HEIGHT_STEP) + 1)
        self.density = Density(grid, config, scale=scale)
        self.blur = blur_of(config, grid)
        self.arrival = FeatureGrid(grid, spacing=_ARRIVAL_SPACING, start=config.arrival_start)
        self.radius = nn.Parameter(torch.tensor([float(radius)]))
        self.deviations = nn.Parameter(torch.zeros(_DIRECTIONS, n_heights))
        self.register_buffer("centre", torch.tensor(centre, dtype=torch.float32))
        self._voxel_size, self._half_height = grid.voxel_size, max((grid.height - 1) / 2, 0.5)
        # Width of an arrival [t], softness [voxel] and stiffness [1] of the surface: a resumed run begins with them.
        self.register_buffer("schedule", torch.tensor([0.3, _FIRST_SOFTNESS, _FIRST_STIFFNESS]))
        self._growing = torch.zeros(())
        self._plane: _Plane | None = None

    @classmethod
    def build(cls, settings: FieldSettings, grid: VoxelGrid, *, scale: float, training: TrainingConfig) -> SurfaceField:
        """Refuse: where the surface is to begin is not a setting."""
        raise StinrError(
            "a field for the search of a surface is asked for", expected="growth", cure="Take the preset growth."
        )

    @property
    def costs(self) -> Costs:
        """Those of a density with an arrival time and a share that was always there."""
        return self.density.costs(trained=30, rendered=20, growing_parts=1)

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """`(...)` potential at `(..., 3)` points and `(...)` times [V]."""
        density, inside = self.density.at(coordinates), self._inside(*(coordinates / self._voxel_size).unbind(-1))
        grows = torch.sigmoid((times - self.arrival_at(coordinates)) / self.schedule[0])
        return density * (inside + (1 - inside) * grows)

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float = 0.0) -> tuple[Slices]:
        """One part for all times: what is inside was always there, what is outside grows."""
        density, inside = self.density.on_lattice(z, y, x), self.inside(z, y, x)
        arrival = EARLIEST + functional.softplus(self.arrival.on_lattice(z, y, x)[:, 0], beta=_SHARPNESS)
        self._growing = (density * (1 - inside)).mean() / self.density.scale
        return (Slices(density, arrival, float(self.schedule[0]), inside),)

    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        """Density, arrival time and surface."""
        return (
            *self.density.parameter_groups(training, contrast=contrast, n_blocks=n_blocks),
            ParameterGroup("arrival", list(self.arrival.parameters()), training.arrival_rate),
            ParameterGroup("surface", [self.radius, self.deviations], _RADIUS_RATE / math.sqrt(n_blocks)),
        )

    def narrow(self, training: TrainingConfig, *, fraction: float) -> None:
        """Take the duration of an arrival, and the thickness and stiffness of the surface, that the schedule has."""
        narrowing = min(1.0, fraction / training.anneal_until)
        width = arrival_width(training, fraction=fraction)
        softness = _FIRST_SOFTNESS * (_LAST_SOFTNESS / _FIRST_SOFTNESS) ** narrowing
        stiffness = max(1.0, _FIRST_STIFFNESS ** (1 - 2 * fraction))
        self.schedule.copy_(torch.tensor([width, softness, stiffness]))

    def prior(self) -> torch.Tensor:
        """Return what the shape of the surface, and what grows in the slices asked for last, add to the loss [1]."""
        growing, self._growing = self._growing, torch.zeros(())
        around = (self.deviations - self.deviations.roll(1, 0)).square().mean()
        along = self.deviations.diff(dim=1).square().mean()
        shape = self.schedule[2] * (_ROUGHNESS_AROUND * around + _ROUGHNESS_ALONG * along)
        return shape + _RELUCTANCE * growing

    def inside(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(rows, depth, width)` part of every voxel of a lattice that is inside the surface [1]."""
        y, z, x = (p.to(self.radius) / self._voxel_size for p in (y, z, x))
        if self._plane is None or not (torch.equal(self._plane.z, z) and torch.equal(self._plane.x, x)):
            self._plane = self._plane_at(z, x)
        below, above, between = self._heights(y)
        radii = torch.lerp(self.deviations[:, below], self.deviations[:, above], between).T @ self._plane.directions
        radii = radii.view(len(y), *self._plane.distances.shape)
        return torch.sigmoid((self.radius + radii - self._plane.distances) / self.schedule[1])

    def arrival_at(self, coordinates: torch.Tensor) -> torch.Tensor:
        """`(...)` arrival time outside the surface at `(..., 3)` positions [t]."""
        return EARLIEST + functional.softplus(self.arrival.at(coordinates)[..., 0], beta=_SHARPNESS)

    def centre_of_specimen(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> tuple[float, float]:
        """Return the centre of mass (z, x) of what is inside the surface, from the centre of the grid [voxel]."""
        with torch.no_grad():
            mass = (self.density.on_lattice(z, y, x) * self.inside(z, y, x)).cpu().double().sum(0)
            total = mass.sum().clamp(min=torch.finfo(torch.float64).tiny)
            positions = [p.to(mass) / self._voxel_size for p in (z, x)]
            along_z, along_x = (mass.sum(1) @ positions[0]) / total, (mass.sum(0) @ positions[1]) / total
        return float(along_z), float(along_x)

    def total_density(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(rows, depth, width)` density of all that is there at the end [V]."""
        with torch.no_grad():
            return self.density.on_lattice(z, y, x)

    def _inside(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(...)` part that is inside the surface at positions from the centre [voxel]."""
        first, second, turn, distance = self._directions(z, x)
        low, high, between = self._heights(y)
        radius = torch.lerp(
            torch.lerp(self.deviations[first, low], self.deviations[second, low], turn),
            torch.lerp(self.deviations[first, high], self.deviations[second, high], turn),
            between,
        )
        return torch.sigmoid((self.radius + radius - distance) / self.schedule[1])

    def _directions(self, z: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """`(...)` two neighbouring directions, weight of the second, distance from the axis [voxel]."""
        z, x = z - self.centre[0], x - self.centre[1]
        n_directions = len(self.deviations)
        direction = torch.remainder(torch.atan2(z, x) * (n_directions / (2 * math.pi)), n_directions)
        below = direction.floor()
        first = below.long() % n_directions
        return first, (first + 1) % n_directions, direction - below, torch.hypot(z, x)

    def _heights(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`(...)` two neighbouring heights, and weight of the second, at positions [voxel]."""
        n_heights = self.deviations.shape[1]
        height = ((y / self._half_height + 1) / 2).clamp(0, 1) * (n_heights - 1)
        row = height.floor().clamp(max=n_heights - 2)
        return row.long(), row.long() + 1, height - row

    def _plane_at(self, z: torch.Tensor, x: torch.Tensor) -> _Plane:
        first, second, turn, distances = self._directions(*torch.meshgrid(z, x, indexing="ij"))
        directions = torch.zeros(len(self.deviations), first.numel(), device=z.device)
        directions.scatter_(0, first.view(1, -1), (1 - turn).view(1, -1))
        directions.scatter_add_(0, second.view(1, -1), turn.view(1, -1))
        return _Plane(z, x, directions, distances)
