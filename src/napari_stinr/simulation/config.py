"""Everything that decides a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from napari_stinr.data.acquisition_order import AcquisitionOrder, acquisition_rank
from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.errors import StinrError
from napari_stinr.simulation.checked import CheckedSettings
from napari_stinr.simulation.contamination import (
    LEAST_DISTANCE,
    LEAST_GAP,
    MINIMUM_DISTANCE,
    Growth,
    Pace,
)
from napari_stinr.simulation.instrument import Instrument, check_instrument
from napari_stinr.simulation.loss import LARGEST_LOSS
from napari_stinr.simulation.potential import THERMAL_WIDTH, Sampling
from napari_stinr.simulation.specimen import SpecimenName  # noqa: TC001, pydantic reads it

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST_VIEW = 8


class SimulationConfig(CheckedSettings):
    """Everything that decides a simulation; the same values give the same bytes.

    Parameters
    ----------
    tilt_start, tilt_stop, tilt_step : float
        First and last tilt angle, both recorded where the step allows, and the step [degrees].
    order : {"sequential", "bidirectional", "dose-symmetric", "interleaved"}
        Order in which the tilts are recorded, see `acquisition_rank`.
    growth : {"side", "radial", "both-sides"}
        Where carbon arrives first, see `grow_contamination`.
    noise : float
        Standard deviation of Gaussian noise as a fraction of the mean foreground, see `measurement_noise`.
    seed : int
        Seed of specimen, contamination, loss, instrument and noise.
    specimen : {"nanotube", "particle", "glass"}
        What is recorded, see `build_specimen`.
    grid : tuple of int
        Number of voxels `(z, y, x)` that hold specimen and contamination; without a `view`, projections are `(y, x)`.
    pixel_size : float
        Edge of a pixel and of a voxel [Å].
    thermal_width : float
        Root mean square displacement of an atom along one axis, in volume and projections alike [Å].
    pace : {"steady", "burst", "pause"}
        When carbon arrives, see `grow_contamination`.
    minimum_distance : float
        Least distance between two atoms of the contamination, 1.2 to 4 [Å].
    gap : float, optional
        Least distance between contamination and specimen, 1.45 to 4 [Å]. Default: 2.5, less in small grids.
    loss : float
        Fraction of the specimen's atoms that leave during the series, up to 0.5, see `departure_times`.
    view : int
        Width of the images in pixels, and of the box that truth and atoms refer to along x and, where the grid is
        deeper than that, along z: with less than the grid, the specimen is larger than the view. 0: all of the grid.
    instrument : Instrument
        What the microscope does to the images; nothing by default.

    Raises
    ------
    StinrError
        A value is not possible, or values do not go together.
    """

    tilt_start: float = Field(default=0.0, ge=-180, le=180)
    tilt_stop: float = Field(default=180.0, ge=-180, le=180)
    tilt_step: PositiveFloat = 1.0
    order: AcquisitionOrder = "sequential"
    growth: Growth = "side"
    noise: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0)
    specimen: SpecimenName = "nanotube"
    grid: tuple[PositiveInt, PositiveInt, PositiveInt] = (88, 40, 88)
    pixel_size: PositiveFloat = 0.5
    thermal_width: float = Field(default=THERMAL_WIDTH, ge=0)
    pace: Pace = "steady"
    minimum_distance: float = Field(default=MINIMUM_DISTANCE, ge=LEAST_DISTANCE, le=4)
    gap: float | None = Field(default=None, ge=LEAST_GAP, le=4)
    loss: float = Field(default=0.0, ge=0, le=LARGEST_LOSS)
    view: int = Field(default=0, ge=0)
    instrument: Instrument = Instrument()

    @model_validator(mode="after")
    def _check_view(self) -> Self:
        depth, _, width = self.grid
        lost = width - self.view
        is_centred = lost % 2 == 0 and (depth <= self.view or (depth - self.view) % 2 == 0)
        if self.view and (self.view < _SMALLEST_VIEW or lost < 0 or not is_centred):
            raise StinrError(
                f"the view is {self.view} pixels of a grid of {depth} x {width} voxels (z, x)",
                expected=f"{_SMALLEST_VIEW} to {width}, and less than the grid by an even number, so that the tilt "
                "axis stays between the same pixels",
                cure=f"Give {max(_SMALLEST_VIEW, min(self.view, width)) // 2 * 2 + width % 2}, or another grid.",
            )
        return self

    @property
    def view_grid(self) -> tuple[int, int, int]:
        """Number of voxels `(z, y, x)` of truth and contamination; projections are `(y, x)`."""
        depth, height, width = self.grid
        return (min(depth, self.view), height, self.view) if self.view else (depth, height, width)

    @property
    def tilt_angles(self) -> NDArray[np.float64]:
        """`(n_tilts,)` tilt angles from start to stop [degrees]."""
        # A step of 0.1 must not lose its last angle to rounding.
        n_steps = int(np.floor((self.tilt_stop - self.tilt_start) / self.tilt_step + 1e-6))
        return np.asarray(self.tilt_start + self.tilt_step * np.arange(n_steps + 1), dtype=np.float64)

    @property
    def sampling(self) -> Sampling:
        """How volume and projections are sampled."""
        return Sampling(self.pixel_size, self.thermal_width)

    @property
    def times(self) -> NDArray[np.float64]:
        """`(n_tilts,)` time of every tilt, 0 for the first that is recorded and 1 for the last."""
        rank = acquisition_rank(self.tilt_angles, self.order)
        return rank / max(1, len(rank) - 1)

    def checked_tilts(self) -> NDArray[np.float64]:
        """Return `(n_tilts,)` tilt angles [degrees]; a StinrError says why they cannot be recorded."""
        angles = self.tilt_angles
        if len(angles) < MINIMUM_TILTS:
            raise StinrError(
                f"{self.tilt_start:g} to {self.tilt_stop:g} degrees by {self.tilt_step:g} makes {len(angles)} tilts",
                expected=f"at least {MINIMUM_TILTS}",
                cure="Give START STOP STEP with START below STOP, or a smaller STEP.",
            )
        check_instrument(self.instrument, angles)
        return angles
