"""What the parts of a window work with that show something of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.plugin.canvas.layers import ViewerLayers
    from napari_stinr.plugin.canvas.time_slider import TimeSlider
    from napari_stinr.plugin.session.session import Session


@dataclass(frozen=True, eq=False)
class Stage:
    """A viewer with what is shown in it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer itself, no proxy.
    session : Session
        What it is working on.
    slider : TimeSlider
        Its slider of time.
    layers : ViewerLayers
        The layers of the session.
    run : callable
        Does something in the background, as :meth:`BackgroundTasks.run`.
    """

    viewer: Any
    session: Session
    slider: TimeSlider
    layers: ViewerLayers
    run: Callable[..., Any]
