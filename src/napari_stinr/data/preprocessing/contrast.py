"""Matter that is dark in the projections made bright."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.notes import Note, NoteKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries

_BORDER_FRACTION = 0.05
"""Part of the columns, on each side, that is taken for background."""


def invert_contrast(series: TiltSeries) -> TiltSeries:
    """Return a series whose matter is bright, of one whose matter is dark: the background minus it.

    Parameters
    ----------
    series : TiltSeries
        Projections whose matter is darker than the background.

    Returns
    -------
    TiltSeries
        The same with a note of the level of the background.
    """
    background = np.float32(background_level(series.projections, series.mask))
    text = f"Contrast inverted: {background:.6g}, the level of the background, minus every pixel."
    return replace(
        series,
        projections=background - series.projections,
        notes=(*series.notes, Note(NoteKind.CONTRAST, text)),
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
    columns = np.arange(projections.shape[-1]) if mask is None else np.flatnonzero(mask.any(axis=(0, 1)))
    n_border = max(1, int(_BORDER_FRACTION * len(columns)))
    border = np.r_[columns[:n_border], columns[-n_border:]]
    # One image after the other: they may lie in a file.
    sides = (image[:, border] for image in projections)
    pixels = list(sides) if mask is None else [side[mask[k][:, border]] for k, side in enumerate(sides)]
    return float(np.median(np.concatenate(pixels, axis=None)))
