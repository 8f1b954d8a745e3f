"""Matter that reaches the edge of the view, and the margin beyond it in which that matter is fitted and not shown.

A ray sees all matter on its way. Where the specimen is wider than the image, matter from outside the view comes and
goes with the tilt; a volume as wide as the image can only explain that by matter inside that grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.geometry import VoxelGrid, grid_of
from napari_stinr.data.notes import Note, NoteKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries

AUTOMATIC_MARGIN = 0.5
"""Margin on each side where matter reaches the edge, as a part of the width of the view."""

_EDGE_COLUMNS = 2
_LEAST_LEVEL = 0.05
"""Level at the edge that counts as matter, as a part of the highest column of a typical projection."""
_ERRORS = 5.0
_EMPTY_FRACTION = 0.05
"""Part of the edges that is taken to be empty, or as empty as any: their level is that of the background."""
_LEAST_FRACTION = 0.03
_LEAST_NUMBER = 2
"""Fewer projections than this may be stray."""
_DEVIATION_OF_DIFFERENCES = 0.6745 * 2**0.5
"""Median absolute difference of two deviates of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class EdgeMatter:
    """In how many projections matter reaches the left or right edge of the view.

    Parameters
    ----------
    n_reaching : int
        Projections in which it does.
    n_used : int
        Projections that were looked at.
    """

    n_reaching: int
    n_used: int

    @classmethod
    def of(cls, images: Iterable[NDArray[np.float32]], *, mask: NDArray[np.bool_] | None = None) -> EdgeMatter:
        """Compare the outermost columns with the emptiest edge of all projections.

        Parameters
        ----------
        images : iterable of ndarray
            `(height, width)` projections whose matter is bright, on any constant background; looked at once
            [any unit].
        mask : ndarray, optional
            `(n_tilts, height, width)` bool, True where a pixel counts; projections and columns without any are passed
            over.

        Returns
        -------
        EdgeMatter
            A level counts as matter where it is a twentieth of the highest column, and five times its own error.
        """
        counted = (_Edges.of(image, None if mask is None else mask[k]) for k, image in enumerate(images))
        edges = [found for found in counted if found is not None]
        if not edges:
            return cls(0, 0)
        levels, errors = (np.array([getattr(found, name) for found in edges]) for name in ("levels", "errors"))
        background = np.quantile(levels, _EMPTY_FRACTION)
        typical = float(np.median([found.highest for found in edges])) - background
        reaching = levels - background > np.maximum(_LEAST_LEVEL * typical, _ERRORS * errors)
        return cls(int(reaching.any(axis=1).sum()) if typical > 0 else 0, len(edges))

    @classmethod
    def of_series(cls, series: TiltSeries) -> EdgeMatter:
        """Look at the projections of a series; see :meth:`of`."""
        return cls.of(series.projections, mask=series.mask)

    @property
    def is_there(self) -> bool:
        """Whether it is more than a stray projection."""
        return self.n_reaching >= max(_LEAST_NUMBER, _LEAST_FRACTION * self.n_used)

    def margin(self, width: int, setting: float | None) -> int:
        """Return the margin that a volume gets.

        Parameters
        ----------
        width : int
            Width of the view [pixel].
        setting : float or None
            Margin as a part of the width; None: as the data need it.

        Returns
        -------
        int
            Voxels on each side.
        """
        return margin_voxels(width, setting, reaches_edge=self.is_there)

    def note(self, margin: int) -> Note | None:
        """Return what a person is told.

        Parameters
        ----------
        margin : int
            Voxels on each side that are fitted and not shown.

        Returns
        -------
        Note or None
            None where no matter reaches the edge.
        """
        if not self.is_there:
            return None
        fitted = f"with a margin of {margin} voxels that is not shown" if margin else "without a margin"
        return Note(
            NoteKind.MARGIN,
            f"Matter reaches the edge of the view in {self.n_reaching} of {self.n_used} projections: the volume is "
            f"fitted {fitted}; what is near the edge is less certain.",
        )


def margin_voxels(width: int, setting: float | None, *, reaches_edge: bool) -> int:
    """Return the margin of a volume.

    Parameters
    ----------
    width : int
        Width of the view [pixel].
    setting : float or None
        Margin on each side as a part of the width; None: `AUTOMATIC_MARGIN` where matter reaches the edge, else 0.
    reaches_edge : bool
        Whether matter reaches the edge of the view.

    Returns
    -------
    int
        Voxels on each side.
    """
    if setting is None:
        setting = AUTOMATIC_MARGIN if reaches_edge else 0.0
    return round(setting * width)


def fitted_grid(series: TiltSeries, setting: float | None) -> VoxelGrid:
    """Return the grid on which a series is reconstructed, with its margin.

    Parameters
    ----------
    series : TiltSeries
        The data.
    setting : float or None
        Margin on each side as a part of the width; None: as the data need it.

    Returns
    -------
    VoxelGrid
        One voxel for each pixel, and the margin.
    """
    reaches_edge = setting is None and EdgeMatter.of_series(series).is_there
    return grid_of(series, margin=margin_voxels(series.width, setting, reaches_edge=reaches_edge))


@dataclass(frozen=True)
class _Edges:
    """Levels of the left and right edge of a projection with their errors, and of its highest column."""

    levels: tuple[float, float]
    errors: tuple[float, float]
    highest: float

    @classmethod
    def of(cls, image: NDArray[np.float32], counts: NDArray[np.bool_] | None) -> _Edges | None:
        columns = np.arange(image.shape[1]) if counts is None else np.flatnonzero(counts.any(axis=0))
        if len(columns) < 2 * _EDGE_COLUMNS:
            return None
        values = np.asarray(image[:, columns], dtype=np.float64)
        if counts is not None:
            values = np.where(counts[:, columns], values, np.nan)
        sides = list(_sides(values))
        levels, errors = zip(*((float(np.nanmean(side)), _error(side)) for side in sides), strict=True)
        return cls(levels, errors, float(np.nanmean(values, axis=0).max()))


def _sides(values: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    yield values[:, :_EDGE_COLUMNS]
    yield values[:, -_EDGE_COLUMNS:]


def _error(side: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of some columns by white noise: of the steps from row to row."""
    steps = np.abs(np.diff(side, axis=0))
    known = steps[np.isfinite(steps)]
    if not known.size:
        return 0.0
    return float(np.median(known)) / _DEVIATION_OF_DIFFERENCES / float(np.sqrt(np.isfinite(side).sum()))
