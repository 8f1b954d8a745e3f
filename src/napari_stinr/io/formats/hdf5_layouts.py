"""HDF5 files of any layout that tilt series come in; which one is decided by what is in the file, not by its ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.array_names import fitting_times
from napari_stinr.io.formats.containers import Images, Stack, printable
from napari_stinr.io.formats.emd import read_emd
from napari_stinr.io.formats.emd_velox import read_velox
from napari_stinr.io.formats.hdf5_checks import check_dataset
from napari_stinr.io.formats.hdf5_files import dataset_images, find_dataset, find_object, open_hdf5
from napari_stinr.io.formats.hdf5_text import text_attribute
from napari_stinr.io.formats.hdf5_tree import is_list, kind_of, look_through, read_angles, read_list
from napari_stinr.io.formats.nexus import read_nxtomo
from napari_stinr.io.formats.units import stated_length

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.io.formats.hdf5_tree import Tree

_ANGLES = ("tilt_angles", "tilt_angle", "angles", "angle", "theta", "tilts", "tilt", "alpha", "rotation_angle")
_TIMES = ("times", "time", "timestamps")
_PIXEL_SIZES = ("pixel_size", "pixelsize", "voxel_size")
_MASKS = ("mask", "masks")


def read_hdf5(path: Path) -> Stack:
    """Read EMD (Velox, Berkeley, tomviz), Data Exchange, NXtomo, or any HDF5 file with one stack in it."""
    with open_hdf5(path) as file:
        stack = read_velox(file, path)
        if stack is not None:
            return stack
        tree = look_through(file, path)
        for read in (_read_data_exchange, read_nxtomo, read_emd, _read_plain):
            stack = read(file, tree, path)
            if stack is not None:
                return stack
        if tree.elsewhere:
            found = f"{path.name} holds no images itself, but refers to another file ({', '.join(tree.elsewhere[:5])})"
        else:
            found = f"{path.name} holds {tree.listing()}"
        raise StinrError(
            found,
            expected="an EMD, Data Exchange or NXtomo file, or a dataset with the axes (projections, height, width)",
            cure="Save the projections as one dataset /data and the tilt angles as /angles.",
        )


def _read_data_exchange(file: h5py.File, tree: Tree, path: Path) -> Stack | None:
    data = find_object(file, "/exchange/data", path)
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        return None
    theta = find_dataset(file, "/exchange/theta", path)
    angles, note = (None, "") if theta is None or theta.size == 0 else read_angles(theta, path)
    axes, axes_note = _tilt_first(data.shape, angles, "theta")
    fields = [name for name in ("data_white", "data_dark") if f"/exchange/{name}" in tree.datasets]
    fields_note = (
        f"The file also has {' and '.join(fields)}: these flat and dark fields were not applied." if fields else ""
    )
    return Stack(
        dataset_images(path, "/exchange/data", axes=axes),
        tilt_angles=angles,
        place="Data Exchange group /exchange",
        notes=tuple(text for text in (note, axes_note, fields_note) if text),
    )


def _tilt_first(shape: tuple[int, ...], angles: NDArray[np.float64] | None, name: str) -> tuple[tuple[int, ...], str]:
    """Return the axes in the order (tilt, row, column), by the number of angles where the first has another length."""
    long = [axis for axis, length in enumerate(shape) if length != 1] if len(shape) > 3 else list(range(len(shape)))
    if angles is None or len(long) != 3 or shape[long[0]] == len(angles):
        return tuple(long), ""
    fitting = [axis for axis in reversed(long) if shape[axis] == len(angles)]
    if not fitting:
        lengths = "x".join(str(length) for length in shape)
        return tuple(long), f"{name} lists {len(angles)} angles for data of {lengths}: they fit none of the axes."
    tilt = fitting[0]
    return (
        (tilt, *(axis for axis in long if axis != tilt)),
        f"The projections are on axis {tilt + 1} of the data, as the number of angles says; check that they are"
        " not mirrored.",
    )


def _read_plain(file: h5py.File, tree: Tree, path: Path) -> Stack | None:
    names = tree.stacks()
    masks = [name for name in names if _last(name) in _MASKS or kind_of(tree.datasets[name]) == "b"]
    images = [name for name in names if name not in masks] or masks
    if not images:
        return None
    if len(images) > 1:
        raise StinrError(
            f"{path.name} holds {len(images)} stacks ({', '.join(images[:5])})",
            expected="one",
            cure="Save the projections in a file of their own, with the tilt angles as /angles.",
        )
    data = tree.datasets[images[0]]
    check_dataset(data, path)
    angle_name = _list_named(tree, _ANGLES)
    angles, note = (None, "") if angle_name is None else read_angles(_checked(file, angle_name, path), path)
    axes, axes_note = _tilt_first(data.shape, angles, angle_name or "")
    n_tilts = data.shape[axes[0]]
    times, time_unit, times_note = _times(file, tree, n_tilts, path)
    size, size_note = _pixel_size(file, tree, path)
    own_masks = [name for name in masks if name not in images and tree.datasets[name].shape == data.shape]
    return Stack(
        dataset_images(path, images[0], axes=axes),
        tilt_angles=angles,
        times=times,
        pixel_size=size,
        mask_images=_mask(own_masks[0], axes, path) if own_masks else None,
        time_unit=time_unit,
        place="HDF5 datasets",
        angle_place=f"HDF5 dataset {angle_name}" if angle_name else "",
        notes=tuple(text for text in (f"Images from {images[0]}.", note, axes_note, times_note, size_note) if text),
    )


def _checked(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset that was seen in the tree, checked."""
    dataset = find_dataset(file, name, path)
    assert dataset is not None  # seen a moment ago
    return dataset


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()


def _list_named(tree: Tree, names: tuple[str, ...], *, single: bool = False) -> str | None:
    lists: dict[str, str] = {}
    for name, dataset in tree.datasets.items():
        if is_list(dataset) and dataset.size > 0 and (dataset.size == 1) == single:
            lists.setdefault(_last(name), name)
    return next((lists[name] for name in names if name in lists), None)


def _times(file: h5py.File, tree: Tree, n_tilts: int, path: Path) -> tuple[NDArray[np.float64] | None, str, str]:
    name = _list_named(tree, _TIMES)
    if name is None:
        return None, "", ""
    times, note = fitting_times(read_list(file, name, path), n_tilts, name)
    return times, "" if times is None else text_attribute(tree.datasets[name], "units")[:20], note


def _pixel_size(file: h5py.File, tree: Tree, path: Path) -> tuple[float | None, str]:
    name = _list_named(tree, _PIXEL_SIZES, single=True)
    size = None if name is None else read_list(file, name, path)
    if name is None or size is None:
        return None, ""
    unit = text_attribute(tree.datasets[name], "units") or text_attribute(tree.datasets[name], "unit")
    length = stated_length(float(size[0]), unit or "Å")
    if length is None:
        return None, f"The pixel size in {name} is {size[0]:g} {printable(unit[:20])}".rstrip() + " and was left out."
    return length, "" if unit else f"The pixel size in {name} has no unit and was taken as Å."


def _mask(name: str, axes: tuple[int, ...], path: Path) -> Images:
    return dataset_images(path, name, axes=axes).changed(lambda image: image != 0)
