"""EMD files of Berkeley (NCEM) and of tomviz: a group with ``data`` and one list ``dim1``, ``dim2``, ... for each axis.

Each list has the attributes ``name`` and ``units``, the latter in brackets with an underscore before the letter that
has a prefix, e.g. ``[n_m]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.array_names import fitting_times
from napari_stinr.io.formats.containers import Stack
from napari_stinr.io.formats.hdf5_files import dataset_images, find_object
from napari_stinr.io.formats.hdf5_text import number_attribute, text_attribute
from napari_stinr.io.formats.hdf5_tree import angle_scale, read_list
from napari_stinr.io.formats.units import stated_length

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.formats.hdf5_tree import Tree

TOMVIZ = "/data/tomography"
"""Where tomviz writes what it shows."""

_ANGLE_NAMES = ("angle", "tilt", "theta", "alpha")


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of ``data``: its number, and what is listed along it, which in a damaged file may be another number."""

    number: int
    length: int
    name: str
    unit: str
    values: NDArray[np.float64] | None

    @property
    def is_tilt(self) -> bool:
        """Angles, by the unit or, without a unit, by the name."""
        if angle_scale(self.unit) is not None:
            return True
        return not self.unit.strip("[]") and any(word in self.name for word in _ANGLE_NAMES)

    def spacing(self) -> float | None:
        """Distance of neighbours [Å]."""
        if self.values is None or self.length < 2 or len(self.values) != self.length:
            return None
        return stated_length(float(np.median(np.abs(np.diff(self.values)))), self.unit)


def read_emd(file: h5py.File, tree: Tree, path: Path) -> Stack | None:
    """Return the series that tomviz writes, else the only one with an axis of angles, else the only one, or None."""
    found = {name: _axes(group, path) for name, group in tree.groups.items() if _has_data(group, path)}
    found = {name: axes for name, axes in found.items() if sum(axis.length > 1 for axis in axes) in (2, 3)}
    if not found:
        return None
    with_angles = [name for name, axes in found.items() if any(axis.is_tilt for axis in axes)]
    candidates = [name for name in found if name == TOMVIZ] or with_angles or list(found)
    if len(candidates) > 1:
        raise StinrError(
            f"{path.name} holds {len(candidates)} data sets ({', '.join(candidates[:5])})",
            expected="one tilt series",
            cure="Save the tilt series in a file of its own.",
        )
    (name,) = candidates
    return _stack(file, name, found[name], path)


def _has_data(group: h5py.Group, path: Path) -> bool:
    data = find_object(group, "data", path)
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        return False
    # Many files in the wild leave the mark of the group out.
    return number_attribute(group, "emd_group_type") == 1 or find_object(group, "dim1", path) is not None


def _axes(group: h5py.Group, path: Path) -> list[_Axis]:
    # dim1 belongs to the first axis of the dataset as HDF5 counts them. So it does in tomviz, which writes data with
    # the lengths of dim1, dim2, dim3 and names these "angles", "y", "x": a tilt series is (tilt, y, x) on disk.
    data = find_object(group, "data", path)
    axes = []
    for number, length in enumerate(data.shape if isinstance(data, h5py.Dataset) else ()):
        label = f"dim{number + 1}"
        dim = find_object(group, label, path)
        is_dataset = isinstance(dim, h5py.Dataset)
        axes.append(
            _Axis(
                number,
                int(length),
                text_attribute(dim, "name").lower() if is_dataset else "",
                text_attribute(dim, "units") if is_dataset else "",
                _values(read_list(group, label, path), int(length)),
            )
        )
    return axes


def _values(values: NDArray[np.float64] | None, length: int) -> NDArray[np.float64] | None:
    if values is None or len(values) == 0 or not np.all(np.isfinite(values)):
        return None
    if len(values) == 2 < length:  # a start and a step are enough where the step is constant
        return np.asarray(values[0] + (values[1] - values[0]) * np.arange(length))
    return values


def _stack(file: h5py.File, name: str, axes: list[_Axis], path: Path) -> Stack:
    long = [axis for axis in axes if axis.length > 1]
    tilt = _tilt_axis(axes, len(long))
    images = _in_order([axis for axis in long if axis is not tilt])
    order = images if tilt is None else [tilt, *images]
    angles, notes = _tilt_angles(tilt, name, len(long))
    height, width = (axis.spacing() for axis in images[-2:])
    scans = None if tilt is None else read_list(file, f"{name}/scan_ids", path)
    times, times_note = fitting_times(scans, order[0].length, f"{name}/scan_ids")
    order_note = "" if times is None else "The order of acquisition is that of scan_ids."
    return Stack(
        dataset_images(path, f"{name}/data", axes=tuple(axis.number for axis in order)),
        tilt_angles=angles,
        times=times,
        pixel_size=width or height,
        pixel_height=height,
        place=f"EMD group {name}",
        notes=tuple(note for note in (*notes, order_note, times_note, _mirror_note(tilt, images)) if note),
    )


def _tilt_axis(axes: list[_Axis], n_long: int) -> _Axis | None:
    tilts = [axis for axis in axes if axis.is_tilt]
    # A single image may keep its angle on an axis of length 1.
    fitting = [axis for axis in tilts if (n_long, axis.length > 1) in ((3, True), (2, False))]
    return next(iter(fitting), None)


def _mirror_note(tilt: _Axis | None, images: list[_Axis]) -> str:
    is_named = sorted(axis.name for axis in images) == ["x", "y"]
    if tilt is None or is_named or tilt.number < min(axis.number for axis in images):
        return ""
    return "Which axis of the images is the vertical one is not in the file; check that they are not mirrored."


def _in_order(axes: list[_Axis]) -> list[_Axis]:
    # Axes that are named x, y (and z) are put into the order (z, y, x), whatever theirs is in the file.
    names = [axis.name for axis in axes]
    if sorted(names) in (["x", "y"], ["x", "y", "z"]):
        return sorted(axes, key=lambda axis: axis.name, reverse=True)
    return axes


def _tilt_angles(tilt: _Axis | None, name: str, n_axes: int) -> tuple[NDArray[np.float64] | None, list[str]]:
    if tilt is None:
        if n_axes == 2:
            return None, []
        marked = "marks it as a volume" if name == TOMVIZ else "names no axis of tilt angles"
        return None, [f"The file {marked} (no unit of angles at {name}/dim1)."]
    if tilt.values is None:
        return None, [f"{name}/dim{tilt.number + 1} does not list tilt angles as finite numbers."]
    scale = angle_scale(tilt.unit)
    assumed = [] if scale is not None else [f"The tilt angles in {name} have no unit and were taken as degrees."]
    return tilt.values * (1.0 if scale is None else scale), assumed
