"""How many cores there are; on its own, because whoever asks before a training must not wait for torch."""

from __future__ import annotations

import os


def available_threads() -> int:
    """Return the number of CPU cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_beside_window(chosen: int = 0) -> int:
    """Return the chosen number of threads; for 0, all cores but one, which draws the window."""
    return chosen if chosen > 0 else max(1, available_threads() - 1)
