"""The whole experiment: a specimen is contaminated while it is recorded, with all that is true about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.simulation.acquisition import Scene, mean_foreground, measurement_noise
from napari_stinr.simulation.contamination import grow_contamination
from napari_stinr.simulation.instrument import detect, draw_pose
from napari_stinr.simulation.loss import departure_times
from napari_stinr.simulation.potential import potential
from napari_stinr.simulation.specimen import build_specimen, inside_grid

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_stinr.simulation.config import SimulationConfig
    from napari_stinr.simulation.contamination import Contamination
    from napari_stinr.simulation.instrument import TruePose
    from napari_stinr.simulation.specimen import Specimen


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
        `(n_tilts, height, width)` the same acquisition with the same noise, never contaminated and without a loss of
        atoms [V·Å].
    truth : ndarray
        `(z, y, x)` true potential at t = 0 [V].
    contamination : ndarray
        `(z, y, x)` true potential of the contamination at t = 1 [V].
    specimen : Specimen
        The atoms that were put in, and their groups; where there is a view, those in it.
    carbon : Contamination
        The atoms that grew on it, and when.
    pose : TruePose
        Where and how bright every image really is; the series states nominal tilt angles and no axis offset.
    """

    config: SimulationConfig
    series: TiltSeries
    clean_projections: NDArray[np.float32]
    truth: NDArray[np.float32]
    contamination: NDArray[np.float32]
    specimen: Specimen
    carbon: Contamination
    pose: TruePose


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
        The grid is too small for the specimen, there are fewer than three tilts, or the instrument cannot record them.
    """
    angles, times, seed, grid = config.checked_tilts(), config.times, config.seed, config.view_grid
    scene, sampling = _scene(config), config.sampling
    pose = draw_pose(config.instrument, angles, times, seed=seed)
    projections, clean = scene.record(angles, times, sampling, pose, progress=progress)
    # One draw for both, so that the two series differ by nothing but what happened to the specimen.
    noise = measurement_noise(projections, config.noise, seed=seed)
    detected = partial(
        detect, noise=noise, instrument=config.instrument, foreground=mean_foreground(projections), seed=seed
    )
    series = TiltSeries(
        detected(projections), angles, times, pixel_size=config.pixel_size, name=f"simulated {config.specimen}"
    )
    atoms, carbon = scene.specimen.atoms, scene.contamination
    return Simulation(
        config=config,
        series=series,
        clean_projections=detected(clean),
        truth=potential(atoms.positions, atoms.numbers, grid, sampling),
        contamination=potential(carbon.positions, np.full(len(carbon.positions), 6), grid, sampling),
        specimen=scene.specimen.seen(),
        carbon=carbon.kept(inside_grid(carbon.positions, grid, config.pixel_size)),
        pose=pose,
    )


def _scene(config: SimulationConfig) -> Scene:
    """Specimen, contamination and loss, with the origin of what is seen of them."""
    specimen = build_specimen(config.specimen, config.grid, config.pixel_size, seed=config.seed)
    carbon = grow_contamination(
        specimen,
        growth=config.growth,
        pace=config.pace,
        minimum_distance=config.minimum_distance,
        gap=config.gap,
        seed=config.seed,
    )
    leaves = departure_times(specimen, carbon, config.loss, seed=config.seed)
    origin = specimen.origin_of(config.view_grid)
    return Scene(specimen.in_view(config.view_grid), replace(carbon, positions=carbon.positions - origin), leaves)


def write_simulation(folder: str | os.PathLike[str], simulation: Simulation) -> Path:
    """Write a simulation as the files a microscope would give, with the truth beside them.

    ``stack.mrc``, ``stack.rawtlt`` and ``times.csv`` are the contaminated tilt series, ``uncontaminated_stack.mrc``
    and ``.rawtlt`` the same series without contamination. ``truth.mrc`` is the potential at t = 0 and
    ``contamination.mrc`` what has been added to it at t = 1. ``atoms.xyz`` (extended XYZ) lists the atoms of the
    specimen with a column ``group``, a blank in a name written as ``_``; its origin is the centre of the first voxel,
    so position / voxel size is the index. ``instrument.csv`` has the true pose and gain of every projection, and
    whether it is blank. ``simulation.yaml`` repeats the configuration. The same configuration gives the same bytes in
    every file.

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
    _write_pose(target / "instrument.csv", series.tilt_angles, simulation.pose)
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


def _write_pose(path: Path, tilt_angles: NDArray[np.float64], pose: TruePose) -> None:
    from napari_stinr.io.output.atomic import atomic_output

    columns = [tilt_angles, pose.dx, pose.dy, pose.angle_error, pose.gain]
    rows = [",".join(f"{value + 0.0:.6f}" for value in row) for row in zip(*columns, strict=True)]
    lines = [f"{row},{int(is_blank)}" for row, is_blank in zip(rows, pose.is_blank, strict=True)]
    text = "\n".join(["tilt_angle_deg,dx_px,dy_px,angle_error_deg,gain,is_blank", *lines])
    with atomic_output(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def _write_config(path: Path, config: SimulationConfig) -> None:
    import yaml

    from napari_stinr.io.output.atomic import atomic_output

    with atomic_output(path) as temporary:
        temporary.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
