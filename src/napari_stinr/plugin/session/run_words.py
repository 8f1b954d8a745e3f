"""What there is to say about a run when its window closes and when it has ended: short, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.plugin.session.run_log import RunLog

HEADLINE = 45
"""Letters that napari's notifications show before a click."""


def duration_text(seconds: float) -> str:
    """Return a duration [s] as ``"42 s"``, ``"3 min"`` or ``"2 h 5 min"``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def saved_text(checkpoint: Path | None, *, now: float) -> str:
    """Return what of a running training is on the disk, and how old that is.

    Parameters
    ----------
    checkpoint : Path, optional
        The newest automatic save; None where there was none.
    now : float
        The time [s since 1970].
    """
    try:
        age = None if checkpoint is None else now - checkpoint.stat().st_mtime
    except OSError:
        age = None
    if age is None:
        return "Nothing of it is saved yet."
    return f"It was saved {duration_text(age)} ago as\n{checkpoint}"


def running_text(log: RunLog) -> str:
    """Return in a sentence what runs, and how far it is."""
    if log.last is None:
        return "A training is being prepared."
    done = 100 * log.last.step / log.last.n_steps
    return f"A training is in progress: step {log.last.step} of {log.last.n_steps} ({done:.0f} %)."


def reached_texts(log: RunLog, *, preset: str, series: str, residual: float | None) -> tuple[str, str]:
    """Return a headline of what a run has reached, and what stands below it.

    Parameters
    ----------
    log : RunLog
        Of the run, which has ended.
    preset, series : str
        What it was trained with, and on.
    residual : float or None
        How far its projections are from the measured ones, of these; None where that is not known [1].
    """
    took = "" if log.last is None else f" in {duration_text(log.last.seconds)}"
    fits = "" if residual is None else f": residual {100 * residual:.2g} %"
    steps = "" if log.last is None else f", {log.last.step} steps"
    return f"{preset} is done{took}{fits}"[:HEADLINE], f"{series}{steps}. The page Explore shows it."
