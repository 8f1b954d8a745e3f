"""Potential and projected potential of atoms from their structure factors, so that one belongs to the other.

The Fourier transform of the potential of independent atoms is the sum of their scattering factors, each with the phase
of its position; the central slice of it is that of a projection (Kirkland, Advanced Computing in Electron Microscopy,
3rd ed., 2020, ch. 5). Both are evaluated here at the exact positions and with one envelope: thermal vibration, and
nothing beyond the Nyquist frequency of the pixels in any direction. So the volume, projected exactly, gives the
projections at every angle, and no projector of ours takes part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.simulation.scattering import scattering_factor

if TYPE_CHECKING:
    from numpy.typing import NDArray

THERMAL_WIDTH = 0.35
"""Root mean square displacement of an atom along one axis, with all that blurs an image of it [Å]."""

_ROOM_FOR_TAILS = 8.0
"""How far beyond the grid the sums over frequencies repeat it at the least [Å]: a tail is below 1e-4 of its peak."""


@dataclass(frozen=True)
class Sampling:
    """How the potential is sampled, in the volume and in the projections alike.

    Parameters
    ----------
    pixel_size : float
        Edge of a pixel and of a voxel [Å].
    thermal_width : float
        Root mean square displacement of an atom along one axis [Å].
    """

    pixel_size: float
    thermal_width: float = THERMAL_WIDTH

    def spectrum(self, number: int, squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scattering factor of an element with its envelope, at squared spatial frequencies [V·Å³ for 1/Å²]."""
        envelope = np.exp(-2 * (np.pi * self.thermal_width) ** 2 * squared)
        # The same in every direction, or the band of a volume would change with the angle it is seen at.
        envelope[squared > (0.5 / self.pixel_size) ** 2 * (1 + 1e-9)] = 0
        return scattering_factor(number)(squared) * envelope


def projected_potential(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    shape: tuple[int, int],
    sampling: Sampling,
    *,
    is_periodic: bool = True,
) -> NDArray[np.float32]:
    """Return the projected potential of atoms.

    Parameters
    ----------
    positions : ndarray
        `(n_atoms, 2)` positions (u, v) from the centre of the first pixel [Å]; those whose tails do not reach the
        image are left out.
    numbers : ndarray
        `(n_atoms,)` atomic numbers.
    shape : tuple of int
        Pixels `(height, width)`.
    sampling : Sampling
        Size of a pixel, and thermal vibration.
    is_periodic : bool
        The image goes on above and below as it is, as specimens do that are periodic along the tilt axis.

    Returns
    -------
    ndarray
        `(height, width)` integral of the potential along the beam [V·Å].
    """
    (height, width), pixel = shape, sampling.pixel_size
    near, period_u = _seen(positions[:, 0], width, pixel)
    period_v = height
    if not is_periodic:
        near_v, period_v = _seen(positions[:, 1], height, pixel)
        near &= near_v
    positions, numbers = positions[near], numbers[near]
    along_v, along_u = np.fft.fftfreq(period_v, pixel), np.fft.rfftfreq(period_u, pixel)
    summed = np.zeros((len(along_v), len(along_u)), dtype=np.complex128)
    for number in np.unique(numbers):
        chosen = positions[numbers == number]
        phases = _phases(along_v, chosen[:, 1]).T @ _phases(along_u, chosen[:, 0])
        summed += phases * _image_spectrum(int(number), sampling, period_v, period_u)
    image = np.fft.irfft2(summed, (period_v, period_u))[:height, :width]
    return (image / pixel**2).astype(np.float32)


def potential(
    positions: NDArray[np.float64], numbers: NDArray[np.int64], grid: tuple[int, int, int], sampling: Sampling
) -> NDArray[np.float32]:
    """Return the potential of atoms, periodic along the tilt axis.

    Parameters
    ----------
    positions : ndarray
        `(n_atoms, 3)` positions (x, y, z) from the centre of the first voxel [Å]; those whose tails do not reach the
        grid are left out.
    numbers : ndarray
        `(n_atoms,)` atomic numbers.
    grid : tuple of int
        Voxels `(z, y, x)`.
    sampling : Sampling
        Size of a voxel, and thermal vibration.

    Returns
    -------
    ndarray
        `(z, y, x)` potential [V]; its sum times the size of a voxel is a projection.
    """
    (depth, height, width), voxel = grid, sampling.pixel_size
    near_z, period_z = _seen(positions[:, 2], depth, voxel)
    near_x, period_x = _seen(positions[:, 0], width, voxel)
    positions, numbers = positions[near_z & near_x], numbers[near_z & near_x]
    along_z, along_x = np.fft.fftfreq(period_z, voxel), np.fft.fftfreq(period_x, voxel)
    along_y = np.fft.rfftfreq(height, voxel)
    squared = along_z[:, None] ** 2 + along_x**2
    summed = np.zeros((len(along_y), period_z, period_x), dtype=np.complex128)
    for number in np.unique(numbers):
        chosen = positions[numbers == number]
        phases_z, phases_x = _phases(along_z, chosen[:, 2]), _phases(along_x, chosen[:, 0])
        for layer, frequency, phase in zip(summed, along_y, _phases(along_y, chosen[:, 1]).T, strict=True):
            layer += ((phases_z * phase[:, None]).T @ phases_x) * sampling.spectrum(int(number), squared + frequency**2)
    slices = np.fft.ifft2(summed, axes=(1, 2))[:, :depth, :width]
    volume = np.fft.irfft(slices, height, axis=0).transpose(1, 0, 2)
    return np.ascontiguousarray(volume / voxel**3, dtype=np.float32)


@lru_cache(maxsize=16)
def _image_spectrum(number: int, sampling: Sampling, period_v: int, period_u: int) -> NDArray[np.float64]:
    """Spectrum of an element at the frequencies of an image, the same for every tilt; not to be written to."""
    along_v, along_u = np.fft.fftfreq(period_v, sampling.pixel_size), np.fft.rfftfreq(period_u, sampling.pixel_size)
    return sampling.spectrum(number, along_v[:, None] ** 2 + along_u**2)


def _phases(frequencies: NDArray[np.floating[Any]], positions: NDArray[np.float64]) -> NDArray[np.complex128]:
    """`(n_atoms, n_frequencies)` phase factors of positions `(n_atoms,)` [Å] at the frequencies of an FFT [1/Å]."""
    # They are the powers of one factor of each atom: products take a tenth of the time of as many exponentials.
    spacing = frequencies[1] if len(frequencies) > 1 else 1.0
    orders = np.rint(frequencies / spacing).astype(np.int64)
    powers = np.ones((int(np.abs(orders).max()) + 1, len(positions)), dtype=np.complex128)
    n_done, first = 1, np.exp(-2j * np.pi * spacing * positions)
    while n_done < len(powers):
        more = min(n_done, len(powers) - n_done)
        np.multiply(powers[:more], powers[n_done - 1] * first, out=powers[n_done : n_done + more])
        n_done += more
    phases = powers[np.abs(orders)]
    np.conjugate(phases, out=phases, where=(orders < 0)[:, None])
    return phases.T


def _seen(positions: NDArray[np.float64], n_pixels: int, pixel: float) -> tuple[NDArray[np.bool_], int]:
    """Which of positions `(n_atoms,)` [Å] reach the pixels, and a period [px] in which none comes in again behind."""
    from scipy.fft import next_fast_len

    outside = np.maximum(-positions, positions - (n_pixels - 1) * pixel)
    near = outside < _ROOM_FOR_TAILS
    room = 2 * _ROOM_FOR_TAILS if (outside[near] > 0).any() else _ROOM_FOR_TAILS
    return near, int(next_fast_len(n_pixels + int(np.ceil(room / pixel)), real=True))
