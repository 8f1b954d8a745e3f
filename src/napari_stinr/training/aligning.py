"""Find the pose of a series: a chain of correlations, short fits that correct it, and projections that judge it.

None of what is found is taken unless it predicts projections that were not fitted better than the series as recorded.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.alignment.align import Alignment
from napari_stinr.alignment.check import misalignment
from napari_stinr.alignment.coarse import coarse_pose
from napari_stinr.alignment.gauges import moves, without
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.rounds import Rounds, Shown
from napari_stinr.alignment.warp import central_row
from napari_stinr.config import PreprocessingConfig
from napari_stinr.data.preprocessing.binning import binned
from napari_stinr.data.preprocessing.prepare import TURNED, prepare
from napari_stinr.errors import StinrError
from napari_stinr.training import aligning_sizes as sizes
from napari_stinr.training.pose_fit import Effort, PoseFit, rows_with_detail

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.alignment.coarse import CoarsePose
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.training.pose_fit import Look

logger = logging.getLogger(__name__)

_NOISY, _LEAST_FIT_SIZE = 0.4, 32
"""Correlation of neighbouring projections below which pixels are made larger, down to images of this size [pixel]."""
_STILL_SHIFTS = 0.12
"""Shifts against each other that a short fit shows at most of a series that is aligned [pixel]."""
_STILL_OFFSET, _STILL_AT_EDGE = (1.5, 3.0), (0.75, 1.5)
"""The same of the axis, over 180 degrees and over less: its offset, and what its rotation does at the edge [pixel]."""
_PREDICTABLE = 0.4
"""Residual of projections that were not fitted beyond which fits over less than 180 degrees tell no axis."""
_APART, _FURTHEST = 3.0, 12.0
"""Distance of the offsets of the axis at which long fits are compared, and the farthest of them [pixel]."""
_CLEAR, _ELSEWHERE = 1.25, (0.0, -4.0, 4.0, -8.0, 8.0)
"""By how much the residual has to be larger at neighbouring offsets where one is clearly right, and the distances from
one that is not at which short fits begin again [pixel]."""
_ROUNDS, _LONG_ROUNDS = 4, (2, 6)
_NEAR = Shown(dx=0.03, dy=0.03, offset=0.15, rotation=0.2)
"""What is left for a short fit to show where another one is of no use."""
_UNSTEADY = 0.6
"""Turns of the axis in the last two fits of a series without mirror images beyond which its rotation is not told
[degrees]."""
_WITHOUT_TURN = 0.95
"""Residual with a rotation that was not settled on, by that without one, from which it is kept all the same."""
_AXIS_FOUND = Shown(dx=math.inf, dy=math.inf, offset=0.15, rotation=0.2)
"""The same of a long one, of which there are at least two: shifts are found by these, the axis of less than 180 degrees
not always."""
_WEIGHT_OF_RESIDUAL = 4.0
_TINY = 1e-6
_HELD_OUT, _LEAST_HELD_OUT = 0.1, 3
_BETTER, _CLEARLY_BETTER, _FAR_BETTER = 0.995, 0.97, 0.85
"""Residual of projections that were not fitted, by that of another pose, that speaks for one: of the joint step, of the
chain after short fits, and after the series as recorded, as interpolation alone makes projections easier to predict."""


def align(
    series: TiltSeries,
    *,
    method: str = "coarse",
    preprocessing: PreprocessingConfig | None = None,
    threads: int | None = None,
    report: Callable[[float], None] | None = None,
) -> Alignment:
    """Find where the projections of a series were recorded.

    Parameters
    ----------
    series : TiltSeries
        As recorded.
    method : {"coarse", "joint"}
        ``coarse``: correlations of neighbouring projections, mirror images and short fits of some rows. ``joint``:
        then fits of the whole, which find the tilt angles, too.
    preprocessing : PreprocessingConfig, optional
        What is done to it first; by default what it needs.
    threads : int, optional
        CPU threads; all cores by default.
    report : callable, optional
        Takes the part that is done, 0 to 1.

    Returns
    -------
    Alignment
        The pose and what speaks for it; :meth:`Alignment.apply` gives the aligned series. Nothing is moved in a series
        that looks aligned.

    Raises
    ------
    StinrError
        There is no such method, no projection shows anything, or too few do.
    """
    if method not in ("coarse", "joint"):
        raise StinrError(f"the alignment is {method!r:.60}", expected="coarse or joint", cure="Choose one of these.")
    settings = preprocessing or PreprocessingConfig()
    return align_prepared(prepare(series, settings), settings, method=method, threads=threads, report=report)


def align_prepared(
    series: TiltSeries,
    preprocessing: PreprocessingConfig,
    *,
    method: str = "coarse",
    threads: int | None = None,
    report: Callable[[float], None] | None = None,
) -> Alignment:
    """Find where the projections of a series were recorded that is prepared; see :func:`align`."""
    chained, chain_factor, found = _chained(series)
    small, factor = binned(series, max(chain_factor, _factor(series, sizes.FIT_SIZE)))
    recorded = Pose.identity(series.n_tilts)
    is_small = int(series.used.sum()) < sizes.LEAST_TILTS or min(small.height, small.width) < sizes.LEAST_PIXELS
    progress = _Progress(None if is_small else report, expected=sizes.EXPECTED[method])
    chain = replace(found.pose, axis_offset=found.pose.axis_offset - chained.axis_offset).scaled(chain_factor)
    if is_small:
        return _alignment(series, recorded if misalignment(series) is None else chain, found, preprocessing)
    search = _Search(small, progress, rows=_rows_of_size(small), threads=threads)
    # First of all: two halves that hardly overlap are two objects to a fit, which shows nothing that is wrong.
    if found.apart:
        progress.end()
        return _alignment(series, recorded, found, preprocessing, apart=found.apart)
    if search.is_still(recorded, has_pairs=bool(found.n_pairs)):
        progress.end()
        return _alignment(series, recorded, found, preprocessing, is_still=True)
    start = chain.scaled(1 / factor)
    refined = search.refined(start, has_pairs=bool(found.n_pairs))
    poses = [recorded, refined, start]
    losses = search.judged(poses)
    if not found.n_pairs and losses[1] > _PREDICTABLE:
        losses[1] = math.inf
    # Short fits predict almost as well where the axis is wrong: the chain has to be clearly better than refined.
    chosen = _best(losses, better=_CLEARLY_BETTER)
    pose, is_axis_known = poses[chosen], bool(found.n_pairs) or chosen == 1
    is_rotation_known = is_axis_known and search.is_rotation_told
    if method == "joint":
        # At full size, of a part of the rows; the pose that was judged best so far is the one to beat.
        pose, factor = pose.scaled(factor / chain_factor), chain_factor
        rows = max(_rows_of_size(small), chained.height // sizes.PART_OF_ROWS)
        search = _Search(chained, progress, rows=rows, threads=threads)
        poses = [recorded, pose, search.joint(pose, is_rotation_told=is_rotation_known)]
        losses = search.judged(poses, effort=sizes.LONG)
        chosen = _best(losses, better=_BETTER)
        pose = poses[chosen]
    progress.end()
    return _alignment(
        series,
        pose.scaled(factor),
        found,
        preprocessing,
        is_axis_known=is_axis_known,
        is_rotation_known=is_rotation_known,
        held_out_before=losses[0],
        held_out=losses[chosen],
    )


def _chained(series: TiltSeries) -> tuple[TiltSeries, int, CoarsePose]:
    """Return a series binned as far as neighbouring projections are alike, by how much, and its coarse pose."""
    factor = _factor(series, sizes.CHAIN_SIZE)
    while True:
        chained, factor = binned(series, factor)
        found = coarse_pose(chained.projections, chained.mask, chained.tilt_angles, chained.times)
        alike = np.nanmedian(found.correlation) if np.isfinite(found.correlation).any() else 1.0
        if alike > _NOISY or min(chained.height, chained.width) // 2 < _LEAST_FIT_SIZE:
            return chained, factor, found
        factor *= 2


def _alignment(
    series: TiltSeries, pose: Pose, found: CoarsePose, preprocessing: PreprocessingConfig, **more: Any
) -> Alignment:
    return Alignment(
        pose=pose,
        tilt_angles=series.tilt_angles,
        times=series.times,
        correlation=found.correlation_before if pose.is_identity else found.correlation,
        correlation_before=found.correlation_before,
        n_pairs=found.n_pairs,
        preprocessing=preprocessing,
        sinogram_before=series.projections[:, series.height // 2],
        sinogram=central_row(series, pose),
        height=series.height,
        is_turned=TURNED in series.notes,
        **more,
    )


def _best(losses: list[float], *, better: float) -> int:
    """Position of the pose that is better by enough than those before; 0, as recorded, unless it is far better."""
    chosen = 0
    for number, loss in enumerate(losses):
        if loss < _FAR_BETTER * losses[0] and (chosen == 0 or loss < better * losses[chosen]):
            chosen = number
    return chosen


class _Progress:
    """Tells the part of a search that is done; how many fits there will be is known only as it goes on."""

    def __init__(self, report: Callable[[float], None] | None, *, expected: int) -> None:
        self._report, self._expected, self._done = report, expected, 0
        self._tell(0.0)

    def step(self, done: int) -> None:
        self._done += done
        self._tell(self._done / (self._done + max(done, self._expected - self._done)))

    def end(self) -> None:
        self._tell(1.0)

    def _tell(self, part: float) -> None:
        if self._report is not None:
            self._report(part)


class _Search:
    """Poses of one series, compared by fits of the same rows."""

    def __init__(self, series: TiltSeries, progress: _Progress, *, rows: int, threads: int | None) -> None:
        self._angles, self._used, self._width = series.tilt_angles, series.used, series.width
        held_out = max(_LEAST_HELD_OUT, round(_HELD_OUT * int(self._used.sum())))
        self._fit = PoseFit(series, rows_with_detail(series, rows), held_out=held_out, threads=threads)
        self._progress = progress
        self.is_rotation_told = True
        self._looks: dict[tuple[Pose, Effort], Look] = {}

    def is_still(self, pose: Pose, *, has_pairs: bool) -> bool:
        """Whether a fit at a pose shows nothing that is wrong with it."""
        which = 0 if has_pairs else 1
        turned = math.degrees(2 * _STILL_AT_EDGE[which] / self._width)
        limits = Shown(_STILL_SHIFTS, _STILL_SHIFTS, _STILL_OFFSET[which], turned)
        _, shown = self._rounds().moved(pose, self._look(pose).step)
        logger.debug("as recorded: %s", shown)
        return shown.is_within(limits)

    def refined(self, pose: Pose, *, has_pairs: bool) -> Pose:
        """Return a pose to which short fits and then long ones lead."""
        descent, near = self._in_short(pose)
        # Few pairs of mirror images, and a chain that drifts between them, may have the axis wrong, too.
        best, is_clear = self._at_best_offset(descent, near)
        if has_pairs and not is_clear:
            descent, best = self._from_elsewhere(descent, best)
        found, residual = self._at_length(descent, best, effort=sizes.MIDDLE if has_pairs else sizes.LONG)
        if has_pairs or sum(descent.turned[-2:]) <= _UNSTEADY:
            return found
        # A few rows of a small image: what they show of a rotation is less than what a young field shows without one.
        descent.is_turning = False
        still, unturned = self._at_length(descent, replace(found, axis_rotation=pose.axis_rotation))
        self.is_rotation_told = residual < _WITHOUT_TURN * unturned
        return found if self.is_rotation_told else still

    def joint(self, pose: Pose, *, is_rotation_told: bool) -> Pose:
        """Return a pose with tilt angles to which long fits lead; the last one looks at the angles, too."""
        descent = self._rounds()
        descent.is_turning = is_rotation_told
        return self._at_length(descent, pose, turns=True)[0]

    def _from_elsewhere(self, descent: Rounds, pose: Pose) -> tuple[Rounds, Pose]:
        """Return where short fits lead to that begin at other offsets, if a longer one is clearly better there.

        Of an object that is round about an axis, fits over 180 degrees show little of errors in which everything shifts
        together, until its atoms are nearly in place.
        """
        least = self._look(pose, effort=sizes.MIDDLE).residual
        for further in _ELSEWHERE:
            other, there = self._in_short(descent.with_offset(pose, further))
            residual = self._look(there, effort=sizes.MIDDLE).residual
            logger.debug("from %+.1f: residual %.3f instead of %.3f", further, residual, least)
            if residual < least / _CLEAR:
                return other, self._at_best_offset(other, there)[0]
        return descent, pose

    def _at_best_offset(self, descent: Rounds, pose: Pose) -> tuple[Pose, bool]:
        """Return a pose with the offset of the axis at which a longer fit is best, and whether it clearly is.

        With less than 180 degrees, or far from it, what fits show of an offset vanishes at wrong ones, too, once the
        shifts are used to them; the residual is larger there.
        """
        residuals: dict[float, float] = {}

        def tried(*offsets: float) -> float:
            poses = [descent.with_offset(pose, further) if further else pose for further in offsets]
            looks = self._looks_at(poses, effort=sizes.MIDDLE)
            residuals.update(zip(offsets, (look.residual for look in looks), strict=True))
            return min(residuals, key=lambda further: residuals[further])

        best = tried(0.0, -_APART, _APART)
        while best in (min(residuals), max(residuals)) and abs(best) < _FURTHEST:
            best = tried(best + math.copysign(_APART, best))
        logger.debug("residuals by offset: %s", residuals)
        if best in (min(residuals), max(residuals)):
            return descent.with_offset(pose, best), False
        lower, middle, upper = (residuals[best + step] for step in (-_APART, 0.0, _APART))
        is_clear = min(lower, upper) > _CLEAR * middle
        if best == 0:
            return pose, is_clear
        further = best + 0.5 * _APART * (lower - upper) / (lower - 2 * middle + upper)
        return descent.with_offset(pose, further), is_clear

    def judged(self, poses: list[Pose], *, effort: Effort = sizes.SHORT) -> list[float]:
        """Return the residuals at each pose of projections that are not fitted."""
        losses = [look.held_out for look in self._looks_at(poses, effort=effort)]
        logger.debug("residuals of what was not fitted: %s", np.round(losses, 4))
        return losses

    def _in_short(self, pose: Pose) -> tuple[Rounds, Pose]:
        """Return what short fits have taught, and where they lead."""
        descent, found = self._rounds(), list[tuple[float, Pose]]()
        for number in range(_ROUNDS):
            look = self._look(pose)
            pose, shown = descent.moved(pose, look.step)
            found.append((self._misfit(look), pose))
            logger.debug("short fit %d: misfit %.3f, %s", number, found[-1][0], shown)
            if shown.is_within(_NEAR):
                break
        return descent, min(found, key=lambda one: one[0])[1]

    def _at_length(
        self, descent: Rounds, pose: Pose, *, effort: Effort = sizes.LONG, turns: bool = False
    ) -> tuple[Pose, float]:
        """Return where long fits lead, and the residual of the last one."""
        least, most = _LONG_ROUNDS
        descent.start_afresh()
        for number in range(most):
            look = self._look(pose, effort=effort, turns=turns and number >= least - 1)
            pose, shown = descent.moved(pose, look.step)
            logger.debug("long fit %d: residual %.3f, %s", number, look.residual, shown)
            if number >= least - 1 and shown.is_within(_AXIS_FOUND) and sum(descent.turned[-2:]) <= _UNSTEADY:
                break
        return pose, look.residual

    def _rounds(self) -> Rounds:
        return Rounds(self._angles, self._used)

    def _look(self, pose: Pose, *, effort: Effort = sizes.SHORT, turns: bool = False) -> Look:
        """Fit at a pose, or remember the fit."""
        if turns:
            self._looks[pose, effort] = self._fit.look(pose, effort=effort, turns=True)
            self._progress.step(effort.visits * effort.tilts)
        return self._looks_at([pose], effort=effort)[0]

    def _looks_at(self, poses: list[Pose], *, effort: Effort) -> list[Look]:
        """Fit at several poses, or remember the fits."""
        new = [pose for pose in poses if (pose, effort) not in self._looks]
        for pose, look in zip(new, self._fit.looks(new, effort=effort), strict=True):
            self._looks[pose, effort] = look
            self._progress.step(effort.visits * effort.tilts)
        return [self._looks[pose, effort] for pose in poses]

    def _misfit(self, look: Look) -> float:
        """How badly a fit explains the detail, and the places at which it is."""
        shifts = without(moves(self._angles[self._used]), look.step.dx[self._used])
        return _WEIGHT_OF_RESIDUAL * math.log(look.residual) + math.log(float(shifts.std()) + _TINY)


def _rows_of_size(series: TiltSeries) -> int:
    return int(np.clip(sizes.FIT_VOXELS // series.width**2, *sizes.FIT_ROWS))


def _factor(series: TiltSeries, largest: int) -> int:
    """Binning after which images are no larger."""
    return -(-max(series.height, series.width) // largest)
