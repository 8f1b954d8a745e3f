"""What a run will need, before it is started: memory, time, and the binning that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.data.margin import margin_voxels
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.training.estimates import Speed

_GB = 1e9


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to need.

    Parameters
    ----------
    shape : tuple of int
        `(n_tilts, height, width)` of the series, binned.
    steps : int
        Steps of the training.
    memory : int
        Memory of the run [bytes].
    available : int
        Free memory of the device [bytes].
    seconds : float or None
        Time of the run [s]; None where it is not known.
    problem : str
        Why it does not fit and the binning that does; "" where it fits.
    margin : int
        Voxels beyond the view on each side that are fitted and not shown.
    """

    shape: tuple[int, int, int]
    steps: int
    memory: int
    available: int
    seconds: float | None
    problem: str = ""
    margin: int = 0

    @property
    def text(self) -> str:
        """The estimate in one line."""
        _, height, width = self.shape
        around = f" with a margin of {self.margin} not shown" if self.margin else ""
        time = "time not known for this device" if self.seconds is None else f"about {_duration(self.seconds)}"
        return (
            f"{width} × {height} × {width} voxels{around}, {self.steps} steps: about {_size(self.memory)} of "
            f"{_size(self.available)} free, {time}"
        )


def estimate_run(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    *,
    binning: int,
    available: int,
    speed: Speed | None,
    reaches_edge: bool = False,
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

    Returns
    -------
    Estimate
        With a problem where the run does not fit.
    """
    from napari_stinr.training.estimates import expected_memory, expected_seconds, expected_steps

    binned = (shape[0], shape[1] // binning, shape[2] // binning)
    seconds = None if speed is None else expected_seconds(binned, config, speed, reaches_edge=reaches_edge)
    try:
        check_fits(shape, config, binning=binning, available=available, reaches_edge=reaches_edge)
        problem = ""
    except StinrError as error:
        problem = str(error)
    steps = expected_steps(binned, config, reaches_edge=reaches_edge)
    memory = expected_memory(binned, config, reaches_edge=reaches_edge)
    margin = margin_voxels(binned[2], config.training.margin, reaches_edge=reaches_edge)
    return Estimate(binned, steps, memory, available, seconds, problem, margin)


def check_fits(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    *,
    binning: int,
    available: int,
    reaches_edge: bool = False,
) -> None:
    """Refuse a run that does not fit into `available` bytes; the cure names the binning that does."""
    # `shape` is that of the stack, not binned.
    from napari_stinr.training.estimates import USABLE_FRACTION, expected_memory, fitting_binning

    def memory_binned(factor: int) -> int:
        binned = (shape[0], shape[1] // factor, shape[2] // factor)
        return expected_memory(binned, config, reaches_edge=reaches_edge)

    memory = memory_binned(binning)
    if memory <= USABLE_FRACTION * available:
        return
    try:
        fitting = fitting_binning(shape, config, available, reaches_edge=reaches_edge)
        cure = f"Set Binning in Tilt series to {fitting}, which takes {_size(memory_binned(fitting))}."
    except StinrError:
        cure = "Close other programs, or cut the images down: no binning up to 16 fits."
    raise StinrError(
        f"the reconstruction takes {_size(memory)}",
        expected=f"at most {USABLE_FRACTION:.0%} of the {_size(available)} of memory that are free",
        cure=cure,
    )


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
    return psutil.virtual_memory().available if free is None else free


def _size(n_bytes: float) -> str:
    return f"{n_bytes / _GB:.1f} GB" if n_bytes >= 0.1 * _GB else f"{n_bytes / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
