"""Looks at the pixels of a series in the background, whenever there are others or their angles or times change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.session.stack_facts import StackFacts, StackLook

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.session import Session


class FactsWatch(QObject):
    """Keeps the facts of a session's series up to date; `run` is that of the `BackgroundTasks`."""

    changed = Signal()

    def __init__(self, session: Session, run: Callable[..., Any], parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._run = session, run
        self._facts: StackFacts | None = None
        self._lost = ""
        self._look: StackLook | None = None
        self._seen: SeriesDraft | None = None
        self._is_looking = False

    @property
    def facts(self) -> StackFacts | None:
        """What the pixels of the series that is open tell, or told before it was corrected; None until then."""
        draft, look = self._session.draft, self._look
        return self._facts if draft is not None and look is not None and look.preview is draft.preview else None

    @property
    def lost(self) -> str:
        """Why they cannot be read any more, "" where they can."""
        draft, seen = self._session.draft, self._seen
        return self._lost if draft is not None and seen is not None and seen.preview is draft.preview else ""

    def look_again(self) -> None:
        """Look at the series that is open now, if it is not the one that was looked at."""
        draft = self._session.draft
        if draft is None or (self._look is not None and self._look.preview is not draft.preview):
            self._look, self._seen, self._facts = None, None, None
        if draft is None or self._is_looking or (self._seen is not None and _is_same(self._seen, draft)):
            return
        self._is_looking = True
        look = None if self._look is None or not self._look.is_of(draft) else self._look

        def work(_: object) -> tuple[StackLook, StackFacts]:
            taken = look or StackLook.of(draft)
            return taken, taken.facts(draft)

        self._run(
            "look at the projections",
            work,
            lambda found: self._take(draft, *found),
            on_error=lambda problem: self._say(draft, problem),
            on_cancelled=self._give_up,
            bar=False,
        )

    def _take(self, draft: SeriesDraft, look: StackLook, facts: StackFacts) -> None:
        self._is_looking, self._seen = False, draft
        current = self._session.draft
        if current is not None and look.preview is current.preview:
            self._look, self._facts, self._lost = look, facts, ""
        self.look_again()
        self.changed.emit()

    def _say(self, draft: SeriesDraft, problem: str) -> None:
        self._is_looking, self._seen = False, draft
        current = self._session.draft
        if current is not None and current.preview is draft.preview:
            self._facts, self._lost = None, problem
        self.look_again()
        self.changed.emit()

    def _give_up(self) -> None:
        self._is_looking = False


def _is_same(one: SeriesDraft, other: SeriesDraft) -> bool:
    """Whether a look at both tells the same."""
    return (
        one.preview is other.preview
        and one.crop == other.crop
        and one.tilt_angles is other.tilt_angles
        and one.times is other.times
        and one.invert_contrast == other.invert_contrast
    )
