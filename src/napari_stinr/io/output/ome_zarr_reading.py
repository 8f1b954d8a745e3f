"""OME-Zarr that this program wrote, opened again: its volumes are read piece by piece when they are wanted."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.endings import OME_ZARR_ENDING
from napari_stinr.io.formats.units import in_angstrom
from napari_stinr.io.output.ome_zarr_layout import ATTRIBUTES, PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_METADATA = "zarr.json"
_MOST_BYTES = 2**24
"""Metadata that are longer are not ours."""


@dataclass(frozen=True, eq=False)
class WrittenStore:
    """Volumes in an OME-Zarr of ours.

    Parameters
    ----------
    path : Path
        The folder.
    shape : tuple of int
        Times, slices, rows and columns of the finest level: (t, z, y, x).
    voxel_size : float or None
        Edge of a voxel [Å]; None where it is not known.
    levels : tuple of array
        The resolution levels, the finest first: each `(t, z, y, x)`, or `(z, y, x)` where it is a single volume, of
        which what is asked for is read [V].
    times : tuple of float
        Time of every volume [t].
    limits : tuple of float
        Values that are black and white [V].
    attributes : mapping
        What the store tells of itself beyond OME-Zarr: settings, seed, versions.
    """

    path: Path
    shape: tuple[int, int, int, int]
    voxel_size: float | None
    levels: tuple[Any, ...]
    times: tuple[float, ...]
    limits: tuple[float, float]
    attributes: Mapping[str, Any]

    def read(self, index: tuple[Any, ...] = (), *, level: int = 0) -> NDArray[np.float32]:
        """Read a part of a level.

        Parameters
        ----------
        index : tuple
            Integers and slices, as for an array; the whole by default.
        level : int
            Which resolution, 0 for the finest.

        Returns
        -------
        ndarray
            float32 values [V].

        Raises
        ------
        StinrError
            A part of the store is lost or damaged.
        """
        try:
            values = np.asarray(self.levels[level][index or ...])
        # Each codec and each store of zarr has errors of its own.
        except Exception as error:
            raise _damaged(self.path, str(error) or type(error).__name__) from error
        # A part that is not there reads as NaN.
        if np.isnan(values).any():
            raise _damaged(self.path, "a part of it is missing")
        return values


def is_written_store(path: Path) -> bool:
    """Return whether a folder says that this program wrote it as OME-Zarr.

    Parameters
    ----------
    path : Path
        Any name.

    Returns
    -------
    bool
        False as well for what cannot be opened. Only the metadata are read.
    """
    try:
        return path.name.lower().endswith(OME_ZARR_ENDING) and _told(_metadata(path)).get("program") == PROGRAM
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def open_store(path: Path) -> WrittenStore:
    """Find out what is in a folder that :func:`is_written_store` knows.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    WrittenStore
        Its volumes, not read yet.

    Raises
    ------
    StinrError
        It is damaged, or was changed by another program.
    """
    import zarr

    try:
        attributes = _metadata(path)["attributes"]
        told, ome = attributes[ATTRIBUTES], attributes["ome"]
        datasets = ome["multiscales"][0]["datasets"]
        levels = tuple(zarr.open_array(path / str(dataset["path"]), mode="r") for dataset in datasets)
        times = tuple(float(time) for time in told["times"])
        window = ome["omero"]["channels"][0]["window"]
        limits = (float(window["start"]), float(window["end"]))
        size = in_angstrom(float(told["voxel_size"]), str(told["length_unit"]))
        shape = levels[0].shape if len(levels[0].shape) == 4 else (1, *levels[0].shape)
        _check(levels, shape, times, limits)
    # Metadata that somebody has edited may be wrong in any way.
    except Exception as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    voxel_size = None if size is None else float(f"{size:.12g}")
    return WrittenStore(path, (shape[0], shape[1], shape[2], shape[3]), voxel_size, levels, times, limits, told)


def _check(
    levels: tuple[Any, ...], shape: tuple[int, ...], times: tuple[float, ...], limits: tuple[float, ...]
) -> None:
    if len(shape) != 4 or any(level.dtype != np.float32 or level.ndim != levels[0].ndim for level in levels):
        raise ValueError("its arrays are of another kind")
    if not all(map(math.isfinite, (*times, *limits))) or not limits[0] < limits[1] or len(times) != shape[0]:
        raise ValueError(f"it tells {len(times)} times for {shape[0]} volumes")
    for finer, coarser in itertools.pairwise(levels):
        if any(not -(-n // 2) <= m <= n for n, m in zip(finer.shape, coarser.shape, strict=True)):
            raise ValueError("its resolution levels do not belong together")
    for level in levels:
        n_chunks = math.prod(
            -(-n // shard) * (shard // chunk)
            for n, shard, chunk in zip(level.shape, level.shards, level.chunks, strict=True)
        )
        if level.nchunks_initialized < n_chunks:
            raise ValueError("a part of it is missing")


def _metadata(path: Path) -> dict[str, Any]:
    with (path / _METADATA).open("rb") as stream:
        text = stream.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError("the metadata are too long")
    metadata = json.loads(text)
    if not isinstance(metadata, dict):
        raise TypeError("the metadata are of another kind")
    return metadata


def _told(metadata: dict[str, Any]) -> dict[str, Any]:
    told = metadata["attributes"][ATTRIBUTES]
    return told if isinstance(told, dict) else {}


def _damaged(path: Path, why: str) -> StinrError:
    return StinrError(
        f"{path.name} is damaged: {why}",
        expected="the OME-Zarr as napari-stinr wrote it",
        cure="Export it again, or copy the whole folder once more.",
    )
