"""Compiled CPU kernels of the projector: project slices for many tilts at once, and the adjoint.

Sixteen detector rows share the geometry of every voxel, so they are the innermost axis, and the loops over them are
vector instructions. Nothing of size (tilts x voxels) is ever stored: footprint and sigmoid are
recomputed in the adjoint. The kernels release the GIL and use no thread pool of their own;
:mod:`napari_stinr.projection.backends.numba` shares the work out.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from napari_stinr.projection.backends.taps_kernels import LANES, add_from_cells, add_to_cells, gather_from_cells

MARGIN = 3
"""Cells before the first detector pixel, so that the footprint of a voxel off the line needs no test."""

EXTRA_CELLS = 7
"""Cells of a line beyond its pixels: the margin in front, and four behind."""

_TOGETHER = 64
"""Voxels of a row that are projected back together: what is needed of them for all tilts stays near the processor."""

_f4 = np.float32
_compiled = numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
part_of_kernel = numba.njit(nogil=True, fastmath=True, error_model="numpy", forceinline=True)
"""For what kernels call. As a function of its own it would be compiled twice, alone and with its caller, and not alike:
a process that compiles runs the one, and those that come later and load the caller run the other, with other last bits.
Not cached: only what is compiled together can be made one."""


@numba.njit(inline="always", fastmath=True)
def fading(x):  # type: ignore[no-untyped-def]
    """Return exp(-x) of a float32, which ends at -16 and 16, inside another compiled function."""
    # As (Taylor series of y)**32 with y = -x/32: no table and no call, so that the loop over lanes stays vectorised.
    y = min(max(x, _f4(-16.0)), _f4(16.0)) * _f4(-1.0 / 32.0)
    e = _f4(1.0) + y * (_f4(1.0) + y * (_f4(0.5) + y * (_f4(1.0 / 6.0) + y * (_f4(1.0 / 24.0) + y * _f4(1.0 / 120.0)))))
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    return e


@numba.njit(inline="always", fastmath=True)
def sigmoid(x):  # type: ignore[no-untyped-def]
    """Return 1 / (1 + exp(-x)) of a float32, within 1e-6, inside another compiled function."""
    return _f4(1.0) / (_f4(1.0) + fading(x))


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
    # No tap of a voxel there is on the line.
    return u <= -2.0 or u >= n_pixels + 1.0


@numba.njit(inline="always", fastmath=True)
def _seen(start, step, width, n_pixels):  # type: ignore[no-untyped-def]
    # First and last voxel of a row, and beyond, that are on the line: most of a margin is passed over for every tilt.
    first, beyond = 0, width
    while first < beyond and _misses(start + first * step, n_pixels):
        first += 1
    while first < beyond and _misses(start + (beyond - 1) * step, n_pixels):
        beyond -= 1
    return first, beyond


@_compiled
def project_growth(  # type: ignore[no-untyped-def]
    density, arrival, share, cosines, sines, origins, times, steepness, first, stop, depth, width, lines
):
    """Add the projection of slices with an arrival time to lines `first` to `stop`, counted `k * tiles + tile`.

    `(tiles, depth * width * LANES)` float32 density, arrival and share (or None); `(n_tilts,)` cosines, sines and
    origins [pixel] float64, times float32; float32 steepness [1/t]; `(n_tilts, tiles, (n_pixels + EXTRA_CELLS) *
    LANES)` float32 lines.
    """
    n_tiles = lines.shape[1]
    for index in range(first, stop):
        k, tile = index // n_tiles, index % n_tiles
        _project_growth(
            density, arrival, share, cosines, sines, origins, times, steepness, k, tile, depth, width, lines[k, tile]
        )


@part_of_kernel
def _project_growth(  # type: ignore[no-untyped-def]
    density, arrival, share, cosines, sines, origins, times, steepness, k, tile, depth, width, line
):
    # One tilt and one tile.
    n_pixels = len(line) // LANES - EXTRA_CELLS
    t = times[k]
    values = np.empty(width * LANES, dtype=np.float32)
    for z in range(depth):
        start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] - (width - 1) * 0.5 * cosines[k]
        first, beyond = _seen(start, cosines[k], width, n_pixels)
        # Slices begin at 0, so that the compiler need not think of numbers from the end and can use vectors.
        o, n = (z * width + first) * LANES, (beyond - first) * LANES
        grows, arrives = density[tile, o : o + n], arrival[tile, o : o + n]
        if share is None:
            for q in range(n):
                values[q] = grown(grows[q], arrives[q], t, steepness)
        else:
            always = share[tile, o : o + n]
            for q in range(n):
                there = sigmoid((t - arrives[q]) * steepness)
                values[q] = grows[q] * (there + always[q] * (_f4(1.0) - there))
        for x in range(beyond - first):
            i, w0, w1, w2, w3 = _footprint(start + (first + x) * cosines[k], n_pixels)
            add_to_cells(line, i * LANES, values, x * LANES, w0, w1, w2, w3)


@_compiled
def backproject_growth(  # type: ignore[no-untyped-def]
    density, arrival, share, cosines, sines, origins, times, steepness, first, stop, depth, width, lines, by_density,
    by_arrival, by_share,
):  # fmt: skip
    """Set the gradients of density, arrival and share (or None) along lines `tile * depth + z` of voxels.

    As for :func:`project_growth`; `lines` is the gradient of the loss by every cell, the gradients have the shape of
    the density and are 0 before.
    """
    for index in range(first, stop):
        tile, z = index // depth, index % depth
        _backproject_growth(
            density, arrival, share, cosines, sines, origins, times, steepness, z, tile, depth, width, lines,
            by_density, by_arrival, by_share,
        )  # fmt: skip


@part_of_kernel
def _backproject_growth(  # type: ignore[no-untyped-def]
    density, arrival, share, cosines, sines, origins, times, steepness, z, tile, depth, width, lines, by_density,
    by_arrival, by_share,
):  # fmt: skip
    # One line of voxels, for all tilts.
    n_pixels = lines.shape[2] // LANES - EXTRA_CELLS
    back = np.empty(_TOGETHER * LANES, dtype=np.float32)
    for left in range(0, width, _TOGETHER):
        m = min(width - left, _TOGETHER)
        # With b what comes back from a tilt and s what has arrived by then, sums over the tilts of b s, b s (1 - s)
        # and b (1 - s): all gradients are made of them.
        for k in range(len(times)):
            t, line = times[k], lines[k, tile]
            start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] + (left - (width - 1) * 0.5) * cosines[k]
            first, beyond = _seen(start, cosines[k], m, n_pixels)
            for x in range(beyond - first):
                i, w0, w1, w2, w3 = _footprint(start + (first + x) * cosines[k], n_pixels)
                gather_from_cells(line, i * LANES, back, x * LANES, w0, w1, w2, w3)
            o, n = (z * width + left + first) * LANES, (beyond - first) * LANES
            arrives, came, turned = arrival[tile, o : o + n], by_density[tile, o : o + n], by_arrival[tile, o : o + n]
            if share is None:
                for q in range(n):
                    there = sigmoid((t - arrives[q]) * steepness)
                    came[q] += back[q] * there
                    turned[q] += back[q] * there * (_f4(1.0) - there)
            else:
                missed = by_share[tile, o : o + n]
                for q in range(n):
                    there = sigmoid((t - arrives[q]) * steepness)
                    came[q] += back[q] * there
                    turned[q] += back[q] * there * (_f4(1.0) - there)
                    missed[q] += back[q] * (_f4(1.0) - there)
    o, n = z * width * LANES, width * LANES
    grows, came, turned = density[tile, o : o + n], by_density[tile, o : o + n], by_arrival[tile, o : o + n]
    if share is None:
        for q in range(n):
            turned[q] *= -grows[q] * steepness
    else:
        always, missed = share[tile, o : o + n], by_share[tile, o : o + n]
        for q in range(n):
            came[q] += always[q] * missed[q]
            missed[q] *= grows[q]
            turned[q] *= -grows[q] * (_f4(1.0) - always[q]) * steepness


@_compiled
def project_static(density, cosines, sines, origins, first, stop, depth, width, lines):  # type: ignore[no-untyped-def]
    """Add the projection of a density that does not change; see :func:`project_growth`."""
    n_tiles = lines.shape[1]
    for index in range(first, stop):
        k, tile = index // n_tiles, index % n_tiles
        _project_static(density, cosines, sines, origins, k, tile, depth, width, lines[k, tile])


@part_of_kernel
def _project_static(density, cosines, sines, origins, k, tile, depth, width, line):  # type: ignore[no-untyped-def]
    # One tilt and one tile.
    n_pixels = len(line) // LANES - EXTRA_CELLS
    values = density[tile]
    for z in range(depth):
        start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] - (width - 1) * 0.5 * cosines[k]
        first, beyond = _seen(start, cosines[k], width, n_pixels)
        for x in range(first, beyond):
            i, w0, w1, w2, w3 = _footprint(start + x * cosines[k], n_pixels)
            add_to_cells(line, i * LANES, values, (z * width + x) * LANES, w0, w1, w2, w3)


@_compiled
def backproject_static(  # type: ignore[no-untyped-def]
    cosines, sines, origins, first, stop, depth, width, lines, by_density
):
    """Add the gradient of a density that does not change; see :func:`backproject_growth`."""
    for index in range(first, stop):
        _backproject_static(cosines, sines, origins, index % depth, index // depth, depth, width, lines, by_density)


@part_of_kernel
def _backproject_static(  # type: ignore[no-untyped-def]
    cosines, sines, origins, z, tile, depth, width, lines, by_density
):
    # One line of voxels, for all tilts.
    n_pixels = lines.shape[2] // LANES - EXTRA_CELLS
    came = by_density[tile]
    for left in range(0, width, _TOGETHER):
        for k in range(len(cosines)):
            line = lines[k, tile]
            start = origins[k] + (z - (depth - 1) * 0.5) * sines[k] + (left - (width - 1) * 0.5) * cosines[k]
            first, beyond = _seen(start, cosines[k], min(width - left, _TOGETHER), n_pixels)
            for x in range(first, beyond):
                i, w0, w1, w2, w3 = _footprint(start + x * cosines[k], n_pixels)
                add_from_cells(line, i * LANES, came, (z * width + left + x) * LANES, w0, w1, w2, w3)
