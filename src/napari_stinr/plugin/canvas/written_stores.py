"""OME-Zarr that this program wrote, as a layer with resolution levels: what is seen is read, and no more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.endings import OME_ZARR_ENDING
from napari_stinr.io.output.ome_zarr_reading import WrittenStore, is_written_store, open_store
from napari_stinr.plugin.canvas.layer_data import METADATA_KEY, entry_of
from napari_stinr.plugin.canvas.telling import show_error
from napari_stinr.plugin.canvas.written_place import PLACE, axis_of, even_axis, is_unplaced, place_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.plugin.session.time_axis import TimeAxis

logger = logging.getLogger(__name__)

_KIND, _LEVEL = "written", "level_in_3d"
_DRAWN_AT_ONCE = 2**25
"""Voxels of a volume that is read and drawn in 3D in a moment."""


class StoredLevel:
    """A resolution level as an array, at every step of the time axis the volume that is nearest.

    What cannot be read is blank: napari asks whenever it draws, and an error there would stop the drawing.
    """

    def __init__(self, store: WrittenStore, number: int, axis: TimeAxis | None) -> None:
        self._store, self._number, self._steps = store, number, None if axis is None else axis.projection_at
        stored, self.chunks = store.levels[number].shape, store.levels[number].chunks
        self.shape = stored if self._steps is None else (len(self._steps), *stored[1:])
        self.dtype, self.ndim, self.size = np.dtype(np.float32), len(self.shape), int(np.prod(self.shape))
        self._is_lost = False

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        first, *rest = index if isinstance(index, tuple) else (index,)
        try:
            if self._steps is None:
                return self._read(first, rest)
            if isinstance(first, (int, np.integer)):
                return self._read(int(self._steps[first]), rest)
            return np.stack([self._read(int(step), rest) for step in self._steps[first]])
        except StinrError as error:
            if not self._is_lost:
                self._is_lost = True
                show_error(str(error))
            return np.zeros_like(np.broadcast_to(self.dtype.type(0), self.shape)[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[(slice(None),) * self.ndim], dtype=dtype)

    def _read(self, first: Any, rest: list[Any]) -> NDArray[np.float32]:
        return self._store.read((first, *rest), level=self._number)


class LevelIn3D:
    """Chooses the level that napari shows in 3D: it would take the coarsest, and this takes a finer one.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers of :func:`store_layer` are.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        viewer.dims.events.ndisplay.connect(self.look)
        viewer.layers.events.inserted.connect(self.look)

    def look(self, event: Any = None) -> None:
        """Choose for all layers; those of other programs are left alone."""
        in_3d = self._viewer.dims.ndisplay == 3
        for layer in self._viewer.layers:
            level = entry_of(layer, _LEVEL)
            wanted = level if in_3d else None
            if level is not None and layer.locked_data_level != wanted:
                layer.locked_data_level = wanted

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.dims.events.ndisplay.disconnect(self.look)
        self._viewer.layers.events.inserted.disconnect(self.look)


def store_layer(path: Path, draft: SeriesDraft | None = None) -> tuple[Any, dict[str, Any], str]:
    """Return the layer of an OME-Zarr of ours.

    Parameters
    ----------
    path : Path
        The folder.
    draft : SeriesDraft, optional
        The series that is open: a volume of its size is put where its reconstruction is.

    Returns
    -------
    tuple
        Data (one array for every level), keyword arguments and type for napari.

    Raises
    ------
    StinrError
        It is damaged, or was changed by another program.
    """
    store = open_store(path)
    axis = axis_of(store, draft)
    levels = [_lazy(StoredLevel(store, number, axis)) for number in range(len(store.levels))]
    options = {
        "name": path.name[: -len(OME_ZARR_ENDING)],
        "contrast_limits": store.limits,
        "colormap": "gray",
        "projection_mode": "none",
        "metadata": {METADATA_KEY: _noted(store)},
        **place_of(store, axis, draft),
    }
    if len(levels) == 1:
        return levels[0], options, "image"
    return levels, options | {"multiscale": True}, "image"


def _lazy(level: StoredLevel) -> Any:
    """Return a level that is read when it is computed: napari cuts it along one axis after the other."""
    import dask.array

    return dask.array.from_array(
        level, chunks=level.chunks, asarray=False, meta=np.empty((0,) * level.ndim, level.dtype)
    )


def mend_store_layer(layer: Any, path: Path, draft: SeriesDraft | None = None) -> bool:
    """Put an OME-Zarr of ours that another reader opened at its size, place and time, and show it.

    Parameters
    ----------
    layer : napari.layers.Image
        A layer with resolution levels. What a person has changed of it stays.
    path : Path
        Where it comes from.
    draft : SeriesDraft, optional
        As for :func:`store_layer`.

    Returns
    -------
    bool
        Whether anything was changed.
    """
    if not is_written_store(path):
        return False
    try:
        store = open_store(path)
    except StinrError as error:
        logger.info("%s stays as napari opened it: %s", layer.name, error)
        return False
    if [tuple(data.shape) for data in layer.data] != [tuple(level.shape) for level in store.levels]:
        return False
    if is_unplaced(layer) or _is_as_stated(layer, store):
        place = place_of(store, even_axis(axis_of(store, draft), store), draft)
        for name in PLACE:
            setattr(layer, name, place[name])
        low, high = store.limits
        layer.contrast_limits_range = (low, 2 * high - low)
        layer.contrast_limits = (low, high)
    layer.metadata = {**layer.metadata, METADATA_KEY: _noted(store)}
    return True


def _is_as_stated(layer: Any, store: WrittenStore) -> bool:
    """Return whether a reader of OME-Zarr put a layer there: in other units than the layers of this program."""
    if store.voxel_size is None or not np.allclose(layer.translate, 0):
        return False
    return str(layer.units[-1]) == "angstrom" and bool(np.allclose(layer.scale[-3:], store.voxel_size))


def _noted(store: WrittenStore) -> dict[str, Any]:
    sizes = [int(np.prod(level.shape[-3:])) for level in store.levels]
    if len(sizes) == 1:
        return {_KIND: store.path}
    finest = next((number for number, size in enumerate(sizes) if size <= _DRAWN_AT_ONCE), len(sizes) - 1)
    return {_KIND: store.path, _LEVEL: finest}
