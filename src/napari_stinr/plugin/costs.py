"""What a run will need, before it is started: memory, time, and the binning that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.estimates import Speed

_GB = 1e9
_USABLE = 0.8
"""Part of the free memory that a run may take; the rest is for the window and for what others start meanwhile."""


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
    """

    shape: tuple[int, int, int]
    steps: int
    memory: int
    available: int
    seconds: float | None
    problem: str = ""

    @property
    def text(self) -> str:
        """The estimate in one line."""
        _, height, width = self.shape
        time = "time not known for this device" if self.seconds is None else f"about {_duration(self.seconds)}"
        return (
            f"{width} × {height} × {width} voxels, {self.steps} steps: about {_size(self.memory)} of "
            f"{_size(self.available)} free, {time}"
        )


def estimate_run(
    shape: tuple[int, int, int],
    config: ReconstructionConfig,
    *,
    binning: int,
    available: int,
    speed: Speed | None,
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

    Returns
    -------
    Estimate
        With a problem where the run does not fit.
    """
    from napari_stinr.estimates import expected_memory, expected_seconds, expected_steps

    binned = (shape[0], shape[1] // binning, shape[2] // binning)
    memory = expected_memory(binned, config)
    seconds = None if speed is None else expected_seconds(binned, config, speed)
    problem = "" if memory <= _USABLE * available else _does_not_fit(shape, config, memory, available)
    return Estimate(binned, expected_steps(binned, config), memory, available, seconds, problem)


def _does_not_fit(shape: tuple[int, int, int], config: ReconstructionConfig, memory: int, available: int) -> str:
    from napari_stinr.estimates import expected_memory, fitting_binning

    found = f"The reconstruction takes {_size(memory)} and {_size(available)} of memory are free"
    try:
        binning = fitting_binning(shape, config, available)
    except StinrError:
        return f"{found}: close other programs, or cut the images down; no binning up to 16 fits."
    smaller = expected_memory((shape[0], shape[1] // binning, shape[2] // binning), config)
    return f"{found}: set Binning in Tilt series to {binning}, which takes {_size(smaller)}."


def _size(n_bytes: float) -> str:
    return f"{n_bytes / _GB:.1f} GB" if n_bytes >= 0.1 * _GB else f"{n_bytes / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
