"""Undo a pose: the measured stack is warped into the frame in which every detector row is a slice of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.data.tilt_series import TiltSeries

_OUTSIDE = 0.25
"""How far beyond the outermost pixel a place still counts [pixel]."""
_COUNTS = 0.75
"""Part of a warped pixel that has to count."""


def aligned(series: TiltSeries, pose: Pose) -> TiltSeries:
    """Return a series as it would have been recorded with an axis that is vertical, central and still.

    Parameters
    ----------
    series : TiltSeries
        As recorded.
    pose : Pose
        Where it was recorded; its offset is from the axis that the series states.

    Returns
    -------
    TiltSeries
        Warped with cubic splines, divided by the gain; pixels from beyond the frame do not count. The same object where
        there is nothing to do.

    Raises
    ------
    StinrError
        The pose is that of another number of projections.
    """
    if pose.n_tilts != series.n_tilts:
        raise StinrError(
            f"the pose of {pose.n_tilts} projections",
            expected=f"that of {series.n_tilts}, as many as the series has",
            cure="Give the pose of this series, with nothing excluded from the stack itself.",
        )
    if pose.is_identity:
        return series
    projections = np.empty_like(series.projections)
    mask = np.empty(projections.shape, dtype=bool)
    for k, image in enumerate(series.projections):
        counts = None if series.mask is None else series.mask[k]
        projections[k], mask[k] = warped(image, counts, pose, k)
    projections /= pose.gain.astype(np.float32)[:, None, None]
    projections.setflags(write=False)
    return replace(
        series,
        projections=projections,
        mask=None if mask.all() else mask,
        tilt_angles=_within_half_a_turn(series.tilt_angles + pose.angle_error),
        notes=(*series.notes, Note(NoteKind.ALIGNED, _text(pose))),
    )


def warped(
    image: NDArray[np.float32], counts: NDArray[np.bool_] | None, pose: Pose, index: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Warp one image.

    Parameters
    ----------
    image : ndarray
        `(height, width)` pixels [the unit of the series].
    counts : ndarray or None
        `(height, width)` bool, True where a pixel counts; None where all do.
    pose : Pose
        Where the series was recorded.
    index : int
        Position of the projection in the stack.

    Returns
    -------
    image : ndarray
        `(height, width)` float32 pixels of the aligned image; the gain is left in [the same].
    counts : ndarray
        True where a pixel counts and lies within the recorded frame.
    """
    height, width = image.shape
    places = np.stack(np.broadcast_arrays(*pose.places((height, width), index)))
    limits = np.array([height - 1, width - 1])[:, None, None]
    inside = np.asarray(((places >= -_OUTSIDE) & (places <= limits + _OUTSIDE)).all(axis=0))
    if counts is not None:
        inside &= map_coordinates(counts.astype(np.float32), places, order=1, mode="nearest") >= _COUNTS
    coefficients = spline_filter(image, 3, output=np.float32, mode="mirror")
    values: NDArray[np.float32] = map_coordinates(
        coefficients, places, order=3, prefilter=False, mode="mirror", output=np.float32
    )
    return values, inside


def central_row(series: TiltSeries, pose: Pose) -> NDArray[np.float32]:
    """`(n_tilts, width)` middle row of the aligned images, by linear interpolation: to be looked at."""
    row, shape = series.height // 2, (series.height, series.width)
    rows = np.empty((series.n_tilts, series.width), dtype=np.float32)
    for k, image in enumerate(series.projections):
        places = [values[row] for values in np.broadcast_arrays(*pose.places(shape, k))]
        map_coordinates(image, places, order=1, mode="nearest", output=rows[k])
    return rows / pose.gain.astype(np.float32)[:, None]


def _within_half_a_turn(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles [degrees] that are found to lie beyond 180 or -180, from the other side."""
    return np.asarray(angles - 360 * np.sign(angles) * (np.abs(angles) > 180))


def _text(pose: Pose) -> str:
    moved = f"shifts with a standard deviation of {pose.dx.std():.2f} (x) and {pose.dy.std():.2f} (y) pixels"
    return (
        f"Aligned: {moved}, axis offset {pose.axis_offset:.2f} pixels, axis rotation {pose.axis_rotation:.2f} degrees."
    )
