"""What file dialogs offer: every family of formats that can be read, under the name that people know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.io.formats.endings import MDOC_ENDING
from napari_stinr.io.formats.registry import READERS
from napari_stinr.io.series.grouping import LIST_ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

_FAMILIES = {
    ".mrc": "MRC",
    ".tif": "TIFF",
    ".dm3": "Digital Micrograph",
    ".emd": "EMD, HDF5 and NeXus",
    ".mat": "MATLAB",
    ".npz": "NumPy",
    ".npy": "NumPy",
}
"""Names of families by the first ending of their reader."""
READABLE = tuple(dict.fromkeys((*READERS, *LIST_ENDINGS)))
"""Endings of everything that can be part of a tilt series."""
_ALL = "All files (*)"


def series_filter() -> str:
    """Return what a dialog for a tilt series offers, as Qt wants it.

    Returns
    -------
    str
        ``Name (*.a *.b);;Name (*.c)``, everything that can be read first.
    """
    readers = list(READERS.values())
    families: dict[str, list[str]] = {}
    for ending, reader in READERS.items():
        first = list(READERS)[readers.index(reader)]
        families.setdefault(_FAMILIES.get(first, first.lstrip(".").upper()), []).append(ending)
    return ";;".join(
        [
            _entry("Tilt series and their lists", READABLE),
            *(_entry(name, endings) for name, endings in families.items()),
            _entry("SerialEM", (MDOC_ENDING,)),
            _ALL,
        ]
    )


def list_filter(what: str) -> str:
    """Return what a dialog for a list of angles or times offers, as Qt wants it.

    Parameters
    ----------
    what : str
        Name of the list, for people.

    Returns
    -------
    str
        ``Name (*.a *.b);;Name (*.c)``.
    """
    return f"{_entry(what, LIST_ENDINGS)};;{_ALL}"


def _entry(name: str, endings: Iterable[str]) -> str:
    return f"{name} ({' '.join(f'*{ending}' for ending in endings)})"
