"""Images that lie in their file as they are.

They are read by ordinary reads, one when it is wanted: whoever shortens a file that is mapped into the memory of a
program ends that program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_stinr.io.formats.containers import Images, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.formats.stamps import FileStamp


@dataclass(frozen=True, eq=False)
class StoredImages(Images):
    """Images `(n_tilts, height, width)` one after the other in a file; see :meth:`of`.

    Parameters
    ----------
    path : Path
        The file.
    dtype : numpy.dtype
        Data type of a pixel, with its byte order.
    offset : int
        Where the first image begins [byte].
    stamp : FileStamp, optional
        The file must be this one whenever a single image is read.
    """

    path: Path
    dtype: np.dtype[Any] = field(kw_only=True)
    offset: int = field(kw_only=True)
    stamp: FileStamp | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, path: Path, shape: tuple[int, int, int], *, dtype: np.dtype[Any], offset: int) -> StoredImages:
        """Return the images of a file whose header has been checked.

        Parameters
        ----------
        path : Path
            The file.
        shape : tuple of int
            (n_tilts, height, width).
        dtype : numpy.dtype
            Data type of a pixel.
        offset : int
            Where the first image begins [byte].

        Returns
        -------
        StoredImages
            Nothing is read yet.
        """
        return cls(
            shape,
            partial(_all, path, shape, dtype, offset),
            path,
            choose=partial(_some, path, shape, dtype, offset),
            plain_itemsize=dtype.itemsize,
            dtype=dtype,
            offset=offset,
        )

    def __getitem__(self, k: int) -> NDArray[Any]:
        """Return image k `(height, width)`; a StinrError says that the file is lost, cut off or another one by now."""
        if not -len(self) <= k < len(self):
            raise IndexError(k)
        place = self.offset + k % len(self) * math.prod(self.shape[1:]) * self.dtype.itemsize
        with refusing(self.path), self.path.open("rb") as stream:
            if self.stamp is not None:
                self.stamp.check(stream)
            stream.seek(place)
            return _next(stream, self.shape[1:], self.dtype)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[k] for k in range(len(self)))


def _all(path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], offset: int) -> Iterator[NDArray[Any]]:
    with path.open("rb") as stream:
        stream.seek(offset)
        for _ in range(shape[0]):
            yield _next(stream, shape[1:], dtype)


def _some(
    path: Path,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    offset: int,
    positions: Sequence[int],
    bands: Sequence[slice],
) -> Iterator[NDArray[Any]]:
    _, height, width = shape
    with path.open("rb") as stream:
        for k in positions:
            for rows in bands:
                stream.seek(offset + (k * height + rows.start) * width * dtype.itemsize)
                yield _next(stream, (rows.stop - rows.start, width), dtype)


def _next(stream: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the image `(height, width)` that comes next."""
    image = np.empty(shape, dtype)
    n_read = stream.readinto(image.reshape(-1).view(np.uint8))  # type: ignore[attr-defined]
    if n_read < image.nbytes:
        raise OSError("it ends within an image")
    return image
