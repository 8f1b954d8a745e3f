"""The layers of a session: the only place that adds layers to a viewer.

A person may delete any of them at any time, so every layer is looked up and never taken for granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_stinr.plugin.layer_data import (
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
from napari_stinr.plugin.streaming import VolumeStream
from napari_stinr.plugin.time_axis import TimeAxis

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_stinr.plugin.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction

CLEAN, CONTAMINATION, ARRIVAL = "clean (t = 0)", "contamination", "arrival time"
_VISIBLE_CHANGE = 0.02
_LEAST_DENSITY = 0.05  # of the highest: below, there is no matter that could have arrived


class ViewerLayers(QObject):
    """Adds and updates the layers of one session.

    Parameters
    ----------
    viewer : napari.Viewer
        Where.
    parent : QObject
        Owner.
    """

    volume_ready = Signal()
    """Something that the slider asked for has been computed; may be emitted in another thread."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.stream: VolumeStream | None = None
        self._stream_layer: Image | None = None
        self._own_limits: tuple[float, float] | None = None
        self._series_layer: Image | None = None
        self._series_axis = TimeAxis()
        self._run_draft: SeriesDraft | None = None
        self.volume_ready.connect(self._on_volume_ready)
        viewer.layers.events.removed.connect(self._on_removed)

    def show_series(self, draft: SeriesDraft) -> None:
        """Show a tilt series, or bring the layer that shows it up to date.

        Parameters
        ----------
        draft : SeriesDraft
            Valid or not yet.
        """
        layer = self._series_layer
        if layer is None or layer not in self._viewer.layers or _stack_of(layer) is not draft.stack:
            layer = next((kept for kept in self._viewer.layers if _stack_of(kept) is draft.stack), None)
        data, options, _ = series_layer(draft)
        self._hide(None if layer is self._series_layer else self._series_layer)
        if layer is None:
            layer = self._viewer.add_image(data, **options)
            self._viewer.reset_view()
        else:
            before = time_axis_of(entry_of(layer, "draft"))
            if not np.array_equal(before.projection_at, time_axis_of(draft).projection_at):
                layer.data = data
            for name in ("scale", "translate", "units"):
                setattr(layer, name, options[name])
            layer.metadata = {**layer.metadata, **options["metadata"]}
        self._series_layer, self._series_axis = layer, time_axis_of(draft)

    def show_reconstruction(self, reconstruction: Reconstruction, draft: SeriesDraft | None, *, again: bool) -> None:
        """Stream a reconstruction into its 4D layer.

        Parameters
        ----------
        reconstruction, draft : Reconstruction, SeriesDraft or None
            What to show from now on, and its series where that is known.
        again : bool
            Add the layer again where a person has deleted it.
        """
        axis = time_axis_of(draft) if draft is not None else _axis_of(reconstruction)
        shape = reconstruction.grid.shape
        if self.stream is not None and (self.stream.shape != (axis.n_steps, *shape) or draft is not self._run_draft):
            self.forget_stream()
        is_new = self.stream is None
        if self.stream is None:
            self._run_draft = draft
            self.stream = VolumeStream(axis, shape, on_ready=self.volume_ready.emit)
        self.stream.show(reconstruction)
        if is_new or (again and self._stream_layer is None):
            self._add_stream_layer(reconstruction, draft)

    def add_volume(
        self, volume: NDArray[np.float32], what: str, reconstruction: Reconstruction, **options: Any
    ) -> Image:
        """Add a 3D layer that was made from a reconstruction.

        Parameters
        ----------
        volume : ndarray
            `(z, y, x)` values.
        what : str
            ``clean (t = 0)``, ``contamination`` or ``arrival time``.
        reconstruction : Reconstruction
            What it was made from; a layer that shows the same already is shown again.
        **options
            For ``viewer.add_image``, in place of the usual ones.
        """
        mark = (what, options.get("name"), id(reconstruction))
        # Both lie over the clean specimen: one of them at a time.
        overlays = {CONTAMINATION, ARRIVAL} if what != CLEAN else set()
        self._hide(*(layer for layer in self._viewer.layers if (entry_of(layer, "mark") or ("",))[0] in overlays))
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
        return self.add_volume(
            volume,
            CONTAMINATION,
            reconstruction,
            name=name,
            colormap="bop orange",
            blending="additive",
            contrast_limits=(0.0, max(float(np.quantile(volume, 0.999)), 1e-6)),
        )

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

    @property
    def has_stream_layer(self) -> bool:
        """Whether the 4D layer is there."""
        return self._stream_layer is not None

    @property
    def axis(self) -> TimeAxis:
        """The time axis of the reconstruction, or of the series before there is one."""
        return self._series_axis if self.stream is None else self.stream.axis

    @property
    def t(self) -> float:
        """Where the time slider stands, 0 to 1 [t]."""
        axis = self._viewer.dims.ndim - 4
        if axis < 0:
            return 0.0
        return float(np.clip(self.axis.t_of_physical(float(self._viewer.dims.point[axis])), 0.0, 1.0))

    def set_t(self, t: float) -> None:
        """Move the time slider to a time, 0 to 1 [t]."""
        self.set_time(self.axis.physical(self.axis.t_of(self.axis.step_of(t))))

    def set_time(self, time: float) -> None:
        """Move the time slider to a physical time, in the unit of the series."""
        axis = self._viewer.dims.ndim - 4
        if axis >= 0:
            self._viewer.dims.set_point(axis, time)

    @property
    def projection(self) -> int | None:
        """Position in the stack of the projection at the time slider; None where no series is shown."""
        axis, times = self._viewer.dims.ndim - 4, self._series_axis
        if axis < 0 or not len(times.projection_at):
            return None
        return int(times.projection_at[times.step_of(times.t_of_physical(float(self._viewer.dims.point[axis])))])

    def forget_stream(self) -> None:
        """Take the 4D layer away, with its memory."""
        layer, stream = self._stream_layer, self.stream
        self._stream_layer = self.stream = self._own_limits = None
        if stream is not None:
            stream.close()
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self.stream is not None:
            self.stream.close()
        self.stream = self._stream_layer = self._series_layer = None
        self._run_draft = None

    def _add_stream_layer(self, reconstruction: Reconstruction, draft: SeriesDraft | None) -> None:
        assert self.stream is not None
        name = f"{_series_name(reconstruction)} reconstruction"
        self._stream_layer = self._viewer.add_image(
            self.stream,
            name=name,
            contrast_limits=self._own_limits or (0.0, 1.0),
            projection_mode="none",
            **self._volume_placement(reconstruction, self.axis),
        )
        # The docks have made the canvas smaller since the projections were fitted into it.
        self._viewer.reset_view()
        middle = self._stream_layer.extent.world.mean(axis=0)
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3, middle[1])

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


def _stack_of(layer: Any) -> Any:
    draft = entry_of(layer, "draft")
    return None if draft is None else draft.stack
