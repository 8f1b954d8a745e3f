"""Lets napari look at the units of the layers when a change is complete, and not in the midst of it.

Whenever a layer comes, is hidden or is moved, napari draws, and warns of units that do not fit together: also where one
series gives way to another of another unit, which takes several such steps.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

_LOOK, _IS_NEEDED = "_update_world_units", "_needs_world_units_update"
"""How the canvas of napari looks at units, and that it has to at the next drawing."""


class UnitsLater:
    """The looks of a viewer at units.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, with a window or without.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._n_held = 0
        viewer.layers.events.inserting.connect(self._on_inserting)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let napari look at units after what is done here."""
        self._hold()
        try:
            yield
        finally:
            self._release()

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.inserting.disconnect(self._on_inserting)
        self._n_held = min(self._n_held, 1)
        self._release()

    def _on_inserting(self, event: Any) -> None:
        # A layer that came from a file is taken as a series once napari has added it.
        self._hold()
        QTimer.singleShot(0, self._release)

    def _hold(self) -> None:
        self._n_held += 1
        canvas = self._canvas()
        if canvas is not None:
            setattr(canvas, _LOOK, _not_now)

    def _release(self) -> None:
        if self._n_held == 0:
            return
        self._n_held -= 1
        canvas = self._canvas()
        if self._n_held == 0 and canvas is not None:
            vars(canvas).pop(_LOOK, None)
            setattr(canvas, _IS_NEEDED, True)

    def _canvas(self) -> Any:
        window = getattr(self._viewer, "window", None)
        canvas = getattr(getattr(window, "_qt_viewer", None), "canvas", None)
        return canvas if hasattr(type(canvas), _LOOK) else None


def _not_now() -> None:
    """Do nothing."""
