"""Write a folder completely or not at all, and go on with one that a kill has left unfinished.

As for files (:mod:`napari_stinr.io.output.atomic`), what is written is hidden beside the target and takes its name at
the end. A kill leaves it behind: the next write with the same fingerprint goes on with it, any other one removes it. An
error and Cancel remove it at once; Ctrl-C keeps it, since it may hold hours of work.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stinr.io.output.atomic import (
    flush_folder,
    flush_to_disk,
    leftovers,
    move,
    temporary_beside,
    write_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

logger = logging.getLogger(__name__)

_NEW, _OLD, _PROGRESS = "new", "old", "progress.json"
"""In the hidden folder: what is written, what was there before while the two change places, and how far it is."""
_KEPT: dict[Path, Path] = {}
"""What Ctrl-C has left unfinished in this very process, by the targets."""


@contextlib.contextmanager
def atomic_folder(path: Path, *, check: Callable[[], None], fingerprint: str = "") -> Iterator[Path]:
    """Give the path of a folder to make; it takes the name `path` when the block ends without an error.

    Parameters
    ----------
    path : Path
        Where the finished folder shall be. A symbolic link is followed. A folder that is there is replaced.
    check : callable
        Raises where `path` must not be written; called before anything is done and once more before the renaming.
    fingerprint : str
        What is written and how, as a whole. A folder that was left unfinished with the same one is given again, where
        :func:`note_progress` noted something of it; "" for one that is begun anew each time.

    Yields
    ------
    Path
        The folder: there is none yet, or it is as it was left.

    Raises
    ------
    StinrError
        The folder cannot be written or the disk is full; what was there before is there still.
    KeyboardInterrupt
        Ctrl-C: where there is something to go on with, its text says so.
    """
    target = Path(os.path.realpath(path.expanduser()))
    check()
    hidden = temporary_beside(target)
    keeps = False
    try:
        _take_up(target, hidden, fingerprint)
        hidden.mkdir(exist_ok=True)
        yield hidden / _NEW
        check()
        flush_folder(hidden / _NEW)
        _change_places(hidden, target)
        flush_folder(target.parent)
    except OSError as error:
        raise write_problem(error, target) from error
    except KeyboardInterrupt as stop:
        keeps = fingerprint != "" and len(progress_of(hidden / _NEW)) > 0
        if not keeps:
            raise
        _KEPT[target] = hidden
        text = f"{target.name} is unfinished, and hidden until the same export is asked for again and goes on with it"
        raise KeyboardInterrupt(text) from stop
    finally:
        if not keeps:
            shutil.rmtree(hidden, ignore_errors=True)


def note_progress(folder: Path, fingerprint: str, done: Mapping[str, Any]) -> None:
    """Note how far a folder is; all that it speaks of must be on the disk already.

    Parameters
    ----------
    folder : Path
        From :func:`atomic_folder`.
    fingerprint : str
        That of the folder.
    done : mapping
        What :func:`progress_of` shall give, as JSON has it.
    """
    new = folder.with_name(f"{_PROGRESS}.new")
    new.write_text(json.dumps({"fingerprint": fingerprint, "done": done}), encoding="utf-8")
    flush_to_disk(new)
    move(new, folder.with_name(_PROGRESS))


def progress_of(folder: Path) -> dict[str, Any]:
    """Return what was noted last of a folder; nothing where it is new, or what stands there is damaged."""
    return dict(_noted(folder.parent).get("done", {}))


def _noted(hidden: Path) -> dict[str, Any]:
    try:
        noted = json.loads((hidden / _PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) and isinstance(noted.get("done"), dict) else {}


def _take_up(target: Path, hidden: Path, fingerprint: str) -> None:
    """Go on with what was left with the same fingerprint, and remove everything else that was left."""
    left = [path for path in leftovers(target) if path.is_dir()]
    if target in _KEPT:
        left.append(_KEPT.pop(target))
    for folder in left:
        is_same = fingerprint != "" and _noted(folder).get("fingerprint") == fingerprint and (folder / _NEW).is_dir()
        if is_same and not hidden.exists():
            # Another process may be quicker: then it is gone.
            with contextlib.suppress(OSError):
                os.rename(folder, hidden)
                logger.warning("An earlier export of %s was interrupted; it goes on where it stopped", target)
            continue
        if (folder / _OLD).exists() and not target.exists():
            os.rename(folder / _OLD, target)
        shutil.rmtree(folder, ignore_errors=True)
        logger.warning("An earlier export of %s was interrupted; its unfinished folder was removed", target)


def _change_places(hidden: Path, target: Path) -> None:
    if not target.exists():
        try:
            move(hidden / _NEW, target)
            return
        except OSError:
            if not target.exists():  # nobody has made it meanwhile
                raise
    # No system renames over a folder that holds something: for a moment there is none of this name.
    move(target, hidden / _OLD)
    try:
        move(hidden / _NEW, target)
    except BaseException:
        os.rename(hidden / _OLD, target)
        raise
