"""Text and single numbers in HDF5 files: units, names, versions."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_stinr.io.formats.containers import damaged
from napari_stinr.io.formats.hdf5_checks import check_own
from napari_stinr.io.formats.hdf5_chunks import read_part
from napari_stinr.io.formats.hdf5_headers import ElsewhereError, attribute_bytes, heap_text

if TYPE_CHECKING:
    from pathlib import Path

MAXIMUM_TEXT = 65_536
"""No unit, name or version is longer; longer text is passed over [byte]."""

_REFERENCE_BYTES = 16


def text_attribute(owner: h5py.Group | h5py.Dataset, name: str, path: Path) -> str:
    """Return a short text that is attached to a group or dataset.

    Parameters
    ----------
    owner : h5py.Group or h5py.Dataset
        What it is attached to.
    name : str
        Name of the attribute.
    path : Path
        The file, for messages.

    Returns
    -------
    str
        The text without spaces around it; "" where there is none, or something else than one short text.

    Raises
    ------
    StinrError
        The file is damaged.
    """
    value = _attribute(owner, name, path, h5py.h5t.STRING)
    return "" if value is None else _decoded(value)


def number_attribute(owner: h5py.Group | h5py.Dataset, name: str, path: Path) -> float | None:
    """Return a number that is attached to a group or dataset.

    Parameters
    ----------
    owner : h5py.Group or h5py.Dataset
        What it is attached to.
    name : str
        Name of the attribute.
    path : Path
        The file, for messages.

    Returns
    -------
    float or None
        The number; None where there is none, or something else than one number.

    Raises
    ------
    StinrError
        The file is damaged.
    """
    value = _attribute(owner, name, path, h5py.h5t.INTEGER, h5py.h5t.FLOAT)
    return None if value is None else float(value)


def read_text(dataset: h5py.Dataset, path: Path) -> str:
    """Return a short text that is a dataset of its own.

    Parameters
    ----------
    dataset : h5py.Dataset
        One text of any kind.
    path : Path
        The file, for messages.

    Returns
    -------
    str
        The text without spaces around it; "" where it is something else than one short text.

    Raises
    ------
    StinrError
        The file is damaged, or the text is in another one.
    """
    kind = dataset.id.get_type()
    if kind.get_class() != h5py.h5t.STRING or dataset.size != 1 or kind.get_size() > MAXIMUM_TEXT:
        return ""
    check_own(dataset, path)
    if not kind.is_variable_str():
        return _decoded(read_part(dataset, tuple(slice(0, n) for n in dataset.shape), path).reshape(-1)[0])
    offset = dataset.id.get_offset()
    if offset is None:  # there is no text yet, or it was stored in an unusual way
        return ""
    base, _ = _layout(dataset)
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            return _decoded(heap_text(stream, base, stream.read(_REFERENCE_BYTES), MAXIMUM_TEXT))
    except (struct.error, ValueError) as error:
        raise damaged(path, "an HDF5 file", error) from error


def _attribute(owner: h5py.Group | h5py.Dataset, name: str, path: Path, *classes: int) -> Any:
    if not h5py.h5a.exists(owner.id, name.encode()):
        return None
    attribute = h5py.h5a.open(owner.id, name.encode())
    kind = attribute.get_type()
    if kind.get_class() not in classes or attribute.get_storage_size() > MAXIMUM_TEXT:
        return None
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5py.h5s.NULL or space.get_simple_extent_npoints() != 1:
        return None
    if isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str():
        return _variable_text(owner, name, path)
    return np.asarray(owner.attrs[name]).reshape(-1)[0]


def _variable_text(owner: h5py.Group | h5py.Dataset, name: str, path: Path) -> Any:
    base, widths = _layout(owner)
    if widths != (8, 8):
        raise damaged(path, "an HDF5 file with addresses of 8 bytes", f"they have {widths[0]}")
    try:
        with path.open("rb") as stream:
            reference = attribute_bytes(stream, base, h5py.h5o.get_info(owner.id).addr, name.encode())
            return None if reference is None else heap_text(stream, base, reference, MAXIMUM_TEXT)
    except ElsewhereError:  # beside so many attributes, only the library finds this one
        return np.asarray(owner.attrs[name]).reshape(-1)[0]
    except (struct.error, ValueError, IndexError) as error:
        raise damaged(path, "an HDF5 file", error) from error


def _layout(owner: h5py.Group | h5py.Dataset) -> tuple[int, tuple[int, int]]:
    properties = owner.file.id.get_create_plist()
    return int(properties.get_userblock()), tuple(properties.get_sizes())


def _decoded(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 \t\r\n")
