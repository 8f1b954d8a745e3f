"""Align a tilt series: what is found, how far it may be trusted, and the aligned series."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.alignment.coarse import coarse_pose
from napari_stinr.alignment.warp import aligned
from napari_stinr.config import PreprocessingConfig
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.data.preprocessing.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.data.tilt_series import TiltSeries

logger = logging.getLogger(__name__)

_ALIKE = 0.6
"""Correlation with its neighbour below which a projection may be wrong."""
_LARGEST = 512
"""Images larger than this are binned for the search [pixel]."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where every projection of a series was recorded.

    Parameters
    ----------
    pose : Pose
        Shifts, axis offset and rotation, in pixels of the prepared series.
    tilt_angles : ndarray
        `(n_tilts,)` nominal tilt angles [degrees].
    correlation : ndarray
        `(n_tilts,)` of every projection with its neighbour in angle, once shifted [1].
    correlation_before : ndarray
        `(n_tilts,)` the same as recorded.
    n_pairs : int
        Pairs of projections 180 degrees apart, which tell offset and rotation of the axis.
    preprocessing : PreprocessingConfig
        What is done to the series before it is warped.
    """

    pose: Pose
    tilt_angles: NDArray[np.float64]
    correlation: NDArray[np.float64]
    correlation_before: NDArray[np.float64]
    n_pairs: int
    preprocessing: PreprocessingConfig

    def apply(self, series: TiltSeries) -> TiltSeries:
        """Return the series, or another channel of it, prepared and warped into the aligned frame.

        Parameters
        ----------
        series : TiltSeries
            As recorded, with as many projections.

        Returns
        -------
        TiltSeries
            Train it with preprocessing that is off (`AS_RECORDED`): it is done.
        """
        return aligned(prepare(series, self.preprocessing), self.pose)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a person has to know before this is trusted."""
        found = []
        unlike = np.flatnonzero(self.correlation < _ALIKE)
        if len(unlike):
            worst = int(np.nanargmin(self.correlation))
            found.append(
                f"{len(unlike)} projection(s) are not like their neighbour in angle, the least number {worst} (from 0, "
                f"correlation {self.correlation[worst]:.2f}): look at them, or exclude them."
            )
        if not self.n_pairs:
            found.append(
                "No projections are 180 degrees apart: the rotation of the axis was not looked for, and its offset is "
                "uncertain."
            )
        return tuple(Note(NoteKind.ALIGNED, text) for text in found)

    def report(self) -> str:
        """Return what was found as text, one line for each quantity."""
        pose = self.pose
        before, after = (float(np.nanmedian(values)) for values in (self.correlation_before, self.correlation))
        likeness = f"median {before:.3f} as recorded, {after:.3f} aligned"
        rows = [
            ("shift along x", f"{pose.dx.min():.2f} to {pose.dx.max():.2f} pixels"),
            ("shift along y", f"{pose.dy.min():.2f} to {pose.dy.max():.2f} pixels"),
            ("axis offset", f"{pose.axis_offset:.2f} pixels"),
            ("axis rotation", f"{pose.axis_rotation:.2f} degrees" if self.n_pairs else "not known"),
            ("pairs at 180 degrees", str(self.n_pairs)),
            ("correlation", f"{likeness}, lowest {np.nanmin(self.correlation):.3f}"),
        ]
        return "\n".join([*(f"{label:<22}{text}" for label, text in rows), *map(str, self.notes)])

    def plot(self, path: str | Path) -> None:
        """Draw shifts and correlations over the tilt angle into a file.

        Parameters
        ----------
        path : path-like
            PNG, PDF or SVG.
        """
        from napari_stinr.alignment.figure import draw

        draw(
            path,
            self.pose,
            tilt_angles=self.tilt_angles,
            before=self.correlation_before,
            after=self.correlation,
        )


def align(
    series: TiltSeries,
    *,
    preprocessing: PreprocessingConfig | None = None,
    report: Callable[[float], None] | None = None,
) -> Alignment:
    """Find where the projections of a series were recorded, by the coarse step: seconds, without any training.

    Parameters
    ----------
    series : TiltSeries
        As recorded.
    preprocessing : PreprocessingConfig, optional
        What is done to it first; by default what it needs.
    report : callable, optional
        Takes the part that is done, 0 to 1.

    Returns
    -------
    Alignment
        The pose and what speaks for it; :meth:`Alignment.apply` gives the aligned series.

    Raises
    ------
    StinrError
        No projection shows anything, or too few do.
    """
    settings = preprocessing or PreprocessingConfig()
    prepared = prepare(series, settings)
    factor = max(1, -(-max(prepared.height, prepared.width) // _LARGEST))
    projections, mask = _binned(prepared, factor)
    centred = prepared.axis_offset / factor
    found = coarse_pose(projections, mask, prepared.tilt_angles, prepared.times, report=report)
    pose = replace(found.pose, axis_offset=found.pose.axis_offset - centred).scaled(factor)
    return Alignment(pose, prepared.tilt_angles, found.correlation, found.correlation_before, found.n_pairs, settings)


def _binned(series: TiltSeries, factor: int) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    if factor == 1:
        return series.projections, series.mask
    way = Binning.of(series.height, series.width, factor)
    projections = np.empty((series.n_tilts, *way.shape), dtype=np.float32)
    mask = None if series.mask is None else np.empty(projections.shape, dtype=bool)
    for k, image in enumerate(series.projections):
        projections[k], counts = way.image(image, None if series.mask is None else series.mask[k])
        if mask is not None and counts is not None:
            mask[k] = counts
    return projections, mask
