"""One slice of the specimen, seconds before any training: rows at a pose, filtered and projected back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numba
import numpy as np
from scipy import fft
from scipy.ndimage import map_coordinates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.session.alignment_run import SeriesView

MOST_PIXELS = 256
"""A wider slice has larger pixels: it is computed while a person drags the axis."""
_COUNTS = 0.75
"""Part of a pixel that has to count."""
_FINER = 4
"""Points of a line for each of its pixels, of which the nearest is taken."""


def preview_slice(view: SeriesView, pose: Pose, *, row: int) -> NDArray[np.float32]:
    """Return the slice that a detector row sees at a pose, by filtered back-projection.

    Parameters
    ----------
    view : SeriesView
        The series.
    pose : Pose
        In pixels of the prepared projections.
    row : int
        Row of the aligned images, from 0 [pixel of the prepared projections].

    Returns
    -------
    ndarray
        `(depth, width)` slice (z, x), the axis in its middle [any unit].
    """
    series = view.series
    used = np.flatnonzero(series.used)
    angles = np.deg2rad(series.tilt_angles + pose.angle_error)[used] * (-1 if series.flip_tilt else 1)
    lines = _lines(view, pose, (row + 0.5) / view.factor - 0.5)[used]
    together = -(-lines.shape[1] // MOST_PIXELS)
    n = lines.shape[1] // together
    lines = lines[:, : n * together].reshape(len(lines), n, together).mean(axis=2)
    # Every projection stands for the angles that are nearer to it than to others.
    order = np.argsort(angles)
    weights = np.empty(len(angles))
    weights[order] = np.gradient(angles[order])
    filtered = _ramp(lines) * weights[:, None].astype(np.float32)
    return _back_projected(filtered, angles, origin=(n - 1) / 2 + series.axis_offset / together)


def summed(view: SeriesView, pose: Pose, *, is_maximum: bool) -> NDArray[np.float32]:
    """Return the sum or maximum of all projections, shifts undone and the axis as it lies.

    Parameters
    ----------
    view : SeriesView
        The series.
    pose : Pose
        In pixels of the prepared projections.
    is_maximum : bool
        The maximum; else the mean.

    Returns
    -------
    ndarray
        `(height, width)` pixels of the view [the unit of the series].
    """
    series = view.series
    still = _without_axis(pose).scaled(1 / view.factor)
    found = np.full((series.height, series.width), -np.inf if is_maximum else 0.0, dtype=np.float32)
    counted = np.zeros(found.shape, dtype=np.float32)
    for k in np.flatnonzero(series.used):
        image, inside = quickly_warped(series, still, int(k))
        if is_maximum:
            np.maximum(found, image, out=found, where=inside)
        else:
            found += image * inside
        counted += inside
    nothing = counted == 0
    found[nothing] = 0
    return found if is_maximum else np.asarray(found / np.maximum(counted, 1), dtype=np.float32)


def quickly_warped(series: TiltSeries, pose: Pose, index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return an aligned image by linear interpolation, to be looked at.

    Parameters
    ----------
    series : TiltSeries
        Prepared, or a view of it.
    pose : Pose
        In its pixels.
    index : int
        Position of the projection in the stack.

    Returns
    -------
    image : ndarray
        `(height, width)` pixels, 0 where none counts [the unit of the series].
    counts : ndarray
        True where a pixel counts and lies within the recorded frame.
    """
    shape = series.height, series.width
    places = np.stack([np.broadcast_to(values, shape) for values in pose.places(shape, index)])
    limits = np.array(shape)[:, None, None] - 1
    inside = np.asarray(((places >= 0) & (places <= limits)).all(axis=0))
    if series.mask is not None:
        inside &= map_coordinates(series.mask[index].astype(np.float32), places, order=1) > _COUNTS
    image: NDArray[np.float32] = map_coordinates(series.projections[index], places, order=1)
    seen = np.where(inside, image / np.float32(pose.gain[index]), np.float32(0))
    return np.asarray(seen, dtype=np.float32), inside


def _without_axis(pose: Pose) -> Pose:
    return replace(pose, axis_offset=0.0, axis_rotation=0.0)


def _lines(view: SeriesView, pose: Pose, row: float) -> NDArray[np.float32]:
    """`(n_tilts, width)` one row of the aligned images of the view, by linear interpolation; 0 outside."""
    series, small = view.series, pose.scaled(1 / view.factor)
    middle_v, middle_u = (series.height - 1) / 2, (series.width - 1) / 2
    u, v = np.arange(series.width) - middle_u + small.axis_offset, row - middle_v
    psi = np.deg2rad(small.axis_rotation + small.rotation)[:, None]
    columns = np.cos(psi) * u - np.sin(psi) * v + small.dx[:, None] + middle_u
    rows = np.sin(psi) * u + np.cos(psi) * v + small.dy[:, None] + middle_v
    tilts = np.arange(series.n_tilts)[:, None]
    first_row, first_column = np.floor(rows).astype(int), np.floor(columns).astype(int)
    lines = np.zeros(columns.shape, dtype=np.float32)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        y, x = first_row + down, first_column + right
        weight = (1 - np.abs(rows - y)) * (1 - np.abs(columns - x))
        inside = (y >= 0) & (y < series.height) & (x >= 0) & (x < series.width)
        at = tilts, y.clip(0, series.height - 1), x.clip(0, series.width - 1)
        if series.mask is not None:
            inside &= series.mask[at]
        lines += np.where(inside, weight, 0).astype(np.float32) * series.projections[at]
    return np.asarray(lines / small.gain[:, None], dtype=np.float32)


def _ramp(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(m, n)` lines by the ramp of filtered back-projection, softened where noise is all there is."""
    n = lines.shape[1]
    padded = fft.next_fast_len(2 * n, real=True)
    frequencies = fft.rfftfreq(padded)
    ramp = (2 * frequencies * np.cos(np.pi * frequencies)).astype(np.float32)
    return np.asarray(fft.irfft(fft.rfft(lines, padded, axis=1) * ramp, padded, axis=1)[:, :n], dtype=np.float32)


def _back_projected(lines: NDArray[np.float32], angles: NDArray[np.float64], *, origin: float) -> NDArray[np.float32]:
    """`(n, n)` sum of `(m, n)` lines at u = x cos + z sin from the axis, which lies at `origin` [pixel]."""
    n = lines.shape[1]
    place = _FINER * (np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2))
    points, own = np.arange(_FINER * n) / _FINER, np.arange(n)
    fine = np.array([np.interp(points, own, line) for line in lines], dtype=np.float32)
    cosines, sines = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    volume = np.zeros((n, n), dtype=np.float32)
    _add_lines(fine, cosines, sines, place, np.float32(_FINER * origin + 0.5), volume)
    return volume


@numba.njit(nogil=True, cache=True)
def _add_lines(fine, cosines, sines, place, origin, volume):  # type: ignore[no-untyped-def]
    """Add the nearest point of each line to each pixel, nothing where that lies beside it."""
    for k in range(len(fine)):
        line = fine[k]
        for z in range(len(place)):
            aside = place[z] * sines[k]
            for x in range(len(place)):
                u = place[x] * cosines[k] + origin + aside
                if u >= 0 and u < len(line):
                    volume[z, x] += line[int(u)]
