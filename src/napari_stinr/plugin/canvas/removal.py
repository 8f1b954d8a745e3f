"""Makes it safe to remove layers while others are shown.

When a layer goes, napari has OpenGL carry out at once whatever was put off until the next drawing, in whichever context
is current then. Between two drawings that is the one of Qt, or none, so that what was meant for the canvas is created
and freed elsewhere, and the next drawing reads buffers that are not there: a segmentation fault with Mesa's software
OpenGL. The context of the canvas is made current before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel

_BEFORE_REMOVAL = ("removing", "end_batch")
"""Events of the list of layers after which napari talks to OpenGL."""


class SafeRemoval:
    """Sees to the context of the canvas of a viewer whenever a layer is removed, by whoever.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, with a window or without.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        for name in _BEFORE_REMOVAL:
            getattr(viewer.layers.events, name).connect(self._make_current, position="first")

    def close(self) -> None:
        """Let go of the viewer."""
        for name in _BEFORE_REMOVAL:
            getattr(self._viewer.layers.events, name).disconnect(self._make_current)

    def _make_current(self, event: Any = None) -> None:
        window = getattr(self._viewer, "window", None)
        canvas = getattr(getattr(window, "_qt_viewer", None), "canvas", None)
        scene = getattr(canvas, "_scene_canvas", None)
        if scene is not None:
            scene.set_current()
