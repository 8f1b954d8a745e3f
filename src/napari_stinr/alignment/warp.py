"""Undo a pose: the measured stack is warped into the frame in which every detector row is a slice of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from napari_stinr.cores import available_threads
from napari_stinr.data.checks import MINIMUM_TILTS
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
_ORDER = 5
"""Of the splines: cubic ones blur atoms that are as narrow as a pixel."""
_MARGIN = 16
"""Distance at which a pixel has no part in a spline any more, for a relative error of 1e-5 [pixel]."""


def aligned(series: TiltSeries, pose: Pose, *, rows: slice | None = None, threads: int | None = None) -> TiltSeries:
    """Return a series as it would have been recorded with an axis that is vertical, central and still.

    Parameters
    ----------
    series : TiltSeries
        As recorded.
    pose : Pose
        Where it was recorded; its offset is from the axis that the series states.
    rows : slice, optional
        Rows of the aligned images that are wanted; by default all.
    threads : int, optional
        CPU threads; all cores by default.

    Returns
    -------
    TiltSeries
        Warped with splines of fifth order, divided by the gain; pixels from beyond the frame do not count. The same
        object where there is nothing to do.

    Raises
    ------
    StinrError
        The pose is that of another number of projections, or leaves too few of them in sight.
    """
    if pose.n_tilts != series.n_tilts:
        raise StinrError(
            f"the pose of {pose.n_tilts} projections",
            expected=f"that of {series.n_tilts}, as many as the series has",
            cure="Give the pose of this series, with nothing excluded from the stack itself.",
        )
    rows = slice(0, series.height) if rows is None else rows
    if pose.is_identity:
        return series if rows == slice(0, series.height) else _cut(series, rows)
    projections = np.empty((series.n_tilts, rows.stop - rows.start, series.width), dtype=np.float32)
    mask = np.empty(projections.shape, dtype=bool)

    def one(k: int) -> None:
        counts = None if series.mask is None else series.mask[k]
        projections[k], mask[k] = warped(series.projections[k], counts, pose, k, rows=rows)

    with ThreadPoolExecutor(threads or available_threads(), thread_name_prefix="stinr-warp") as pool:
        for _ in pool.map(one, range(series.n_tilts)):
            pass
    projections /= pose.gain.astype(np.float32)[:, None, None]
    projections.setflags(write=False)
    n_lost = _n_lost(series, mask) if rows == slice(0, series.height) else 0
    return replace(
        series,
        projections=projections,
        mask=None if mask.all() else mask,
        tilt_angles=_within_half_a_turn(series.tilt_angles + pose.angle_error),
        notes=(*series.notes, Note(NoteKind.ALIGNED, _text(pose, n_lost))),
    )


def warped(
    image: NDArray[np.float32],
    counts: NDArray[np.bool_] | None,
    pose: Pose,
    index: int,
    *,
    rows: slice | None = None,
    order: int = _ORDER,
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
    rows : slice, optional
        Rows of the aligned image that are wanted; by default all.
    order : int
        Order of the splines.

    Returns
    -------
    image : ndarray
        `(rows, width)` float32 pixels of the aligned image; the gain is left in [the same].
    counts : ndarray
        True where a pixel counts and lies within the recorded frame.
    """
    places = _places(pose, image.shape, index, rows or slice(None))
    limits = np.array(image.shape)[:, None, None] - 1
    inside = np.asarray(((places >= -_OUTSIDE) & (places <= limits + _OUTSIDE)).all(axis=0))
    # Only what has a part in these rows.
    first = int(np.clip(np.floor(places[0].min()) - _MARGIN, 0, image.shape[0] - 1))
    stop = int(np.clip(np.ceil(places[0].max()) + _MARGIN + 1, first + 1, image.shape[0]))
    places[0] -= first
    if counts is not None:
        near = counts[first:stop].astype(np.float32)
        inside &= map_coordinates(near, places, order=1, mode="nearest") >= _COUNTS
    coefficients = spline_filter(image[first:stop], order, output=np.float32, mode="mirror")
    values: NDArray[np.float32] = map_coordinates(
        coefficients, places, order=order, prefilter=False, mode="mirror", output=np.float32
    )
    return values, inside


def central_row(series: TiltSeries, pose: Pose) -> NDArray[np.float32]:
    """`(n_tilts, width)` middle row of the aligned images, by linear interpolation: to be looked at."""
    row = slice(series.height // 2, series.height // 2 + 1)
    rows = np.empty((series.n_tilts, 1, series.width), dtype=np.float32)
    for k, image in enumerate(series.projections):
        map_coordinates(image, _places(pose, image.shape, k, row), order=1, mode="nearest", output=rows[k])
    return rows[:, 0] / pose.gain.astype(np.float32)[:, None]


def _cut(series: TiltSeries, rows: slice) -> TiltSeries:
    mask = None if series.mask is None else series.mask[:, rows]
    return replace(series, projections=series.projections[:, rows], mask=mask)


def _places(pose: Pose, shape: tuple[int, int], index: int, rows: slice) -> NDArray[np.float64]:
    """`(2, rows, width)` rows and columns from which the pixels of some rows come [pixel]."""
    return np.stack([np.broadcast_to(values, shape)[rows] for values in pose.places(shape, index)])


def _within_half_a_turn(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles [degrees] that are found to lie beyond 180 or -180, from the other side."""
    return np.asarray(angles - 360 * np.sign(angles) * (np.abs(angles) > 180))


def _n_lost(series: TiltSeries, mask: NDArray[np.bool_]) -> int:
    """Return how many projections a pose has moved out of sight, `mask` being what counts afterwards."""
    n_seen = int(mask.any(axis=(1, 2)).sum())
    n_lost = int(series.used.sum()) - n_seen
    if n_lost > 0 and n_seen < MINIMUM_TILTS:
        raise StinrError(
            f"the pose moves {n_lost} of {series.n_tilts} projections out of sight",
            expected=f"at least {MINIMUM_TILTS} that stay",
            cure="Undo what was changed in it last, align again, or give another one.",
        )
    return n_lost


def _text(pose: Pose, n_lost: int) -> str:
    moved = f"shifts with a standard deviation of {pose.dx.std():.2f} (x) and {pose.dy.std():.2f} (y) pixels"
    turned = f"axis rotation {pose.axis_rotation:.2f} degrees"
    if pose.rotation.any():
        turned += f", images turned beside it by {pose.rotation.min():.2f} to {pose.rotation.max():.2f} degrees"
    lost = f" Of {n_lost} projections nothing is in sight any more: they do not count." if n_lost > 0 else ""
    return f"Aligned: {moved}, axis offset {pose.axis_offset:.2f} pixels, {turned}.{lost}"
