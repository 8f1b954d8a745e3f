"""What the rest of the program asks of a field, whatever its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_stinr.config import FieldSettings, TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields.encoding import FeatureGrid, FeatureGrids
    from napari_stinr.fields.filters import PlaneFilter
    from napari_stinr.fields.regions import RegionGrids


def arrived(arrival: torch.Tensor, t: float | torch.Tensor, width: float | torch.Tensor) -> torch.Tensor:
    """Return which part of the matter has arrived: sigmoid((t - arrival) / width).

    Parameters
    ----------
    arrival : Tensor
        `(...)` arrival time [t].
    t : float or Tensor
        When; `(...)` or one time for all [t].
    width : float or Tensor
        Duration of an arrival [t].

    Returns
    -------
    Tensor
        `(...)` fraction, 0 to 1.
    """
    return torch.sigmoid((t - arrival) / width)


def grown(
    density: torch.Tensor, arrival: torch.Tensor, t: float | torch.Tensor, width: float | torch.Tensor
) -> torch.Tensor:
    """Return the potential of a density with an arrival time: density * sigmoid((t - arrival) / width).

    Parameters
    ----------
    density : Tensor
        `(...)` density [V].
    arrival, t, width
        As for :func:`arrived`.

    Returns
    -------
    Tensor
        `(...)` potential [V].
    """
    return density * arrived(arrival, t, width)


@dataclass(frozen=True, eq=False)
class Slices:
    """Part of a field on a lattice; what the field is before its blur is the sum of its parts.

    At a time t it is ``density * (share + (1 - share) * sigmoid((t - arrival) / width))``.

    Parameters
    ----------
    density : Tensor
        `(rows, depth, width)` float32 density; for a field that is asked anew for every time, the potential then [V].
    arrival : Tensor, optional
        `(rows, depth, width)` float32 arrival time; None: the density does not change [t].
    width : float
        Duration of an arrival [t].
    share : Tensor, optional
        `(rows, depth, width)` float32 part of what arrives that was always there, 0 to 1; None: nothing [1].
    """

    density: torch.Tensor
    arrival: torch.Tensor | None = None
    width: float = 1.0
    share: torch.Tensor | None = None

    @property
    def values(self) -> list[torch.Tensor]:
        """What gradients are wanted by: density, arrival time and share, as far as there are such."""
        return [values for values in (self.density, self.arrival, self.share) if values is not None]

    def at(self, t: float | torch.Tensor) -> torch.Tensor:
        """`(rows, depth, width)` potential at a time [V]."""
        if self.arrival is None:
            return self.density
        later = grown(self.density, self.arrival, t, self.width)
        return later if self.share is None else later + self.share * (self.density - later)


def potential(parts: Sequence[Slices], t: float | torch.Tensor) -> torch.Tensor:
    """Return the potential that the parts of a field have together, before its blur.

    Parameters
    ----------
    parts : sequence of Slices
        From :meth:`Field.slices`.
    t : float or Tensor
        When; one time, or as many as the parts have places [t].

    Returns
    -------
    Tensor
        `(rows, depth, width)` potential [V].
    """
    return reduce(add, (part.at(t) for part in parts))


@dataclass(frozen=True, eq=False)
class GridSlices:
    """Part of a field whose density is a sum of grids, for projectors that sample these in their own memory.

    At a time t it is as of :class:`Slices` with the density ``softplus(density) * scale``.

    Parameters
    ----------
    lattice : tuple of Tensor
        `(depth,)`, `(rows,)`, `(width,)` positions (z, y, x) from the centre, on the CPU [the unit of voxel_size].
    density : FeatureGrids
        Grids whose sum becomes the density [1].
    scale : float
        Unit of the density [V].
    arrival : FeatureGrids, RegionGrids or Tensor, optional
        Grids that are the arrival time, or as for :class:`Slices`; None: the density does not change [t].
    width, share
        As for :class:`Slices`.
    """

    lattice: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    density: FeatureGrids
    scale: float
    arrival: FeatureGrids | RegionGrids | torch.Tensor | None = None
    width: float = 1.0
    share: torch.Tensor | None = None

    @property
    def values(self) -> list[torch.Tensor]:
        """What gradients are wanted by: values at the nodes, arrival time and share, as far as there are such."""
        arrival = [self.arrival] if isinstance(self.arrival, torch.Tensor) else _of_nodes(self.arrival or ())
        return [*_of_nodes(self.density), *arrival, *(() if self.share is None else (self.share,))]

    def evaluated(self) -> Slices:
        """Return the slices, differentiable by the values."""
        density = functional.softplus(self.density.sum_on_lattice(*self.lattice).float()) * self.scale
        arrival = self.arrival
        if arrival is not None and not isinstance(arrival, torch.Tensor):
            arrival = arrival.sum_on_lattice(*self.lattice)
        return Slices(density, arrival, self.width, self.share)


def _of_nodes(grids: Iterable[FeatureGrid]) -> list[torch.Tensor]:
    return [level.values for level in grids]


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Parameters that learn at the same rate.

    Parameters
    ----------
    name : str
        What they are.
    parameters : list of Parameter
        The parameters.
    rate : float
        Their learning rate, before the schedule [their unit per step].
    by_rows : bool
        Whether the first axis of each is of rows, which learn one by one: a step leaves those alone, memory and all, of
        which its block has nothing.
    has_long_memory : bool
        Whether they learn with a long memory of their gradients: what has to do with many voxels, as weights of a
        network and coarse nodes, and what decides on specimen and contamination, which must not be by the last steps.
    """

    name: str
    parameters: list[nn.Parameter]
    rate: float
    by_rows: bool = False
    has_long_memory: bool = False


@dataclass(frozen=True)
class Costs:
    """What a field takes, for estimates of memory and time; measured on whole runs, see training.estimates.

    Parameters
    ----------
    trained_values : float
        Numbers that are held for every voxel of a block, or every point on a ray, in a step of training.
    rendered_values : float
        Numbers that are held for every voxel that is rendered at a time.
    products : int
        Products in the network at every point; 0 where there is none.
    static_parts, growing_parts : int
        Slices that are projected for every tilt: without and with an arrival time.
    """

    trained_values: float
    rendered_values: float
    products: int = 0
    static_parts: int = 0
    growing_parts: int = 0


class Field(nn.Module, ABC):
    """A continuous V(z, y, x, t) that can be trained, rendered, saved and projected.

    A kind of field is a subclass in a module of its own with its settings (:class:`FieldSettings`) and a line for
    :func:`napari_stinr.fields.register`. Parameters and persistent buffers are what a saved run holds.

    Attributes
    ----------
    blur : PlaneFilter, optional
        What is between the slices, which are sharper, and the potential. Labels of voxels (when did it arrive?) are
        then of the sharp matter: what two neighbours spread into one voxel is told apart. Projections are blurred as
        lines, which is the same (Fourier slice theorem).
    serves_all_times : bool
        One call of :meth:`slices` serves every time; otherwise the field is asked anew for each.
    has_arrival : bool
        There is one part, with an arrival time that can be shown.
    """

    blur: PlaneFilter | None = None
    serves_all_times: bool = True
    has_arrival: bool = False

    @classmethod
    @abstractmethod
    def build(cls, settings: FieldSettings, grid: VoxelGrid, *, scale: float, training: TrainingConfig) -> Field:
        """Build the field before training.

        Parameters
        ----------
        settings : FieldSettings
            Settings of this kind of field.
        grid : VoxelGrid
            The voxels of the reconstruction.
        scale : float
            Typical potential of the data [V].
        training : TrainingConfig
            How it will be trained.

        Returns
        -------
        Field
            On the CPU; random values come from torch's global generator.
        """

    @abstractmethod
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
            `(...)` float32 potential [V].
        """

    @abstractmethod
    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> tuple[Slices, ...]:
        """Return the field at all positions of a lattice.

        Parameters
        ----------
        z, y, x : Tensor
            `(depth,)`, `(rows,)`, `(width,)` positions from the centre [the unit of voxel_size], on the CPU.
        t : float
            When; of no meaning where the field serves all times [t].

        Returns
        -------
        tuple of Slices
            Parts that add up to the potential before the blur; differentiable where the field can be trained on blocks.
        """

    def projected(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> tuple[Slices | GridSlices, ...]:
        """Return the field at all positions of a lattice for a projector, as grids where it is a sum of such.

        Parameters
        ----------
        z, y, x, t
            As for :meth:`slices`.

        Returns
        -------
        tuple of Slices or GridSlices
            Parts that add up to the potential before the blur.
        """
        return self.slices(z, y, x, t)

    def potential(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float) -> torch.Tensor:
        """Return the potential at all positions of a lattice.

        Parameters
        ----------
        z, y, x, t
            As for :meth:`slices`.

        Returns
        -------
        Tensor
            `(rows, depth, width)` potential at t [V].
        """
        if self.blur is None:
            return potential(self.slices(z, y, x, t), t)
        return self.blur.on_lattice(lambda z, x: potential(self.slices(z, y, x, t), t), z, x)

    @abstractmethod
    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        """Return all parameters with their learning rates, in the order in which a step reports them.

        Parameters
        ----------
        training : TrainingConfig
            The learning rates.
        contrast : float
            Contrast of the projections, by which a density without a network learns faster [1].
        n_blocks : int
            Blocks that the rows are shared out over. Where not by rows, the optimiser also moves what is not in a
            block, by what it remembers of it, so that a density without a network learns too fast with many.

        Returns
        -------
        tuple of ParameterGroup
            The groups; a step reports the first rate of each name.
        """

    @property
    @abstractmethod
    def costs(self) -> Costs:
        """What the field takes; asked of a field without memory, too (on torch's device ``meta``)."""

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take the sizes that settings and grid do not tell, before values of a saved run are loaded.

        Parameters
        ----------
        shapes : mapping
            Shape of every parameter and buffer that was saved, by name.
        """

    def narrow(self, training: TrainingConfig, *, fraction: float) -> None:
        """Take the form that the schedule has for a point of the training; called before every step.

        Parameters
        ----------
        training : TrainingConfig
            The schedule.
        fraction : float
            Part of the run that is over, 0 to 1.
        """
