"""Measured, predicted and residual of one projection side by side on the canvas, while a person wants to see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.canvas.layer_data import (
    METADATA_KEY,
    contrast_limits,
    pixel_size_in_view,
    placement,
    volume_placement,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.binding import ViewerBinding
    from napari_stinr.plugin.session.draft import SeriesDraft

KINDS = ("measured", "predicted", "residual")
_GAP = 0.06
"""Between two of them, as a part of their width."""
_SHARE_SHOWN = 99.8
"""Percent of the pixels that the colours of the residual spread over."""
# Blue where the field has too much, red where it lacks something: as in the dock.
_BLUE_WHITE_RED = Colormap(
    np.array([[33, 102, 172, 255], [255, 255, 255, 255], [178, 24, 43, 255]]) / 255, name="blue white red"
)


class ResidualLayers(QObject):
    """Three layers that follow the time slider; what else was visible is hidden meanwhile, and nothing is removed."""

    changed = Signal(bool)
    """Whether they are shown, whoever has switched."""

    def __init__(self, binding: ViewerBinding, parent: QObject) -> None:
        super().__init__(parent)
        self._binding, self._viewer = binding, binding.viewer
        self.is_shown = False
        self._layers: dict[str, Any] = {}
        self._hidden: list[Any] = []
        self._view: tuple[Any, float] | None = None
        self._placed: tuple[Any, tuple[int, ...]] | None = None
        binding.display.changed.connect(self.give_way)
        binding.run_left.connect(self.give_way)

    def show(self) -> None:
        """Show them; what they show comes with :meth:`take`."""
        if self.is_shown:
            return
        self.is_shown = True
        self._view = (self._viewer.scene.camera.center, self._viewer.scene.camera.zoom)
        self._hidden = [layer for layer in self._viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False
        self._placed = None
        self.changed.emit(True)

    def hide(self) -> None:
        """Hide them, and show again what they had hidden."""
        if not self.is_shown:
            return
        hidden, view = self._hidden, self._view
        self.give_way()
        for layer in hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        if view is not None:
            self._viewer.scene.camera.center, self._viewer.scene.camera.zoom = view

    def give_way(self) -> None:
        """Hide them because something else is to be shown."""
        if not self.is_shown:
            return
        self.is_shown, self._hidden, self._view = False, [], None
        for layer in self._layers.values():
            if layer in self._viewer.layers:
                layer.visible = False
        self.changed.emit(False)

    def take(self, measured: NDArray[np.float32], predicted: NDArray[np.float32], draft: SeriesDraft) -> None:
        """Show a projection.

        Parameters
        ----------
        measured, predicted : ndarray
            `(height, width)` projection as it was trained on and as the field predicts it [unit of the file].
        draft : SeriesDraft
            The series that it belongs to.
        """
        if not self.is_shown:
            return
        residual = np.asarray(measured - predicted, dtype=np.float32)
        known = np.abs(residual[np.isfinite(residual)])
        most = max(float(np.percentile(known, _SHARE_SHOWN)) if known.size else 0.0, 1e-6)
        limits = contrast_limits(measured)
        is_new = self._placed is None or self._placed[0] is not draft.preview or self._placed[1] != measured.shape
        for place, (kind, image, shown) in enumerate(
            zip(KINDS, (measured, predicted, residual), (limits, limits, (-most, most)), strict=True)
        ):
            where = _placement(draft, image.shape, place)
            # One voxel deep, and seen at every position of the slider z.
            self._show_one(kind, np.asarray(image, dtype=np.float32)[np.newaxis], shown, where, draft)
        if is_new:
            self._placed = (draft.preview, measured.shape)
            self._fit_view()

    def _show_one(
        self, kind: str, data: NDArray[np.float32], limits: tuple[float, float], where: dict[str, Any], draft: Any
    ) -> None:
        layer = self._layers.get(kind)
        name = f"{draft.name} {kind}"
        if layer is None or layer not in self._viewer.layers:
            self._layers[kind] = self._viewer.add_image(
                data,
                name=name,
                colormap=_BLUE_WHITE_RED if kind == KINDS[-1] else "gray",
                contrast_limits=limits,
                metadata={METADATA_KEY: {"mark": (f"{kind} projection",)}},
                **where,
            )
            return
        layer.data = data
        for option, value in where.items():
            setattr(layer, option, value)
        layer.name = name
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
        layer.visible = True

    def _fit_view(self) -> None:
        """Let the three of them fill the canvas: napari would fit all layers, also those that are hidden."""
        extents = np.array([layer.extent.world for layer in self._layers.values()])
        low, high = extents[:, 0].min(axis=0), extents[:, 1].max(axis=0)
        size = np.maximum(high - low, 1e-9)[-2:]
        canvas = np.array(self._viewer.window._qt_viewer.canvas.size, dtype=float)
        camera = self._viewer.scene.camera
        camera.center = tuple((low + high) / 2)
        camera.zoom = float(0.92 * (canvas / size).min())


def _placement(draft: SeriesDraft, shape: tuple[int, ...], place: int) -> dict[str, Any]:
    """Return where the layer lies: the first where the projection is, the others to the right of it."""
    pixel, unit = pixel_size_in_view(draft.pixel_size)
    voxel = pixel * draft.binning
    depth, (height, width) = draft.shown_shape[2] * pixel, shape
    at = volume_placement(draft, (width, height, width), voxel, unit)["origin"]
    right = at[2] + place * (1 + _GAP) * width * voxel
    return placement(None, (depth, voxel, voxel), ((draft.shown_shape[2] - 1) / 2 * pixel, at[1], right), unit)
