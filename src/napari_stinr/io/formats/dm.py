"""DigitalMicrograph files (Gatan): ``.dm3`` and ``.dm4``, a stack or one file for every tilt.

The pixels are read by rosettasciio, which is under the GPL and therefore optional. It believes every length in a file,
and knows no tilt series: the tags are walked before by :mod:`napari_stinr.io.formats.dm_tags`, which also gives tilt
angles, date and pixel size.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack, damaged, image_shape
from napari_stinr.io.formats.dm_facts import pixel_size, tilt_angles, timestamp, value_at
from napari_stinr.io.formats.dm_tags import Block, read_tags
from napari_stinr.io.formats.limits import check_memory

try:
    # This reader and no other: a reader that is chosen by file ending may be one that runs code from files.
    from rsciio.digitalmicrograph import file_reader  # type: ignore[import-not-found,import-untyped,unused-ignore]
except ImportError:
    file_reader = None  # type: ignore[assignment,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_TYPES = {
    **{1: "i2", 2: "f4", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 14: "?"},
    **dict.fromkeys((3, 5, 27), "c8"),
    **dict.fromkeys((13, 28), "c16"),
}
_COLOURS = (8, 23)
_MOST_IMAGES = 16
"""The library copies all tags for every image of a file."""
_MOST_AXES = 6


def read_dm(path: Path) -> Stack:
    """Read a DM3 or DM4 file: a stack, or a single image as a stack of one.

    Parameters
    ----------
    path : Path
        File to read. Of several images the last one is read; the first is a thumbnail.

    Returns
    -------
    Stack
        The images, mapped from the file while they are read, with tilt angles and pixel size, and the date of a single
        image.

    Raises
    ------
    StinrError
        rosettasciio is not installed, the file is damaged, or the image is coloured or complex.
    """
    reader = _library(path)
    tree = read_tags(path)
    images = _real_images(tree.tags, path)
    image = images[-1]
    dtype, axes = _declared(image, path)
    shape = image_shape(axes, dtype, path)
    is_mapped = all(value_at(other, "ImageData", "DataType") not in _COLOURS for other in images)
    # A file that the library cannot read is refused here; what has to be read whole is read when it is wanted.
    mapped = _pixels(reader, path, axes, dtype, lazy=True) if is_mapped else None

    def read() -> Iterator[NDArray[Any]]:
        pixels = _pixels(reader, path, axes, dtype, lazy=False) if mapped is None else mapped
        for one in pixels.reshape(shape):
            values = np.asarray(one if mapped is None else one.compute(scheduler="synchronous"))
            # The library takes every file for one of this computer's byte order.
            yield values.view(dtype.newbyteorder(tree.order))

    angles, place = tilt_angles(image, shape[0])
    seconds = timestamp(image) if shape[0] == 1 else None
    other = f"The file holds {len(images)} images: the last one was read."
    return Stack(
        Images(shape, read),
        tilt_angles=angles,
        timestamps=None if seconds is None else np.array([seconds]),
        pixel_size=pixel_size(image),
        place="DM tags",
        angle_place=f"DM tags ({place})" if place else "",
        notes=(other,) if len(images) > 1 else (),
    )


def _library(path: Path) -> Callable[..., list[dict[str, Any]]]:
    if file_reader is None:
        raise StinrError(
            f"{path.name} cannot be read without rosettasciio",
            expected="the optional readers of napari-stinr",
            cure='Install them with: pip install "napari-stinr[formats]"',
        )
    reader: Callable[..., list[dict[str, Any]]] = file_reader
    return reader


def _real_images(tags: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    listed, thumbnails = tags.get("ImageList"), tags.get("Thumbnails", {})
    if not isinstance(listed, dict) or not isinstance(thumbnails, dict):
        raise damaged(path, "a DM3 or DM4 file with an image", "it has no list of images")
    small = {f"TagGroup{value_at(group, 'ImageIndex')}" for group in thumbnails.values()}
    images = [image for name, image in listed.items() if name not in small and isinstance(image, dict)]
    if not 0 < len(images) <= _MOST_IMAGES:
        raise damaged(path, f"one image, and at most {_MOST_IMAGES}", f"it has {len(images)} beside the thumbnail")
    for image in images:
        _check_stored(image, path)
    return images


def _check_stored(image: Mapping[str, Any], path: Path) -> None:
    kind = value_at(image, "ImageData", "DataType")
    known = kind if isinstance(kind, int) else 0
    itemsize = 4 if known in _COLOURS else np.dtype(_TYPES[known]).itemsize if known in _TYPES else 0
    axes, block = _axes(image), value_at(image, "ImageData", "Data")
    if itemsize == 0 or not axes or not isinstance(block, Block):
        raise damaged(path, "an image", f"its pixels are of the type {kind} on the axes {axes}")
    needed = math.prod(axes) * itemsize
    if min(axes) < 1 or needed > block.n_bytes:
        raise damaged(path, f"{needed} bytes for an image of {axes} pixels", f"it has {block.n_bytes}")


def _axes(image: Mapping[str, Any]) -> tuple[int, ...]:
    lengths = value_at(image, "ImageData", "Dimensions")
    axes = tuple(lengths.values())[::-1] if isinstance(lengths, dict) else ()
    return axes if len(axes) <= _MOST_AXES and all(isinstance(length, int) for length in axes) else ()


def _declared(image: Mapping[str, Any], path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    kind = value_at(image, "ImageData", "DataType")
    if kind in _COLOURS:
        raise StinrError(
            f"{path.name} holds a colour image",
            expected="real numbers",
            cure="In DigitalMicrograph, change the data type to Real 4 Bytes and save it again.",
        )
    return np.dtype(_TYPES[kind]), _axes(image)


def _pixels(
    reader: Callable[..., list[dict[str, Any]]], path: Path, axes: tuple[int, ...], dtype: np.dtype[Any], *, lazy: bool
) -> Any:
    if not lazy:
        check_memory(path.stat().st_size, path, shape=axes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = reader(str(path), lazy=lazy)[-1]["data"]
    except MemoryError:
        raise
    except Exception as error:  # damaged files end in almost any exception inside the library
        raise damaged(path, "a DM3 or DM4 file", error) from error
    if pixels.shape != axes or pixels.dtype != dtype:
        raise damaged(path, f"an image of {axes} pixels", f"{pixels.shape} of the type {pixels.dtype} were read")
    return pixels
