"""Aligns the series of a session, looks at what a pose does, and takes back what a person did to it.

It belongs to the viewer, not to a page: a dock that is closed and opened again finds everything as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_stinr.alignment.pose import Pose
from napari_stinr.plugin.canvas.pose_files import PoseFiles
from napari_stinr.plugin.canvas.telling import show_error
from napari_stinr.plugin.session.alignment_history import Act, History
from napari_stinr.plugin.session.alignment_run import PoseLook, find_pose, view_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.plugin.session.alignment_pose import KnownPose
    from napari_stinr.plugin.session.alignment_run import SeriesView
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.session import Session
    from napari_stinr.plugin.session.tasks import Progress, Task

_CALM = 400
"""Time without a change by hand after which the projections are compared again [ms]."""


class Aligner(QObject):
    """The alignment of one viewer; `run` is that of the `BackgroundTasks`."""

    changed = Signal()
    """The pose, what is seen of it, or what can be taken back is another one; or a search has begun or ended."""

    series_swapped = Signal()
    """Another channel is the series now, or the first one is again."""

    def __init__(self, session: Session, run: Callable[..., Any], parent: QObject) -> None:
        super().__init__(parent)
        self.session, self._run = session, run
        self.history = History()
        self.files = PoseFiles(self, run)
        self.task: Task[Any] | None = None
        """The search for a pose that is in progress."""
        self.problem = ""
        """Why the projections cannot be looked at, "" where they can."""
        self._look: PoseLook | None = None
        self._preview = None if session.draft is None else session.draft.preview
        self._is_looking = self._is_stale = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.look_again)
        session.draft_changed.connect(self._on_draft_changed)
        session.pose_changed.connect(self.changed.emit)

    @property
    def known(self) -> KnownPose | None:
        """The known pose, where it is that of the series as it is now."""
        known, session = self.session.known_pose, self.session
        return known if known is not None and known.fits(session.draft, session.config) else None

    @property
    def view(self) -> SeriesView | None:
        """What was seen of the series as it is now; None before that."""
        look = self._look
        return look.view if look is not None and look.view.is_of(self.session.draft, self.session.config) else None

    @property
    def look(self) -> PoseLook | None:
        """What was seen of the series as it is now at its pose; None before that."""
        return self._look if self.view is not None and self._is_current(self._look) else None

    @property
    def pose(self) -> Pose | None:
        """The pose of the series as it is now, that of projections which are not moved where none is known."""
        draft, known = self.session.draft, self.known
        if draft is None:
            return None
        return Pose.identity(draft.n_tilts) if known is None else known.pose

    @property
    def is_looking(self) -> bool:
        """Whether projections are being compared."""
        return self._is_looking

    def align(self) -> None:
        """Look for the pose of the series, in the background."""
        session, draft, config = self.session, self.session.draft, self.session.config
        if draft is None or self.task is not None:
            return
        method, threads = session.method, session.threads

        def search(progress: Progress) -> tuple[KnownPose, PoseLook]:
            return find_pose(draft, config, progress, method=method, threads=threads)

        self.problem = ""
        self.task = self._run(
            "align", search, self._on_found, on_error=self._on_failed, on_cancelled=lambda: self._end("")
        )
        session.set_aligning(True)
        self.changed.emit()

    def stop(self) -> None:
        """End the search after the fit that is in progress; nothing is changed by it."""
        if self.task is not None:
            self.task.progress.cancel()
            self.changed.emit()

    def look_again(self) -> None:
        """Compare the projections as they are now, in the background, unless that was done already."""
        session, draft, config, pose = self.session, self.session.draft, self.session.config, self.pose
        if draft is None or pose is None or draft.problem or session.is_active or session.is_aligning:
            return
        if self.look is not None or self._timer.isActive():
            return
        if self._is_looking:
            self._is_stale = True
            return
        self._is_looking, self._is_stale = True, False
        view, threads = self.view, session.threads

        def compare(_: Progress) -> PoseLook:
            return PoseLook.at(view or view_of(draft, config), pose, threads=threads)

        self._run("compare projections", compare, self._on_look, on_error=self._on_look_failed, bar=False)
        self.changed.emit()

    def take(self, known: KnownPose | None, title: str, *, kind: str = "") -> None:
        """Take a pose, so that it can be taken back.

        Parameters
        ----------
        known : KnownPose or None
            The pose, None for none.
        title : str
            What is done, for people.
        kind : str
            As for :class:`Act`.
        """
        session, before, aligned_first = self.session, self.session.known_pose, self.session.aligns_first

        def undo() -> None:
            self._look_soon()
            session.set_pose(before)
            if session.aligns_first is not aligned_first:
                session.align_first(aligned_first)

        self._look_soon()
        session.set_pose(known)
        if known is not None and not aligned_first:
            # Whoever takes a pose wants it to be used.
            session.align_first(True)
        self.done(Act(title, undo, kind))

    def move_by_hand(self, pose: Pose, title: str, *, kind: str) -> None:
        """Take a pose that a person has changed, while the series is in view."""
        view, known = self.view, self.known
        if view is not None:
            by_hand = view.known(pose, "set by hand") if known is None else known.moved(pose, _by_hand(known.origin))
            self.take(by_hand, title, kind=kind)

    def done(self, act: Act) -> None:
        """Remember something that was done."""
        self.history.add(act)
        self.changed.emit()

    def undo(self) -> None:
        """Take back what was done last; a StinrError says why that is not possible."""
        try:
            self.history.take_back()
        finally:
            self.changed.emit()

    def _on_found(self, found: tuple[KnownPose, PoseLook]) -> None:
        known, look = found
        self._end("")
        draft = self.session.draft
        if draft is None or draft.preview is not known.draft.preview or self.session.is_active:
            return  # another series by now
        self._look = look
        self.take(known, "align")

    def _on_failed(self, problem: str) -> None:
        self._end(problem)
        show_error(problem)

    def _end(self, problem: str) -> None:
        self.task, self.problem = None, problem
        self.session.set_aligning(False)
        self.changed.emit()

    def _on_look(self, look: PoseLook) -> None:
        self._look, self._is_looking, self.problem = look, False, ""
        self.changed.emit()
        if self._is_stale or not self._is_current(look):
            self.look_again()

    def _on_look_failed(self, problem: str) -> None:
        self._is_looking, self.problem = False, problem
        self.changed.emit()

    def _look_soon(self) -> None:
        self._timer.start(_CALM)

    def _is_current(self, look: PoseLook | None) -> bool:
        pose = self.pose
        if look is None or pose is None:
            return False
        return look.pose is pose or (look.pose.is_identity and pose.is_identity)

    def _on_draft_changed(self, draft: SeriesDraft | None) -> None:
        preview = None if draft is None else draft.preview
        if preview is not self._preview:
            self._preview, self._look, self.problem = preview, None, ""
            self.history.clear()
        self.changed.emit()


def _by_hand(origin: str) -> str:
    return origin if origin.endswith("by hand") else f"{origin}, then changed by hand"
