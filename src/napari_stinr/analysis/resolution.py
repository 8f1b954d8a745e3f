"""Resolution of a volume whose truth is known: the Fourier shell correlation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def fourier_shell_correlation(
    volume: ArrayLike, truth: ArrayLike, *, voxel_size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies `(n,)` [1/Å] of Fourier shells up to Nyquist and their correlation `(n,)`."""
    # Harauz and van Heel, Optik 73, 146 (1986); a shell in which one volume has nothing has correlation 0. Against a
    # noise-free truth, 0.5 marks the shell where noise holds three times the energy of the signal; on thresholds see
    # van Heel and Schatz, J. Struct. Biol. 151, 250 (2005).
    values, true_values = checked_pair(volume, truth)
    if not (math.isfinite(voxel_size) and voxel_size > 0):
        raise StinrError(
            f"the voxel size is {voxel_size:g} Å",
            expected="a positive number of Å",
            cure="Give lengths in Å (1 nm = 10 Å).",
        )
    first, second = np.fft.rfftn(values), np.fft.rfftn(true_values)
    shells, longest = _shells(values.shape), max(values.shape)
    last = longest // 2

    def shell_sums(quantity: NDArray[np.float64]) -> NDArray[np.float64]:
        # rfftn leaves out the conjugates of all planes but the first and, for an even width, the last.
        quantity[..., 1 : (values.shape[2] + 1) // 2] *= 2
        sums = np.bincount(shells.ravel(), weights=quantity.ravel(), minlength=last + 1)
        return sums[1 : last + 1].astype(np.float64)

    cross = shell_sums((first * second.conj()).real)
    energy, true_energy = shell_sums(np.abs(first) ** 2), shell_sums(np.abs(second) ** 2)
    # Rounding errors of a shell that was filtered out would otherwise correlate at random.
    present = (energy > 1e-20 * energy.max()) & (true_energy > 1e-20 * true_energy.max())
    fsc = np.divide(cross, np.sqrt(energy * true_energy), out=np.zeros(last), where=present)
    return np.arange(1, last + 1) / (longest * voxel_size), fsc


def fsc_resolution(frequencies: ArrayLike, fsc: ArrayLike, *, threshold: float = 0.5) -> float:
    """Return the resolution [Å] at which the correlation first falls below a threshold, between shells."""
    # Never below it: that of Nyquist, and the true one may be better. At once: that of the first shell, and it is
    # worse. Contamination lowers the first shells most of all, so a contaminated volume with sharp atoms can cross
    # early.
    shells, values = np.asarray(frequencies, dtype=np.float64), np.asarray(fsc, dtype=np.float64)
    if shells.shape != values.shape or shells.ndim != 1 or not len(shells):
        raise StinrError(
            f"there are {values.size} correlations for {shells.size} frequencies",
            expected="one for every frequency, and at least one",
            cure="Give both results of fourier_shell_correlation.",
        )
    below = np.flatnonzero(values < threshold)
    if not len(below):
        return float(1 / shells[-1])
    crossing = int(below[0])
    if crossing == 0:
        return float(1 / shells[0])
    above = crossing - 1
    part = (values[above] - threshold) / (values[above] - values[crossing])
    return float(1 / (shells[above] + part * (shells[crossing] - shells[above])))


def checked_pair(
    volume: ArrayLike, truth: ArrayLike, what: str = "truth"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return float64 copies of two volumes that are on one grid and finite, the second not empty."""
    values, true_values = np.array(volume, dtype=np.float64), np.array(truth, dtype=np.float64)
    if values.ndim != 3 or values.shape != true_values.shape or not values.size:
        raise StinrError(
            f"the volume has the shape {values.shape} and the {what} {true_values.shape}",
            expected="the same three axes (z, y, x) for both",
            cure="Render the volume on the grid of the truth.",
        )
    for name, array in (("volume", values), (what, true_values)):
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise StinrError(
                f"the {name} has {bad} voxel(s) that are not finite",
                expected="finite numbers",
                cure="Set them to 0, or reconstruct again.",
            )
    if not true_values.any():
        raise StinrError(f"the {what} is 0 everywhere", expected="a potential", cure=f"Check the file of the {what}.")
    return values, true_values


def _shells(shape: tuple[int, ...]) -> NDArray[np.int64]:
    # Physical frequency, so that shells are spheres in 1/Å where the edges of the volume differ.
    depth, height = (np.fft.fftfreq(length) for length in shape[:2])
    radius: NDArray[np.float64] = np.sqrt(
        depth[:, None, None] ** 2 + height[:, None] ** 2 + np.fft.rfftfreq(shape[2]) ** 2
    )
    return np.rint(radius * max(shape)).astype(np.int64)
