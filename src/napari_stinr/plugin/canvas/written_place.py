"""Where a volume that this program wrote lies when it is opened again: its size, place and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_stinr.data.checks import is_same_size
from napari_stinr.plugin.canvas.layer_data import pixel_size_in_view, placement, time_axis_of, volume_placement
from napari_stinr.plugin.canvas.telling import show_info
from napari_stinr.plugin.session.time_axis import TimeAxis

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stinr.plugin.session.draft import SeriesDraft

_PIXEL = "pixel"
PLACE = ("units", "scale", "translate", "axis_labels")
"""Units first: napari warns as soon as something moves in other units than the rest."""


class Written(Protocol):
    """What a file or an OME-Zarr of this program tells."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Times, slices, rows and columns."""

    @property
    def voxel_size(self) -> float | None:
        """Edge of a voxel [Å]; None where it is not known."""

    @property
    def times(self) -> tuple[float, ...]:
        """Time of every volume; empty where it is not known [t]."""


def axis_of(written: Written, draft: SeriesDraft | None) -> TimeAxis | None:
    """Return on which time axis the volumes lie; None for a single one."""
    n_times = written.shape[0]
    if n_times == 1:
        return None
    times = np.asarray(written.times or range(n_times), dtype=np.float64)
    first, last = float(times[0]), float(times[-1])
    unit = ""
    if draft is not None and _fits(written, draft) and written.times and 0 <= first < last <= 1:
        axis = time_axis_of(draft)
        first, last, unit = axis.physical(first), axis.physical(last), axis.unit
    return TimeAxis.of_times((times - times[0]) / (times[-1] - times[0]), time_range=(first, last), unit=unit)


def even_axis(axis: TimeAxis | None, written: Written) -> TimeAxis | None:
    """Return an axis with a step for every volume: what is in a layer already cannot be spread over more."""
    n_times = written.shape[0]
    if axis is None or axis.n_steps == n_times:
        return axis
    return TimeAxis(n_times, (0.0, n_times - 1.0))


def place_of(written: Written, axis: TimeAxis | None, draft: SeriesDraft | None) -> dict[str, Any]:
    """Return the keyword arguments that put a layer of the volumes at its place, :data:`PLACE`."""
    voxel, unit = pixel_size_in_view(written.voxel_size)
    own = draft if draft is not None and _fits(written, draft) else None
    _, depth, height, width = written.shape
    return placement(axis, **volume_placement(own, (depth, height, width), voxel, unit))


def is_unplaced(layer: Any) -> bool:
    """Return whether a layer lies where napari puts bare numbers."""
    is_bare = np.allclose(layer.scale, 1) and np.allclose(layer.translate, 0)
    return bool(is_bare) and all(str(unit) == "pixel" for unit in layer.units)


def share_pixels(viewer: ViewerModel, layer: Any) -> None:
    """Count in pixels what comes beside layers of which nobody knows the size, and tell the person.

    napari has one unit for all layers, and its scale bar would call nanometres pixels.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layer : napari.layers.Layer
        A volume of ours, at its place.
    """
    beside = {str(other.units[-1]) for other in viewer.layers if other is not layer and other.visible}
    size, unit = layer.scale[-1], f"{layer.units[-1]:~P}"
    if unit == _PIXEL or _PIXEL not in beside:
        return
    factors = np.ones(layer.ndim)
    factors[-3:] = size
    layer.units = (*layer.units[:-3], *[_PIXEL] * 3)
    layer.scale, layer.translate = layer.scale / factors, layer.translate / factors
    more = f"The layers beside it have no pixel size; its own is {size:.4g} {unit}."
    show_info(f"{layer.name:.25} is shown in pixels.\n{more}")


def _fits(written: Written, draft: SeriesDraft) -> bool:
    shape = draft.binned_shape[:0:-1] if draft.is_turned else draft.binned_shape[1:]
    if written.voxel_size is None or draft.pixel_size is None or shape != written.shape[2:]:
        return False
    return is_same_size(draft.pixel_size * draft.binning, written.voxel_size)
