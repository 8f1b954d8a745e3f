"""The rectangle of the crop: drawn over the projections, moved and pulled with the mouse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, pixel_size_in_view

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer, Shapes
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft

NAME = "crop"
_COLOUR = "#e69f00"
_WIDTH_OF_LINE = 1 / 150
"""Width of the line, as a part of the longer edge of the image."""
_LEAST = 2


class CropRectangle(QObject):
    """A layer with one rectangle, which is hidden while nobody draws.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    parent : QObject
        Owns it.
    """

    changed = Signal(object)
    """The :class:`Crop` that a person has drawn, None for the whole image."""
    ended = Signal()
    """A person has hidden the rectangle, taken it away, or turned to 3D."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._before: Layer | None = None
        self._draft: SeriesDraft | None = None
        self._is_updating = False
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)

    @property
    def is_drawn(self) -> bool:
        """Whether a person can draw."""
        return self._draft is not None

    def draw(self, draft: SeriesDraft) -> None:
        """Show the rectangle, to be moved and pulled.

        Parameters
        ----------
        draft : SeriesDraft
            The series, with its crop or without.
        """
        viewer = self._viewer
        if not self.is_drawn:
            self._before = viewer.layers.selection.active
        self._draft = draft
        viewer.dims.ndisplay = 2
        layer = self._shown()
        viewer.layers.selection.active = layer
        self._select(layer)

    def follow(self, draft: SeriesDraft | None) -> None:
        """Show the crop of a series that was corrected; of another one, nobody has drawn it yet."""
        before = self._draft
        if before is None:
            return
        if draft is None or draft.preview is not before.preview:
            self.end()
        elif (draft.crop, draft.pixel_size, draft.is_turned) != (before.crop, before.pixel_size, before.is_turned):
            is_drawn = draft.is_turned is before.is_turned and draft.crop == self._crop()
            self._draft = draft
            if not is_drawn:
                self._shown()

    def end(self) -> None:
        """Hide the rectangle."""
        if not self.is_drawn:
            return
        self._draft = None
        layers, layer = self._viewer.layers, self._layer
        if layer is not None and layer in layers:
            layer.mode = "pan_zoom"
            layer.visible = False
        if self._before is not None and self._before in layers:
            layers.selection.active = self._before
        self.ended.emit()

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self._layer = self._before = self._draft = None

    @staticmethod
    def _select(layer: Shapes) -> None:
        """Let the rectangle be moved and pulled at its corners."""
        layer.mode = "select"
        layer.selected_data = {0}

    def _shown(self) -> Shapes:
        """Return the layer, with the crop of the series in it."""
        assert self._draft is not None
        draft = self._draft
        pixel, unit = pixel_size_in_view(draft.pixel_size)
        place: dict[str, Any] = {"scale": (pixel, pixel), "units": (unit, unit)}
        _, height, width = draft.shown_shape
        crop = draft.crop
        if crop is not None and draft.is_turned:
            crop = crop.turned(draft.shape[1])
        corners = _corners(crop or Crop(0, height, 0, width))
        layer = self._layer
        self._is_updating = True
        try:
            if layer is None or layer not in self._viewer.layers:
                self._layer = layer = self._viewer.add_shapes(
                    [corners],
                    shape_type="rectangle",
                    name=NAME,
                    edge_color=_COLOUR,
                    face_color="transparent",
                    opacity=1.0,
                    axis_labels=("y", "x"),
                    metadata={METADATA_KEY: {"mark": (NAME,)}},
                    **place,
                )
                layer.events.data.connect(self._on_data)
                layer.events.visible.connect(self._on_visible)
            else:
                for name, value in place.items():
                    setattr(layer, name, value)
                layer.data = [corners]
            layer.edge_width = max(height, width) * _WIDTH_OF_LINE
            layer.visible = True
            top = len(self._viewer.layers)
            self._viewer.layers.move(self._viewer.layers.index(layer), top)
        finally:
            self._is_updating = False
        return layer

    def _crop(self) -> Crop | None:
        """Return what the rectangle encloses; None for the whole image, or without one."""
        assert self._draft is not None
        _, height, width = self._draft.shown_shape
        if self._layer is None or not len(self._layer.data):
            return None
        # Of several, the last that was drawn; of one that was turned, what it reaches.
        drawn = np.asarray(self._layer.data[-1])[:, -2:]
        top, bottom = _between(drawn[:, 0], height)
        left, right = _between(drawn[:, 1], width)
        crop = Crop(top, bottom, left, right)
        if crop == Crop(0, height, 0, width):
            return None
        return crop.turned_back(self._draft.shape[1]) if self._draft.is_turned else crop

    def _on_data(self, event: Any) -> None:
        if self._is_updating or self._draft is None or str(getattr(event, "action", "")).endswith("ing"):
            return
        # Not yet: napari is in the middle of moving it.
        QTimer.singleShot(0, self._take)

    def _take(self) -> None:
        if self._draft is None:
            return
        crop = self._crop()
        is_other = crop != self._draft.crop
        self._draft = replace(self._draft, crop=crop)
        # On whole pixels, upright, and one alone.
        self._select(self._shown())
        if is_other:
            self.changed.emit(crop)

    def _on_visible(self, event: Any) -> None:
        if not self._is_updating and self.is_drawn and self._layer is not None and not self._layer.visible:
            self.end()

    def _on_ndisplay(self, event: Any) -> None:
        # A rectangle on an image can neither be drawn nor changed in 3D; what was drawn of it stays the crop.
        if self._viewer.dims.ndisplay == 3:
            self.end()

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self.end()


def _corners(crop: Crop) -> NDArray[np.float64]:
    """`(4, 2)` corners (y, x) of a rectangle, between pixels."""
    top, bottom, left, right = (edge - 0.5 for edge in (crop.top, crop.bottom, crop.left, crop.right))
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])


def _between(values: NDArray[np.float64], length: int) -> tuple[int, int]:
    """Return the first pixel, and the one after the last, between the least and the greatest of some positions."""
    first = int(np.clip(round(float(values.min()) + 0.5), 0, length - _LEAST))
    last = int(np.clip(round(float(values.max()) + 0.5), first + _LEAST, length))
    return first, last
