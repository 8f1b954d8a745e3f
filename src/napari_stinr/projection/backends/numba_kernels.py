"""Compiled CPU kernels of the projector: project slices for many tilts at once, and the adjoint.

Sixteen detector rows share the geometry of every voxel, so they are the innermost axis and the compiler turns the
innermost loops into vector instructions. Nothing of size (tilts x voxels) is ever stored: footprint and sigmoid are
recomputed in the adjoint. The kernels release the GIL and use no thread pool of their own;
:mod:`napari_stinr.projection.backends.numba` shares the work out.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from napari_stinr.projection.backends import ROWS_TOGETHER

LANES = ROWS_TOGETHER
"""Detector rows that share one vector."""

MARGIN = 3
"""Cells before the first detector pixel, so that the footprint of a voxel off the line needs no test."""

EXTRA_CELLS = 7
"""Cells of a line beyond its pixels: the margin in front, and four behind."""

_f4 = np.float32
_compiled = numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)


@numba.njit(inline="always", fastmath=True)
def sigmoid(x):  # type: ignore[no-untyped-def]
    """Return 1 / (1 + exp(-x)) of a float32, within 1e-6, inside another compiled function."""
    # exp(y) as (Taylor series of y/32)**32: no table and no call, so that the loop over lanes stays vectorised.
    y = min(max(x, _f4(-16.0)), _f4(16.0)) * _f4(-1.0 / 32.0)
    e = _f4(1.0) + y * (_f4(1.0) + y * (_f4(0.5) + y * (_f4(1.0 / 6.0) + y * (_f4(1.0 / 24.0) + y * _f4(1.0 / 120.0)))))
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    return _f4(1.0) / (_f4(1.0) + e)


@numba.njit(inline="always", fastmath=True)
def grown(density, arrival, t, steepness):  # type: ignore[no-untyped-def]
    """Return fields.base.grown of float32 numbers, inside another compiled function; steepness is 1 / width."""
    return density * sigmoid((t - arrival) * steepness)


@numba.njit(inline="always", fastmath=True)
def _footprint(u, n_pixels):  # type: ignore[no-untyped-def]
    # Catmull-Rom weights, as in geometry.catmull_rom_weights; the cell is that of the first of the four taps.
    u = min(max(u, -2.0), n_pixels + 1.0)
    below = math.floor(u)
    f = _f4(u - below)
    w0 = ((_f4(-0.5) * f + _f4(1.0)) * f - _f4(0.5)) * f
    w1 = (_f4(1.5) * f - _f4(2.5)) * f * f + _f4(1.0)
    w2 = ((_f4(-1.5) * f + _f4(2.0)) * f + _f4(0.5)) * f
    w3 = (_f4(0.5) * f - _f4(0.5)) * f * f
    return below - 1 + MARGIN, w0, w1, w2, w3


@numba.njit(inline="always", fastmath=True)
def _misses(u, n_pixels):  # type: ignore[no-untyped-def]
    # No tap of a voxel there is on the line: most of a margin is passed over for every tilt.
    return u <= -2.0 or u >= n_pixels + 1.0


@_compiled
def project_growth(density, arrival, cosines, sines, origins, times, steepness, k, tile, line):  # type: ignore[no-untyped-def]
    """Add the projection of ``density * sigmoid((t - arrival) * steepness)`` for tilt `k` to one line.

    `(tiles, depth, width, LANES)` float32 density and arrival, of which one tile; `(n_tilts,)` cosines, sines and
    origins [pixel] float64, times float32; float32 steepness [1/t]; `(n_pixels + EXTRA_CELLS, LANES)` float32 line.
    """
    _, depth, width, _ = density.shape
    n_pixels = line.shape[0] - EXTRA_CELLS
    t = times[k]
    for z in range(depth):
        start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] - (width - 1) * 0.5 * cosines[k]
        for x in range(width):
            u = start + x * cosines[k]
            if _misses(u, n_pixels):
                continue
            i, w0, w1, w2, w3 = _footprint(u, n_pixels)
            for r in range(LANES):
                value = grown(density[tile, z, x, r], arrival[tile, z, x, r], t, steepness)
                line[i, r] += w0 * value
                line[i + 1, r] += w1 * value
                line[i + 2, r] += w2 * value
                line[i + 3, r] += w3 * value


@_compiled
def backproject_growth(  # type: ignore[no-untyped-def]
    density, arrival, cosines, sines, origins, times, steepness, z, tile, lines, density_gradient, arrival_gradient
):
    """Add the gradients of density and arrival along one line `z` of voxels, for all tilts.

    As for :func:`project_growth`; `lines` is the `(n_tilts, tiles, n_pixels + EXTRA_CELLS, LANES)` float32 gradient of
    the loss by every cell, the gradients have the shape of the density.
    """
    _, depth, width, _ = density.shape
    n_pixels = lines.shape[2] - EXTRA_CELLS
    for k in range(len(times)):
        t = times[k]
        line = lines[k, tile]
        start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] - (width - 1) * 0.5 * cosines[k]
        for x in range(width):
            u = start + x * cosines[k]
            if _misses(u, n_pixels):
                continue
            i, w0, w1, w2, w3 = _footprint(u, n_pixels)
            for r in range(LANES):
                back = w0 * line[i, r] + w1 * line[i + 1, r] + w2 * line[i + 2, r] + w3 * line[i + 3, r]
                arrived = sigmoid((t - arrival[tile, z, x, r]) * steepness)
                back = back * arrived
                density_gradient[tile, z, x, r] += back
                arrival_gradient[tile, z, x, r] -= back * density[tile, z, x, r] * (_f4(1.0) - arrived) * steepness


@_compiled
def project_static(density, cosines, sines, origins, k, tile, line):  # type: ignore[no-untyped-def]
    """Add the projection of a density that does not change; see :func:`project_growth`."""
    _, depth, width, _ = density.shape
    n_pixels = line.shape[0] - EXTRA_CELLS
    for z in range(depth):
        start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] - (width - 1) * 0.5 * cosines[k]
        for x in range(width):
            u = start + x * cosines[k]
            if _misses(u, n_pixels):
                continue
            i, w0, w1, w2, w3 = _footprint(u, n_pixels)
            for r in range(LANES):
                value = density[tile, z, x, r]
                line[i, r] += w0 * value
                line[i + 1, r] += w1 * value
                line[i + 2, r] += w2 * value
                line[i + 3, r] += w3 * value


@_compiled
def backproject_static(cosines, sines, origins, z, tile, lines, density_gradient):  # type: ignore[no-untyped-def]
    """Add the gradient of a density that does not change; see :func:`backproject_growth`."""
    _, depth, width, _ = density_gradient.shape
    n_pixels = lines.shape[2] - EXTRA_CELLS
    for k in range(len(cosines)):
        line = lines[k, tile]
        start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] - (width - 1) * 0.5 * cosines[k]
        for x in range(width):
            u = start + x * cosines[k]
            if _misses(u, n_pixels):
                continue
            i, w0, w1, w2, w3 = _footprint(u, n_pixels)
            for r in range(LANES):
                density_gradient[tile, z, x, r] += (
                    w0 * line[i, r] + w1 * line[i + 1, r] + w2 * line[i + 2, r] + w3 * line[i + 3, r]
                )
