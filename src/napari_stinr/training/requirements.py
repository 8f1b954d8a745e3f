"""What a run will need, asked before it is started: memory, time, and the binning that fits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_stinr.config import ReconstructionConfig
from napari_stinr.data.margin import margin_voxels
from napari_stinr.errors import StinrError
from napari_stinr.training.remaining import RemainingTime

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.training.estimates import Speed
    from napari_stinr.training.events import Prepared
    from napari_stinr.training.remaining import StageTime

SCRIPT_CURE = "Read the series with binning={binning}"
"""How a larger binning is chosen where a script has read the series."""
_GB = 1e9
_TOLD_ALIGNING = 0.1
"""Part of a run that its alignment takes at least where it is told."""


class DoesNotFitError(StinrError):
    """A run takes more memory than there is; `binning` is one that fits, None where none does."""

    def __init__(self, found: str, *, expected: str, cure: str, binning: int | None) -> None:
        super().__init__(found, expected=expected, cure=cure)
        self.binning = binning


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
        length = f"{self.steps} steps" if self.limit is None else f"{_duration(self.limit)} of training"
        time = "time not known for this device" if self.seconds is None else f"about {_duration(self.seconds)}"
        if self.seconds is not None and self.aligning > _TOLD_ALIGNING * self.seconds:
            time += f", of which {_duration(self.aligning)} for the alignment, if it is needed"
        return (
            f"{width} × {height} × {width} voxels{around}, {length}: about {_size(self.memory)} of "
            f"{_size(self.available)} free, {time}"
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
    cure : str
        How a larger binning is chosen, with ``{binning}`` in its place.

    Returns
    -------
    Estimate
        With a problem where the run does not fit.
    """
    from napari_stinr.training.estimates import expected_stages, expected_steps, memory_of_run
    from napari_stinr.training.preparation import alignment_seconds, preprocessing_seconds

    reaches_edge = begun.margin > 0 if begun is not None else reaches_edge
    binned = (shape[0], shape[1] // binning, shape[2] // binning)
    try:
        check_fits(
            shape,
            config,
            binning=binning,
            available=available,
            beside=beside,
            reaches_edge=reaches_edge,
            cure=cure,
        )
        problem, fitting = "", None
    except DoesNotFitError as error:
        problem, fitting = str(error), error.binning
    steps = expected_steps(binned, config, reaches_edge=reaches_edge)
    left = steps if begun is None else max(0, steps - begun.step)
    seconds, aligning = None, 0.0
    stages: tuple[StageTime, ...] = ()
    if speed is not None:
        stages = expected_stages(binned, config, speed, reaches_edge=reaches_edge)
        method = "off" if is_posed or begun is not None else config.alignment.method
        aligning = alignment_seconds(binned, speed, method=method, reaches_edge=reaches_edge)
        training = _time_of_last(left, stages) if limit is None else limit - (0.0 if begun is None else begun.seconds)
        seconds = preprocessing_seconds(binned, speed) + aligning + max(0.0, training)
    memory = memory_of_run(binned, config, reaches_edge=reaches_edge, on_gpu=beside is not None)
    margin = margin_voxels(binned[2], config.training.margin, reaches_edge=reaches_edge)
    return Estimate(
        binned,
        left,
        memory.device,
        available,
        seconds,
        problem,
        margin,
        aligning=aligning,
        limit=limit,
        speed=speed,
        stages=stages,
        fitting_binning=fitting,
    )


def check_fits(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    *,
    binning: int,
    available: int,
    beside: int | None = None,
    reaches_edge: bool = False,
    cure: str = SCRIPT_CURE,
) -> None:
    """Refuse a run that does not fit into the free memory; the cure names the binning that does.

    Parameters
    ----------
    shape, config, binning, available, beside, reaches_edge, cure
        As for :func:`estimate_run`.

    Raises
    ------
    StinrError
        It does not fit.
    """
    from napari_stinr.training.estimates import USABLE_FRACTION, Memory, fitting_binning, memory_of_run

    def memory_binned(factor: int) -> Memory:
        binned = (shape[0], shape[1] // factor, shape[2] // factor)
        return memory_of_run(binned, config, reaches_edge=reaches_edge, on_gpu=beside is not None)

    needed, free = memory_binned(binning), Memory(available, beside)
    fitting: int | None = None
    if needed.fits(free):
        return
    try:
        fitting = fitting_binning(shape, config, available, beside_bytes=beside, reaches_edge=reaches_edge)
        cure = f"{cure.format(binning=fitting)}, which takes {_size(memory_binned(fitting).device)}."
    except StinrError:
        cure = "Close other programs, or cut the images down: no binning up to 16 fits."
    taken, usable, where = needed.device, available, ""
    if beside is not None:
        where = " on this device"
        if needed.beside is not None and Memory(needed.device).fits(free):
            taken, usable, where = needed.beside, beside, " beside this device"
    raise DoesNotFitError(
        f"the reconstruction takes {_size(taken)}{where}",
        expected=f"at most {USABLE_FRACTION:.0%} of the {_size(usable)} of memory that are free",
        cure=cure,
        binning=fitting,
    )


def check_series_fits(
    series: TiltSeries,
    config: ReconstructionConfig,
    *,
    device: str,
    margin: int,
    binning: int = 1,
    held: int = 0,
    cure: str = SCRIPT_CURE,
) -> None:
    """Refuse the training on a series that is in memory already, prepared and aligned; see :func:`check_fits`.

    Parameters
    ----------
    series : TiltSeries
        What was binned already.
    config, binning, cure
        As for :func:`estimate_run`.
    device : str
        Where the training is to be.
    margin : int
        Voxels beyond the view that are fitted.
    held : int
        What is in memory for the run beside the series [bytes].

    Raises
    ------
    StinrError
        It does not fit.
    """
    held += series.projections.nbytes + (0 if series.mask is None else series.mask.nbytes)
    available, beside = free_memory(device), memory_beside(device)
    n_tilts, height, width = series.projections.shape
    check_fits(
        (n_tilts, height * binning, width * binning),
        config,
        binning=binning,
        available=available + (held if beside is None else 0),
        beside=None if beside is None else beside + held,
        reaches_edge=margin > 0,
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


def _time_of_last(steps: float, stages: tuple[StageTime, ...]) -> float:
    """Time of the last steps of a training [s]."""
    seconds = 0.0
    for stage in reversed(stages):
        here = min(steps, stage.steps)
        seconds, steps = seconds + here * stage.step_seconds, steps - here
    return seconds


def _size(n_bytes: float) -> str:
    return f"{n_bytes / _GB:.1f} GB" if n_bytes >= 0.1 * _GB else f"{n_bytes / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
