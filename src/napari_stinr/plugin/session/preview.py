"""What the window shows of projections: `Preview`, the pixels of a draft.

A small stack is copied, and what the training takes is that copy. A large one is shown out of its file where its images
lie there one after the other as they are, read one by one; where they are compressed or must be put right, they are
averaged until they fit into half of the free memory. Either way the training reads the file, bins on the way, and
refuses a file that is another one by now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.checks import check_finite, check_shows_something
from napari_stinr.data.margin import EdgeMatter
from napari_stinr.data.preprocessing.binning import Binning
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.stored import StoredImages
from napari_stinr.io.series.reading import read_projections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_stinr.data.preprocessing.crop import Crop
    from napari_stinr.io.series.found import FoundSeries

MOST_BINNING = 16
COPIED_BYTES = 64_000_000
"""A stack of this size in single precision is copied [byte], so that it is trained whatever happens to its file."""
SAMPLED_PIXELS = 200_000
"""Pixels that are looked at for the contrast."""
_PART_OF_MEMORY = 0.5


@dataclass(frozen=True, eq=False)
class Preview:
    """Projections to look at, indexed along the first axis like an array of the size of the series.

    Parameters
    ----------
    values : ndarray or StoredImages
        `(n_tilts, height // binning, width // binning)` pixels [the unit of the file or layer]; those of a file raise
        a StinrError where it is lost, cut off or another one by now.
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
    sample : ndarray, optional
        `(n,)` pixels from everywhere, where those of a file were sampled.
    """

    values: NDArray[Any] | StoredImages
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    mask: NDArray[np.bool_] | None = None
    n_infinite: int = 0
    binning: int = 1
    as_read: bool = False
    sample: NDArray[Any] | None = None

    @classmethod
    def of_array(cls, values: NDArray[Any], *, mask: NDArray[np.bool_] | None = None, **facts: Any) -> Preview:
        """Show `(n_tilts, height, width)` pixels that are in memory already."""
        n_tilts, height, width = values.shape
        return cls(values, (n_tilts, height, width), values.dtype, mask, **facts)

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """`(n_tilts,)` True where a projection has a pixel that counts."""
        return np.ones(len(self), dtype=bool) if self.mask is None else np.asarray(self.mask.any(axis=(1, 2)))

    @cached_property
    def blank(self) -> StinrError | None:
        """Why projections that show nothing cannot be reconstructed; of others, few are looked at."""
        try:
            check_shows_something(iter(self.values), self.mask, "this series")
        except StinrError as error:
            return error
        return None

    def _looked_at(self) -> Preview:
        """Find out now whether it is blank: later, its file may be lost, which is said where it is read."""
        self.blank  # noqa: B018  # it is kept
        return self

    @cached_property
    def _edges(self) -> dict[tuple[Crop | None, bool], EdgeMatter]:
        return {}

    def edges_of(self, crop: Crop | None = None, *, is_dark: bool = False) -> EdgeMatter:
        """Return where matter reaches the edge; reads a stack in a file once for each crop.

        Parameters
        ----------
        crop : Crop, optional
            Part of the projections that counts; all of it by default.
        is_dark : bool
            Matter is darker than the background.

        Returns
        -------
        EdgeMatter
            In how many projections.
        """
        asked = crop, is_dark
        if asked not in self._edges:
            images = self.part(crop)
            mask = self.mask if self.mask is None or crop is None else self.cropped(self.mask, crop)
            bright = (-image.astype(np.float32) for image in images) if is_dark else images
            self._edges[asked] = EdgeMatter.of(bright, mask=mask)
        return self._edges[asked]

    def part(self, crop: Crop | None) -> Iterator[NDArray[Any]]:
        """Return an iterator over the images as they are kept, or their part that a crop of the series leaves."""
        return iter(self.values) if crop is None else (self.cropped(image, crop) for image in self.values)

    def cropped(self, images: NDArray[Any], crop: Crop) -> NDArray[Any]:
        """Return the part of images `(..., height, width)` as they are kept that a crop of the series leaves."""
        rows, columns = (
            slice(min(first // self.binning, length - 1), max(-(-last // self.binning), first // self.binning + 1))
            for first, last, length in zip(
                (crop.top, crop.left), (crop.bottom, crop.right), images.shape[-2:], strict=True
            )
        )
        return images[..., rows, columns]

    @property
    def pixels(self) -> NDArray[Any]:
        """`(...)` pixels to choose the contrast from: all that are in memory, or the sample of those in a file."""
        return self.values if isinstance(self.values, np.ndarray) else self.sample  # type: ignore[return-value]

    @property
    def as_trained(self) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None] | None:
        """Values and mask where they are what the training reads without binning."""
        return (self.values, self.mask) if self.as_read and isinstance(self.values, np.ndarray) else None

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self._image(k) for k in range(len(self)))

    def __getitem__(self, tilts: Any) -> NDArray[Any]:
        if isinstance(tilts, (int, np.integer)):
            return self._image(int(tilts))
        if self.binning == 1 and isinstance(self.values, np.ndarray):
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
    is_large = 4 * math.prod(images.shape) > COPIED_BYTES
    if is_large and isinstance(images, StoredImages) and found.stack.mask is None:
        # By its full name, and only as long as it is the file that was found.
        stored = replace(images, path=found.path, stamp=next(iter(found.stack.stamps), None))
        sample = _sample(stored)
        if sample is not None:
            return Preview(stored, images.shape, np.dtype(np.float32), sample=sample)._looked_at()
    way = Binning(*images.shape[1:], _fitting_binning(images.shape))
    values, mask = read_projections(found, way)
    check_finite(values, found.name)
    as_read = way.factor == 1
    return Preview(values, images.shape, values.dtype, mask, binning=way.factor, as_read=as_read)._looked_at()


def _sample(images: StoredImages) -> NDArray[Any] | None:
    """Return every so manieth pixel of images that can be shown as they lie in their file; None where they cannot."""
    step = max(1, math.prod(images.shape) // SAMPLED_PIXELS)
    size, sample = math.prod(images.shape[1:]), []
    for k, image in enumerate(images):
        if not _is_finite(image):
            return None
        sample.append(image.reshape(-1)[-k * size % step :: step].copy())
    return np.concatenate(sample)


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
