"""Aligned projections on the canvas: a person moves one with the arrow keys, and compares it with its neighbour."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.canvas.layer_data import (
    METADATA_KEY,
    contrast_limits,
    pixel_size_in_view,
    placement,
    time_axis_of,
)
from napari_stinr.plugin.canvas.put_aside import PutAside
from napari_stinr.plugin.session.alignment_slice import quickly_warped

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.plugin.canvas.time_slider import TimeSlider
    from napari_stinr.plugin.session.alignment_run import SeriesView
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.time_axis import TimeAxis

STEP, SMALL_STEP = 1.0, 0.1
"""By how much an arrow key moves a projection, and with Shift [pixel]."""
_ARROWS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}
NEIGHBOUR_KEY, DIFFERENCE_KEY = "N", "D"
PROJECTIONS = "aligned projections"


class Shown(StrEnum):
    """What is on the canvas while projections are moved."""

    ITSELF = "Projection"
    NEIGHBOUR = "Neighbour"
    DIFFERENCE = "Difference"


class AlignedStack:
    """Aligned projections of a view as `(t, 1, y, x)`, warped when they are asked for; or compared with a neighbour."""

    def __init__(self, view: SeriesView, pose: Pose, axis: TimeAxis) -> None:
        self.view, self.pose, self.shown = view, pose, Shown.ITSELF
        self._steps = axis.projection_at
        series = view.series
        order = np.argsort(series.tilt_angles, kind="stable")
        before = np.roll(order, 1)
        before[0] = order[1]
        self._neighbour = np.empty_like(order)
        self._neighbour[order] = before
        self.shape = (axis.n_steps, 1, series.height, series.width)
        self.dtype, self.ndim, self.size = np.dtype(np.float32), 4, int(np.prod(self.shape))

    def neighbour(self, projection: int) -> int:
        """Return the projection with the tilt angle before that of one; after it for the first."""
        return int(self._neighbour[projection])

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        first, *rest = index if isinstance(index, tuple) else (index,)
        tilts = self._steps[first]
        images = np.stack([self._image(int(k)) for k in np.atleast_1d(tilts)])[:, None]
        chosen = images[0] if np.ndim(tilts) == 0 else images
        # A number takes its axis away, a slice keeps it.
        return np.asarray(chosen[tuple(rest) if np.ndim(tilts) == 0 else (slice(None), *rest)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _image(self, projection: int) -> NDArray[np.float32]:
        if self.shown is Shown.NEIGHBOUR:
            return self._aligned(self.neighbour(projection))
        image = self._aligned(projection)
        return image - self._aligned(self.neighbour(projection)) if self.shown is Shown.DIFFERENCE else image

    def _aligned(self, projection: int) -> NDArray[np.float32]:
        return quickly_warped(self.view.series, self.pose.scaled(1 / self.view.factor), projection)[0]


class Nudging(QObject):
    """The aligned projections of one viewer, while a person moves them."""

    nudged = Signal(int, float, float)
    """Position of a projection in the stack, and how far it is to be moved to the right and down [pixel]."""
    shown_changed = Signal()
    ended = Signal()
    """They were hidden."""

    def __init__(self, viewer: ViewerModel, slider: TimeSlider, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._slider, self._aside = viewer, slider, PutAside(viewer)
        self._layer: Image | None = None
        self.stack: AlignedStack | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_on(self) -> bool:
        """Whether arrow keys move projections."""
        return self._aside.is_open

    @property
    def shown(self) -> Shown:
        """What is on the canvas."""
        return Shown.ITSELF if self.stack is None else self.stack.shown

    def begin(self, view: SeriesView, pose: Pose, draft: SeriesDraft) -> None:
        """Show the projections of a series at a pose, and let arrow keys move the one at the time slider."""
        if self.is_on:
            return
        self._aside.begin()
        self._viewer.dims.ndisplay = 2
        self.stack = AlignedStack(view, pose, time_axis_of(draft))
        self._show_layer(view, draft)
        for key, (x, y) in _ARROWS.items():
            for prefix, step in (("", STEP), ("Shift-", SMALL_STEP)):
                self._viewer.bind_key(prefix + key, self._key(step * x, step * y), overwrite=True)
        for key, shown in ((NEIGHBOUR_KEY, Shown.NEIGHBOUR), (DIFFERENCE_KEY, Shown.DIFFERENCE)):
            self._viewer.bind_key(key, self._toggle_key(shown), overwrite=True)
        self.focus()

    def set_pose(self, pose: Pose) -> None:
        """Show the projections at another pose."""
        if self.stack is not None and self.stack.pose is not pose:
            self.stack.pose = pose
            self._refresh()

    def show(self, shown: Shown) -> None:
        """Show the projection, its neighbour in tilt angle, or the difference of both."""
        if self.stack is None or self._layer is None:
            return
        was_difference, self.stack.shown = self.stack.shown is Shown.DIFFERENCE, shown
        if was_difference is not (shown is Shown.DIFFERENCE):
            self._set_limits()
        self._refresh()
        self.shown_changed.emit()

    def nudge(self, x: float, y: float) -> None:
        """Move the projection at the time slider to the right and down [pixel]."""
        projection = self._slider.projection
        if self.is_on and projection is not None:
            self.nudged.emit(projection, x, y)

    def focus(self) -> None:
        """Let the keys go to the canvas."""
        self._viewer.window._qt_viewer.canvas.native.setFocus()

    def end(self) -> None:
        """Hide the projections, give the keys back, and show again what was hidden."""
        if not self.is_on:
            return
        for key in (NEIGHBOUR_KEY, DIFFERENCE_KEY, *(prefix + key for key in _ARROWS for prefix in ("", "Shift-"))):
            self._viewer.bind_key(key, None, overwrite=True)
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.visible = False
        self.stack = None
        self._aside.end()
        self.ended.emit()

    def close(self) -> None:
        """Let go of the viewer."""
        self._aside.forget()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._layer = self.stack = None

    def _key(self, x: float, y: float) -> Any:
        def pressed(_: Any) -> None:
            self.nudge(x, y)

        return pressed

    def _toggle_key(self, shown: Shown) -> Any:
        def pressed(_: Any) -> None:
            self.show(Shown.ITSELF if self.shown is shown else shown)

        return pressed

    def _show_layer(self, view: SeriesView, draft: SeriesDraft) -> None:
        layer = self._layer
        pixel, unit = pixel_size_in_view(draft.pixel_size)
        edge, depth = pixel * draft.binning * view.factor, draft.shown_shape[2] * pixel
        # As deep as the series: it is seen at every position of the slider z.
        middle = (draft.shown_shape[2] - 1) / 2 * pixel
        place = placement(time_axis_of(draft), (depth, edge, edge), (middle, 0.0, 0.0), unit)
        place["name"] = f"{draft.name} {PROJECTIONS}"
        if layer is None or layer not in self._viewer.layers:
            self._layer = self._viewer.add_image(
                self.stack,
                colormap="gray",
                contrast_limits=contrast_limits(view.series.projections),
                projection_mode="none",
                metadata={METADATA_KEY: {"mark": (PROJECTIONS,)}},
                **place,
            )
        else:
            layer.data = self.stack
            for name, value in place.items():
                setattr(layer, name, value)
            self._viewer.layers.move(self._viewer.layers.index(layer), len(self._viewer.layers))
            layer.visible = True
            self._set_limits()
        self._viewer.layers.selection.active = self._layer

    def _set_limits(self) -> None:
        assert self.stack is not None
        assert self._layer is not None
        low, high = contrast_limits(self.stack.view.series.projections)
        half = (high - low) / 2
        limits = (-half, half) if self.stack.shown is Shown.DIFFERENCE else (low, high)
        self._layer.contrast_limits_range = self._layer.contrast_limits = limits

    def _refresh(self) -> None:
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.refresh(extent=False)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self.end()
