"""The whole experiment: a specimen is contaminated while it is recorded, with all that is true about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from napari_stinr.data.acquisition_order import AcquisitionOrder, acquisition_rank
from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.errors import StinrError
from napari_stinr.simulation.acquisition import measurement_noise, record_tilt_series
from napari_stinr.simulation.contamination import Growth, grow_contamination
from napari_stinr.simulation.potential import THERMAL_WIDTH, Sampling, potential
from napari_stinr.simulation.specimen import SpecimenName, build_specimen

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.simulation.contamination import Contamination
    from napari_stinr.simulation.specimen import Specimen


class SimulationConfig(BaseModel):
    """Everything that decides a simulation; the same values give the same bytes.

    Parameters
    ----------
    tilt_start, tilt_stop, tilt_step : float
        First and last tilt angle, both recorded where the step allows, and the step [degrees].
    order : {"sequential", "bidirectional", "dose-symmetric", "interleaved"}
        Order in which the tilts are recorded, see `acquisition_rank`.
    growth : {"side", "radial"}
        Where carbon arrives first, see `grow_contamination`.
    noise : float
        Standard deviation of Gaussian noise as a fraction of the mean foreground, see `measurement_noise`.
    seed : int
        Seed of specimen, contamination and noise.
    specimen : {"nanotube", "particle"}
        What is recorded, see `build_specimen`.
    grid : tuple of int
        Number of voxels `(z, y, x)`; projections are `(y, x)`.
    pixel_size : float
        Edge of a pixel and of a voxel [Å].
    thermal_width : float
        Root mean square displacement of an atom along one axis, in volume and projections alike [Å].

    Raises
    ------
    StinrError
        A value is not possible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tilt_start: float = Field(default=0.0, ge=-180, le=180)
    tilt_stop: float = Field(default=180.0, ge=-180, le=180)
    tilt_step: PositiveFloat = 1.0
    order: AcquisitionOrder = "sequential"
    growth: Growth = "side"
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0)
    specimen: SpecimenName = "nanotube"
    grid: tuple[PositiveInt, PositiveInt, PositiveInt] = (88, 40, 88)
    pixel_size: PositiveFloat = 0.5
    thermal_width: float = Field(default=THERMAL_WIDTH, ge=0, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _as_stinr_error(error) from error

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


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulated tilt series with everything that is true about it.

    Parameters
    ----------
    config : SimulationConfig
        What was asked for.
    series : TiltSeries
        The contaminated tilt series.
    clean_projections : ndarray
        `(n_tilts, height, width)` the same acquisition with the same noise, never contaminated [V·Å].
    truth : ndarray
        `(z, y, x)` true potential at t = 0 [V].
    contamination : ndarray
        `(z, y, x)` true potential at t = 1 minus that at t = 0 [V].
    specimen : Specimen
        The atoms that were put in, and their groups.
    carbon : Contamination
        The atoms that grew on it, and when.
    """

    config: SimulationConfig
    series: TiltSeries
    clean_projections: NDArray[np.float32]
    truth: NDArray[np.float32]
    contamination: NDArray[np.float32]
    specimen: Specimen
    carbon: Contamination


def simulate(config: SimulationConfig, *, progress: Callable[[int, int], None] | None = None) -> Simulation:
    """Simulate the experiment of the 2023 paper: record a tilt series of a specimen on which carbon grows.

    Parameters
    ----------
    config : SimulationConfig
        What to simulate.
    progress : callable, optional
        Called as ``progress(done, total)`` after every tilt.

    Returns
    -------
    Simulation
        The tilt series, and the truth to compare a reconstruction with.

    Raises
    ------
    StinrError
        The grid is too small for the specimen, or there are fewer than three tilts.
    """
    angles, times = _checked_tilts(config), config.times
    specimen = build_specimen(config.specimen, config.grid, config.pixel_size, seed=config.seed)
    carbon = grow_contamination(specimen, growth=config.growth, seed=config.seed)
    projections, clean = record_tilt_series(specimen, carbon, angles, times, config.sampling, progress=progress)
    # One draw for both, so that the two series differ by nothing but the contamination.
    noise = measurement_noise(projections, config.noise, seed=config.seed)
    series = TiltSeries(
        projections + noise,
        angles,
        times,
        pixel_size=config.pixel_size,
        name=f"simulated {config.specimen}",
    )
    atoms = specimen.atoms
    return Simulation(
        config=config,
        series=series,
        clean_projections=clean + noise,
        truth=potential(atoms.positions, atoms.numbers, config.grid, config.sampling),
        contamination=potential(carbon.positions, np.full(len(carbon.positions), 6), config.grid, config.sampling),
        specimen=specimen,
        carbon=carbon,
    )


def write_simulation(folder: str | os.PathLike[str], simulation: Simulation) -> Path:
    """Write a simulation as the files a microscope would give, with the truth beside them.

    ``stack.mrc``, ``stack.rawtlt`` and ``times.csv`` are the contaminated tilt series, ``uncontaminated_stack.mrc``
    and ``.rawtlt`` the same series without contamination. ``truth.mrc`` is the potential at t = 0 and
    ``contamination.mrc`` what has been added to it at t = 1. ``atoms.xyz`` (extended XYZ) lists the atoms of the
    specimen with a column ``group``, a blank in a name written as ``_``; its origin is the centre of the first voxel,
    so position / voxel size is the index. ``simulation.yaml`` repeats the configuration. The same configuration gives
    the same bytes in every file.

    Parameters
    ----------
    folder : str or path-like
        Where to write; made if it is not there. Files of these names that are there already are replaced.
    simulation : Simulation
        What to write.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    StinrError
        A file cannot be written.
    """
    from napari_stinr.io.output.atomic import write_problem
    from napari_stinr.io.output.writing import write_tilt_angles, write_tilt_series, write_times, write_volume

    target, series, pixel_size = Path(folder).expanduser(), simulation.series, simulation.config.pixel_size
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_problem(error, target) from error
    for stem, projections in (("stack", series.projections), ("uncontaminated_stack", simulation.clean_projections)):
        write_tilt_series(target / f"{stem}.mrc", projections, pixel_size=pixel_size)
        write_tilt_angles(target / f"{stem}.rawtlt", series.tilt_angles)
    write_times(target / "times.csv", series.tilt_angles, series.times)
    write_volume(target / "truth.mrc", simulation.truth, voxel_size=pixel_size)
    write_volume(target / "contamination.mrc", simulation.contamination, voxel_size=pixel_size)
    _write_atoms(target / "atoms.xyz", simulation.specimen)
    _write_config(target / "simulation.yaml", simulation.config)
    return target


def _write_atoms(path: Path, specimen: Specimen) -> None:
    from ase.io import write

    from napari_stinr.io.output.atomic import atomic_output

    atoms = specimen.atoms.copy()
    # A blank would end the column.
    atoms.set_array("group", np.array([group.replace(" ", "_") for group in specimen.groups]))
    with atomic_output(path) as temporary:
        write(temporary, atoms, format="extxyz", columns=["symbols", "positions", "group"])


def _write_config(path: Path, config: SimulationConfig) -> None:
    import yaml

    from napari_stinr.io.output.atomic import atomic_output

    with atomic_output(path) as temporary:
        temporary.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def _checked_tilts(config: SimulationConfig) -> NDArray[np.float64]:
    angles = config.tilt_angles
    if len(angles) < MINIMUM_TILTS:
        raise StinrError(
            f"{config.tilt_start:g} to {config.tilt_stop:g} degrees by {config.tilt_step:g} makes {len(angles)} tilts",
            expected=f"at least {MINIMUM_TILTS}",
            cure="Give START STOP STEP with START below STOP, or a smaller STEP.",
        )
    return angles


def _as_stinr_error(error: ValidationError) -> StinrError:
    from napari_stinr.config.faults import first_fault

    fault = first_fault(error)
    found = f"{'.'.join(map(str, fault.where))} of the simulation is {fault.value!r}"
    return StinrError(found, expected=fault.expected, cure="Correct this value.")
