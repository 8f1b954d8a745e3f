"""What a run will need, asked before it is started: memory, time, and the binning that fits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_stinr.config import ReconstructionConfig
from napari_stinr.data.margin import margin_voxels
from napari_stinr.errors import StinrError
from napari_stinr.training.fits import (
    SCRIPT_CURE,
    DoesNotFitError,
    Room,
    check_fits,
    files_folder,
    free_disk,
    size_text,
)
from napari_stinr.training.remaining import RemainingTime

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.training.estimates import Speed
    from napari_stinr.training.events import Prepared
    from napari_stinr.training.remaining import StageTime

__all__ = [
    "SCRIPT_CURE",
    "Begun",
    "DoesNotFitError",
    "Estimate",
    "check_fits",
    "check_series_fits",
    "duration_text",
    "estimate_run",
    "free_memory",
    "memory_beside",
    "size_text",
    "stages_of_prepared",
]

_TOLD_ALIGNING = 0.1
"""Part of a run that its alignment takes at least where it is told."""


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to need.

    Parameters
    ----------
    shape : tuple of int
        `(n_tilts, height, width)` of the series, binned.
    steps : int
        Steps of the training that are to be done.
    memory : int
        Memory of the run [bytes].
    available : int
        Free memory of the device [bytes].
    seconds : float or None
        Time of the run with all that comes before its training; None where it is not known [s].
    problem : str
        Why it does not fit and the binning that does; "" where it fits.
    margin : int
        Voxels beyond the view on each side that are fitted and not shown.
    aligning : float
        Part of the time that the alignment takes, of a series that is not aligned yet [s].
    limit : float, optional
        Length of the training, where that is given instead of a number of steps [s].
    speed : Speed, optional
        Of this machine.
    stages : tuple of StageTime
        What the stages of the training take; none where that is not known.
    fitting_binning : int, optional
        Binning with which a run fits that does not; None where there is none.
    disk : int
        Disk space that it takes where its volume lies on files, as it does not fit into memory; else 0 [bytes].
    free_disk : int
        Free disk space [bytes].
    folder : str
        Where the files are.
    """

    shape: tuple[int, int, int]
    steps: int
    memory: int
    available: int
    seconds: float | None
    problem: str = ""
    margin: int = 0
    aligning: float = 0.0
    limit: float | None = None
    speed: Speed | None = None
    stages: tuple[StageTime, ...] = field(default=(), repr=False)
    fitting_binning: int | None = None
    disk: int = 0
    free_disk: int = 0
    folder: str = ""

    @property
    def remaining(self) -> RemainingTime:
        """What tells the remaining time of this run, from the reports that it is to be told."""
        aligning = None if self.speed is None else self.aligning
        return RemainingTime(aligning=aligning, stages=self.stages, limit=self.limit)

    @property
    def text(self) -> str:
        """The estimate in one line."""
        _, height, width = self.shape
        around = f" with a margin of {self.margin} not shown" if self.margin else ""
        length = f"{self.steps} steps" if self.limit is None else f"{duration_text(self.limit)} of training"
        time = "time not known for this device" if self.seconds is None else f"about {duration_text(self.seconds)}"
        if self.seconds is not None and self.aligning > _TOLD_ALIGNING * self.seconds:
            time += f", of which {duration_text(self.aligning)} for the alignment, if it is needed"
        disk = ""
        if self.disk:
            disk = f" and {size_text(self.disk)} of {size_text(self.free_disk)} on the disk of {self.folder}"
        return (
            f"{width} × {height} × {width} voxels{around}, {length}: about {size_text(self.memory)} of "
            f"{size_text(self.available)} free{disk}, {time}"
        )


@dataclass(frozen=True)
class Begun:
    """What the header of a run that is to be gone on with says."""

    config: ReconstructionConfig
    margin: int
    step: int
    seconds: float

    @classmethod
    def of(cls, path: Path) -> Begun | None:
        """Read the header; None where that is not possible, which loading the run explains."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
            config = ReconstructionConfig.from_run(header["config"])
            trained = float(json.loads(header["provenance"])["training_seconds"])
            return cls(config, int(json.loads(header["grid"])["margin"]), int(header["step"]), trained)
        except (SafetensorError, StinrError, OSError, LookupError, TypeError, ValueError, AttributeError):
            return None


def estimate_run(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    *,
    binning: int,
    available: int,
    speed: Speed | None,
    reaches_edge: bool = False,
    beside: int | None = None,
    limit: float | None = None,
    begun: Begun | None = None,
    is_posed: bool = False,
    path: Path | None = None,
    cure: str = SCRIPT_CURE,
) -> Estimate:
    """Estimate what a run needs.

    Parameters
    ----------
    shape : tuple of int
        `(n_tilts, height, width)` of the stack, not binned.
    config : ReconstructionConfig
        The settings.
    binning : int
        Binning that is chosen.
    available : int
        Free memory of the device [bytes].
    speed : Speed or None
        Of this machine; None where the run is on another device than the CPU.
    reaches_edge : bool
        Whether matter reaches the edge of the projections.
    beside : int, optional
        Free memory of the computer, where the device has memory of its own [bytes].
    limit : float, optional
        Length of the training in all, in place of a number of steps [s].
    begun : Begun, optional
        The run that is gone on with.
    is_posed : bool
        Whether it is known where the projections were recorded.
    path : Path, optional
        File of the run; beside it are those of a volume that does not fit into memory.
    cure : str
        How a larger binning is chosen, with ``{binning}`` in its place.

    Returns
    -------
    Estimate
        With a problem where the run does not fit.
    """
    from napari_stinr.training.estimates import expected_stages, expected_steps
    from napari_stinr.training.preparation import alignment_seconds, preprocessing_seconds

    reaches_edge = begun.margin > 0 if begun is not None else reaches_edge
    binned = (shape[0], shape[1] // binning, shape[2] // binning)
    problem, fitting = "", None
    try:
        room = check_fits(
            shape,
            config,
            binning=binning,
            available=available,
            beside=beside,
            reaches_edge=reaches_edge,
            path=path,
            cure=cure,
        )
    except DoesNotFitError as error:
        problem, fitting = str(error), error.binning
        room = _wanted(binned, config, available=available, beside=beside, reaches_edge=reaches_edge)
    steps = expected_steps(binned, config, reaches_edge=reaches_edge)
    left = steps if begun is None else max(0, steps - begun.step)
    seconds, aligning = None, 0.0
    stages: tuple[StageTime, ...] = ()
    if speed is not None:
        stages = expected_stages(binned, config, speed, reaches_edge=reaches_edge, on_files=room.disk > 0)
        method = "off" if is_posed or begun is not None else config.alignment.method
        aligning = alignment_seconds(binned, speed, method=method, reaches_edge=reaches_edge)
        training = _time_of_last(left, stages) if limit is None else limit - (0.0 if begun is None else begun.seconds)
        seconds = preprocessing_seconds(binned, speed) + aligning + max(0.0, training)
    margin = margin_voxels(binned[2], config.training.margin, reaches_edge=reaches_edge)
    return Estimate(
        binned,
        left,
        room.memory,
        available,
        seconds,
        problem,
        margin,
        aligning=aligning,
        limit=limit,
        speed=speed,
        stages=stages,
        fitting_binning=fitting,
        disk=room.disk,
        free_disk=free_disk(path) if room.disk else 0,
        folder=str(files_folder(path)) if room.disk else "",
    )


def check_series_fits(
    series: TiltSeries,
    config: ReconstructionConfig,
    *,
    device: str,
    margin: int,
    binning: int = 1,
    held: int = 0,
    part: float = 1.0,
    path: Path | None = None,
    cure: str = SCRIPT_CURE,
) -> Room:
    """Refuse the training on a series that is in memory already, prepared and aligned; see :func:`check_fits`.

    Parameters
    ----------
    series : TiltSeries
        What was binned already.
    config, binning, path, cure
        As for :func:`estimate_run`.
    device : str
        Where the training is to be.
    margin : int
        Voxels beyond the view that are fitted.
    held : int
        What is in memory for the run beside the series [bytes].
    part : float
        Part of the rows that this computer holds; the others are on others [1].

    Returns
    -------
    Room
        What it takes.

    Raises
    ------
    DoesNotFitError
        It does not fit.
    """
    held += series.projections.nbytes + (0 if series.mask is None else series.mask.nbytes)
    available, beside = free_memory(device), memory_beside(device)
    n_tilts, height, width = series.projections.shape
    return check_fits(
        (n_tilts, max(1, round(part * height)) * binning, width * binning),
        config,
        binning=binning,
        available=available + (held if beside is None else 0),
        beside=None if beside is None else beside + held,
        reaches_edge=margin > 0,
        path=path,
        may_use_files=part >= 1,
        cure=cure,
    )


def stages_of_prepared(event: Prepared, speed: Speed | None) -> tuple[StageTime, ...]:
    """Return what the stages of a training take that is about to begin.

    Parameters
    ----------
    event : Prepared
        What the training has told.
    speed : Speed or None
        Of this machine, where that is known.

    Returns
    -------
    tuple of StageTime
        None of them where the speed is not known.
    """
    from napari_stinr.training.estimates import expected_stages

    if speed is None:
        return ()
    shape = event.series.projections.shape
    return expected_stages(shape, event.config, speed, reaches_edge=event.margin > 0)


def free_memory(device: str) -> int:
    """Return the memory that is free on a device.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda:0``, ``mps``.

    Returns
    -------
    int
        Free memory; of the machine where the device does not tell [bytes].
    """
    import psutil

    from napari_stinr.devices import list_devices, resolve_device

    name = str(resolve_device(device))
    free = next((info.free_bytes for info in list_devices() if info.name == name), None)
    return int(psutil.virtual_memory().available) if free is None else free


def memory_beside(device: str) -> int | None:
    """Return the free memory of the computer where the device has memory of its own, else None [bytes]."""
    import psutil

    from napari_stinr.devices import resolve_device

    return int(psutil.virtual_memory().available) if resolve_device(device).type == "cuda" else None


def _wanted(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    *,
    available: int,
    beside: int | None,
    reaches_edge: bool,
) -> Room:
    """Return what a run takes that does not fit: with its volume on files, where that fails because of the disk."""
    from napari_stinr.training.estimates import Memory, memory_of_run, memory_on_files

    on_files = memory_on_files(shape, config, reaches_edge=reaches_edge) if beside is None else None
    if on_files is not None and on_files.fits_memory(Memory(available)):
        return Room(on_files.device, on_files.disk)
    return Room(memory_of_run(shape, config, reaches_edge=reaches_edge, on_gpu=beside is not None).device)


def _time_of_last(steps: float, stages: tuple[StageTime, ...]) -> float:
    """Time of the last steps of a training [s]."""
    seconds = 0.0
    for stage in reversed(stages):
        here = min(steps, stage.steps)
        seconds, steps = seconds + here * stage.step_seconds, steps - here
    return seconds


def duration_text(seconds: float) -> str:
    """Return a time [s] as ``"42 s"``, ``"12 min"`` or ``"2.5 h"``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
