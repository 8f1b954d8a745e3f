"""The part of a session about poses: which one the next training takes, and whether it looks for one itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_stinr.config.qualities import alignment_for
from napari_stinr.plugin.session.alignment_pose import KnownPose
from napari_stinr.plugin.session.states import Action

if TYPE_CHECKING:
    from napari_stinr.alignment.align import Alignment
    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.requirements import Estimate
    from napari_stinr.plugin.session.states import RunState


class PoseChoice(ABC):
    """What a session knows of the pose of its series; the session itself is made of this and of all the rest."""

    pose_changed = Signal()
    state_changed = Signal(object)

    state: RunState
    draft: SeriesDraft | None
    config: ReconstructionConfig
    estimate: Estimate | None
    quality: str
    is_customised: bool

    def __init__(self) -> None:
        self.known_pose: KnownPose | None = None
        """The pose that the next training takes if it still fits the series, and if it aligns at all."""
        self.is_aligning = False
        """Something looks for a pose, for which all threads are needed."""
        self._aligns_first = True

    @property
    def aligns_first(self) -> bool:
        """Whether a training aligns the projections, or takes a known pose, before it begins."""
        return self.config.alignment.method != "off"

    @property
    def method(self) -> str:
        """How the projections are aligned where they are."""
        return self.config.alignment.method if self.aligns_first else alignment_for(self.quality)

    @property
    def pose(self) -> Pose | None:
        """The pose that a training takes that begins now; None where it looks for one, or takes what was recorded."""
        known = self.known_pose
        return known.pose if known is not None and self.aligns_first and known.fits(self.draft, self.config) else None

    @property
    def pose_note(self) -> str:
        """What a run that begins now has to say about its pose, "" for nothing."""
        if self.pose is None or self.known_pose is None:
            return ""
        return f"Not aligned again: the pose of the page Align was taken ({self.known_pose.origin})."

    @property
    def pose_of_script(self) -> str:
        """Where a script that is written now takes its pose from: from where a run takes it that begins now."""
        if self.pose is not None and self.known_pose is not None:
            return f"It has the pose of the page Align ({self.known_pose.origin})."
        if self.aligns_first:
            return f"It aligns the projections itself ({self.method}), as Start does."
        return "It takes the projections as they lie, as Start does."

    def align_first(self, is_wanted: bool) -> None:
        """Choose whether a training aligns the projections, or takes a known pose, before it begins."""
        self._require(Action.EDIT_SETTINGS)
        self._aligns_first = is_wanted
        if self.is_customised:
            self._set_config(self.config.with_alignment(alignment_for(self.quality) if is_wanted else "off"))
        else:
            self._set_config(self._chosen_config())

    def set_pose(self, known: KnownPose | None) -> None:
        """Take a pose that was found, read or set by hand, for the next training; None for none."""
        self._require(Action.EDIT_SERIES)
        self._keep_pose(known)

    def set_aligning(self, is_aligning: bool) -> None:
        """Say whether something looks for a pose; no training can begin meanwhile."""
        self.is_aligning = is_aligning
        self.state_changed.emit(self.state)

    def _take_found(self, alignment: Alignment | None, draft: SeriesDraft | None) -> None:
        """Keep what a training has found, so that the next one need not look for it."""
        if alignment is not None and draft is not None:
            self._keep_pose(KnownPose.of_alignment(alignment, draft, "found by the last run"))

    def _keep_pose(self, known: KnownPose | None) -> None:
        self.known_pose, self.estimate = known, None
        self.pose_changed.emit()

    @abstractmethod
    def _chosen_config(self) -> ReconstructionConfig:
        """Return the settings that preset and quality stand for."""

    @abstractmethod
    def _set_config(self, config: ReconstructionConfig) -> None:
        """Take settings for the next training."""

    @abstractmethod
    def _require(self, action: Action) -> None:
        """Raise NotNow where the state of the session forbids something."""
