"""One network of position and time: the published method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_stinr.config import JointFieldConfig
from napari_stinr.fields.base import Costs, Field, ParameterGroup, Slices
from napari_stinr.fields.encoding import SinusoidalEncoding

if TYPE_CHECKING:
    from napari_stinr.config import FieldSettings, TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid

_ATOM = 5.0
"""What the network gives as 1, in typical potentials: most of the box is empty, and atoms are far above its mean. With
1, the error after a minute was higher on both development seeds; with 10 or 20, the rate of the preset was too high."""

_VALUES_OF_A_POINT = 16
"""Where it is, on which ray, whether it counts; what the layers give is held for a piece only, on a CPU."""

_POINTS_AT_ONCE = 2048
"""Points of a lattice that pass the layers together: what they hold stays in the cache."""


class JointField(Field):
    """V(z, y, x, t) = MLP(gamma(z, y, x), gamma(t)), Chien, Ophus and Waller (2023).

    Sinusoidal encoding, one multilayer perceptron, no regulariser. The paper does not say how it keeps the potential
    positive; here a softplus does.

    Parameters
    ----------
    grid : VoxelGrid
        The voxels of the reconstruction; its longest edge is mapped to [-1, 1].
    config : JointFieldConfig
        Settings of the network.
    scale : float
        Potential for which the network gives about 1 [V].
    """

    serves_all_times = False
    scale: torch.Tensor

    def __init__(self, grid: VoxelGrid, config: JointFieldConfig, *, scale: float) -> None:
        super().__init__()
        self.half_extent = max(grid.fitted.shape) / 2 * grid.voxel_size
        self.encode_position = SinusoidalEncoding(config.spatial_frequencies)
        self.encode_time = SinusoidalEncoding(config.time_frequencies)
        inputs = _encoded(config)
        layers: list[nn.Module] = []
        for _ in range(config.layers):
            layers += [nn.Linear(inputs, config.hidden), nn.ReLU()]
            inputs = config.hidden
        self.network = nn.Sequential(*layers, nn.Linear(inputs, 1))
        self.register_buffer("scale", torch.tensor(float(scale)))
        self._config = config

    @classmethod
    def build(cls, settings: FieldSettings, grid: VoxelGrid, *, scale: float, training: TrainingConfig) -> JointField:
        """Return the field before training; see :meth:`Field.build`."""
        assert isinstance(settings, JointFieldConfig)
        return cls(grid, settings, scale=scale * _ATOM)

    @property
    def costs(self) -> Costs:
        """Those of a network that is asked at every point of a ray, a piece of the batch at a time."""
        return Costs(_VALUES_OF_A_POINT, 3, products=network_products(self._config))

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """`(...)` potential at `(..., 3)` points and `(...)` times [V]."""
        raw = self.network(self._encode(coordinates, times))[..., 0]
        return functional.softplus(raw.float()) * self.scale

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> tuple[Slices, ...]:
        """One part, the potential at one time; nothing can be differentiated by it."""
        return (Slices(self.on_lattice(z, y, x, t)),)

    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        """One group, the network: its rate has nothing to do with the data."""
        return (ParameterGroup("network", list(self.parameters()), training.density_rate, has_long_memory=True),)

    @torch.no_grad()
    def on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> torch.Tensor:
        """`(rows, depth, width)` potential at `(depth,)`, `(rows,)`, `(width,)` positions and one time [V].

        Three times as fast as point by point: every coordinate is encoded by itself, so the first layer at (z, y, x)
        is a sum of one term for each axis.
        """
        first, *others = [layer for layer in self.network if isinstance(layer, nn.Linear)]
        moment = torch.tensor(float(t))
        centre = first(self._encode(torch.zeros(1, 3), moment))
        along_z, along_y, along_x = (
            first(self._encode(functional.pad(positions.float()[:, None], (axis, 2 - axis)), moment))
            for axis, positions in enumerate((z, y, x))
        )
        plane = (along_z[:, None] + along_x - 2 * centre).flatten(0, 1)
        raw = torch.empty(len(y), len(plane))
        for row, term in enumerate(along_y):
            for start in range(0, len(plane), _POINTS_AT_ONCE):
                values = plane[start : start + _POINTS_AT_ONCE] + term
                for layer in others:
                    values = layer(values.relu_())
                raw[row, start : start + _POINTS_AT_ONCE] = values[:, 0]
        return (functional.softplus(raw) * self.scale).view(len(y), len(z), len(x))

    def encode_rays(self, y: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """`(rays, values)` what does not change along a ray, encoded: `(rays,)` y, then times."""
        return torch.cat([self.encode_position(y[:, None] / self.half_extent), self._encode_times(times)], dim=-1)

    def ray_order(self) -> torch.Tensor:
        """Return the inputs in the order sines of z, of x, cosines of z, of x, then those of :meth:`encode_rays`."""
        n = self._config.spatial_frequencies
        sines_z, sines_y, sines_x, cosines_z, cosines_y, cosines_x = torch.arange(6 * n).view(6, n)
        times = torch.arange(6 * n, _encoded(self._config))
        return torch.cat([sines_z, sines_x, cosines_z, cosines_x, sines_y, cosines_y, times])

    def _encode_times(self, times: torch.Tensor) -> torch.Tensor:
        # Half a cycle of the slowest sine over the series: time must be much slower than space, or it explains every
        # tilt by an object of its own.
        encoded: torch.Tensor = self.encode_time(times[..., None] - 0.5)
        return encoded

    def _encode(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        position = self.encode_position(coordinates / self.half_extent)
        return torch.cat([position, self._encode_times(times.expand(coordinates.shape[:-1]))], dim=-1)


def network_products(config: JointFieldConfig) -> int:
    """Return the number of products in the network at every point.

    Parameters
    ----------
    config : JointFieldConfig
        Settings of the network.

    Returns
    -------
    int
        One for every weight.
    """
    return _encoded(config) * config.hidden + config.hidden**2 * (config.layers - 1) + config.hidden


def _encoded(config: JointFieldConfig) -> int:
    """Numbers into which a point and a time are encoded."""
    return 6 * config.spatial_frequencies + 2 * config.time_frequencies
