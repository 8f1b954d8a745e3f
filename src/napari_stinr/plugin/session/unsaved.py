"""What a person would lose of a session that ends now, and what is saved anyway: in plain words."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from napari_stinr.plugin.session.alignment_pose import is_same_value

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft

_SHOWN = 2
"""Files that are named."""
_NO_CORRECTIONS = frozenset({"found", "preview", "notes", "accepted", "name"})


@dataclass(frozen=True)
class Unsaved:
    """What is lost with a session, sentence by sentence.

    Parameters
    ----------
    lost : tuple of str
        Empty where nothing is.
    kept : tuple of str
        What is on the disk already.
    """

    lost: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @classmethod
    def of(cls, session: Any, *, project: Path | None, autosaved: Path | None) -> Unsaved:
        """Look at a session in which nothing is trained.

        Parameters
        ----------
        session : Session
            The session.
        project : Path or None
            A project that a person has saved or opened, and changed since; None: there is none, or nothing was changed.
        autosaved : Path or None
            The project that was saved by itself and holds the last change; None where there is none.

        Returns
        -------
        Unsaved
            In words for people.
        """
        runs = [run for run in session.runs.runs if not run.is_opened]
        nowhere = [run.label for run in runs if run.checkpoint is None or not run.checkpoint.exists()]
        lost = [f"Runs that are saved nowhere: {', '.join(nowhere)}."] if nowhere else []
        if project is not None:
            lost.append(f"{project.name} does not have the last changes.")
        elif autosaved is None:
            lost += _of_series(session)
        files = [str(run.checkpoint) for run in runs if run.label not in nowhere]
        more = [f"and {len(files) - _SHOWN} more"] if len(files) > _SHOWN else []
        kept = ["\n".join(["Runs are saved as", *files[-_SHOWN:], *more])] if files else []
        kept += [f"Series, pose and settings are saved as\n{autosaved}"] if autosaved is not None else []
        return cls(tuple(lost), tuple(kept))


def is_corrected(draft: SeriesDraft | None, found: SeriesDraft | None) -> bool:
    """Return whether a person has corrected a series.

    Parameters
    ----------
    draft : SeriesDraft or None
        The series as it is now.
    found : SeriesDraft or None
        As its files told it.

    Returns
    -------
    bool
        False where there is none.
    """
    if draft is None or found is None or draft is found:
        return False
    names = (field.name for field in fields(draft) if field.name not in _NO_CORRECTIONS)
    return not all(is_same_value(getattr(draft, name), getattr(found, name)) for name in names)


def _of_series(session: Any) -> list[str]:
    draft = session.draft
    what = ["the corrections"] if is_corrected(draft, session.found) else []
    what += ["the pose"] if draft is not None and session.known_pose is not None else []
    if not what:
        return []
    return [f"{' and '.join(what).capitalize()} of {draft.name} are saved nowhere."]
