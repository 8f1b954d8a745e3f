"""Layers that are hidden while something else is shown, and come back afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel


class PutAside:
    """What was on the canvas before a person began to work on something by hand.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: list[Any] = []
        self._active: Any = None
        self._camera: tuple[Any, float] | None = None
        self.is_open = False

    def begin(self, *kept: Any) -> None:
        """Hide all layers but some, unless that was done already."""
        if self.is_open:
            return
        self.is_open, self._active = True, self._viewer.layers.selection.active
        camera = self._viewer.scene.camera
        self._camera = camera.center, camera.zoom
        self._hidden = [layer for layer in self._viewer.layers if layer.visible and layer not in kept]
        for layer in self._hidden:
            layer.visible = False

    def end(self) -> None:
        """Show again what was hidden, as far as it is still there, and from where it was looked at."""
        if not self.is_open:
            return
        layers, hidden, active, camera = self._viewer.layers, self._hidden, self._active, self._camera
        self.forget()
        for layer in hidden:
            if layer in layers:
                layer.visible = True
        if active is not None and active in layers:
            layers.selection.active = active
        if camera is not None:
            self._viewer.scene.camera.center, self._viewer.scene.camera.zoom = camera

    def forget(self) -> None:
        """Leave the canvas as it is."""
        self.is_open, self._hidden, self._active, self._camera = False, [], None, None
