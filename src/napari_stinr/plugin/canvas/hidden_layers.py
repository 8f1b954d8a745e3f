"""Keeps layers that are hidden from stretching sliders and view.

napari takes range, step and unit of every slider from *all* layers, hidden ones too: behind a second series
the first one would make thousands of steps of t, shrink the view and switch the units off. A hidden one of ours counts
as one that lies where the layers of now lie, and for itself again as soon as it is shown. It stays in the list with all
it has: a layer that a person looks for is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.plugin.canvas.layer_data import METADATA_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_EXTENTS = ("extent", "_extent_augmented")
"""What napari keeps with a layer once it has found them, and asks a list of layers for."""
_MOVING = ("visible", "scale", "translate", "units", "data")
"""Events after which extents are others."""


class HiddenLayers:
    """The layers of a viewer that do not count while they are hidden.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._anchors: tuple[Layer, ...] = ()
        self._quiet: set[Layer] = set()
        self._watched: set[Layer] = set()
        self._is_updating = False
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._watch(layer)

    def follow(self, *anchors: Layer | None) -> None:
        """Say which layers always count, seen or not: those of the series and the run that is worked on.

        Parameters
        ----------
        *anchors : Layer or None
            The first one tells where hidden ones are said to lie. Without any, all layers count.
        """
        self._anchors = tuple(layer for layer in anchors if layer is not None)
        self.update()

    def update(self) -> None:
        """Find out anew which layers count."""
        if self._is_updating:
            return
        self._is_updating = True
        try:
            self._settle()
        finally:
            self._is_updating = False

    def close(self) -> None:
        """Let all layers count, and let go of the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in tuple(self._watched):
            self._unwatch(layer)
        self.follow()

    def _settle(self) -> None:
        anchors = [layer for layer in self._anchors if layer in self._viewer.layers]
        quiet = set()
        if anchors:
            quiet = {
                layer
                for layer in self._viewer.layers
                if METADATA_KEY in layer.metadata and not layer.visible and layer not in anchors
            }
        woken = [layer for layer in self._quiet - quiet if layer in self._viewer.layers]
        moved = [layer for layer in quiet if _place_at(layer, anchors[0])]
        self._quiet = quiet
        for layer in woken:
            _wake(layer)
        if moved or woken:
            # What makes napari look at all layers again: its sliders, and before the next drawing its units.
            (anchors or woken)[0].events.units()
        for layer in woken:
            self._bring_into(layer)

    def _bring_into(self, layer: Layer) -> None:
        """Move sliders into a layer that was shown again and lies beside them, or the canvas would stay black."""
        if not layer.visible:
            return
        dims, extent = self._viewer.dims, layer.extent.world
        for axis in range(-layer.ndim, 0):
            low, high = extent[:, axis]
            number = dims.ndim + axis
            if number not in dims.displayed and not low <= dims.point[number] <= high:
                dims.set_point(number, (low + high) / 2)

    def _watch(self, layer: Layer) -> None:
        if METADATA_KEY in layer.metadata:
            self._watched.add(layer)
            for name in _MOVING:
                getattr(layer.events, name).connect(self._on_moved)

    def _unwatch(self, layer: Layer) -> None:
        if layer in self._watched:
            self._watched.discard(layer)
            for name in _MOVING:
                getattr(layer.events, name).disconnect(self._on_moved)

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.update()

    def _on_removed(self, event: Any) -> None:
        self._unwatch(event.value)
        _wake(event.value)
        self._quiet.discard(event.value)
        self.update()

    def _on_moved(self, event: Any) -> None:
        self.update()


def _place_at(layer: Layer, anchor: Layer) -> bool:
    """Let a layer be said to lie where another one lies; return whether it was elsewhere before."""
    n = layer.ndim
    if n > anchor.ndim:
        return False
    is_moved = False
    for name in _EXTENTS:
        there, kept = getattr(anchor, name), layer.__dict__.get(name)
        place = {"world": there.world[:, -n:], "step": there.step[-n:], "units": there.units[-n:]}
        if kept is not None and all(np.array_equal(getattr(kept, key), value) for key, value in place.items()):
            continue
        layer.__dict__.pop(name, None)
        layer.__dict__[name] = getattr(layer, name)._replace(**place)
        is_moved = True
    if is_moved:
        layer.events.extent()
    return is_moved


def _wake(layer: Layer) -> None:
    """Let a layer count for itself."""
    for name in _EXTENTS:
        layer.__dict__.pop(name, None)
    layer.events.extent()
