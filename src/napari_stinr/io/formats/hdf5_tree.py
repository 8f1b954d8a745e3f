"""What is in an HDF5 file, and the angles and lengths that it states."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h5py

from napari_stinr.io.formats.containers import NUMERIC_KINDS, damaged
from napari_stinr.io.formats.hdf5_files import find_dataset, find_object, read_numbers
from napari_stinr.io.formats.hdf5_text import text_attribute

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MAXIMUM_OBJECTS = 2000
"""Groups and datasets that are looked at; a file with more is no tilt series."""
MAXIMUM_DEPTH = 12
"""Groups within groups that are looked at."""

ANGLE_UNITS = {
    **dict.fromkeys(("deg", "degree", "degrees", "°"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians"), math.degrees(1.0)),
    **dict.fromkeys(("mrad", "milliradian", "milliradians"), math.degrees(1e-3)),
}
"""Names of units of angles, in lower case, and their size [degrees]."""


@dataclass(frozen=True)
class Tree:
    """Groups, unchecked datasets and names that lead into other files; soft links, which repeat, are left out."""

    groups: dict[str, h5py.Group] = field(default_factory=dict)
    datasets: dict[str, h5py.Dataset] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)

    def stacks(self) -> list[str]:
        """Return the names of the datasets of numbers on three axes, not counting those of length 1."""
        return [name for name, dataset in self.datasets.items() if _is_stack(dataset)]

    def listing(self) -> str:
        """Return the names and shapes of a few datasets, for messages."""
        if not self.datasets:
            return "no data"
        shown = [
            f"{name} {'x'.join(map(str, dataset.shape)) if dataset.shape else 'scalar'}"
            for name, dataset in list(self.datasets.items())[:5]
        ]
        more = len(self.datasets) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")


def look_through(file: h5py.File, path: Path) -> Tree:
    """Return every object of a file once, in the order of the groups."""
    tree = Tree()
    seen = {_address(file)}
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    while waiting:
        prefix, group = waiting.pop(0)
        for member in members(group, path):
            name = f"{prefix}/{member}"
            link = group.id.links.get_info(member.encode())
            if link.type == h5py.h5l.TYPE_SOFT:
                continue
            if link.type != h5py.h5l.TYPE_HARD:
                tree.elsewhere.append(name)
                continue
            found = find_object(group, member, path)
            if found is None or _address(found) in seen:
                continue
            seen.add(_address(found))
            if len(seen) > MAXIMUM_OBJECTS:
                raise damaged(path, f"at most {MAXIMUM_OBJECTS} groups and datasets", "it has more")
            if isinstance(found, h5py.Dataset):
                tree.datasets[name] = found
            else:
                tree.groups[name] = found
                if name.count("/") < MAXIMUM_DEPTH:
                    waiting.append((name, found))
    return tree


def members(group: h5py.Group, path: Path) -> list[str]:
    """Return the names in a group, at most `MAXIMUM_OBJECTS`, that are text and can be shown in messages."""
    names: list[bytes] = []

    def collect(name: bytes) -> bool | None:
        names.append(name)
        return True if len(names) > MAXIMUM_OBJECTS else None

    group.id.links.iterate(collect)
    if len(names) > MAXIMUM_OBJECTS:
        raise damaged(path, f"at most {MAXIMUM_OBJECTS} groups and datasets", "it has more")
    decoded = [name.decode("utf-8", "replace") for name in names]
    as_stored = [name for name, raw in zip(decoded, names, strict=True) if name.encode() == raw]
    return [name for name in as_stored if "/" not in name and name.isprintable()]


def angle_scale(unit: str) -> float | None:
    """Return the size of a unit such as `deg`, `[rad]` or `[d_e_g]` [degrees], None where it is none of angles."""
    return ANGLE_UNITS.get(unit.strip().strip("[]").replace("_", "").lower())


def read_angles(dataset: h5py.Dataset, path: Path) -> tuple[NDArray[np.float64] | None, str]:
    """Return `(n,)` angles [degrees], None where their unit is none of angles, and what was assumed."""
    unit = text_attribute(dataset, "units") or text_attribute(dataset, "unit")
    values = read_numbers(dataset, path)
    scale = angle_scale(unit)
    if scale is not None:
        return values * scale, ""
    if unit:
        return None, f"The tilt angles in {dataset.name} have the unit {unit[:20]!r} and were left out."
    return values, f"The tilt angles in {dataset.name} have no unit and were taken as degrees."


def read_list(group: h5py.Group, name: str, path: Path) -> NDArray[np.float64] | None:
    """Return `(n,)` numbers; None where there is no such dataset, or one of text or on more axes."""
    found = find_object(group, name, path)
    if not isinstance(found, h5py.Dataset) or not is_list(found):
        return None
    dataset = find_dataset(group, name, path)
    return None if dataset is None else read_numbers(dataset, path)


def is_list(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset is real numbers on a single axis, not counting axes of length 1."""
    shape = dataset.shape
    return shape is not None and math.prod(shape) == max(shape, default=1) and kind_of(dataset) in tuple(NUMERIC_KINDS)


def _is_stack(dataset: h5py.Dataset) -> bool:
    lengths = dataset.shape or ()
    if sum(length != 1 for length in lengths) != 3:
        return False
    # Complex numbers are found too, so that they are refused with their cure.
    return kind_of(dataset) in tuple(NUMERIC_KINDS + "cV")


def kind_of(dataset: h5py.Dataset) -> str:
    """Return NumPy's letter for the kind of data type, "" where NumPy has none like it."""
    try:
        return str(dataset.dtype.kind)
    except TypeError:
        return ""


def _address(found: h5py.Group | h5py.Dataset) -> tuple[int, int]:
    facts = h5py.h5o.get_info(found.id)
    return facts.fileno, facts.addr
