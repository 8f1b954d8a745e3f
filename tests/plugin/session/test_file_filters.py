"""File dialogs offer every format that can be read, and no other."""

from __future__ import annotations

import re

from napari_stinr.io.formats.registry import READERS
from napari_stinr.plugin.session.file_filters import list_filter, series_filter


def entries(text: str) -> dict[str, list[str]]:
    """Return the endings of a filter by name."""
    return {name: endings.replace("*", "").split() for name, endings in re.findall(r"([^;]+) \(([^)]*)\)", text)}


def test_every_format_is_in_one_family_and_in_the_first_entry() -> None:
    families = entries(series_filter())
    everything = families.pop("Tilt series and their lists")
    assert {*READERS, ".mdoc", ".rawtlt", ".tlt", ".csv", ".txt"} == set(everything)
    assert families.pop("All files") == []
    assert families.pop("SerialEM") == [".mdoc"]
    offered = [ending for endings in families.values() for ending in endings]
    assert sorted(offered) == sorted(READERS)
    assert families["MRC"][:2] == [".mrc", ".mrcs"]
    assert list(families) == ["MRC", "TIFF", "Digital Micrograph", "EMD, HDF5 and NeXus", "MATLAB", "NumPy"]


def test_a_list_may_be_any_table() -> None:
    lists = entries(list_filter("Tilt angles"))
    assert {".rawtlt", ".tlt", ".mdoc", ".csv", ".txt", ".npy", ".mat"} == set(lists["Tilt angles"])
