"""What the window shows of projections: `Preview`, the pixels of a draft.

A small stack is copied, and what the training takes is that copy. A large one is shown out of its file where its pixels
lie there as they are; where they are compressed or must be put right, they are averaged until they fit into half of the
free memory. Either way the training reads the file, and bins on the way.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.checks import check_finite
from napari_stinr.data.preprocessing import Binning
from napari_stinr.io.formats.containers import checked_images
from napari_stinr.io.series.reading import read_projections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.formats.containers import Images
    from napari_stinr.io.series.found import FoundSeries

MOST_BINNING = 16
COPIED_BYTES = 64_000_000
"""A stack of this size in single precision is copied [byte]: whoever shortens a file that is shown out of it ends the
program, and on Windows nobody can replace it."""
_PART_OF_MEMORY = 0.5


@dataclass(frozen=True, eq=False)
class Preview:
    """Projections to look at, indexed along the first axis like an array of the size of the series.

    Parameters
    ----------
    values : ndarray
        `(n_tilts, height // binning, width // binning)` pixels [the unit of the file or layer].
    shape : tuple of int
        (n_tilts, height, width) of the series.
    dtype : numpy.dtype
        Data type in which images are shown.
    mask : ndarray, optional
        Shape of `values`, True where a pixel counts.
    n_infinite : int
        Infinite pixels.
    binning : int
        Pixels along each edge that were averaged to fit into memory.
    as_read : bool
        Values and mask are what the training reads without binning, and nobody can change them.
    """

    values: NDArray[Any]
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    mask: NDArray[np.bool_] | None = None
    n_infinite: int = 0
    binning: int = 1
    as_read: bool = False

    @classmethod
    def of_array(cls, values: NDArray[Any], *, mask: NDArray[np.bool_] | None = None, **facts: Any) -> Preview:
        """Show `(n_tilts, height, width)` pixels that are in memory already."""
        n_tilts, height, width = values.shape
        return cls(values, (n_tilts, height, width), values.dtype, mask, **facts)

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """`(n_tilts,)` True where a projection has a pixel that counts."""
        return np.ones(len(self), dtype=bool) if self.mask is None else np.asarray(self.mask.any(axis=(1, 2)))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self._image(k) for k in range(len(self)))

    def __getitem__(self, tilts: Any) -> NDArray[Any]:
        if isinstance(tilts, (int, np.integer)):
            return self._image(int(tilts))
        if self.binning == 1:
            return np.asarray(self.values[tilts], dtype=self.dtype)
        chosen = np.arange(len(self))[tilts]
        images = np.empty((*chosen.shape, *self.shape[1:]), dtype=self.dtype)
        for place in np.ndindex(chosen.shape):
            images[place] = self._image(int(chosen[place]))
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _image(self, k: int) -> NDArray[Any]:
        image = np.asarray(self.values[k], dtype=self.dtype)
        return image if self.binning == 1 else Binning(*self.shape[1:], self.binning).enlarged(image)


def preview_of(found: FoundSeries) -> Preview:
    """Return what is shown of a series in files, in single precision; every pixel is looked at once."""
    # A StinrError: the file is damaged, has infinite pixels, or does not fit into memory even with the largest binning.
    images = found.stack.images
    if 4 * math.prod(images.shape) > COPIED_BYTES and found.stack.mask is None:
        mapped = mapped_array(images, found.path)
        if mapped is not None and all(map(_is_finite, mapped)):
            return Preview(mapped, images.shape, np.dtype(np.float32))
    way = Binning(*images.shape[1:], _fitting_binning(images.shape))
    values, mask = read_projections(found, way)
    check_finite(values, found.name)
    as_read = way.factor == 1
    return Preview(values, images.shape, values.dtype, mask, binning=way.factor, as_read=as_read)


def mapped_array(images: Images, path: Path) -> NDArray[Any] | None:
    """Return `(n_tilts, height, width)` pixels where they lie in their file, None where reading them makes copies."""
    views: list[NDArray[Any]] = []
    for image in checked_images(images, path):
        # At once: to keep the images of many files would keep all of them open.
        if _mapping(image) is None or (views and _mapping(image) is not _mapping(views[0])):
            return None
        views.append(image)
    first, step = views[0], _address(views[1]) - _address(views[0])
    for k, view in enumerate(views):
        if view.strides != first.strides or _address(view) != _address(first) + k * step:
            return None
    return np.lib.stride_tricks.as_strided(first, images.shape, (step, *first.strides), writeable=False)


def _mapping(image: NDArray[Any]) -> mmap.mmap | None:
    """Return the mapped file in which an image lies; memory that a reader shares with a process is none."""
    base: Any = image
    is_file = False
    while isinstance(base, np.ndarray):
        is_file = is_file or isinstance(base, np.memmap)
        base = base.base
    return base if is_file and isinstance(base, mmap.mmap) else None


def _address(image: NDArray[Any]) -> int:
    return int(image.__array_interface__["data"][0])


def _is_finite(image: NDArray[Any]) -> bool:
    """Whether an image can be shown as it lies in its file: without gaps, and within single precision."""
    if image.dtype.kind != "f":
        return True
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.asarray(image, dtype=np.float32)).all())


def _fitting_binning(shape: tuple[int, int, int]) -> int:
    """Return the smallest binning with which the projections take half of the free memory; the largest where none."""
    import psutil  # type: ignore[import-untyped,unused-ignore]  # comes with napari

    n_tilts, height, width = shape
    usable = _PART_OF_MEMORY * psutil.virtual_memory().available
    most = max(1, min(MOST_BINNING, height, width // 2))
    sizes = (4 * n_tilts * (height // binning) * (width // binning) for binning in range(1, most + 1))
    return next((binning for binning, size in enumerate(sizes, 1) if size <= usable), most)
