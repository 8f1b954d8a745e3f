"""Where checkpoints go that nobody asked for: one file for each run, none ever overwritten, the newest kept."""

from __future__ import annotations

import logging
import os
import re
import threading
from datetime import datetime
from pathlib import Path

from napari_stinr.io.output.targets import PROJECT_ENDING, RUN_ENDING
from napari_stinr.training.checkpoints import automatic_folder

logger = logging.getLogger(__name__)

KEPT = 10
"""Checkpoints of earlier runs that are kept in the automatic folder."""
_LONGEST_STEM = 120
_given: set[Path] = set()
_lock = threading.Lock()
AUTOSAVE_ENDING = f".autosave{RUN_ENDING}"
"""Ending of checkpoints that nobody asked for; a project lies beside each, under its name."""


def autosave_path(name: str, folder: str, *, keep: Path | None = None) -> Path:
    """Return a free name for the checkpoints of a new run of a series; `folder` "" is the automatic one."""
    # Only the newest runs, and `keep`, are kept in the automatic folder.
    place = Path(os.path.expanduser(folder)) if folder else automatic_folder()
    if not folder:
        _remove_oldest(place, keep)
    stem = re.sub(r"[^\w.-]+", "_", name) or "run"
    stem = stem.encode()[:_LONGEST_STEM].decode(errors="ignore")
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    numbers = ("", *(f"_{n}" for n in range(2, 1000)))
    candidates = (place / f"{stem}_{stamp}{number}{AUTOSAVE_ENDING}" for number in numbers)
    with _lock:
        path = next(path for path in candidates if path not in _given and not path.exists())
        _given.add(path)
    return path


def _remove_oldest(place: Path, keep: Path | None) -> None:
    try:
        saved = sorted(place.glob(f"*{AUTOSAVE_ENDING}"), key=lambda path: path.stat().st_mtime)
        for path in saved[: max(0, len(saved) - KEPT + 1)]:
            if keep is None or path.resolve() != keep.resolve():
                path.unlink()
                path.with_suffix(PROJECT_ENDING).unlink(missing_ok=True)
    except OSError:
        logger.info("Old checkpoints in %s could not be removed", place, exc_info=True)
