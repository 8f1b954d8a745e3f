"""Write MATLAB files as MATLAB itself does, which SciPy does not: version 7.3, and forged ones of version 5."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_CLASSES = {"float64": "double", "float32": "single", "bool": "logical"}


def write_version_73(path: Path, /, **arrays: NDArray[Any]) -> Path:
    """Write arrays as MATLAB 7.3 does: a header of 512 bytes, then HDF5 with the axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            is_large = values.ndim > 2
            dataset = file.create_dataset(name, data=np.atleast_2d(values).T, compression="gzip" if is_large else None)
            dataset.attrs["MATLAB_class"] = np.bytes_(_CLASSES.get(values.dtype.name, values.dtype.name))
    text = b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(124) + b"\x00\x02IM"
    with path.open("r+b") as stream:
        stream.write(text)
    return path


def version_5(*elements: bytes) -> bytes:
    """Return a file of version 5 with some elements."""
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements)


def element(code: int, data: bytes) -> bytes:
    """Return a tag and its data, padded as MATLAB does."""
    return struct.pack("<II", code, len(data)) + data + bytes(-len(data) % 8)


def matrix(
    name: str, shape: tuple[int, ...], data: bytes, *, mx_class: int = 9, data_type: int = 2, flags: int = 0
) -> bytes:
    """Return a variable, by default of class and type uint8; whether its parts fit one another is up to the caller."""
    kind, axes = struct.pack("<II", mx_class | flags << 8, 0), struct.pack(f"<{len(shape)}i", *shape)
    return element(14, element(6, kind) + element(5, axes) + element(1, name.encode()) + element(data_type, data))


def compressed(raw: bytes) -> bytes:
    """Return a compressed variable."""
    data = zlib.compress(raw, 9)
    return struct.pack("<II", 15, len(data)) + data


def compressed_zeros(name: str, shape: tuple[int, ...]) -> bytes:
    """Return a compressed variable of zeros of the type uint8 without ever holding it whole."""
    n_bytes = int(np.prod(shape))
    start = matrix(name, shape, b"")[8:-8] + struct.pack("<II", 2, n_bytes)
    packer = zlib.compressobj(9)
    parts = [packer.compress(struct.pack("<II", 14, len(start) + n_bytes) + start)]
    block = bytes(1_000_000)
    parts += [packer.compress(block[: min(len(block), n_bytes - k)]) for k in range(0, n_bytes, len(block))]
    data = b"".join([*parts, packer.flush()])
    return struct.pack("<II", 15, len(data)) + data
