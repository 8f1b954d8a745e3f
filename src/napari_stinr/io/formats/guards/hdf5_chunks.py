"""Parts of HDF5 datasets, read so that a damaged or hostile chunk cannot hurt.

libhdf5 (2.0 at the latest) inflates a chunk to whatever size it has (1 MB to 1 GB), and reads beyond the end of the
memory where it inflates to less than a chunk. Chunks of the common kinds (plain, shuffled, gzip) are therefore taken as
they are stored and decoded here, where both are noticed.
"""

from __future__ import annotations

import itertools
import math
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged
from napari_stinr.io.formats.hdf5_checks import COMMON_FILTERS, MAXIMUM_CHUNKS, filters_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_CHECKSUM_BYTES = 4


def read_part(dataset: h5py.Dataset, where: tuple[slice, ...], path: Path) -> NDArray[Any]:
    """Return the values in `where`, which has both ends along every axis, of a dataset that was checked."""
    if dataset.chunks is None:
        return np.asarray(dataset[where])
    corners = [
        range(part.start // chunk * chunk, part.stop, chunk) for part, chunk in zip(where, dataset.chunks, strict=True)
    ]
    n_chunks = math.prod(len(along) for along in corners)
    if n_chunks > MAXIMUM_CHUNKS:
        raise StinrError(
            f"{dataset.name} in {path.name} stores one image in {n_chunks} pieces",
            expected=f"at most {MAXIMUM_CHUNKS}",
            cure="Save it again with chunks of whole images.",
        )
    filters = [code for code, _ in filters_of(dataset)]
    if not COMMON_FILTERS.issuperset(filters):
        for corner in itertools.product(*corners):
            _stored_size(dataset, corner, path)
        return np.asarray(dataset[where])
    same_bytes = h5py.h5t.py_create(dataset.dtype, logical=True) == dataset.id.get_type()
    values = np.full([part.stop - part.start for part in where], dataset.fillvalue, dtype=dataset.dtype)
    for corner in itertools.product(*corners):
        chunk = _chunk(dataset, corner, filters, path)
        if chunk is not None:
            inside = [slice(max(0, part.start - c), part.stop - c) for part, c in zip(where, corner, strict=True)]
            target = [
                slice(max(0, c - part.start), c - part.start + length)
                for part, c, length in zip(where, corner, dataset.chunks, strict=True)
            ]
            values[tuple(target)] = chunk[tuple(inside)]
    # The library translates unusual numbers (odd numbers of bits); nothing in these chunks can hurt it any more.
    return values if same_bytes else np.asarray(dataset[where])


def _stored_size(dataset: h5py.Dataset, corner: tuple[int, ...], path: Path) -> int:
    """Return the size of a chunk in the file [byte], 0 where it was never written."""
    stored = dataset.id.get_chunk_info_by_coord(corner)
    if stored.byte_offset is None:
        return 0
    full = math.prod(dataset.chunks) * dataset.dtype.itemsize
    least, most = (_CHECKSUM_BYTES + 1, _most(full)) if filters_of(dataset) else (full, full)
    if not least <= stored.size <= most:
        raise damaged(path, f"chunks of at most {most} bytes in {dataset.name}", f"one has {stored.size}")
    return int(stored.size)


def _most(full: int) -> int:
    # Data that cannot be compressed grow by less than this.
    return full + full // 8 + 4096


def _chunk(dataset: h5py.Dataset, corner: tuple[int, ...], filters: list[int], path: Path) -> NDArray[Any] | None:
    size = _stored_size(dataset, corner, path)
    if size == 0:
        return None
    itemsize = dataset.dtype.itemsize
    full = math.prod(dataset.chunks) * itemsize
    # Memory of our own: the library takes it for one size in the file and fills it with another.
    memory = np.zeros(_most(full), dtype=np.uint8)
    mask, _ = dataset.id.read_direct_chunk(corner, None, memory)
    content = memory[:size].tobytes()
    try:
        decoded = _decoded(content, [code for k, code in enumerate(filters) if not mask >> k & 1], itemsize, full)
    except zlib.error as error:
        # Chunks that reach beyond the edge may be left as they are, without a word in the mask.
        if len(content) != full:
            raise damaged(path, f"chunks of gzip in {dataset.name}", error) from error
        decoded = content
    if len(decoded) != full:
        raise damaged(path, f"chunks of {full} bytes in {dataset.name}", f"one has {len(decoded)} or more")
    return np.frombuffer(decoded, dtype=dataset.dtype).reshape(dataset.chunks)


def _decoded(content: bytes, filters: list[int], itemsize: int, full: int) -> bytes:
    for code in reversed(filters):
        if code == h5py.h5z.FILTER_FLETCHER32:
            content = content[:-_CHECKSUM_BYTES]
        elif code == h5py.h5z.FILTER_DEFLATE:
            content = zlib.decompressobj().decompress(content, full + _CHECKSUM_BYTES + 1)
        elif len(content) == full and itemsize > 1:
            content = np.frombuffer(content, np.uint8).reshape(itemsize, -1).T.tobytes()
    return content
