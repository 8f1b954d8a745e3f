"""Volumes that this program wrote, opened again: at their size, place and time, in a contrast that shows them.

napari reads a TIFF itself, as bare numbers whose first slice, often an empty one, sets the contrast.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.output.ome_zarr_reading import is_written_store
from napari_stinr.io.output.written import WrittenVolumes, is_written_volume, open_written
from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, contrast_limits
from napari_stinr.plugin.canvas.telling import show_error
from napari_stinr.plugin.canvas.written_place import PLACE, axis_of, even_axis, is_unplaced, place_of, share_pixels
from napari_stinr.plugin.canvas.written_stores import mend_store_layer, store_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.time_axis import TimeAxis

logger = logging.getLogger(__name__)

_KIND = "written"


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
    written = [path for path in paths if is_written_volume(path) or is_written_store(path)]
    return (written, []) if len(written) == len(paths) else ([], paths)


def written_layer(path: Path, draft: SeriesDraft | None = None) -> tuple[Any, dict[str, Any], str]:
    """Return the layer of a file or an OME-Zarr that :func:`split_written` named.

    Parameters
    ----------
    path : Path
        The file or folder.
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
    if is_written_store(path):
        return store_layer(path, draft)
    written = open_written(path)
    axis = axis_of(written, draft)
    options = {
        "name": path.name.partition(".")[0],
        "contrast_limits": _limits(written),
        "colormap": "gray",
        "projection_mode": "none",
        "metadata": {METADATA_KEY: {_KIND: path}},
        **place_of(written, axis, draft),
    }
    return (written.volume(0) if axis is None else WrittenSeries(written, axis)), options, "image"


def add_written(viewer: ViewerModel, layer: tuple[Any, dict[str, Any], str]) -> None:
    """Add what :func:`written_layer` gave, and let it be seen."""
    data, options, _ = layer
    added = viewer.add_image(data, **options)
    share_pixels(viewer, added)
    show_whole(viewer, added)


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
    if type(layer).__name__ != "Image" or METADATA_KEY in layer.metadata or path is None:
        return False
    if layer.multiscale:
        return mend_store_layer(layer, path, draft)
    if not is_written_volume(path):
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
    if is_unplaced(layer):
        axis = even_axis(axis_of(written, draft), written)
        place = place_of(written, axis, draft)
        for name in PLACE:
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
