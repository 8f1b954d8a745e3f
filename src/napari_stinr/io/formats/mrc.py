"""MRC files and their relatives: SerialEM and IMOD (``.st``, ``.ali``, ``.preali``), FEI, RELION (``.mrcs``).

What their headers say is the business of :mod:`napari_stinr.io.formats.mrc_headers`.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np

from napari_stinr.io.formats.containers import Images, Stack, damaged, image_shape
from napari_stinr.io.formats.mrc_headers import (
    HEADER_BYTES,
    checked_header,
    with_extended_header,
    with_fei_records,
)
from napari_stinr.io.formats.stored import StoredImages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.formats.mrc_headers import MrcHeader

_UNSIGNED_OFFSET = 32768.0
_MEAN_OF_OFFSET_DATA = -8192.0
"""Signed 16-bit data with a mean below this are unsigned data stored with an offset of -32768."""
_LOW_OF_OFFSET_DATA = -16384.0
"""The same of old FEI files where the darkest pixels are below this. A bright field has a high mean, but its shadows
remain; counts that are truly signed scatter about zero and come nowhere near."""
_DARKEST = 1e-3
"""Part of the pixels that are the darkest: a few defects say nothing."""
_BOTH_ENDS = 30_000
"""A range beyond this on both sides is that of unsigned data with an offset, or of an image stretched to all numbers:
only who has the file knows."""
_IMAGES_TO_LOOK_AT = 8
_PIXELS_TO_LOOK_AT = 250_000
"""In each of these images: a forged header can declare terabytes, in a file of that size that takes no space."""


def read_mrc(path: Path) -> Stack:
    """Return pixels with offsets and signs put right, and what the headers tell of angles, times and pixel size."""
    header = checked_header(path)
    with _opened(path) as file:
        data = _data(file, header, path)
        image_shape(header.shape, data.dtype, path)
        convert, notes = _signedness(data, header, file.header)
        records = file.indexed_extended_header if header.is_fei else None
    offset = HEADER_BYTES + header.extended_bytes
    images: Images = StoredImages.of(path, header.shape, dtype=data.dtype, offset=offset)
    if convert is not _unchanged:
        images = images.changed(convert)
    stack = Stack(images, pixel_size=header.voxel_size or None, pixel_height=header.voxel_height, notes=notes)
    if records is not None:
        return with_fei_records(stack, records)
    if header.extended_bytes == 0:
        return stack
    with path.open("rb") as stream:
        stream.seek(HEADER_BYTES)
        return with_extended_header(stack, stream.read(header.extended_bytes), header, path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    # mrcfile warns about defects that checked_header has already judged.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mrcfile.mmap(path, mode="r", permissive=True) as file:
            yield file


def _data(file: Any, header: MrcHeader, path: Path) -> NDArray[Any]:
    if file.data is None or file.data.size != math.prod(header.shape):
        raise damaged(path, "an MRC file", "the image data cannot be found")
    return np.asarray(file.data).reshape(header.shape)


def _signedness(
    values: NDArray[Any], header: MrcHeader, fields: Any
) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], tuple[str, ...]]:
    """Return what puts the sign of an image right, and what that means for the notes."""
    if header.mode == 0:
        return _byte_signedness(values, header, float(fields.dmin), float(fields.dmax))
    if header.mode != 1:
        return _unchanged, ()
    some = np.asarray(_some(values))
    is_dark = header.is_old_fei and np.quantile(some, _DARKEST) < _LOW_OF_OFFSET_DATA
    if is_dark or some.mean(dtype=np.float64) < _MEAN_OF_OFFSET_DATA:
        note = "32768 was added to every pixel: the file stores unsigned data with that offset."
        return lambda image: image.astype(np.float32) + np.float32(_UNSIGNED_OFFSET), (note,)
    lowest, highest = int(some.min()), int(some.max())
    if lowest > -_BOTH_ENDS or highest < _BOTH_ENDS:
        return _unchanged, ()
    return _unchanged, (
        f"Pixels from {lowest} to {highest} may be unsigned data with an offset of -32768, which was not put right; if"
        " so, save the stack again as unsigned or floating-point numbers.",
    )


def _byte_signedness(
    values: NDArray[Any], header: MrcHeader, lowest: float, highest: float
) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], tuple[str, ...]]:
    # IMOD's rule: its stamp comes with a flag; without the stamp only the range in the header can tell.
    flags = header.imod_flags
    unsigned = lowest >= 0 and highest > 127 if flags is None else not flags & 1
    notes: tuple[str, ...] = ()
    if (
        flags is None
        and not unsigned
        and lowest >= highest
        and any(bool((image.view(np.int8) < 0).any()) for image in _some(values))
    ):
        notes = ("Bytes were read as signed numbers; the file does not say whether they are.",)
    kind = np.uint8 if unsigned else np.int8
    return lambda image: image.view(kind), notes


def _some(values: NDArray[Any]) -> NDArray[Any]:
    # Enough of a mapped stack to know the kind of its numbers, without reading all of a large one.
    n_tilts, height, width = values.shape
    rows = max(1, height // max(1, _PIXELS_TO_LOOK_AT // width))
    return values[:: max(1, n_tilts // _IMAGES_TO_LOOK_AT), ::rows, :_PIXELS_TO_LOOK_AT]


def _unchanged(image: NDArray[Any]) -> NDArray[Any]:
    return image
