"""Text and single numbers in HDF5 files: units, names, versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_stinr.io.formats.guards.hdf5_chunks import read_part
from napari_stinr.io.formats.hdf5_checks import check_own

if TYPE_CHECKING:
    from pathlib import Path

MAXIMUM_TEXT = 65_536
"""No unit, name or version is longer; longer text is passed over [byte]."""


def text_attribute(owner: h5py.Group | h5py.Dataset, name: str) -> str:
    """Return a short text that is attached to an object, "" where there is none or something else."""
    value = _attribute(owner, name, h5py.h5t.STRING)
    return "" if value is None else _decoded(value)


def number_attribute(owner: h5py.Group | h5py.Dataset, name: str) -> float | None:
    """Return a number that is attached to an object, None where there is none or something else."""
    value = _attribute(owner, name, h5py.h5t.INTEGER, h5py.h5t.FLOAT)
    return None if value is None else float(value)


def read_text(dataset: h5py.Dataset, path: Path) -> str:
    """Return a short text that is a dataset of its own, "" where it is something else."""
    kind = dataset.id.get_type()
    if kind.get_class() != h5py.h5t.STRING or dataset.size != 1 or kind.get_size() > MAXIMUM_TEXT:
        return ""
    check_own(dataset, path)
    if kind.is_variable_str():
        return _decoded(np.asarray(dataset[()]).reshape(-1)[0])
    return _decoded(read_part(dataset, tuple(slice(0, n) for n in dataset.shape), path).reshape(-1)[0])


def _attribute(owner: h5py.Group | h5py.Dataset, name: str, *classes: int) -> Any:
    if not h5py.h5a.exists(owner.id, name.encode()):
        return None
    attribute = h5py.h5a.open(owner.id, name.encode())
    if attribute.get_type().get_class() not in classes or attribute.get_storage_size() > MAXIMUM_TEXT:
        return None
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5py.h5s.NULL or space.get_simple_extent_npoints() != 1:
        return None
    return np.asarray(owner.attrs[name]).reshape(-1)[0]


def _decoded(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 \t\r\n") if len(text) <= MAXIMUM_TEXT else ""
