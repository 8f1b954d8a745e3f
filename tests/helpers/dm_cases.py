"""Write small valid DM3 and DM4 files, of any tags: nothing else does, and a forged file begins as a valid one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Codes of the data types of images, and of the numbers in tags.
IMAGE_TYPES = {
    **{"int16": 1, "float32": 2, "complex64": 3, "uint8": 6, "int32": 7, "int8": 9, "uint16": 10, "uint32": 11},
    **{"float64": 12, "complex128": 13},
}
TAG_TYPES = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "i1": 9, "u1": 10, "i8": 11, "u8": 12}
COLOUR = 23


def dm_bytes(
    *images: NDArray[Any],
    version: int = 3,
    order: str = "<",
    calibrations: Sequence[tuple[float, float, str]] = (),
    image_tags: Mapping[str, Any] | None = None,
    image_type: int | None = None,
    thumbnail: bool = True,
) -> bytes:
    """Return a file with some images; the calibrations (origin, scale, unit) of the last one begin with x."""
    listed = [image_group(np.zeros((4, 4), "uint32"), image_type=COLOUR)] if thumbnail else []
    listed += [image_group(values) for values in images[:-1]]
    listed.append(image_group(images[-1], calibrations, image_tags, image_type))
    tags: dict[str, Any] = {"ImageList": listed}
    if thumbnail:
        tags["Thumbnails"] = [{"ImageIndex": 0}]
    return file_bytes(tags, version, order)


def write_dm(path: Path, *images: NDArray[Any], **options: Any) -> Path:
    """Write a file with some images, see `dm_bytes`; ``.dm4`` is version 4."""
    options.setdefault("version", 4 if path.suffix == ".dm4" else 3)
    path.write_bytes(dm_bytes(*images, **options))
    return path


def image_group(
    values: NDArray[Any],
    calibrations: Sequence[tuple[float, float, str]] = (),
    image_tags: Mapping[str, Any] | None = None,
    image_type: int | None = None,
) -> dict[str, Any]:
    """Return the tags of one image."""
    number = IMAGE_TYPES[values.dtype.name] if image_type is None else image_type
    return {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": [
                    {"Origin": float(origin), "Scale": float(scale), "Units": unit}
                    for origin, scale, unit in calibrations
                ],
            },
            "Data": values,
            "DataType": number,
            "Dimensions": [int(length) for length in values.shape[::-1]],
            "PixelDepth": values.dtype.itemsize,
        },
        "ImageTags": dict(image_tags or {}),
        "Name": "image",
    }


def file_bytes(tags: Mapping[str, Any], version: int = 3, order: str = "<") -> bytes:
    """Return a file of any tags: a mapping is a group, a list one of unnamed tags, an array keeps its data type."""
    body = group_bytes(tags, version, order)
    size = struct.pack(">i" if version == 3 else ">q", len(body))
    return struct.pack(">i", version) + size + struct.pack(">i", int(order == "<")) + body


def group_bytes(tags: Mapping[str, Any] | Sequence[Any], version: int, order: str) -> bytes:
    """Return a group: two flags, the number of tags, the tags."""
    named = list(tags.items()) if hasattr(tags, "items") else [("", tag) for tag in tags]
    parts = [b"\0\0", lengths(version, len(named))]
    for name, tag in named:
        is_group = isinstance(tag, (dict, list))
        body = group_bytes(tag, version, order) if is_group else value_bytes(tag, version, order)
        letters = name.encode()
        parts += [struct.pack(">bh", 20 if is_group else 21, len(letters)), letters]
        parts += [struct.pack(">q", len(body)) if version == 4 else b"", body]
    return b"".join(parts)


def value_bytes(value: Any, version: int, order: str) -> bytes:
    """Return a number, a text, a structure (tuple) or an array with the description of its type."""
    if isinstance(value, str):
        raw = value.encode("utf-16-le" if order == "<" else "utf-16-be")
        words, data = (20, 4, len(raw) // 2), raw
    elif isinstance(value, tuple):
        words = (15, 0, len(value), *(word for _ in value for word in (0, TAG_TYPES["f8"])))
        data = struct.pack(f"{order}{len(value)}d", *value)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "c":
        part = TAG_TYPES[f"f{value.dtype.itemsize // 2}"]
        words = (20, 15, 0, 2, 0, part, 0, part, value.size)
        data = value.astype(value.dtype.newbyteorder(order)).tobytes()
    elif isinstance(value, np.ndarray):
        words = (20, TAG_TYPES[value.dtype.str[1:]], value.size)
        data = value.astype(value.dtype.newbyteorder(order)).tobytes()
    else:
        kind = "f8" if isinstance(value, float) else "i4" if abs(value) < 2**31 else "i8"
        words = (TAG_TYPES[kind],)
        data = np.array(value, order + kind).tobytes()
    return b"%%%%" + lengths(version, len(words), *words) + data


def lengths(version: int, *values: int) -> bytes:
    """Return lengths or type codes, which have 64 bits in version 4."""
    return struct.pack(f">{len(values)}{'i' if version == 3 else 'q'}", *values)
