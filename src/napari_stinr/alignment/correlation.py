"""Cross-correlation of two images, normalised over what they have in common at every shift."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_OVERLAP = 1e-3
_TRUST = 0.3
"""Power of the part of the images that overlaps, by which a correlation counts."""


def band_passed(image: NDArray[np.floating], low: float = 1.0, high: float = 8.0) -> NDArray[np.float32]:
    """Return an image smoothed by a Gaussian of `low` pixels minus one of `high` pixels."""
    values = image.astype(np.float32)
    return np.asarray(gaussian_filter(values, low) - gaussian_filter(values, high))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """An image and its square, zero-padded to twice its size and transformed, so that it is done once."""

    image: NDArray[np.complex64]
    square: NDArray[np.complex64]
    shape: tuple[int, int]

    @classmethod
    def of(cls, image: NDArray[np.float32]) -> Spectrum:
        """Transform an image `(height, width)` that is 0 on average, or band-passed."""
        padded = _padded(image.shape)
        scaled = image / max(float(np.abs(image).max()), 1e-30)
        return cls(fft.rfft2(scaled, padded), fft.rfft2(scaled**2, padded), image.shape)

    @cached_property
    def power_if_moved(self) -> NDArray[np.float32]:
        """Power of the part that overlaps with another image, at every shift of this one."""
        return np.asarray(fft.irfft2(self.square * _overlap(self.shape).conj(), _padded(self.shape)))

    @cached_property
    def power_if_still(self) -> NDArray[np.float32]:
        """The same at every shift of the other one."""
        return np.asarray(fft.irfft2(_overlap(self.shape) * self.square.conj(), _padded(self.shape)))


@lru_cache(maxsize=4)
def _overlap(shape: tuple[int, int]) -> NDArray[np.complex64]:
    return np.asarray(fft.rfft2(np.ones(shape, dtype=np.float32), _padded(shape)))


def _padded(shape: tuple[int, ...]) -> tuple[int, int]:
    return fft.next_fast_len(2 * shape[0], real=True), fft.next_fast_len(2 * shape[1], real=True)


def correlations(first: Spectrum, second: Spectrum, reach: tuple[int, int]) -> NDArray[np.float32]:
    """Correlate two images at every shift up to `reach`.

    Parameters
    ----------
    first, second : Spectrum
        Images of one size.
    reach : tuple of int
        Largest shift along y and x [pixel].

    Returns
    -------
    ndarray
        `(2 reach_y + 1, 2 reach_x + 1)` correlation with `first` moved by minus that shift onto `second`, -1 to 1; less
        where they have little in common, as little is alike by chance.
    """
    rows, columns = (np.arange(-limit, limit + 1) for limit in reach)
    common = _near(fft.irfft2(first.image * second.image.conj(), _padded(first.shape)), reach)
    powers = _near(first.power_if_moved, reach), _near(second.power_if_still, reach)
    floors = (np.maximum(power, _LEAST_OVERLAP * power.max()) for power in powers)
    height, width = first.shape
    overlap = np.outer(1 - np.abs(rows) / height, 1 - np.abs(columns) / width)
    return np.asarray(common / np.sqrt(math.prod(floors)) * overlap**_TRUST)


def _near(values: NDArray[np.float32], reach: tuple[int, int]) -> NDArray[np.float32]:
    """Values at the shifts up to `reach`, of which the negative ones are at the end."""
    y, x = reach
    near = np.empty((2 * y + 1, 2 * x + 1), dtype=values.dtype)
    near[y:, x:], near[y:, :x] = values[: y + 1, : x + 1], values[: y + 1, len(values[0]) - x :]
    near[:y, x:], near[:y, :x] = values[len(values) - y :, : x + 1], values[len(values) - y :, len(values[0]) - x :]
    return near


def peak(values: NDArray[np.floating]) -> tuple[float, float, float]:
    """Return y and x of the highest of `(2 ry + 1, 2 rx + 1)` values, by a parabola, from the middle, and its value."""
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    height = float(values[row, column])
    y, x = (_summit(line, int(place)) for line, place in ((values[:, column], row), (values[row], column)))
    return y, x, height


def _summit(line: NDArray[np.floating], place: int) -> float:
    """Place of the maximum of a line near one of its samples, from the middle of the line."""
    middle = (len(line) - 1) / 2
    if not 0 < place < len(line) - 1:
        return place - middle
    left, centre, right = (float(value) for value in line[place - 1 : place + 2])
    bend = left - 2 * centre + right
    return place - middle + (0.5 * (left - right) / bend if bend < 0 else 0.0)
