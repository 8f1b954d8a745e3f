"""Slow, obvious implementations that the fast code is tested against."""

from __future__ import annotations

import numpy as np


def catmull_rom(distance: float) -> float:
    """Keys' cubic convolution kernel, a = -1/2, written as in the paper."""
    s = abs(distance)
    if s <= 1:
        return 1.5 * s**3 - 2.5 * s**2 + 1
    if s < 2:
        return -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2
    return 0.0


def project_slice(
    values: np.ndarray, angle_rad: float, n_pixels: int, axis_offset: float, voxel_size: float
) -> np.ndarray:
    """`(n_pixels,)` projection of one `(depth, width)` slice, voxel by voxel and pixel by pixel."""
    depth, width = values.shape
    line = np.zeros(n_pixels)
    for k in range(depth):
        for j in range(width):
            z, x = k - (depth - 1) / 2, j - (width - 1) / 2
            u = x * np.cos(angle_rad) + z * np.sin(angle_rad) + (n_pixels - 1) / 2 + axis_offset
            for pixel in range(n_pixels):
                line[pixel] += values[k, j] * catmull_rom(pixel - u) * voxel_size
    return flattened(line)


def flattened(line: np.ndarray) -> np.ndarray:
    """Filter a line by a plain convolution; both ends go on as they are."""
    return np.convolve(np.pad(line, 2, mode="edge"), [0.0261, -0.0877, 1.1232, -0.0877, 0.0261], mode="valid")
