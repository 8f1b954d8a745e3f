"""The line that says which tilt series is open, or how to open one."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stinr.plugin.session.draft import SeriesDraft

_DROP_HINT = (
    "Drop a tilt series here: a stack, or the files or the folder of a series with one file for every tilt, with its "
    "lists of angles and times if you have them. Or try File > Open Sample."
)
_LONGEST_NAME = 40
"""Letters of a name that fit into a line of the dock."""


def series_title(draft: SeriesDraft | None, is_read: str) -> str:
    """Return the line for the series that is open.

    Parameters
    ----------
    draft : SeriesDraft or None
        The series.
    is_read : str
        Name of what is being read, "" where nothing is.

    Returns
    -------
    str
        Rich text.
    """
    if is_read:
        return f"Reading <b>{escape(_shortened(is_read))}</b> …"
    if draft is None:
        return _DROP_HINT
    n_tilts, height, width = draft.shape
    size = f"{n_tilts} projections of {height} × {width} pixels (height × width)"
    return f"<b>{escape(_shortened(draft.name))}</b>: {size}"


def _shortened(name: str) -> str:
    # A label breaks its lines between words only, and a name is a single one.
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"
