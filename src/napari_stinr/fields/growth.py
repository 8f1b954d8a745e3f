"""A density with an arrival time: specimen and contamination in one field that can only grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_stinr.config import GrowthFieldConfig
from napari_stinr.fields.atoms import Atoms
from napari_stinr.fields.base import Field, GridSlices, ParameterGroup, Slices, grown
from napari_stinr.fields.encoding import FeatureGrid, FeatureGrids
from napari_stinr.fields.regions import SPECIMEN_ARRIVAL, RegionGrids, by_region, not_before_earliest
from napari_stinr.fields.static import Density, blur_of
from napari_stinr.fields.storage import large, let_go, zeros_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_stinr.config import FieldSettings, TrainingConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields.base import Costs


_START_NEAR_SURFACE = -0.3
"""Arrival time near the surface before training [t]: what the data do not tell stays specimen."""
_FASTER_ATOMS = 3.0
"""Learning rate of the arrival time of a whole atom, which need not wait for its neighbours, by that of a node."""


class GrowthField(Field):
    """V(z, y, x, t) = density * sigmoid((t - arrival) / width).

    An atom is either specimen (arrival < 0) or contamination (0 to 1), so one density with an arrival time has half
    the unknowns of "static part + growing part". It is monotone in t by construction, V at t = 0 is in closed form,
    and both functions are of space alone: one query per voxel serves every tilt.

    Where the settings want a surface, the voxels deep inside it are specimen whatever the grids of the arrival time
    say, and outside nothing arrives before the first projection: an atom then cannot be half specimen and half
    contamination, which fits sparse data as well. Just inside the surface there are grids of an arrival time of its
    own, which need not be continued from outside. Which voxels these are is told by :meth:`tell_regions`.

    Once :meth:`tell_atoms` has told which voxels are one atom, an atom has one arrival time, and a share of it was
    always there, until it is decided by this share that it was there as a whole or not at all. Grids and regions say
    nothing then.

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

    has_arrival = True
    width: torch.Tensor
    regions: torch.Tensor | None

    def __init__(self, grid: VoxelGrid, config: GrowthFieldConfig, *, scale: float, width: float = 0.3) -> None:
        super().__init__()
        self.density = Density(grid, config, scale=scale)
        self.arrival = FeatureGrids(
            FeatureGrid(grid, spacing=spacing, start=config.arrival_start if index == 0 else 0.0)
            for index, spacing in enumerate(config.arrival_spacings)
        )
        self.atoms: Atoms | None = None
        self.near_surface: FeatureGrids | None = None
        self.register_buffer("regions", None)
        if config.has_surface:
            depth, _, columns = grid.fitted.shape
            self.regions = large((len(grid.held), depth, columns), dtype=torch.uint8)
            self.near_surface = FeatureGrids(
                FeatureGrid(grid, spacing=spacing, start=0.0 if index else _START_NEAR_SURFACE)
                for index, spacing in enumerate(config.arrival_spacings)
            )
        self.blur = blur_of(config, grid)
        self._voxel_size, self._rows, self._height = grid.voxel_size, grid.held, grid.height
        self.register_buffer("width", torch.tensor(float(width)))
        # Training uses the width as the schedule has it, which the buffer rounds to single precision.
        self._scheduled_width: float | None = None

    @classmethod
    def build(cls, settings: FieldSettings, grid: VoxelGrid, *, scale: float, training: TrainingConfig) -> GrowthField:
        """Return the field at the widest arrival; see :meth:`Field.build`."""
        assert isinstance(settings, GrowthFieldConfig)
        return cls(grid, settings, scale=scale, width=training.first_width)

    @property
    def costs(self) -> Costs:
        """Those of a density with an arrival time."""
        return self.density.costs(trained=18, rendered=14, growing_parts=1)

    def tell_regions(self, regions: torch.Tensor | Iterable[tuple[slice, torch.Tensor]]) -> None:
        """Tell where the surface of the specimen is.

        Parameters
        ----------
        regions : Tensor
            `(height, depth, width)` uint8 `OUTSIDE`, `NEAR_SURFACE`, `SPECIMEN` or `WITHOUT_ATOMS`, for the voxels that
            are fitted; or blocks of rows of it.
        """
        assert self.regions is not None
        for rows, block in [(slice(None), regions)] if isinstance(regions, torch.Tensor) else regions:
            self.regions[rows] = block.to(self.regions)
            let_go(self.regions)

    def tell_atoms(self, atoms: Atoms) -> None:
        """Tell which voxels are one atom: from now on its arrival time is trained instead of that of grids.

        Parameters
        ----------
        atoms : Atoms
            For the voxels that are fitted.
        """
        self.atoms = atoms

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take the number of atoms of a saved run; see :meth:`Field.make_room`."""
        if (shares := shapes.get("atoms.share")) is not None and self.regions is not None:
            self.tell_atoms(Atoms.empty(zeros_beside(self.regions, dtype=torch.int32), n_atoms=shares[0]))

    def take(
        self,
        density: torch.Tensor | Iterable[tuple[slice, torch.Tensor]],
        regions: torch.Tensor | Iterable[tuple[slice, torch.Tensor]],
        arrival: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        """Become what a coarser field says, to be looked at.

        Parameters
        ----------
        density : Tensor, or blocks of rows
            `(height, depth, width)` density at the voxels that are fitted [V].
        regions : Tensor, or blocks of rows
            `(height, depth, width)` uint8, for :meth:`tell_regions`.
        arrival : callable
            Takes `(..., 3)` positions (z, y, x) from the centre [the unit of voxel_size], gives `(...)` times [t].
        """
        self.density.take(density)
        self.tell_regions(regions)
        *others, finest = self.arrival
        with torch.no_grad():
            for level in others:
                level.values.zero_()
            finest.values[:, 0] = arrival(finest.node_positions())

    def forward(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """`(...)` potential at `(..., 3)` points and `(...)` times [V]."""
        if self.blur is None:
            return self._sharp(coordinates, times)
        times = times[..., None] if times.ndim else times
        return self.blur.at(lambda points: self._sharp(points, times), coordinates)

    def _sharp(self, coordinates: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """`(...)` potential before the blur at `(..., 3)` points and `(...)` times [V]."""
        density = self.density.at(coordinates)
        if self.atoms is not None:
            z, y, x = (self._nearest(coordinates[..., axis], axis=axis) for axis in range(3))
            later, share = self._of_atoms(self.atoms, self.atoms.labels[y, z, x])
            return Slices(density, later, self._width_now(), share).at(times)
        arrival = torch.stack([level.at(coordinates)[..., 0] for level in self.arrival]).sum(0)
        if self.regions is not None and self.near_surface is not None:
            z, y, x = (self._nearest(coordinates[..., axis], axis=axis) for axis in range(3))
            near = torch.stack([level.at(coordinates)[..., 0] for level in self.near_surface]).sum(0)
            arrival = by_region(arrival, near, self.regions[y, z, x])
        return grown(density, arrival, times, self.width)

    def slices(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float = 0.0) -> tuple[Slices, ...]:
        """One part for all times; while shares of atoms are trained, with what was always there."""
        arrival, share = self._arrival_and_share(z, y, x)
        return (Slices(self.density.on_lattice(z, y, x), arrival, self._width_now(), share),)

    def projected(
        self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: float = 0.0
    ) -> tuple[Slices | GridSlices, ...]:
        """Grids of the density where it is a sum of such, and of the arrival time; see :meth:`Field.projected`."""
        if not self.density.is_sum_of_grids:
            return self.slices(z, y, x, t)
        grids, scale, width = self.density.grids, float(self.density.scale), self._width_now()
        if self.atoms is None and self.regions is None:
            return (GridSlices((z, y, x), grids, scale, self.arrival, width),)
        if self.atoms is None and self.regions is not None and self.near_surface is not None:
            regions = self._at_voxels(self.regions, z, y, x)
            return (GridSlices((z, y, x), grids, scale, RegionGrids(self.arrival, self.near_surface, regions), width),)
        arrival, share = self._arrival_and_share(z, y, x)
        return (GridSlices((z, y, x), grids, scale, arrival, width, share),)

    def _arrival_and_share(
        self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(rows, depth, width)` arrival time, and what was always there while that is trained."""
        if self.atoms is None:
            return self.arrival_of_grids(z, y, x), None
        return self._of_atoms(self.atoms, self._at_voxels(self.atoms.labels, z, y, x))

    def arrival_of_grids(
        self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor, *, outside: bool = False
    ) -> torch.Tensor:
        """Return the arrival time that the grids have, whatever is known of atoms.

        Parameters
        ----------
        z, y, x : Tensor
            `(depth,)`, `(rows,)`, `(width,)` positions; see :meth:`slices`.
        outside : bool
            As if all of it were outside the surface, and without the least value there.

        Returns
        -------
        Tensor
            `(rows, depth, width)` arrival time [t].
        """
        # In bfloat16 a time of arrival would be off by more than the duration of an arrival.
        with torch.autocast(self.width.device.type, enabled=False):
            arrival = self.arrival.sum_on_lattice(z, y, x)
            if outside or self.regions is None or self.near_surface is None:
                return arrival
            near = self.near_surface.sum_on_lattice(z, y, x)
            return by_region(arrival, near, self._at_voxels(self.regions, z, y, x))

    def _of_atoms(self, atoms: Atoms, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(...)` arrival time, and share while it is trained, of voxels or points in atoms with these labels."""
        later = not_before_earliest(atoms.arrival)
        if self.training and not atoms.is_decided:
            return atoms.of_voxels(later, labels), atoms.of_voxels(atoms.share, labels)
        return atoms.of_voxels(torch.where(atoms.are_specimen, SPECIMEN_ARRIVAL, later), labels), None

    def _at_voxels(self, volume: torch.Tensor, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`(rows, depth, width)` values of the voxels nearest to positions, of a volume with rows first."""
        wanted = [self._nearest(positions, axis=(1, 0, 2)[axis]) for axis, positions in enumerate((y, z, x))]
        # Where the fewest are wanted first: of a slice across all rows, not all that these hold.
        for axis in sorted(range(3), key=lambda axis: len(wanted[axis]) / volume.shape[axis]):
            index = wanted[axis]
            if not torch.equal(index, torch.arange(volume.shape[axis])):
                volume, whole = volume.index_select(axis, index.to(volume.device)), volume
                let_go(whole)
        return volume

    def _nearest(self, positions: torch.Tensor, *, axis: int) -> torch.Tensor:
        """Index of the voxel nearest to positions from the centre along z (0), y (1) or x (2)."""
        assert self.regions is not None
        n_voxels = self._height if axis == 1 else self.regions.shape[(1, 0, 2)[axis]]
        index = torch.round(positions / self._voxel_size + (n_voxels - 1) / 2).long().clamp(0, n_voxels - 1)
        if axis == 1 and len(self._rows) < n_voxels:
            index -= self._rows.start
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self._rows):
                raise ValueError("rows are asked for that another process holds")
        return index

    def uncertain(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the density of atoms that might as well be specimen as contamination, before the blur.

        Parameters
        ----------
        z, y, x : Tensor
            `(depth,)`, `(rows,)`, `(width,)` positions; see :meth:`slices`.

        Returns
        -------
        Tensor
            `(rows, depth, width)` density [V]; 0 where nothing is decided by atoms.
        """
        density = self.density.on_lattice(z, y, x)
        if self.atoms is None:
            return torch.zeros_like(density)
        return density * self.atoms.are_uncertain[self._at_voxels(self.atoms.labels, z, y, x)]

    def parameter_groups(
        self, training: TrainingConfig, *, contrast: float, n_blocks: int
    ) -> tuple[ParameterGroup, ...]:
        """Density and arrival time, of grids or of atoms, and the shares of atoms until these are decided on."""
        density = self.density.parameter_groups(training, contrast=contrast, n_blocks=n_blocks)
        if self.atoms is not None:
            faster = _FASTER_ATOMS * training.arrival_rate
            arrival = ParameterGroup("arrival", [self.atoms.arrival], faster, has_long_memory=True)
            share = ParameterGroup("share", [self.atoms.share], training.arrival_rate, has_long_memory=True)
            return (*density, arrival) if self.atoms.is_decided else (*density, arrival, share)
        grids = [*self.arrival.parameters(), *(self.near_surface.parameters() if self.near_surface else ())]
        return (*density, ParameterGroup("arrival", grids, training.arrival_rate, has_long_memory=True))

    def narrow(self, training: TrainingConfig, *, fraction: float) -> None:
        """Take the duration of an arrival that the schedule has."""
        self._scheduled_width = arrival_width(training, fraction=fraction)
        self.width.fill_(self._scheduled_width)
        if self.atoms is not None:
            self.atoms.clamp_shares()

    def _width_now(self) -> float:
        return self._scheduled_width if self.training and self._scheduled_width is not None else float(self.width)


def arrival_width(config: TrainingConfig, *, fraction: float) -> float:
    """Return the duration of an arrival: it narrows geometrically, then stays [t]."""
    # A wide arrival lets every tilt say whether matter came earlier or later; a narrow one makes the specimen clean.
    narrowing = min(1.0, fraction / config.anneal_until)
    return float(config.first_width * (config.last_width / config.first_width) ** narrowing)
