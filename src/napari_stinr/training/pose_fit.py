"""What a short fit of a growing volume to a few rows shows of the error of a pose.

Every fit begins from nothing: a field that goes on after the pose has moved still remembers where it was.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_stinr.alignment.registration import detail, pose_step
from napari_stinr.alignment.warp import aligned
from napari_stinr.config import preset_config
from napari_stinr.cores import available_threads
from napari_stinr.reconstruction.prediction import predict_projections
from napari_stinr.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.alignment.registration import PoseStep
    from napari_stinr.data.tilt_series import TiltSeries

_TURN = 0.25
"""Turn by which the derivative by the tilt angle is found [degrees]."""
_STEEPEST = 180.0
"""Largest tilt angle that a series may have [degrees]."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a fit at a pose shows.

    Parameters
    ----------
    step : PoseStep
        From where the fit would have the projections, gauges included.
    residual : float
        Difference of the detail of measured and predicted projections, by that of the measured ones [1].
    held_out : float
        The same of projections that were not fitted; NaN without any [1].
    """

    step: PoseStep
    residual: float
    held_out: float


@dataclass(frozen=True)
class Effort:
    """How much is done for a fit.

    Parameters
    ----------
    visits : int
        Steps, for every block of rows.
    tilts : int
        Projections in a step.
    """

    visits: int
    tilts: int


@dataclass(frozen=True)
class PoseFit:
    """Fits a growing volume to some rows of a series at one pose or another.

    Parameters
    ----------
    series : TiltSeries
        Prepared, not aligned.
    rows : slice
        Rows of the aligned images that are fitted.
    held_out : int
        Number of projections that are not fitted.
    seed : int
        Seed of the fit.
    threads : int, optional
        CPU threads; all cores by default.
    """

    series: TiltSeries
    rows: slice
    held_out: int
    seed: int = 0
    threads: int | None = None

    def look(self, pose: Pose, *, effort: Effort, turns: bool = False) -> Look:
        """Fit at a pose.

        Parameters
        ----------
        pose : Pose
            Where the series is supposed to have been recorded.
        effort : Effort
            How much to do.
        turns : bool
            Look at the tilt angles, too: a second projection.

        Returns
        -------
        Look
            What the fit shows.

        Raises
        ------
        TrainingError
            The loss is not finite.
        """
        part = aligned(self.series, pose, rows=self.rows, threads=self.threads)
        config = preset_config("growth").voxelwise()
        # What the visits were chosen with. With a short memory a fit is nearly as good at a wrong pose.
        config = config.with_training(
            visits=effort.visits,
            tilts_per_step=effort.tilts,
            memory="long",
            seed=self.seed,
            held_out=self.held_out,
        )
        trainer = Trainer(part, config, device="cpu", threads=self.threads)
        for _ in trainer.run():
            pass
        run = trainer.reconstruction(with_training_state=False)

        def predicted(series: TiltSeries) -> NDArray[np.float32]:
            return predict_projections(run, series, range(series.n_tilts), threads=trainer.threads)

        seen = predicted(part)
        turned = None
        if turns:
            angles = part.tilt_angles
            signs = np.where(angles + _TURN > _STEEPEST, -1.0, 1.0)
            other = replace(part, tilt_angles=angles + signs * _TURN)
            turned = (predicted(other) - seen) / (signs * _TURN).astype(np.float32)[:, None, None]
        step = pose_step(
            part.projections,
            part.mask,
            seen,
            turned=turned,
            angle_error=pose.angle_error,
            first_row=self.rows.start - (self.series.height - 1) / 2,
        )
        is_held_out = np.isin(np.arange(part.n_tilts), trainer.held_out)
        return Look(step, _residual(part, seen, ~is_held_out), _residual(part, seen, is_held_out))

    def looks(self, poses: Sequence[Pose], *, effort: Effort) -> list[Look]:
        """Fit at several poses, as many at a time as there are threads; see :meth:`look`."""
        threads = self.threads or available_threads()
        at_once = min(len(poses), threads)
        if at_once < 2:
            return [self.look(pose, effort=effort) for pose in poses]
        fit, previous = replace(self, threads=threads // at_once), torch.get_num_threads()
        # Every training puts back the number that it has found, which is that of another one here.
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(at_once, thread_name_prefix="stinr-fits") as pool:
                return list(pool.map(lambda pose: fit.look(pose, effort=effort), poses))
        finally:
            torch.set_num_threads(previous)


def rows_with_detail(series: TiltSeries, n: int) -> slice:
    """Return the `n` rows, one below the other, with most detail; all where there are no more."""
    n = min(n, series.height)
    power = np.zeros(series.height)
    for k in np.flatnonzero(series.used):
        image = series.projections[k]
        counted = image if series.mask is None else np.where(series.mask[k], image, np.float32(0))
        power += np.square(detail(counted), dtype=np.float64).sum(axis=1)
    sums = np.convolve(power, np.ones(n), mode="valid")
    # Of equally good ones those in the middle, which shifts along the axis do not empty.
    middle = np.abs(np.arange(len(sums)) - (len(sums) - 1) / 2) / series.height
    first = int(np.argmax(sums / max(sums.max(), 1e-300) - middle))
    return slice(first, first + n)


def _residual(series: TiltSeries, predicted: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    rest = power = 0.0
    for k in np.flatnonzero(chosen):
        counts = np.float32(1) if series.mask is None else series.mask[k].astype(np.float32)
        measured = series.projections[k]
        rest += float(np.square(detail((measured - predicted[k]) * counts), dtype=np.float64).sum())
        power += float(np.square(detail(measured * counts), dtype=np.float64).sum())
    return float(np.sqrt(rest / power)) if power > 0 else float("nan")
