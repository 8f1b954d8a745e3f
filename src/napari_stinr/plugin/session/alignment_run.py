"""The alignment of a series by itself, as `stinr align` does it, and what is to be seen of a pose before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.alignment.check import chain_of, misalignment
from napari_stinr.alignment.gauges import moves, without
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.warp import aligned, central_row
from napari_stinr.data.preprocessing.binning import binned
from napari_stinr.data.preprocessing.prepare import TURNED, prepare
from napari_stinr.plugin.session.alignment_pose import KnownPose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.alignment.check import Chain
    from napari_stinr.config import PreprocessingConfig, ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.tasks import Progress

_VIEW_SIZE, _SMALL_SIZE = 512, 128
"""Images larger than this are binned: to be shown, and to be compared with each other [pixel]."""
_CURE = "press Align"
_CURE_AGAIN = "align again, or exclude what cannot be aligned"


@dataclass(frozen=True, eq=False)
class SeriesView:
    """A prepared series, as small as it takes to look at it, and how its projections lie to each other as recorded.

    Parameters
    ----------
    draft : SeriesDraft
        Where it comes from.
    preprocessing : PreprocessingConfig
        What was done to it.
    shape : tuple of int
        Height and width of the prepared projections [pixel].
    series, factor
        The series to be shown, and the edge of its pixels [pixel].
    small, small_factor
        The same to be compared.
    before : Chain or None
        How the small projections lie as recorded; None where too little tells.
    warning : str
        What is wrong with that, "" for nothing.
    """

    draft: SeriesDraft
    preprocessing: PreprocessingConfig
    shape: tuple[int, int]
    series: TiltSeries
    factor: int
    small: TiltSeries
    small_factor: int
    before: Chain | None
    warning: str

    @classmethod
    def of(cls, prepared: TiltSeries, draft: SeriesDraft, preprocessing: PreprocessingConfig) -> SeriesView:
        """Look at a prepared series; takes seconds."""
        shown, factor = binned(prepared, _factor(prepared, _VIEW_SIZE))
        small, small_factor = binned(prepared, _factor(prepared, _SMALL_SIZE))
        before = chain_of(small)
        note = misalignment(small, pixel=small_factor, chain=before, cure=_CURE) if before is not None else None
        return cls(
            draft,
            preprocessing,
            (prepared.height, prepared.width),
            shown,
            factor,
            small,
            small_factor,
            before,
            "" if note is None else str(note),
        )

    @property
    def is_turned(self) -> bool:
        """The images were turned by 90 degrees after they were read."""
        return TURNED in self.series.notes

    def known(self, pose: Pose, origin: str) -> KnownPose:
        """Return a pose of this series that was set by hand."""
        return KnownPose(pose, origin, self.draft, self.preprocessing, self.shape, self.is_turned)

    def is_of(self, draft: SeriesDraft | None, config: ReconstructionConfig) -> bool:
        """Return whether this is still a view of a series."""
        return self.known(Pose.identity(self.series.n_tilts), "").fits(draft, config)


@dataclass(frozen=True, eq=False)
class PoseLook:
    """What a pose does to the projections of a series.

    Parameters
    ----------
    view : SeriesView
        The series.
    pose : Pose
        In pixels of the prepared projections.
    after : Chain or None
        How the small projections lie once they are aligned; None where too little tells.
    warning : str
        What is wrong with that, "" for nothing.
    """

    view: SeriesView
    pose: Pose
    after: Chain | None
    warning: str

    @classmethod
    def at(cls, view: SeriesView, pose: Pose, *, threads: int) -> PoseLook:
        """Look at a series at a pose; takes seconds."""
        if pose.is_identity:
            return cls(view, pose, view.before, view.warning)
        moved = aligned(view.small, pose.scaled(1 / view.small_factor), threads=threads)
        after = chain_of(moved)
        note = None
        if after is not None:
            note = misalignment(moved, pixel=view.small_factor, chain=after, cure=_CURE_AGAIN)
        return cls(view, pose, after, "" if note is None else str(note))

    @property
    def angles(self) -> NDArray[np.float64]:
        """`(n_used,)` tilt angles, ascending [degrees]."""
        return self.view.small.tilt_angles[self.order]

    @property
    def order(self) -> NDArray[np.int64]:
        """`(n_used,)` positions of the projections that count, by their tilt angle."""
        used = np.flatnonzero(self.view.small.used)
        return used[np.argsort(self.view.small.tilt_angles[used], kind="stable")]

    def shifts(self, *, aligned: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return how the projections lie to each other, along x and along y.

        Parameters
        ----------
        aligned : bool
            With the pose; else as recorded.

        Returns
        -------
        tuple of ndarray or None
            `(n_used,)` by tilt angle [pixel of the prepared projections], without what a move of the specimen does;
            None where too little tells.
        """
        chain = self.after if aligned else self.view.before
        if chain is None:
            return None
        pixel = chain.factor * self.view.small_factor
        dx, dy = pixel * chain.dx[self.order], pixel * chain.dy[self.order]
        return without(moves(self.angles), dx), dy - float(np.median(dy))

    def correlation(self, *, aligned: bool) -> NDArray[np.float64] | None:
        """Return the `(n_used,)` correlation of every projection with its neighbour in angle [1], NaN for the first."""
        chain = self.after if aligned else self.view.before
        return None if chain is None else chain.correlation[self.order]

    def sinogram(self, *, aligned: bool) -> NDArray[np.float32]:
        """Return the `(n_used, width)` central rows by tilt angle [the unit of the series]."""
        series = self.view.series
        if not aligned:
            return series.projections[self.order, series.height // 2]
        return central_row(series, self.pose.scaled(1 / self.view.factor))[self.order]


def prepared_series(draft: SeriesDraft, preprocessing: PreprocessingConfig) -> TiltSeries:
    """Return a series as a training takes it before it is aligned; a StinrError says what is wrong."""
    return prepare(draft.series(), preprocessing)


def view_of(draft: SeriesDraft, config: ReconstructionConfig) -> SeriesView:
    """Read and prepare a series, and look at it; a StinrError says what is wrong."""
    return SeriesView.of(prepared_series(draft, config.preprocessing), draft, config.preprocessing)


def find_pose(
    draft: SeriesDraft, config: ReconstructionConfig, progress: Progress, *, method: str, threads: int
) -> tuple[KnownPose, PoseLook]:
    """Align a series, as a training or `stinr align` does.

    Parameters
    ----------
    draft : SeriesDraft
        The series.
    config : ReconstructionConfig
        Its preprocessing counts.
    progress : Progress
        Told how far it is; ends the search by raising.
    method : {"coarse", "joint"}
        See :func:`napari_stinr.training.aligning.align`.
    threads : int
        CPU threads.

    Returns
    -------
    known : KnownPose
        What was found.
    look : PoseLook
        What it does.

    Raises
    ------
    StinrError
        Something is wrong with the series.
    """
    # With torch, which opening a window does not wait for.
    from napari_stinr.training.aligning import align_prepared

    prepared = prepared_series(draft, config.preprocessing)
    found = align_prepared(
        prepared,
        config.preprocessing,
        method=method,
        threads=threads,
        report=lambda part: progress(part, 1.0),
    )
    known = KnownPose.of_alignment(found, draft, f"found by Align ({method})")
    view = SeriesView.of(prepared, draft, config.preprocessing)
    return known, PoseLook.at(view, known.pose, threads=threads)


def nudged(pose: Pose, index: int, *, x: float, y: float) -> Pose:
    """Return a pose after one aligned image was moved by hand.

    Parameters
    ----------
    pose : Pose
        The pose before.
    index : int
        Position of the projection in the stack.
    x, y : float
        By how much it moves to the right and down [pixel].

    Returns
    -------
    Pose
        The image was recorded as much further to the left and up, seen along its own axes.
    """
    turn = np.deg2rad(pose.axis_rotation + pose.rotation[index])
    dx, dy = pose.dx.copy(), pose.dy.copy()
    dx[index] -= np.cos(turn) * x - np.sin(turn) * y
    dy[index] -= np.sin(turn) * x + np.cos(turn) * y
    return replace(pose, dx=dx, dy=dy)


def _factor(series: TiltSeries, largest: int) -> int:
    """Binning after which images are no larger."""
    return -(-max(series.height, series.width) // largest)
