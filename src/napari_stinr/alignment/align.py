"""Align a tilt series: what is found, how far it may be trusted, and the aligned series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.alignment.gauges import moves, without
from napari_stinr.alignment.warp import aligned
from napari_stinr.data.notes import Note, NoteKind
from napari_stinr.data.preprocessing.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import PreprocessingConfig
    from napari_stinr.data.tilt_series import TiltSeries

_ALIKE = 0.6
"""Correlation with its neighbour below which a projection may be wrong."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where every projection of a series was recorded.

    Parameters
    ----------
    pose : Pose
        Shifts, axis offset and rotation, in pixels of the prepared series.
    tilt_angles, times : ndarray
        `(n_tilts,)` nominal tilt angles [degrees] and times [t].
    correlation : ndarray
        `(n_tilts,)` of every projection with its neighbour in angle, once shifted [1].
    correlation_before : ndarray
        `(n_tilts,)` the same as recorded.
    n_pairs : int
        Pairs of projections 180 degrees apart, which tell offset and rotation of the axis.
    preprocessing : PreprocessingConfig
        What is done to the series before it is warped.
    is_still : bool
        The series looks aligned as it was recorded, and nothing is moved.
    is_turned : bool
        The images were turned by 90 degrees before: the pose is that of the turned ones.
    is_axis_known : bool
        The offset of the axis was found.
    is_rotation_known : bool
        Its rotation was, too.
    sinogram_before, sinogram : ndarray
        `(n_tilts, width)` central row of the prepared projections, and of the aligned ones [the unit of the series].
    height : int
        Height of the prepared projections [pixel].
    held_out_before, held_out : float
        Difference of the detail of measured and predicted projections that were not fitted, by that of the measured
        ones: as recorded, and aligned; NaN where that was not looked at [1].
    apart : tuple of int
        Projections that seem to overlap with their neighbour in angle by less than half, for which nothing is moved.
    """

    pose: Pose
    tilt_angles: NDArray[np.float64]
    times: NDArray[np.float64]
    correlation: NDArray[np.float64]
    correlation_before: NDArray[np.float64]
    n_pairs: int
    preprocessing: PreprocessingConfig
    sinogram_before: NDArray[np.float32]
    sinogram: NDArray[np.float32]
    height: int
    is_still: bool = False
    is_turned: bool = False
    is_axis_known: bool = False
    is_rotation_known: bool = False
    held_out_before: float = float("nan")
    held_out: float = float("nan")
    apart: tuple[int, ...] = ()

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
    def shape(self) -> tuple[int, int]:
        """Height and width of the prepared projections [pixel]."""
        return self.height, self.sinogram.shape[1]

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a person has to know before this is trusted."""
        if self.apart:
            numbers = ", ".join(map(str, self.apart))
            return (
                Note(
                    NoteKind.ALIGNED,
                    f"Projections {numbers} (from 0) seem to overlap by less than half with their neighbour in angle: "
                    "nothing is moved. Exclude them, or align the series by another way and give its pose.",
                ),
            )
        if self.is_still or (self.pose.is_identity and not np.isfinite(self.held_out)):
            return ()
        found = []
        unlike = np.flatnonzero(self.correlation < _ALIKE)
        if len(unlike):
            worst = int(np.nanargmin(self.correlation))
            found.append(
                f"{len(unlike)} projection(s) are not like their neighbour in angle, the least number {worst} (from 0, "
                f"correlation {self.correlation[worst]:.2f}): look at them, or exclude them."
            )
        if not self.n_pairs:
            told = "offset and rotation of the axis are not known"
            if self.is_axis_known:
                told = "the offset of the axis was found by fits and is less certain, its rotation is not known"
            if self.is_rotation_known:
                told = "offset and rotation of the axis were found by fits and are less certain"
            found.append(f"No projections are 180 degrees apart: {told}.")
        if self.pose.is_identity and np.isfinite(self.held_out):
            found.append("No pose that was found predicts the projections better: they are taken as recorded.")
        return tuple(Note(NoteKind.ALIGNED, text) for text in found)

    def report(self) -> str:
        """Return what was found as text, one line for each quantity."""
        pose = self.pose
        if self.is_still:
            return "The projections look aligned: they are not moved."
        if self.apart:
            return str(self.notes[0])
        if self.pose.is_identity and not np.isfinite(self.held_out):
            return "There are too few projections or pixels to align by: they are taken as recorded."
        before, after = (float(np.nanmedian(values)) for values in (self.correlation_before, self.correlation))
        likeness = f"median {before:.3f} as recorded, {after:.3f} aligned"
        rows = [
            ("shift along x", f"{pose.dx.min():.2f} to {pose.dx.max():.2f} pixels"),
            ("shift along y", f"{pose.dy.min():.2f} to {pose.dy.max():.2f} pixels"),
            ("axis offset", f"{pose.axis_offset:.2f} pixels"),
            ("axis rotation", f"{pose.axis_rotation:.2f} degrees" if self.is_rotation_known else "not known"),
            ("pairs at 180 degrees", str(self.n_pairs)),
            ("shifts with time", "correlation {:.2f} (x), {:.2f} (y)".format(*self._with_time())),
            ("correlation", f"{likeness}, lowest {np.nanmin(self.correlation):.3f}"),
        ]
        if pose.angle_error.any():
            rows.append(("tilt angles", f"changed by up to {np.abs(pose.angle_error).max():.2f} degrees"))
        if np.isfinite(self.held_out):
            rows.append(("not fitted", f"residual {self.held_out_before:.3f} as recorded, {self.held_out:.3f} aligned"))
        return "\n".join([*(f"{label:<22}{text}" for label, text in rows), *map(str, self.notes)])

    def _with_time(self) -> tuple[float, float]:
        """Correlations of dx, less what moves of the object do, and of dy with time: drift, or one-sided growth."""
        seen = (without(moves(self.tilt_angles), self.pose.dx), self.pose.dy)
        return tuple(  # type: ignore[return-value]  # two of them
            float(np.corrcoef(values, self.times)[0, 1]) if np.ptp(values) > 0 else 0.0 for values in seen
        )

    def plot(self, path: str | Path) -> None:
        """Draw shifts, correlations and the central sinogram before and after into a file.

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
            correlations=(self.correlation_before, self.correlation),
            sinograms=(self.sinogram_before, self.sinogram),
        )
