"""DigitalMicrograph files (Gatan): ``.dm3`` and ``.dm4``, a stack or one file for every tilt.

They are read by rosettasciio, which is under the GPL and therefore optional. It knows no tilt series: tilt angles, date
and pixel size are found in the tags by :mod:`napari_stinr.io.formats.dm_facts`.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack, damaged, image_shape, in_bands
from napari_stinr.io.formats.dm_facts import pixel_size, tilt_angles, timestamp, value_at
from napari_stinr.io.formats.limits import check_stored

try:
    # This reader and no other: a reader that is chosen by file ending may be one that runs code from files.
    from rsciio.digitalmicrograph import file_reader  # type: ignore[import-not-found,import-untyped,unused-ignore]
except ImportError:
    file_reader = None  # type: ignore[assignment,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_COLOURS = (8, 23)


def read_dm(path: Path) -> Stack:
    """Return the last image of a file, a stack or a single one, with its tilt angles, date and pixel size."""
    signals = _signals(path)
    pixels, image = signals[-1]["data"], signals[-1]["original_metadata"]["ImageList"]["TagGroup0"]
    if value_at(image, "ImageData", "DataType") in _COLOURS:
        raise StinrError(
            f"{path.name} holds a colour image",
            expected="real numbers",
            cure="In DigitalMicrograph, change the data type to Real 4 Bytes and save it again.",
        )
    shape = image_shape(pixels.shape, pixels.dtype, path)
    block = value_at(image, "ImageData", "Data")
    offset, n_bytes = int(block["offset"]), math.prod(shape) * pixels.dtype.itemsize
    if n_bytes > block["size_bytes"]:
        raise damaged(path, f"{n_bytes} bytes for an image of {shape} pixels", f"it has {block['size_bytes']}")
    check_stored(offset + n_bytes, path)
    # The library takes every file for one of this computer's byte order.
    dtype = pixels.dtype.newbyteorder("<" if block["endian"] == "little" else ">")

    def read() -> Iterator[NDArray[Any]]:
        yield from np.memmap(path, dtype, mode="r", offset=offset, shape=shape)

    def choose(positions: Sequence[int], bands: Sequence[slice]) -> Iterator[NDArray[Any]]:
        pixels = np.memmap(path, dtype, mode="r", offset=offset, shape=shape)
        return (rows for k in positions for rows in in_bands(pixels[k], bands))

    angles, place = tilt_angles(image, shape[0])
    seconds = timestamp(image) if shape[0] == 1 else None
    other = f"The file holds {len(signals)} images: the last one was read."
    return Stack(
        Images(shape, read, choose=choose),
        tilt_angles=angles,
        timestamps=None if seconds is None else np.array([seconds]),
        pixel_size=pixel_size(image),
        pixel_height=pixel_size(image, 1),
        place="DM tags",
        angle_place=f"DM tags ({place})" if place else "",
        notes=(other,) if len(signals) > 1 else (),
    )


def _signals(path: Path) -> list[dict[str, Any]]:
    """Return all images but the thumbnail, as rosettasciio has them."""
    if file_reader is None:
        raise StinrError(
            f"{path.name} cannot be read without rosettasciio",
            expected="the optional readers of napari-stinr",
            cure='Install them with: pip install "napari-stinr[formats]"',
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            signals: list[dict[str, Any]] = _parsed(path, lazy=True)
        except ValueError:  # an image in colour, which the library reads whole or not at all
            signals = _parsed(path, lazy=False)
    if not signals:
        raise damaged(path, "an image", "it has none beside the thumbnail")
    return signals


def _parsed(path: Path, *, lazy: bool) -> list[dict[str, Any]]:
    try:
        signals: list[dict[str, Any]] = file_reader(str(path), lazy=lazy)
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # damaged files end in almost any exception inside the library
        raise damaged(path, "a DM3 or DM4 file", error) from error
    return signals
