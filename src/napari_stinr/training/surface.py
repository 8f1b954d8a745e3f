"""Find which voxels are specimen, at coarse resolution, before the volume is fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from napari_stinr.config import GrowthFieldConfig
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.data.mass import MassGrowth
from napari_stinr.data.measurements import Measurements
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.fields.regions import NEAR_SURFACE, OUTSIDE, SPECIMEN
from napari_stinr.fields.surface import SurfaceField
from napari_stinr.projection.views import Views
from napari_stinr.reconstruction.rendering import lattice_of
from napari_stinr.training.batching import blocks_of_rows
from napari_stinr.training.blocks import BlockObjective
from napari_stinr.training.field_fit import FieldFit
from napari_stinr.training.fit import Fit
from napari_stinr.training.valley import valley_boundary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_stinr.config import FieldSettings, TrainingConfig

ROUNDS = 3
"""How often the surface is sought: each time around the centre of mass of what was inside it the last time."""

_COARSE_VOXEL = 1.0
"""Size of a coarse voxel, where the pixel size is known and smaller [Å]: less than the distance of two atoms."""
_MOST_ACROSS, _LEAST_ACROSS = 64, 16
"""Coarse voxels across: more make the search slow, fewer hold no surface."""
_SMOOTHING = 0.5
"""Standard deviation of the Gaussian before the binning, as a part of the edge of a coarse pixel: what is finer than
coarse pixels can show would be an error of the model, and larger than what tells specimen from contamination."""
_LAST_WIDTH = 0.02
"""Duration of an arrival at the end of the search [t]."""
_LEAST_INSIDE = 0.43
"""Part of a voxel inside the surface from which it is specimen: 0.15 voxels of room, as carbon that is left is a lesser
fault than specimen that is lost."""
_UNDECIDED_DEPTH = 1.5
"""How deep inside the surface a place decides on its own [coarse voxel]: a smooth surface does not pass between atoms
that are as near as carbon to the specimen."""
_TILTS = 32
"""Tilts in a step at least: steps at coarse resolution are cheap, and what they decide should not be by chance."""
_MASS_WITHIN = 0.98
_LATE = 2 / 3
_FIRST_RADIUS = 0.75
"""Radius of the surface at the start, as a part of that of all matter at the end."""


def coarsening(width: int, height: int, voxel_size: float | None) -> int:
    """Return by how much the projections are binned for the search.

    Parameters
    ----------
    width, height : int
        Size of the projections [pixel].
    voxel_size : float, optional
        Size of a pixel; None: not known [Å].

    Returns
    -------
    int
        1 or more.
    """
    by_size = 1 if voxel_size is None else round(_COARSE_VOXEL / voxel_size)
    factor = max(by_size, math.ceil(width / _MOST_ACROSS))
    return max(1, min(factor, width // _LEAST_ACROSS, height))


def coarse_grid(grid: VoxelGrid) -> VoxelGrid:
    """Return the grid of the search for a surface, in voxels of its own, for the grid of a reconstruction."""
    voxel_size = grid.voxel_size if grid.length_unit == "Å" else None
    factor = coarsening(grid.width, grid.height, voxel_size)
    across = grid.width // factor
    margin = math.ceil(grid.margin / factor)
    return VoxelGrid(across, grid.height // factor, across, voxel_size=1.0, length_unit="pixel", margin=margin)


def binning_of(grid: VoxelGrid) -> Binning:
    """Return how the projections for the grid of a reconstruction are binned for the search."""
    return Binning.of(grid.height, grid.width, grid.width // coarse_grid(grid).width)


def search_settings(training: TrainingConfig) -> TrainingConfig:
    """Return how the field with the surface is fitted."""
    return training.model_copy(
        update={
            "visits": training.surface_visits,
            "steps": None,
            "last_width": max(training.last_width, min(_LAST_WIDTH, training.first_width)),
            "held_out": 0,
            "tilts_per_step": max(training.tilts_per_step, _TILTS),
            "blocks_per_step": 1,  # steps so cheap that every process does all of them
            "memory": "long",
        }
    )


def grids_alone(field: GrowthFieldConfig) -> GrowthFieldConfig:
    """Return the settings of a density that needs no network: grids that are added up are fast, and fine enough."""
    return field.model_copy(update={"features": 1, "hidden": 0})


@dataclass(frozen=True)
class Guess:
    """Where the surface of the specimen may be."""

    centre: tuple[float, float]  # of its axis, (z, x) from the centre of the grid [coarse voxel]
    radius: float  # [coarse voxel]


class SurfaceSearch:
    """The search for the surface of the specimen of one series.

    Parameters
    ----------
    series : TiltSeries or None
        The data; None where `coarse` is there already.
    grid : VoxelGrid
        The voxels of the reconstruction; of a band of them, regions and density are those of its rows.
    field : FieldSettings
        Settings of a growth field, for its density.
    training : TrainingConfig
        The schedule.
    device : torch.device
        Where to compute.
    threads : int
        Of the projector on a CPU.
    without : ndarray
        `(m,)` positions in the stack of projections that decide nothing.
    coarse : TiltSeries, optional
        What :func:`coarse_series` makes of the data.

    Attributes
    ----------
    mass_growth : MassGrowth
        Whether there can be any contamination: without, everything is specimen, wherever the surface is. Its clock is
        that of the search: a burst of contamination is over before an arrival could become as short.
    guess : Guess
        Where the next round begins.
    """

    def __init__(
        self,
        series: TiltSeries | None,
        grid: VoxelGrid,
        field: FieldSettings,
        training: TrainingConfig,
        *,
        device: torch.device,
        threads: int,
        without: NDArray[np.int64],
        coarse: TiltSeries | None = None,
    ) -> None:
        self._fine, self.grid = grid, coarse_grid(grid)
        self.rows = slice(grid.held.start, grid.held.stop)
        self._binning = binning_of(grid)
        if coarse is None:
            assert series is not None
            coarse = coarse_series(series, self._binning)
        self.mass_growth = MassGrowth.of(Measurements.of(coarse, without=without))
        coarse = replace(coarse, times=self.mass_growth.clock(coarse.times))
        self._data = Measurements.of(coarse, device=device, without=without)
        assert isinstance(field, GrowthFieldConfig)  # no other seeks a surface
        self._views, self._field = Views.of(coarse), grids_alone(field)
        self._training, self._threads, self._device = search_settings(training), threads, device
        self.guess = first_guess(self._data, self._views)

    def fit(self) -> FieldFit:
        """Return a fit that begins at the guess."""
        field = SurfaceField(
            self.grid,
            self._field,
            scale=self._data.typical_potential(self.grid),
            centre=self.guess.centre,
            radius=self.guess.radius,
        ).to(self._device)
        fit = Fit(self._data, self._views, self.grid, self._training, threads=self._threads, blur=field.blur)
        return FieldFit(
            "surface",
            field,
            BlockObjective(fit),
            self._training,
            contrast=self._data.contrast,
            n_blocks=blocks_of_rows(self._training, self.grid),
            prior=field.prior,
        )

    def learn(self, field: SurfaceField) -> None:
        """Take the next guess from a fitted field."""
        radius = float((field.radius.detach() + field.deviations.detach().mean()).clamp(min=1.0))
        self.guess = Guess(field.centre_of_specimen(*lattice_of(self.grid.fitted)), radius)

    def regions(self, field: SurfaceField) -> Iterator[tuple[slice, torch.Tensor]]:
        """Rows, and `(rows, depth, width)` uint8 region of every voxel of the reconstruction, on the CPU."""
        depth, _, width = self._fine.fitted.shape
        if self.mass_growth.is_none:
            for row in range(len(self._fine.held)):
                yield slice(row, row + 1), torch.full((1, depth, width), SPECIMEN, dtype=torch.uint8)
            return
        lattice = lattice_of(self.grid.fitted)
        with torch.no_grad():
            inside = field.inside(*lattice).cpu().numpy() > _LEAST_INSIDE
        inside = valley_boundary(inside, field.total_density(*lattice).cpu().numpy())
        deep = distance_transform_edt(inside) - 0.5 > _UNDECIDED_DEPTH
        # Those of the rows that are held: a band of them begins with its own.
        for row, (is_inside, is_deep) in enumerate(zip(self._enlarged(inside), self._enlarged(deep), strict=True)):
            region = np.where(is_inside, np.uint8(NEAR_SURFACE), np.uint8(OUTSIDE))
            region[is_deep] = SPECIMEN
            yield slice(row, row + 1), torch.from_numpy(region)[None]

    def positions(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Positions (z, y, x) of the voxels of the reconstruction in the grid of the search [coarse voxel]."""
        factor = self._binning.factor
        z, _, x = (axis / self._fine.voxel_size for axis in lattice_of(self._fine.fitted))
        rows = self._binning.rows(np.arange(self._fine.height)) - (self.grid.height - 1) / 2
        return z / factor, torch.from_numpy(rows), x / factor

    def coarse(self, positions: torch.Tensor) -> torch.Tensor:
        """`(..., 3)` positions (z, y, x) of the reconstruction [its length_unit] in the search [coarse voxel]."""
        z, y, x = (positions / self._fine.voxel_size).unbind(-1)
        factor = self._binning.factor
        _, rows, _ = self.positions()
        middle = float(rows.mean())  # rows that are left out at one border move the centre
        return torch.stack([z / factor, y / factor + middle, x / factor], dim=-1)

    def arrival(self, field: SurfaceField, positions: torch.Tensor) -> torch.Tensor:
        """`(...)` arrival times outside the surface [t] at `(..., 3)` positions (z, y, x) of the reconstruction."""
        with torch.no_grad():
            clocked = field.arrival_at(self.coarse(positions)).cpu()
        return torch.from_numpy(self.mass_growth.times_of(clocked.numpy())).to(clocked)

    def density(self, field: SurfaceField) -> Iterator[tuple[slice, torch.Tensor]]:
        """Rows, and `(rows, depth, width)` density at the voxels, of all that ever was there [V]."""
        z, y, x = self.positions()
        # Row by row: the surface takes many numbers for every voxel.
        for k, row in enumerate(y[self.rows]):
            with torch.no_grad():
                density = field.total_density(z, row[None], x)
            # In the search a ray is as long as it has coarse voxels.
            yield slice(k, k + 1), density / (self._binning.factor * self._fine.voxel_size)

    def state(self) -> dict[str, torch.Tensor]:
        """Return what must be kept to go on exactly."""
        return {"guess": torch.tensor([*self.guess.centre, self.guess.radius], dtype=torch.float64)}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state."""
        z, x, radius = state["guess"].tolist()
        self.guess = Guess((z, x), radius)

    def _enlarged(self, inside: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
        """Sample a region `(rows, depth, width)` of the search at the voxels of every row of the reconstruction."""
        # Smoothed by half a voxel, it has no steps where linear interpolation crosses one half.
        smooth = gaussian_filter(inside.astype(np.float32), 0.5, mode="nearest")
        z, y, x = (axis.numpy() for axis in self.positions())
        centres = [(n - 1) / 2 for n in inside.shape]
        columns = np.meshgrid(z + centres[1], x + centres[2], indexing="ij")
        for row in y[self.rows] + centres[0]:
            yield map_coordinates(smooth, [np.full_like(columns[0], row), *columns], order=1, mode="nearest") > 0.5


def coarse_series(series: TiltSeries, binning: Binning) -> TiltSeries:
    """Return a series with fewer, larger pixels that hold nothing finer than they can show; lengths are in them."""
    factor, (height, width) = binning.factor, binning.shape
    projections = np.empty((series.n_tilts, height, width), dtype=np.float32)
    mask = None if series.mask is None else np.empty(projections.shape, dtype=bool)
    for k, image in enumerate(series.projections):
        counts = None if series.mask is None else series.mask[k]
        binned, counted = binning.image(_smoothed(image, counts, _SMOOTHING * factor if factor > 1 else 0.0), counts)
        # An integral over a path that is now counted in coarse voxels of length 1.
        projections[k] = binned
        if mask is not None and counted is not None:
            mask[k] = counted
    return TiltSeries(
        projections,
        series.tilt_angles,
        series.times,
        mask=mask,
        axis_offset=binning.axis_offset(series.axis_offset),
        flip_tilt=series.flip_tilt,
        name=series.name,
    )


def _smoothed(image: NDArray[np.float32], counts: NDArray[np.bool_] | None, sigma: float) -> NDArray[np.float32]:
    """Smooth `(height, width)` pixels, those that do not count left out."""
    if sigma <= 0:
        return image
    if counts is None or counts.all():
        smooth: NDArray[np.float32] = gaussian_filter(image, sigma, mode="nearest")
        return smooth
    weight = gaussian_filter(counts.astype(np.float32), sigma, mode="nearest")
    smooth = gaussian_filter(np.where(counts, image, np.float32(0)), sigma, mode="nearest")
    normalised: NDArray[np.float32] = smooth / np.maximum(weight, np.float32(1e-6))
    return normalised


def first_guess(data: Measurements, views: Views) -> Guess:
    """Guess the axis of the specimen from the centres of mass of all projections, the radius from the last ones."""
    lines = data.measured.cpu().double().clamp(min=0).sum(1)
    mass = lines.sum(1).clamp(min=torch.finfo(torch.float64).tiny)
    views = views[data.tilts]
    u = torch.arange(lines.shape[1], dtype=torch.float64) - views.rays.origins[:, None]
    # A point (z, x) lands at u = x cos + z sin: design, section 3.
    system = torch.stack([views.sines, views.cosines], dim=1)
    centres = (lines * u).sum(1) / mass
    z, x = torch.linalg.lstsq(system, centres[:, None], driver="gelsd").solution[:, 0].tolist()
    distance = (u - (z * views.sines + x * views.cosines)[:, None]).abs()
    late = views.times >= torch.quantile(views.times, _LATE)
    order = distance[late].argsort(1)
    n_within = (lines[late].gather(1, order).cumsum(1) < _MASS_WITHIN * mass[late][:, None]).sum(1, keepdim=True)
    radii = distance[late].gather(1, order).gather(1, n_within.clamp(max=u.shape[1] - 1))
    return Guess((z, x), max(1.0, _FIRST_RADIUS * float(radii.median())))
