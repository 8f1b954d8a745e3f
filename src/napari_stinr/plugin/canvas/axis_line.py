"""The tilt axis over the sum of all projections, which a person moves with the mouse.

The image has its shifts undone and the axis where it lies, so that only the line moves. It is grasped anywhere to be
shifted, at one of its knobs to be turned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, contrast_limits, pixel_size_in_view
from napari_stinr.plugin.canvas.put_aside import PutAside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image, Shapes
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.alignment_run import SeriesView

_COLOUR = "#e69f00"
_GRASP = 14.0
"""How near the mouse has to be to the line or a knob [pixel of the screen]."""
_KNOB_AT, _KNOB = 0.35, 0.02
"""Where the knobs lie on the line, and their radius [part of the height of the image]."""
_LINE = 0.006
"""Width of the line [part of the longer edge of the image]."""
_STEEPEST = 45.0
"""Largest turn of the axis [degrees]."""
PICTURE, LINE = "sum of projections", "tilt axis"


class AxisLine(QObject):
    """The tilt axis of one viewer, while a person moves it."""

    moved = Signal(float, float, bool)
    """Offset [pixel of the prepared projections] and turn [degrees] of the axis, and whether the mouse has let go."""
    ended = Signal()
    """It was hidden."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._aside = viewer, PutAside(viewer)
        self._picture: Image | None = None
        self._line: Shapes | None = None
        self._view: SeriesView | None = None
        self._offset = self._turn = 0.0
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_shown(self) -> bool:
        """Whether a person can move the axis."""
        return self._aside.is_open

    def show(self, image: NDArray[np.float32], view: SeriesView, *, offset: float, turn: float) -> None:
        """Show the axis, or bring it up to date.

        Parameters
        ----------
        image : ndarray
            `(height, width)` pixels of the view on which it is drawn.
        view : SeriesView
            The series.
        offset, turn : float
            Of the axis [pixel of the prepared projections, degrees].
        """
        is_new = not self.is_shown
        self._aside.begin()
        self._view, self._offset, self._turn = view, offset, turn
        self._viewer.dims.ndisplay = 2
        self._show_picture(image)
        self._show_line()
        if is_new:
            self._fit_view(image.shape)
        self._viewer.layers.selection.active = self._line

    def set_axis(self, offset: float, turn: float) -> None:
        """Move the line, without a signal."""
        self._offset, self._turn = offset, turn
        if self.is_shown and self._line is not None:
            self._line.data = self._shapes()

    def end(self) -> None:
        """Hide it, and show again what it had hidden."""
        if not self.is_shown:
            return
        for layer in (self._picture, self._line):
            if layer is not None and layer in self._viewer.layers:
                layer.visible = False
        self._view = None
        self._aside.end()
        self.ended.emit()

    def close(self) -> None:
        """Let go of the viewer."""
        self._aside.forget()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._picture = self._line = self._view = None

    def _show_picture(self, image: NDArray[np.float32]) -> None:
        place = {**self._place(), "name": f"{self._series_name()} {PICTURE}"}
        limits, layer = contrast_limits(image), self._picture
        if layer is None or layer not in self._viewer.layers:
            self._picture = self._viewer.add_image(
                image,
                colormap="gray",
                contrast_limits=limits,
                axis_labels=("y", "x"),
                metadata={METADATA_KEY: {"mark": (PICTURE,)}},
                **place,
            )
            return
        layer.data = image
        for name, value in place.items():
            setattr(layer, name, value)
        layer.contrast_limits_range = layer.contrast_limits = limits
        self._raise(layer)

    def _show_line(self) -> None:
        place, layer = {**self._place(), "name": f"{self._series_name()} {LINE}"}, self._line
        if layer is None or layer not in self._viewer.layers:
            self._line = layer = self._viewer.add_shapes(
                self._shapes(),
                shape_type=["line", "ellipse", "ellipse"],
                edge_color=_COLOUR,
                face_color=_COLOUR,
                edge_width=_LINE * max(self._shape),
                axis_labels=("y", "x"),
                metadata={METADATA_KEY: {"mark": (LINE,)}},
                **place,
            )
            layer.mode = "pan_zoom"
            layer.mouse_move_callbacks.append(self._on_hover)
            layer.mouse_drag_callbacks.append(self._on_drag)
            return
        for name, value in place.items():
            setattr(layer, name, value)
        layer.data = self._shapes()
        self._raise(layer)

    def _raise(self, layer: Any) -> None:
        self._viewer.layers.move(self._viewer.layers.index(layer), len(self._viewer.layers))
        layer.visible = True

    def _series_name(self) -> str:
        assert self._view is not None
        return self._view.draft.name

    @property
    def _shape(self) -> tuple[int, int]:
        assert self._view is not None
        return self._view.series.height, self._view.series.width

    def _place(self) -> dict[str, Any]:
        assert self._view is not None
        draft = self._view.draft
        pixel, unit = pixel_size_in_view(draft.pixel_size)
        edge = pixel * draft.binning * self._view.factor
        return {"scale": (edge, edge), "units": (unit, unit)}

    def _foot(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Point (y, x) of the axis that is nearest to the middle of the image, and its direction [pixel of view]."""
        assert self._view is not None
        turn, (height, width) = np.deg2rad(self._turn), self._shape
        distance = self._offset / self._view.factor + self._view.series.axis_offset
        middle = np.array([(height - 1) / 2, (width - 1) / 2])
        return middle + distance * np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])

    def _knobs(self) -> NDArray[np.float64]:
        foot, along = self._foot()
        reach = _KNOB_AT * self._shape[0]
        return np.array([foot - reach * along, foot + reach * along])

    def _shapes(self) -> list[NDArray[np.float64]]:
        foot, along = self._foot()
        half = 0.5 * self._shape[0]
        radius = max(_KNOB * max(self._shape), 0.5)
        corners = radius * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
        return [np.array([foot - half * along, foot + half * along]), *(knob + corners for knob in self._knobs())]

    def _grasped(self, place: NDArray[np.float64]) -> str:
        """Return what is under the mouse: ``"knob"``, ``"line"`` or nothing, ""."""
        layer = self._line
        assert layer is not None
        near = _GRASP / (self._viewer.scene.camera.zoom * float(layer.scale[-1]))
        if np.linalg.norm(self._knobs() - place, axis=1).min() <= near:
            return "knob"
        foot, along = self._foot()
        off = place - foot
        return "line" if abs(off[0] * along[1] - off[1] * along[0]) <= near else ""

    def _on_hover(self, layer: Any, event: Any) -> None:
        if self.is_shown:
            # Or the canvas would be dragged, too.
            grasped = self._grasped(_place_of(layer, event))
            layer.mouse_pan = not grasped
            layer.cursor = "pointing" if grasped else "standard"

    def _on_drag(self, layer: Any, event: Any) -> Iterator[None]:
        if not self.is_shown:
            return
        begin = _place_of(layer, event)
        grasped, (foot, along) = self._grasped(begin), self._foot()
        if not grasped:
            return
        layer.mouse_pan = False
        across, offset, is_lower = np.array([-along[1], along[0]]), self._offset, (begin - foot) @ along > 0
        yield
        has_moved = False
        while event.type == "mouse_move":
            place, has_moved = _place_of(layer, event), True
            if grasped == "line":
                self._move_to(offset + float((place - begin) @ across) * self._factor, self._turn)
            else:
                y, x = (place - foot) * (1 if is_lower else -1)
                self._move_to(offset, float(np.clip(np.rad2deg(np.arctan2(-x, y)), -_STEEPEST, _STEEPEST)))
            self.moved.emit(self._offset, self._turn, False)
            yield
        layer.mouse_pan = True
        if has_moved:
            self.moved.emit(self._offset, self._turn, True)

    @property
    def _factor(self) -> int:
        assert self._view is not None
        return self._view.factor

    def _move_to(self, offset: float, turn: float) -> None:
        assert self._view is not None
        most = 0.5 * self._view.shape[1]
        self.set_axis(float(np.clip(offset, -most, most)), turn)

    def _fit_view(self, shape: tuple[int, ...]) -> None:
        """Let the image fill the canvas: napari would fit all layers, also those that are hidden."""
        assert self._picture is not None
        extent = self._picture.extent.world
        size = np.maximum(extent[1] - extent[0], 1e-9)
        canvas = np.array(self._viewer.window._qt_viewer.canvas.size, dtype=float)
        camera = self._viewer.scene.camera
        camera.center = tuple(extent.mean(axis=0))
        camera.zoom = float(0.92 * (canvas / size).min())

    def _on_removed(self, event: Any) -> None:
        if event.value in (self._picture, self._line):
            self._picture = None if event.value is self._picture else self._picture
            self._line = None if event.value is self._line else self._line
            self.end()


def _place_of(layer: Any, event: Any) -> NDArray[np.float64]:
    """Where the mouse is: (y, x) [pixel of the layer]."""
    return np.asarray(layer.world_to_data(event.position), dtype=np.float64)[-2:]
