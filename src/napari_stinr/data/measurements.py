"""What a training needs of a series as tensors, built once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.data.white_noise import white_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries

_VALUES_AT_ONCE = 2**22
"""Pixels whose spectra are held at a time."""
LEAST_POWER = 1e-30
"""In place of 0, where it divides."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """The projections that a field is fitted to, and how large their numbers are.

    Parameters
    ----------
    tilts : Tensor
        `(n,)` int64 positions in the stack of the projections that count, in ascending order.
    measured : Tensor
        `(n, height, width)` float32 projections, 0 where a pixel does not count [the unit of the series]. They may lie
        in the memory of the series, and must not be written to.
    mask : Tensor or None
        `(n, height, width)` bool, True where a pixel counts; None: everything does.
    times : Tensor
        `(n,)` float32 times, on the CPU [t].
    contrast : float
        How far the brightest parts rise above the mean: 99.9th percentile over mean of the absolute values that count.
        The density must climb to its peaks in the steps it has: the higher they are, the larger a step has to be [1].
    mean_absolute : float
        Mean absolute value of the pixels that count [the unit of the series].
    """

    tilts: torch.Tensor
    measured: torch.Tensor
    mask: torch.Tensor | None
    times: torch.Tensor
    contrast: float
    mean_absolute: float

    @classmethod
    def of(
        cls, series: TiltSeries, *, device: torch.device | None = None, without: NDArray[np.int64] | None = None
    ) -> Measurements:
        """Take what counts from a series.

        Parameters
        ----------
        series : TiltSeries
            The data.
        device : torch.device, optional
            Where projections and mask are put; the CPU by default. Times stay on the CPU.
        without : ndarray, optional
            `(m,)` positions in the stack of projections that decide nothing, as if they were not there.

        Returns
        -------
        Measurements
            On a CPU without a copy of the stack where all of it counts.
        """
        used = series.used
        if without is not None and len(without):
            used = used.copy()
            used[without] = False
        contrast, mean_absolute = _scale(series, used)
        tilts = np.flatnonzero(used)
        mask = None if series.mask is None else series.mask[tilts]
        if mask is not None and mask.all():
            mask = None
        if mask is None and used.all() and series.projections.flags.c_contiguous:
            measured = shared_memory(series.projections)
        else:
            values = series.projections[tilts]
            if mask is not None:
                values *= mask
            measured = torch.from_numpy(values)
        return cls(
            torch.from_numpy(tilts),
            measured.to(device),
            None if mask is None else torch.from_numpy(mask).to(device),
            torch.tensor(series.times[tilts]).float(),
            contrast,
            mean_absolute,
        )

    @property
    def unit(self) -> float:
        """Power of two near the mean absolute value, by which numbers are divided before they are squared.

        Series of 1e-20 and of 1e20 have squares beyond single precision; this division is exact [the unit of the
        series].
        """
        return math.ldexp(1.0, round(math.log2(self.mean_absolute))) if self.mean_absolute > 0 else 1.0

    @cached_property
    def power(self) -> float:
        """Mean square of the projections, never 0 [`unit` squared]."""
        # On the CPU, as the next: every device trains with the same weights.
        return max(float((self.measured.cpu() / self.unit).square_().mean()), LEAST_POWER)

    @cached_property
    def signal_fraction(self) -> torch.Tensor:
        """`(width + 1,)` how much of every frequency of the detector lines is signal, on the CPU [1]."""
        return signal_fraction(self.measured.cpu(), unit=self.unit)

    def typical_potential(self, grid: VoxelGrid) -> float:
        """Return the potential that would give the projections if it filled the grid evenly.

        Parameters
        ----------
        grid : VoxelGrid
            The voxels of the reconstruction.

        Returns
        -------
        float
            Mean absolute projection over the path length; 1 where the data are all 0 [V].
        """
        typical = self.mean_absolute / (grid.width * grid.voxel_size)
        return typical if typical > 0 else 1.0


def shared_memory(array: NDArray[np.float32]) -> torch.Tensor:
    """Return an array that is read only as a tensor in the same memory, which must not be written to."""
    return torch.from_numpy(np.asarray(_Shared(array)))


class _Shared:
    """The memory of an array that is read only, in a form that torch takes without a warning."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def _scale(series: TiltSeries, used: NDArray[np.bool_]) -> tuple[float, float]:
    """Return contrast and mean absolute value of what counts; takes the memory of one stack meanwhile."""
    values, counts = np.abs(series.projections), None
    if series.mask is not None or not used.all():
        counts = used[:, None, None] if series.mask is None else series.mask & used[:, None, None]
        values *= counts
    total = float(values.sum(dtype=float))
    if counts is not None:
        del values
        values = _counted(series.projections, np.broadcast_to(counts, series.projections.shape))
    mean = float(values.mean(dtype=float))
    contrast = float(np.percentile(values, 99.9, overwrite_input=True)) / mean if mean > 0 else 1.0
    return contrast, total / values.size


def _counted(projections: NDArray[np.float32], counts: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`(n,)` absolute values of the pixels that count, without a second array of all of them."""
    values, end = np.empty(np.count_nonzero(counts), dtype=np.float32), 0
    for projection, chosen in zip(projections, counts, strict=True):
        found = projection[chosen]
        start, end = end, end + len(found)
        np.abs(found, out=values[start:end])
    return values


def signal_fraction(projections: torch.Tensor, *, unit: float = 1.0) -> torch.Tensor:
    """`(width + 1,)` part of the power of `(n_tilts, height, width)` projections that is not white noise, 0 to 1."""
    # Wiener's filter, smoothed over neighbouring frequencies.
    width = projections.shape[-1]
    power = torch.zeros(width + 1)
    for stack in torch.split(projections, max(1, _VALUES_AT_ONCE // projections[0].numel())):
        power += torch.fft.rfft(stack / unit, n=2 * width).abs().square().sum(dim=(0, 1)).cpu()
    power /= projections.shape[0] * projections.shape[1]
    radius = max(1, width // 32)
    window = np.ones(2 * radius + 1) / (2 * radius + 1)
    smooth = np.convolve(np.pad(power.numpy(), radius, mode="edge"), window, mode="valid")
    noise = (white_noise(projections.numpy()) / unit) ** 2 * width
    return torch.from_numpy(np.clip(1 - noise / np.maximum(smooth, LEAST_POWER), 0.0, 1.0)).float()
