"""The layers of a session: the only place that adds layers to a viewer.

A person may delete any of them at any time, so every layer is looked up and never taken for granted.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.canvas.layer_data import (
    METADATA_KEY,
    contrast_limits,
    entry_of,
    field_limits,
    pixel_size_in_view,
    placement,
    series_layer,
    time_axis_of,
    volume_placement,
)
from napari_stinr.plugin.canvas.streaming import VolumeStream
from napari_stinr.plugin.session.time_axis import TimeAxis

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_stinr.plugin.canvas.time_slider import TimeSlider
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

CLEAN, CONTAMINATION, ARRIVAL, UNCERTAIN = "clean (t = 0)", "contamination", "arrival time", "uncertain"
_OVER_THE_CLEAN = (CONTAMINATION, ARRIVAL, UNCERTAIN)
_VISIBLE_CHANGE = 0.02
_LEAST_DENSITY = 0.05  # of the highest: below, there is no matter that could have arrived


class ViewerLayers(QObject):
    """Adds and updates the layers of one session."""

    volume_ready = Signal()
    """Something that the slider asked for has been computed; may be emitted in another thread."""

    def __init__(self, viewer: ViewerModel, slider: TimeSlider, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._slider = viewer, slider
        self.stream: VolumeStream | None = None
        self._stream_layer: Image | None = None
        self._own_limits: tuple[float, float] | None = None
        self._series_layer: Image | None = None
        self._run_draft: SeriesDraft | None = None
        self._numbers: WeakKeyDictionary[Reconstruction, int] = WeakKeyDictionary()
        self._next_number = count()
        self.volume_ready.connect(self._on_volume_ready)
        viewer.layers.events.removed.connect(self._on_removed)

    def show_series(self, draft: SeriesDraft) -> None:
        """Show a tilt series, valid or not yet, or bring the layer that shows it up to date."""
        layer = self._series_layer
        if layer is None or layer not in self._viewer.layers or _preview_of(layer) is not draft.preview:
            layer = next((kept for kept in self._viewer.layers if _preview_of(kept) is draft.preview), None)
        data, options, _ = series_layer(draft)
        self._hide(None if layer is self._series_layer else self._series_layer)
        if layer is None:
            layer = self._viewer.add_image(data, **options)
            self._viewer.reset_view()
            # Where a deeper series was looked at before, its z may lie beside this one, and the canvas stay black.
            self._viewer.dims.set_point(self._viewer.dims.ndim - 3, float(options["translate"][1]))
        else:
            before = time_axis_of(entry_of(layer, "draft"))
            if not np.array_equal(before.projection_at, time_axis_of(draft).projection_at):
                layer.data = data
            for name in ("scale", "translate", "units"):
                setattr(layer, name, options[name])
            layer.metadata = {**layer.metadata, **options["metadata"]}
        self._series_layer, self._slider.series_axis = layer, time_axis_of(draft)

    def show_reconstruction(self, reconstruction: Reconstruction, draft: SeriesDraft | None, *, again: bool) -> None:
        """Stream a reconstruction into its 4D layer; `again`: also where that was hidden or deleted."""
        axis = time_axis_of(draft) if draft is not None else _axis_of(reconstruction)
        shape = reconstruction.grid.shape
        if self.stream is not None and (self.stream.shape != (axis.n_steps, *shape) or draft is not self._run_draft):
            self.forget_stream()
        is_new = self.stream is None
        if self.stream is None:
            self._run_draft = draft
            self.stream = VolumeStream(axis, shape, on_ready=self.volume_ready.emit)
            self._slider.volume_axis = axis
        self.stream.show(reconstruction)
        if is_new or (again and self._stream_layer is None):
            self._add_stream_layer(reconstruction)
        if again and self._stream_layer is not None:
            self._hide(*self._made(CLEAN, *_OVER_THE_CLEAN))
            self._stream_layer.visible = True
            self._viewer.layers.selection.active = self._stream_layer

    def add_volume(
        self, volume: NDArray[np.float32], what: str, reconstruction: Reconstruction, **options: Any
    ) -> Image:
        """Add the layer of a volume `(z, y, x)` made from a reconstruction, or show the same one again."""
        mark = (what, options.get("name"), self._number_of(reconstruction))
        # What lies over the clean specimen does so one at a time; a clean one stands alone.
        self._hide(*self._made(*_OVER_THE_CLEAN, *((CLEAN,) if what == CLEAN else ())))
        same = next((layer for layer in self._viewer.layers if entry_of(layer, "mark") == mark), None)
        if same is not None:
            same.visible = True
            return same
        settings = {
            "name": f"{_series_name(reconstruction)} {what}",
            "contrast_limits": self._own_limits or contrast_limits(volume),
            "metadata": {METADATA_KEY: {"mark": mark, "provenance": dict(reconstruction.provenance)}},
            **self._volume_placement(reconstruction, None),
            **options,
        }
        return self._viewer.add_image(volume, **settings)

    def add_clean(self, volume: NDArray[np.float32], reconstruction: Reconstruction) -> Image:
        """Add the clean specimen and hide what it replaces."""
        layer = self.add_volume(volume, CLEAN, reconstruction)
        self._hide(self._stream_layer, self._series_layer)
        self._viewer.layers.selection.active = layer
        return layer

    def add_contamination(self, volume: NDArray[np.float32], t: float, reconstruction: Reconstruction) -> Image:
        """Add what has grown until t [t], to be seen over the clean specimen."""
        name = f"{_series_name(reconstruction)} {CONTAMINATION} (t = {t:.3f})"
        return self._add_over_the_clean(volume, CONTAMINATION, reconstruction, name=name, colormap="bop orange")

    def add_uncertain(self, volume: NDArray[np.float32], reconstruction: Reconstruction) -> Image:
        """Add the atoms that might as well be on the other side, to be seen over the clean specimen."""
        name = f"{_series_name(reconstruction)} {UNCERTAIN}"
        return self._add_over_the_clean(volume, UNCERTAIN, reconstruction, name=name, colormap="cyan")

    def _add_over_the_clean(
        self, volume: NDArray[np.float32], what: str, reconstruction: Reconstruction, **options: Any
    ) -> Image:
        highest = float(volume.max())
        # Of what is there: a few atoms are less than a thousandth of all voxels.
        there = volume[volume > _LEAST_DENSITY * highest]
        limits = (0.0, max(float(np.quantile(there, 0.99)) if there.size else 0.0, 1e-6))
        return self.add_volume(volume, what, reconstruction, blending="additive", contrast_limits=limits, **options)

    def add_arrival(
        self, arrival: NDArray[np.float32], density: NDArray[np.float32], reconstruction: Reconstruction
    ) -> Image:
        """Add the map of arrival times, to be seen over the clean specimen: black where nothing has arrived."""
        seen = density > _LEAST_DENSITY * density.max()
        values = np.where(seen, np.clip(arrival, 0, 1), 0).astype(np.float32)
        return self.add_volume(
            values,
            ARRIVAL,
            reconstruction,
            name=f"{_series_name(reconstruction)} {ARRIVAL}",
            colormap="inferno",
            blending="additive",
            contrast_limits=(0.0, 1.0),
        )

    def forget_stream(self) -> None:
        """Take the 4D layer away, with its memory."""
        self._close_stream(wait=False)
        self._own_limits = None
        # Hidden and used again, not removed: where the last but one visible layer goes, vispy draws the other from a
        # buffer that is gone, which with Mesa's software OpenGL is the end of napari.
        self._hide(self._stream_layer)

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._close_stream(wait=True)
        self._stream_layer = self._series_layer = None
        self._run_draft = None

    def _close_stream(self, *, wait: bool) -> None:
        stream, self.stream, self._slider.volume_axis = self.stream, None, None
        if stream is not None:
            stream.close(wait=wait)

    def _made(self, *kinds: str) -> list[Any]:
        """Layers that were made from a reconstruction, by what they are."""
        return [layer for layer in self._viewer.layers if (entry_of(layer, "mark") or ("",))[0] in kinds]

    def hide_results(self) -> None:
        """Hide what was made from a reconstruction that is no longer worked on."""
        self._hide(*self._made(CLEAN, *_OVER_THE_CLEAN))

    def _add_stream_layer(self, reconstruction: Reconstruction) -> None:
        assert self.stream is not None
        options = {
            "name": f"{_series_name(reconstruction)} reconstruction",
            "contrast_limits": self._own_limits or (0.0, 1.0),
            **self._volume_placement(reconstruction, self.stream.axis),
        }
        layer = self._stream_layer
        if layer is None:
            self._stream_layer = layer = self._viewer.add_image(self.stream, projection_mode="none", **options)
        else:
            layer.data = self.stream
            for name, value in options.items():
                setattr(layer, name, value)
            self._viewer.layers.move(self._viewer.layers.index(layer), len(self._viewer.layers))
            layer.visible = True
        # The docks have made the canvas smaller since the projections were fitted into it.
        self._viewer.reset_view()
        middle = layer.extent.world.mean(axis=0)
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3, middle[1])

    def _number_of(self, reconstruction: Reconstruction) -> int:
        if reconstruction not in self._numbers:
            self._numbers[reconstruction] = next(self._next_number)
        return self._numbers[reconstruction]

    def _hide(self, *layers: Any) -> None:
        for layer in layers:
            if layer is not None and layer in self._viewer.layers:
                layer.visible = False

    def _volume_placement(self, reconstruction: Reconstruction, axis: TimeAxis | None) -> dict[str, Any]:
        size = reconstruction.voxel_size if reconstruction.length_unit != "pixel" else None
        voxel, unit = pixel_size_in_view(size)
        if size is None:
            voxel = reconstruction.voxel_size
        return placement(axis, **volume_placement(self._run_draft, reconstruction.grid.shape, voxel, unit))

    def _on_volume_ready(self) -> None:
        layer, stream = self._stream_layer, self.stream
        if layer is None or stream is None or stream.field is None:
            return
        limits = field_limits(stream.field)
        # Whoever has set the contrast by hand keeps it.
        own = self._own_limits
        is_untouched = own is None or tuple(layer.contrast_limits) == own
        if is_untouched and (own is None or abs(limits[1] / own[1] - 1) > _VISIBLE_CHANGE):
            self._own_limits = limits
            layer.contrast_limits_range = (limits[0], 2 * limits[1])
            layer.contrast_limits = limits
        layer.refresh(extent=False)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._stream_layer:
            self._stream_layer = None
        if event.value is self._series_layer:
            self._series_layer = None


def _series_name(reconstruction: Reconstruction) -> str:
    return reconstruction.provenance.get("series", "series")


def _axis_of(reconstruction: Reconstruction) -> TimeAxis:
    return TimeAxis(time_range=reconstruction.time_range, unit=reconstruction.time_unit)


def _preview_of(layer: Any) -> Any:
    draft = entry_of(layer, "draft")
    return None if draft is None else draft.preview
