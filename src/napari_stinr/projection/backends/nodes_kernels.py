"""Compiled CPU kernels between the nodes of grids and the tiles of the projector, and back.

In a tile the rows are the innermost axis, LANES of them; lanes beyond the last row are finite, and nothing comes back
from them. An index counts lines of voxels along x: `tile * depth + z`. The kernels do a range of them, so that a
thread takes the lock of Python only once.
"""

from __future__ import annotations

import numba
import numpy as np

from napari_stinr.fields.regions import (
    EARLIEST,
    NEAR_SURFACE,
    OUTSIDE,
    SHARPNESS,
    SPECIMEN,
    SPECIMEN_ARRIVAL,
    WITHOUT_ATOMS,
)
from napari_stinr.projection.backends.numba_kernels import fading, part_of_kernel, sigmoid
from napari_stinr.projection.backends.taps_kernels import LANES, add_from_cells, add_to_cells, product_of_lanes

_f4 = np.float32
_SHARPNESS, _EARLIEST, _SPECIMEN_ARRIVAL = _f4(SHARPNESS), _f4(EARLIEST), _f4(SPECIMEN_ARRIVAL)
_compiled = numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=True)


@numba.njit(inline="always", fastmath=True)
def softplus(x):  # type: ignore[no-untyped-def]
    """Return log(1 + exp(x)) of a float32, within 1e-6 of 1 + |x|, inside another compiled function."""
    # max(x, 0) + log(1 + e) with e = exp(-|x|); the logarithm as 2 artanh(e / (2 + e)), of which the argument is at
    # most a third.
    e = fading(abs(x))
    s = e / (_f4(2.0) + e)
    q = s * s
    series = _f4(1.0) + q * (
        _f4(1.0 / 3.0) + q * (_f4(1.0 / 5.0) + q * (_f4(1.0 / 7.0) + q * (_f4(1.0 / 9.0) + q * _f4(1.0 / 11.0))))
    )
    return max(x, _f4(0.0)) + _f4(2.0) * s * series


_TAPS = 4
"""Of the operations in :mod:`napari_stinr.projection.backends.taps_kernels`: here, some of them have no weight."""
_MOST_ROWS = 2 * LANES + _TAPS


@part_of_kernel
def _rows_of_tile(y_lower, y_upper, y_weight, tile, rows, weights):  # type: ignore[no-untyped-def]
    # Rows of nodes between which those of a tile are, and `(_MOST_ROWS * LANES,)` weights of each for every lane, none
    # for a lane beyond the last row; returns their number.
    n = 0
    rows[:] = 0
    weights[:] = 0
    for lane in range(min(LANES, len(y_lower) - tile * LANES)):
        row = tile * LANES + lane
        for side in range(2):
            node, weight = y_lower[row], _f4(1.0) - y_weight[row]
            if side == 1:
                node, weight = y_upper[row], y_weight[row]
            place = 0
            while place < n and rows[place] != node:
                place += 1
            rows[place] = node
            n = max(n, place + 1)
            weights[place * LANES + lane] += weight
    return n


@_compiled
def add_nodes(  # type: ignore[no-untyped-def]
    values, y_lower, y_upper, y_weight, z_lower, z_upper, z_weight, x_lower, x_weight, first, stop, tiles
):
    """Add a grid, linear between its nodes, to tiles.

    `(n_y, n_z, n_x)` float32 values; lower and upper nodes int64 and float32 weights of the upper ones, `(rows,)` and
    `(depth,)`, and `(width,)`, where the upper one is the next; `(tiles, depth * width * LANES)` float32 tiles.
    """
    depth, width, n_x = len(z_lower), len(x_lower), values.shape[2]
    nodes = np.empty((n_x + _TAPS) * LANES, dtype=np.float32)
    rows, weights = np.empty(_MOST_ROWS, dtype=np.int64), np.empty(_MOST_ROWS * LANES, dtype=np.float32)
    near = np.empty((_TAPS, n_x), dtype=np.float32)
    known, n_rows = -1, 0
    for index in range(first, stop):
        tile, z = index // depth, index % depth
        if tile != known:
            known, n_rows = tile, _rows_of_tile(y_lower, y_upper, y_weight, tile, rows, weights)
        nodes[:] = 0
        far = z_weight[z]
        for row in range(0, n_rows, _TAPS):
            for tap in range(_TAPS):
                below, above, between = (
                    values[rows[row + tap], z_lower[z]],
                    values[rows[row + tap], z_upper[z]],
                    near[tap],
                )
                for x in range(n_x):
                    between[x] = (_f4(1.0) - far) * below[x] + far * above[x]
            for x in range(n_x):
                add_from_cells(weights, row * LANES, nodes, x * LANES, near[0, x], near[1, x], near[2, x], near[3, x])
        line = tiles[tile, z * width * LANES : (z + 1) * width * LANES]
        for x in range(width):
            far_x = x_weight[x]
            add_from_cells(nodes, x_lower[x] * LANES, line, x * LANES, _f4(1.0) - far_x, far_x, _f4(0.0), _f4(0.0))


@_compiled
def set_voxels(values, rows, first, stop, tiles):  # type: ignore[no-untyped-def]
    """Set tiles to a grid whose nodes are the voxels.

    `(n_y, depth, width)` float32 values, of which `(rows,)` int64 rows; tiles as for :func:`add_nodes`.
    """
    depth, width = values.shape[1], values.shape[2]
    for index in range(first, stop):
        tile, z = index // depth, index % depth
        line = tiles[tile, z * width * LANES : (z + 1) * width * LANES]
        for lane in range(LANES):
            row = values[rows[min(tile * LANES + lane, len(rows) - 1)], z]
            for x in range(width):
                line[x * LANES + lane] = row[x]


@_compiled
def activate(raw, scale, n, first, stop, density):  # type: ignore[no-untyped-def]
    """Set lines of `n` numbers of the density to softplus(raw) * scale; both `(tiles * depth * n,)` float32."""
    before, after = raw[first * n : stop * n], density[first * n : stop * n]
    for q in range(len(before)):
        after[q] = softplus(before[q]) * scale


@_compiled
def back_through_activation(raw, scale, n, first, stop, gradient):  # type: ignore[no-untyped-def]
    """Turn the gradient by the density into that by what it is made of; see :func:`activate`."""
    before, by = raw[first * n : stop * n], gradient[first * n : stop * n]
    for q in range(len(before)):
        by[q] *= scale * sigmoid(before[q])


@_compiled
def arrive_by_region(outside, near, regions, first, stop, arrival):  # type: ignore[no-untyped-def]
    """Set lines of the arrival time, from the sums of grids for what is outside the surface and near it.

    `(tiles, depth * width * LANES)` float32 outside, near and arrival, `(rows, depth, width)` uint8 regions; see
    :func:`napari_stinr.fields.regions.by_region`.
    """
    depth, width = regions.shape[1], regions.shape[2]
    n = width * LANES
    codes = np.empty(n, dtype=np.uint8)
    for index in range(first, stop):
        tile, z = index // depth, index % depth
        _regions_of_line(regions, tile, z, codes)
        line, by_outside, by_near = (
            arrival[tile, z * n : (z + 1) * n],
            outside[tile, z * n : (z + 1) * n],
            near[tile, z * n : (z + 1) * n],
        )
        for q in range(n):
            later = softplus(by_outside[q] * _SHARPNESS) / _SHARPNESS + _EARLIEST
            is_near = codes[q] == NEAR_SURFACE or codes[q] == WITHOUT_ATOMS
            line[q] = by_near[q] if is_near else (_SPECIMEN_ARRIVAL if codes[q] == SPECIMEN else later)


@_compiled
def back_to_regions(outside, regions, first, stop, gradient, by_near):  # type: ignore[no-untyped-def]
    """Divide the gradient by the arrival time: into that by the grids near, and in its place that by those outside."""
    depth, width = regions.shape[1], regions.shape[2]
    n = width * LANES
    codes = np.empty(n, dtype=np.uint8)
    for index in range(first, stop):
        tile, z = index // depth, index % depth
        _regions_of_line(regions, tile, z, codes)
        by, for_near, sums = (
            gradient[tile, z * n : (z + 1) * n],
            by_near[tile, z * n : (z + 1) * n],
            outside[tile, z * n : (z + 1) * n],
        )
        for q in range(n):
            is_near = codes[q] == NEAR_SURFACE or codes[q] == WITHOUT_ATOMS
            for_near[q] = by[q] if is_near else _f4(0.0)
            by[q] = by[q] * sigmoid(sums[q] * _SHARPNESS) if codes[q] == OUTSIDE else _f4(0.0)


@part_of_kernel
def _regions_of_line(regions, tile, z, codes):  # type: ignore[no-untyped-def]
    for lane in range(LANES):
        row = regions[min(tile * LANES + lane, len(regions) - 1), z]
        for x in range(len(row)):
            codes[x * LANES + lane] = row[x]


@_compiled
def gather_nodes(  # type: ignore[no-untyped-def]
    tiles, y_lower, y_upper, y_weight, z_lower, z_upper, z_weight, x_lower, x_weight, first, stop, gradient
):
    """Add the gradient by tiles to that by the nodes `first` to `stop` along z of a grid; see :func:`add_nodes`."""
    depth, width, n_x = len(z_lower), len(x_lower), gradient.shape[2]
    n = width * LANES
    rows, weights = np.empty(_MOST_ROWS, dtype=np.int64), np.empty(_MOST_ROWS * LANES, dtype=np.float32)
    line, nodes = np.empty(n, dtype=np.float32), np.empty((n_x + _TAPS) * LANES, dtype=np.float32)
    for tile in range(tiles.shape[0]):
        n_rows = _rows_of_tile(y_lower, y_upper, y_weight, tile, rows, weights)
        for node in range(first, stop):
            line[:] = 0
            for z in range(depth):
                weight = _f4(0.0)
                if z_lower[z] == node:
                    weight += _f4(1.0) - z_weight[z]
                if z_upper[z] == node:
                    weight += z_weight[z]
                if weight != _f4(0.0):
                    by_voxels = tiles[tile, z * n : (z + 1) * n]
                    for q in range(n):
                        line[q] += weight * by_voxels[q]
            nodes[:] = 0
            for x in range(width):
                far = x_weight[x]
                add_to_cells(nodes, x_lower[x] * LANES, line, x * LANES, _f4(1.0) - far, far, _f4(0.0), _f4(0.0))
            for row in range(n_rows):
                by_row = gradient[rows[row], node]
                for x in range(n_x):
                    by_row[x] += product_of_lanes(weights, row * LANES, nodes, x * LANES)


@_compiled
def gather_voxels(tiles, rows, first, stop, gradient):  # type: ignore[no-untyped-def]
    """Set the gradient by the rows of a grid whose nodes are the voxels; see :func:`set_voxels`."""
    depth, width = gradient.shape[1], gradient.shape[2]
    for index in range(first, stop):
        tile, z = index // depth, index % depth
        line = tiles[tile, z * width * LANES : (z + 1) * width * LANES]
        for lane in range(min(LANES, len(rows) - tile * LANES)):
            row = gradient[rows[tile * LANES + lane], z]
            for x in range(width):
                row[x] = line[x * LANES + lane]
