"""HDF5 files as far as all layouts share them: opened, walked and read without trusting them.

An HDF5 file can name other files (external links, external raw storage, virtual datasets), and the library follows such
names without a word, so that a file from a stranger could show any file of this computer. It can also declare sizes
that nothing in it backs. Every object is therefore reached by :func:`find_object`, and every dataset is checked before
a byte of it is read.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import NUMERIC_KINDS, Images, damaged, image_shape, in_bands
from napari_stinr.io.formats.guards.hdf5_chunks import read_part
from napari_stinr.io.formats.hdf5_checks import MAXIMUM_CHUNKS, check_dataset, refers_elsewhere
from napari_stinr.io.formats.limits import check_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK_BYTES = 64_000_000
"""What is read of a dataset at a time, where a single image is not larger [byte]."""
MOST_TOGETHER = 4
"""Images that may be read for one of them where only some are wanted; with more, all before it are as quick."""
MAXIMUM_SOFT_LINKS = 16
"""Soft links followed on the way to one object; more are a loop."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read, whoever else has it open."""
    try:
        with _opened(path) as file:
            yield file
    except (StinrError, MemoryError):
        raise
    # Damaged files end in almost any exception inside h5py.
    except Exception as error:
        raise damaged(path, "an HDF5 file that can be read", error) from error


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        # This very program may have it open with locks, which the library does not mix.
        if "locking" not in str(error):
            raise
        return h5py.File(path, "r")


def find_object(group: h5py.Group, name: str, path: Path) -> h5py.Group | h5py.Dataset | None:
    """Return the object of a name without ever leaving the file, None where there is no group or dataset."""
    here: h5py.Group | h5py.Dataset = group.file["/"] if name.startswith("/") else group
    parts = [part for part in reversed(name.split("/")) if part not in ("", ".")]
    n_links = 0
    while parts:
        part = parts.pop()
        if not isinstance(here, h5py.Group):
            return None
        try:
            link = here.get(part, getlink=True)
        except TypeError:  # what h5py says to a kind of link that it does not know
            raise refers_elsewhere(path, f"the user-defined link {part}") from None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise refers_elsewhere(path, f"the external link {part} to {link.filename}")
        if isinstance(link, h5py.SoftLink):
            n_links += 1
            if n_links > MAXIMUM_SOFT_LINKS:
                raise damaged(path, "an HDF5 file", f"its link {name} leads round and round")
            here = group.file["/"] if link.path.startswith("/") else here
            parts += [step for step in reversed(link.path.split("/")) if step not in ("", ".")]
            continue
        found = here[part]
        if not isinstance(found, (h5py.Group, h5py.Dataset)):
            return None
        here = found
    return here


def find_dataset(group: h5py.Group, name: str, path: Path) -> h5py.Dataset | None:
    """Return the dataset of a name, checked, with numbers of any shape; None where there is none."""
    found = find_object(group, name, path)
    if not isinstance(found, h5py.Dataset):
        return None
    check_dataset(found, path)
    return found


def read_numbers(dataset: h5py.Dataset, path: Path, *, most: int = 1_000_000) -> NDArray[np.float64]:
    """Return `(n,)` real numbers of a short list that was checked, whatever its axes [unit of the file]."""
    if dataset.dtype.kind not in NUMERIC_KINDS:
        raise damaged(path, "a list of real numbers", f"{dataset.name} holds the data type {dataset.dtype}")
    if dataset.size > most:
        raise damaged(path, f"at most {most} numbers in {dataset.name}", f"it declares {dataset.size}")
    values = read_part(dataset, tuple(slice(0, length) for length in dataset.shape), path)
    with np.errstate(invalid="ignore"):  # bytes that are no number are judged by whoever uses them
        return np.asarray(values, dtype=np.float64).reshape(-1)


def dataset_images(
    path: Path, name: str, *, axes: tuple[int, ...] = (0, 1, 2), selection: Sequence[int] | None = None
) -> Images:
    """Return images on the given axes (tilt, row, column) or (row, column), all or those of an ascending selection."""
    with open_hdf5(path) as file:
        dataset = _dataset_of_images(file, name, axes, path)
        along = [dataset.shape[axis] for axis in axes]
        n_tilts, height, width = image_shape(tuple(along), dataset.dtype, path)
        check_memory(height * width * dataset.dtype.itemsize, path, shape=dataset.shape)
        together = _images_together(dataset, axes)
    chosen = list(range(n_tilts)) if selection is None else [int(k) for k in selection]
    if len(chosen) == 0 or chosen[-1] >= n_tilts:
        raise damaged(path, f"a choice among {n_tilts} images", f"{len(chosen)} images are chosen")

    def read() -> Iterator[NDArray[Any]]:
        with open_hdf5(path) as file:
            dataset = _dataset_of_images(file, name, axes, path)
            step = _images_in_a_block(dataset, axes, n_tilts)
            yield from _read_blocks(dataset, axes, n_tilts, step, np.asarray(chosen), path)

    def choose(positions: Sequence[int], bands: Sequence[slice]) -> Iterator[NDArray[Any]]:
        with open_hdf5(path) as file:
            dataset = _dataset_of_images(file, name, axes, path)
            step = _images_together(dataset, axes)
            for image in _read_blocks(dataset, axes, n_tilts, step, np.asarray(chosen)[list(positions)], path):
                yield from in_bands(image, bands)

    return Images((len(chosen), height, width), read, choose=choose if together <= MOST_TOGETHER else None)


def _dataset_of_images(file: h5py.File, name: str, axes: tuple[int, ...], path: Path) -> h5py.Dataset:
    dataset = find_dataset(file, name, path)
    if dataset is None:
        raise damaged(path, f"a dataset {name}", "there is none")
    others = [length for axis, length in enumerate(dataset.shape) if axis not in axes]
    if len(axes) not in (2, 3) or max(axes) >= dataset.ndim or any(length != 1 for length in others):
        raise damaged(path, "images on the axes (tilt, row, column)", f"{name} has the shape {dataset.shape}")
    return dataset


def _read_blocks(
    dataset: h5py.Dataset, axes: tuple[int, ...], n_tilts: int, step: int, chosen: NDArray[np.int64], path: Path
) -> Iterator[NDArray[Any]]:
    others = tuple(axis for axis in range(dataset.ndim) if axis not in axes)
    tilt_axis = _tilt_axis(axes)
    for start in range(0, n_tilts, step):
        wanted = chosen[(chosen >= start) & (chosen < start + step)]
        if len(wanted) == 0:
            continue
        where = [slice(0, length) for length in dataset.shape]
        if tilt_axis is not None:
            where[tilt_axis] = slice(start, min(start + step, n_tilts))
        block = np.transpose(read_part(dataset, tuple(where), path), (*others, *axes))
        block = block.reshape(-1, *block.shape[-2:])
        yield from (block[k - start] for k in wanted)


def _tilt_axis(axes: tuple[int, ...]) -> int | None:
    return axes[0] if len(axes) == 3 else None


def _images_together(dataset: h5py.Dataset, axes: tuple[int, ...]) -> int:
    """Return the number of images that are read for one of them."""
    tilt_axis = _tilt_axis(axes)
    if tilt_axis is None:
        return 1
    if dataset.chunks is not None:
        return int(dataset.chunks[tilt_axis])
    return 1 if tilt_axis == min(axes) else int(dataset.shape[tilt_axis])


def _images_in_a_block(dataset: h5py.Dataset, axes: tuple[int, ...], n_tilts: int) -> int:
    tilt_axis = _tilt_axis(axes)
    if tilt_axis is None:
        return 1
    n_images: int = max(1, BLOCK_BYTES * n_tilts // (dataset.size * dataset.dtype.itemsize))
    if dataset.chunks is None:
        return n_images
    depth = int(dataset.chunks[tilt_axis])
    along = [-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    n_chunks = math.prod(along) // along[tilt_axis]
    n_images = min(n_images, max(1, MAXIMUM_CHUNKS // n_chunks) * depth)
    return n_images // depth * depth if n_images > depth else n_images
