"""What is checked of an HDF5 dataset before a byte of it is read: that its numbers are in the file, and can be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import h5py

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import NUMERIC_KINDS, damaged, printable
from napari_stinr.io.formats.limits import check_expansion, check_memory, check_stored

if TYPE_CHECKING:
    from pathlib import Path

MAXIMUM_CHUNKS = 20_000
"""Chunks that are read at a time; one image in more pieces would take very long."""
_UNWRITTEN = 10

_REVERSIBLE = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
COMMON_FILTERS = {h5py.h5z.FILTER_DEFLATE, *_REVERSIBLE}
"""Filters that are undone without libhdf5."""
# They take the size of the result from the file, and no program for images uses them.
_UNSAFE_FILTERS = {h5py.h5z.FILTER_SZIP, h5py.h5z.FILTER_NBIT, h5py.h5z.FILTER_SCALEOFFSET}


def check_dataset(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset whose numbers are not in the file or cannot be read, before anything of it is."""
    check_own(dataset, path)
    if dataset.dtype.kind not in NUMERIC_KINDS + "c":
        fields = [str(name).lower() for name in dataset.dtype.names or ()]
        is_complex = fields in (["r", "i"], ["re", "im"], ["real", "imag"], ["real", "imaginary"])
        raise StinrError(
            f"{dataset.name} in {path.name} holds {'complex numbers' if is_complex else 'text or objects'}",
            expected="real numbers",
            cure="Save the phase (or the amplitude) of the projections as floating-point numbers."
            if is_complex
            else "Save the images as a plain array of numbers.",
        )


def check_own(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset, of numbers or text, that is not in the file, beyond its end, or expands as no data do."""
    if dataset.external:
        raise refers_elsewhere(path, f"{dataset.name} is kept in {dataset.external[0][0]}")
    if dataset.is_virtual:
        raise refers_elsewhere(path, f"{dataset.name} is a virtual dataset")
    if dataset.shape is None:
        raise damaged(path, "numbers", f"{dataset.name} is empty")
    _check_filters(dataset, path)
    itemsize = dataset.dtype.itemsize
    offset = dataset.id.get_offset()
    if offset is not None:
        check_stored(offset + math.prod(dataset.shape) * itemsize, path, what=dataset.name)
        return
    # What a damaged index sums up to is no more than the file can hold.
    stored = min(dataset.id.get_storage_size(), path.stat().st_size)
    check_expansion(dataset.shape, itemsize, stored, path)
    if dataset.chunks is not None:
        check_expansion(dataset.chunks, itemsize, stored, path)
        pieces = [-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
        # Looking for chunks that were never written takes time, too: an interrupted series has few of them.
        if math.prod(pieces) > max(MAXIMUM_CHUNKS, _UNWRITTEN * dataset.id.get_num_chunks()):
            n_written = dataset.id.get_num_chunks()
            raise damaged(path, f"{math.prod(pieces)} chunks in {dataset.name}", f"only {n_written} were written")
        check_memory(math.prod(dataset.chunks) * itemsize, path, shape=dataset.chunks)


def filters_of(dataset: h5py.Dataset) -> list[tuple[int, tuple[int, ...]]]:
    """Return number (see `h5py.h5z`) and parameters of the filters of a dataset, in the order of writing."""
    properties = dataset.id.get_create_plist()
    found = [properties.get_filter(k) for k in range(properties.get_nfilters())]
    return [(code, tuple(parameters)) for code, _, parameters, _ in found]


def _check_filters(dataset: h5py.Dataset, path: Path) -> None:
    properties = dataset.id.get_create_plist()
    filters = filters_of(dataset)
    for k, (code, parameters) in enumerate(filters):
        if code in _UNSAFE_FILTERS or not h5py.h5z.filter_avail(code):
            label = properties.get_filter(k)[3].decode("utf-8", "replace").split(";")[0].strip()
            label = label or f"number {code}"
            reason = "not read" if code in _UNSAFE_FILTERS else "not installed"
            raise StinrError(
                f"{dataset.name} in {path.name} is compressed with a filter ({label}) that is {reason}",
                expected="gzip or no compression",
                cure="Save it with gzip.",
            )
        full = math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize
        if code == h5py.h5z.FILTER_LZF and parameters[2:3] != (full,):
            raise damaged(path, f"chunks of {full} bytes in {dataset.name}", "they are said to have another size")
    codes = [code for code, _ in filters]
    if len(set(codes)) < len(codes) or len([code for code in codes if code not in _REVERSIBLE]) > 1:
        raise damaged(path, "data compressed once", f"{dataset.name} is compressed twice")


def refers_elsewhere(path: Path, reason: str) -> StinrError:
    """Return the error for a file that wants to be completed by another one."""
    return StinrError(
        f"{path.name} refers to another file ({printable(reason)})",
        expected="a file that holds everything itself",
        cure="Copy the data into one file, for instance with h5repack or h5py.",
    )
