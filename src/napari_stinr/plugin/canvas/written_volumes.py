"""Volumes that this program wrote, opened again: at their size, place and time, in a contrast that shows them.

napari reads a TIFF itself, as bare numbers whose first slice, often an empty one, sets the contrast.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error

from napari_stinr.data.checks import is_same_size
from napari_stinr.errors import StinrError
from napari_stinr.io.output.written import WrittenVolumes, is_written_volume, open_written
from napari_stinr.plugin.canvas.layer_data import (
    METADATA_KEY,
    contrast_limits,
    pixel_size_in_view,
    placement,
    time_axis_of,
    volume_placement,
)
from napari_stinr.plugin.session.time_axis import TimeAxis

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft

logger = logging.getLogger(__name__)

_KIND = "written"
_PLACE = ("units", "scale", "translate", "axis_labels")
"""Units first: napari warns as soon as something moves in other units than the rest."""


class WrittenSeries:
    """Volumes over time in a file as an array `(t, z, y, x)` that is read when napari asks for it."""

    def __init__(self, written: WrittenVolumes, axis: TimeAxis) -> None:
        self._written, self._steps = written, axis.projection_at
        self.shape = (axis.n_steps, *written.shape[1:])
        self.dtype, self.ndim, self.size = np.dtype(np.float32), 4, int(np.prod(self.shape))
        self._last: tuple[int, NDArray[np.float32]] | None = None
        self._is_lost = False

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if isinstance(first, (int, np.integer)):
            return np.asarray(self._volume(int(self._steps[first]))[tuple(rest)])
        return np.stack([self._volume(int(step))[tuple(rest)] for step in self._steps[first]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _volume(self, number: int) -> NDArray[np.float32]:
        if self._last is None or self._last[0] != number:
            try:
                self._last = number, self._written.volume(number)
            except StinrError as error:
                # napari asks whenever it draws, and an error there would stop the drawing.
                if not self._is_lost:
                    self._is_lost = True
                    show_error(str(error))
                return np.zeros(self.shape[1:], dtype=np.float32)
        return self._last[1]


def split_written(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Tell volumes of ours from everything else in what a person dropped.

    Parameters
    ----------
    paths : list of Path
        Files and folders in any order.

    Returns
    -------
    written, others : list of Path
        Where a volume comes with anything else, such as a list of angles, it is one of `others`: it is wanted as a
        tilt series.
    """
    written = [path for path in paths if is_written_volume(path)]
    return (written, []) if len(written) == len(paths) else ([], paths)


def written_layer(path: Path, draft: SeriesDraft | None = None) -> tuple[Any, dict[str, Any], str]:
    """Return the layer of a file that :func:`split_written` named.

    Parameters
    ----------
    path : Path
        The file.
    draft : SeriesDraft, optional
        The series that is open: a volume of its size is put where its reconstruction is.

    Returns
    -------
    tuple
        Data, keyword arguments and type for napari.

    Raises
    ------
    StinrError
        The file is damaged, or was changed by another program.
    """
    written = open_written(path)
    axis = _axis_of(written, draft)
    options = {
        "name": path.name.partition(".")[0],
        "contrast_limits": _limits(written),
        "colormap": "gray",
        "projection_mode": "none",
        "metadata": {METADATA_KEY: {_KIND: path}},
        **_place(written, axis, draft),
    }
    return (written.volume(0) if axis is None else WrittenSeries(written, axis)), options, "image"


def add_written(viewer: ViewerModel, layer: tuple[Any, dict[str, Any], str]) -> None:
    """Add what :func:`written_layer` gave, and let it be seen."""
    data, options, _ = layer
    show_whole(viewer, viewer.add_image(data, **options))


def mend_layer(layer: Any, draft: SeriesDraft | None = None) -> bool:
    """Put a volume of ours that another reader opened at its size, place and time, and show it.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any layer. What a person has changed of it stays.
    draft : SeriesDraft, optional
        As for :func:`written_layer`.

    Returns
    -------
    bool
        Whether anything was changed.
    """
    source = getattr(layer, "source", None)
    path = None if source is None or source.path is None else Path(source.path)
    if type(layer).__name__ != "Image" or layer.multiscale or METADATA_KEY in layer.metadata:
        return False
    if path is None or not is_written_volume(path):
        return False
    try:
        written = open_written(path)
        n_axes = 3 if written.shape[0] == 1 else 4
        if tuple(layer.data.shape) != written.shape[-n_axes:]:
            return False
        limits = _limits(written)
    except StinrError as error:
        logger.info("%s stays as napari opened it: %s", layer.name, error)
        return False
    if _is_unplaced(layer):
        axis = _even_axis(_axis_of(written, draft), written)
        place = _place(written, axis, draft)
        for name in _PLACE:
            setattr(layer, name, place[name])
    if list(layer.contrast_limits) == list(layer.contrast_limits_range):
        layer.contrast_limits_range = (limits[0], 2 * limits[1] - limits[0])
        layer.contrast_limits = limits
    layer.metadata = {**layer.metadata, METADATA_KEY: {_KIND: path}}
    return True


def show_whole(viewer: ViewerModel, layer: Any) -> None:
    """Bring the slider z into a layer and the canvas onto it, where they look past it."""
    if layer not in viewer.layers:
        return
    low, high = layer.extent.world
    number, dims = viewer.dims.ndim - 3, viewer.dims
    quarter = (high[-3] - low[-3]) / 4
    if not low[-3] + quarter <= dims.point[number] <= high[-3] - quarter:
        dims.set_point(number, float(low[-3] + high[-3]) / 2)
    others = [other.extent.world for other in viewer.layers if other is not layer and other.visible]
    if not any(np.allclose(extent[:, -2:], layer.extent.world[:, -2:], atol=quarter) for extent in others):
        viewer.reset_view()


def _limits(written: WrittenVolumes) -> tuple[float, float]:
    # The last volume has the most matter.
    return contrast_limits(written.volume(written.shape[0] - 1))


def _axis_of(written: WrittenVolumes, draft: SeriesDraft | None) -> TimeAxis | None:
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


def _even_axis(axis: TimeAxis | None, written: WrittenVolumes) -> TimeAxis | None:
    """Return an axis with a step for every volume: what is in a layer already cannot be spread over more."""
    n_times = written.shape[0]
    if axis is None or axis.n_steps == n_times:
        return axis
    return TimeAxis(n_times, (0.0, n_times - 1.0))


def _place(written: WrittenVolumes, axis: TimeAxis | None, draft: SeriesDraft | None) -> dict[str, Any]:
    voxel, unit = pixel_size_in_view(written.voxel_size)
    own = draft if draft is not None and _fits(written, draft) else None
    _, depth, height, width = written.shape
    return placement(axis, **volume_placement(own, (depth, height, width), voxel, unit))


def _fits(written: WrittenVolumes, draft: SeriesDraft) -> bool:
    if written.voxel_size is None or draft.pixel_size is None or draft.binned_shape[1:] != written.shape[2:]:
        return False
    return is_same_size(draft.pixel_size * draft.binning, written.voxel_size)


def _is_unplaced(layer: Any) -> bool:
    is_bare = np.allclose(layer.scale, 1) and np.allclose(layer.translate, 0)
    return bool(is_bare) and all(str(unit) == "pixel" for unit in layer.units)
