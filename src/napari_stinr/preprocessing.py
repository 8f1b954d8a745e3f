"""What is done to measured projections before they are reconstructed: bright on dark, and fewer, larger pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.tilt_series import TiltSeries

_BORDER_FRACTION = 0.05
"""Part of the columns, on each side, that is taken for background."""


def bin_series(series: TiltSeries, factor: int) -> TiltSeries:
    """Return a tilt series with larger pixels: the mean over squares of pixels that count.

    The integral of a projection and the place of the rotation axis in the specimen stay the same. Where the size is
    not a multiple of the factor, rows and columns at the borders are left out, on both sides as evenly as possible.

    Parameters
    ----------
    series : TiltSeries
        The data.
    factor : int
        Edge of the squares; 1 returns the series itself [pixel].

    Returns
    -------
    TiltSeries
        The binned series; a pixel counts where at least half of its pixels count.

    Raises
    ------
    StinrError
        The factor is less than 1, or so large that fewer than two columns or no row would be left.
    """
    most = min(series.height, series.width // 2)
    if not 1 <= factor <= max(1, most):
        raise StinrError(
            f"a binning of {factor} for projections of {series.height} x {series.width} pixels",
            expected=f"1 to {max(1, most)}",
            cure="Choose a smaller binning.",
        )
    if factor == 1:
        return series
    height, width = series.height // factor, series.width // factor
    top, left = ((n % factor) // 2 for n in (series.height, series.width))
    kept = np.s_[:, top : top + height * factor, left : left + width * factor]
    projections, mask = _binned(series.projections[kept], None if series.mask is None else series.mask[kept], factor)
    # A column more is left out on the right than on the left where their number is odd.
    shift = (series.width - width * factor) / 2 - left
    return replace(
        series,
        projections=projections,
        mask=mask,
        pixel_size=None if series.pixel_size is None else series.pixel_size * factor,
        axis_offset=(series.axis_offset + shift) / factor,
        notes=(*series.notes, f"Binned {factor} x {factor} to {height} x {width} pixels{_left_out(series, factor)}."),
    )


def invert_contrast(series: TiltSeries) -> TiltSeries:
    """Return a tilt series whose matter is bright: the background minus the projections.

    Parameters
    ----------
    series : TiltSeries
        Data in which matter is dark, such as bright-field images.

    Returns
    -------
    TiltSeries
        The inverted series.
    """
    background = np.float32(background_level(series.projections, series.mask))
    return replace(
        series,
        projections=background - series.projections,
        notes=(*series.notes, f"Contrast inverted: {background:.6g}, the level of the background, minus every pixel."),
    )


def background_level(projections: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> float:
    """Return the level of pixels beside the specimen.

    Parameters
    ----------
    projections : ndarray
        `(n_tilts, height, width)` projections [the unit of the file].
    mask : ndarray, optional
        `(n_tilts, height, width)` bool, True where a pixel counts.

    Returns
    -------
    float
        Median of the outer twentieth of the columns on both sides, of those that have pixels that count [the same].
    """
    counts = np.ones(projections.shape, dtype=bool) if mask is None else mask
    columns = np.flatnonzero(counts.any(axis=(0, 1)))
    n_border = max(1, int(_BORDER_FRACTION * len(columns)))
    border = np.r_[columns[:n_border], columns[-n_border:]]
    return float(np.median(projections[..., border][counts[..., border]]))


def _binned(
    projections: NDArray[np.float32], mask: NDArray[np.bool_] | None, factor: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    n_tilts, height, width = (n // m for n, m in zip(projections.shape, (1, factor, factor), strict=True))
    binned = np.empty((n_tilts, height, width), dtype=np.float32)
    counting = np.empty(binned.shape, dtype=bool)
    # One projection at a time: a copy of the whole stack in squares would not fit beside the stack.
    for k, image in enumerate(projections):
        squares = image.reshape(height, factor, width, factor)
        if mask is None:
            binned[k] = squares.mean(axis=(1, 3), dtype=float)
            continue
        counts = mask[k].reshape(squares.shape)
        number = counts.sum(axis=(1, 3))
        binned[k] = (squares * counts).sum(axis=(1, 3), dtype=float) / np.maximum(number, 1)
        counting[k] = 2 * number >= factor**2
    return binned, None if mask is None else counting


def _left_out(series: TiltSeries, factor: int) -> str:
    parts = [
        f"{n % factor} {name}{'s' if n % factor > 1 else ''}"
        for n, name in ((series.height, "row"), (series.width, "column"))
        if n % factor
    ]
    return f"; {' and '.join(parts)} at the borders left out" if parts else ""
