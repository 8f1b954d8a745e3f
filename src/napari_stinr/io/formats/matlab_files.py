"""MATLAB files: the projections in one variable, tilt angles, times and pixel size in others of the usual names.

Versions 4 to 7 are read by SciPy, version 7.3 is HDF5. MATLAB's axes are (rows, columns, tilts).
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import h5py
import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.array_names import (
    USUAL_NAMES,
    as_angles,
    as_list,
    as_number,
    as_vector,
    fitting_times,
    usual_names,
)
from napari_stinr.io.formats.containers import (
    NUMERIC_KINDS,
    Images,
    Stack,
    damaged,
    image_shape,
    printable,
)
from napari_stinr.io.formats.hdf5_files import dataset_images, find_dataset, find_object, open_hdf5, read_numbers
from napari_stinr.io.formats.hdf5_text import number_attribute, text_attribute
from napari_stinr.io.formats.hdf5_tree import members
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, check_expansion, check_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_PLACES = (0, 512)
"""Where the HDF5 part begins: MATLAB writes a header of its own before it [byte]."""
_PIECE_BYTES = 32_768
_WORKSPACE = "__function_workspace__"
_ITEMSIZES = {"double": 8, "single": 4, "logical": 1, **{f"{u}int{8 * n}": n for u in ("", "u") for n in (1, 2, 4, 8)}}
"""What MATLAB calls plain numbers, and the size of one [byte]."""
_KINDS = {
    **{"char": "text", "cell": "a cell array", "struct": "a struct", "sparse": "a sparse matrix"},
    **dict.fromkeys(("function", "function_handle"), "a function handle"),
}
_OBJECT = "a MATLAB object"
_SAVE_PLAIN_ARRAYS = (
    "In MATLAB, re-save plain arrays: save('series.mat', 'projections', 'tilt_angles', 'times', 'pixel_size')."
)


@dataclass(frozen=True)
class Variable:
    """A variable of a file: lengths of its axes in MATLAB's order, size of a number [byte], None where it has none."""

    name: str
    shape: tuple[int, ...]
    itemsize: int | None
    kind: str
    is_hdf5: bool = False
    is_complex: bool = False

    def __str__(self) -> str:
        axes = " x ".join(map(str, self.shape))
        return f"{printable(self.name[:60])} ({axes if self.itemsize is not None else self.kind})"


class _Sip(io.FileIO):
    """A file that is read in small pieces: SciPy expands a piece at once, of every variable on its way."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(_PIECE_BYTES if size is None or size < 0 else min(size, _PIECE_BYTES)) or b""


def prepare(path: Path) -> None:
    """Load what reads a file of this version: SciPy takes longer than everything else together."""
    if not _is_hdf5(path):
        import scipy.io  # noqa: F401


def read_mat(path: Path) -> Stack:
    """Read the projections and what else there is, see :func:`napari_stinr.io.formats.matlab.read_mat`."""
    variables = _list_variables(path)
    chosen = _choose(variables, path)
    projections = chosen["projections"]
    lists = {key: _read_values(chosen[key], path) for key in ("tilt_angles", "times") if key in chosen}
    angles = as_angles(lists["tilt_angles"], chosen["tilt_angles"].name, path) if "tilt_angles" in lists else None
    listed = as_vector(lists["times"], chosen["times"].name, path) if "times" in lists else None
    size = chosen.get("pixel_size")
    vectors = (None if angles is None else angles.values, listed)
    axes, notes = _image_axes(projections, [len(vector) for vector in vectors if vector is not None])
    images = _images(projections, axes, path)
    named = chosen["times"].name if "times" in chosen else ""
    times, note = fitting_times(listed, len(images), named)
    return Stack(
        images,
        tilt_angles=None if angles is None else angles.values,
        angle_remark="" if angles is None else angles.remark,
        times=times,
        pixel_size=None if size is None else as_number(_read_values(size, path), size.name, path),
        mask_images=_mask(chosen["mask"], projections, axes, path) if "mask" in chosen else None,
        place="MATLAB variables",
        complete=True,
        notes=(*notes, note) if note else notes,
    )


def read_vector(path: Path, key: str = "tilt_angles") -> NDArray[np.float64]:
    """Return the one list or table of angles or times, see :func:`napari_stinr.io.formats.matlab.read_vector`."""
    variables = _list_variables(path)
    numeric = [variable for variable in variables if variable.itemsize is not None]
    named = [variable for variable in numeric if variable.name.lower() in USUAL_NAMES[key]]
    lists = [variable for variable in numeric if len(_long_axes(variable)) == 1]
    tables = [variable for variable in numeric if len(_long_axes(variable)) == 2 and 3 in variable.shape]
    single = [variable for variable in numeric if not _long_axes(variable)]
    candidates = next((found for found in (named, lists, tables, single) if found), [])
    if len(candidates) != 1:
        raise StinrError(
            f"{path.name} holds {_listed(candidates or variables)}",
            expected="one list of numbers",
            cure=f"Save one alone, or name it '{key}'.",
        )
    return as_list(_read_values(candidates[0], path), candidates[0].name, path)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        header = stream.read(_HDF5_PLACES[-1] + len(_HDF5_SIGNATURE))
    return any(header[place:].startswith(_HDF5_SIGNATURE) for place in _HDF5_PLACES)


def _list_variables(path: Path) -> list[Variable]:
    if _is_hdf5(path):
        return _list_hdf5(path)
    try:
        # It warns about defects that are of no consequence here.
        with warnings.catch_warnings(), _Sip(path) as stream:
            warnings.simplefilter("ignore")
            found = _declared(stream)
    except MemoryError:
        raise
    except Exception as error:  # damaged files end in almost any exception
        raise damaged(path, "a MATLAB file", error) from error
    return [_variable(name, tuple(map(int, shape)), kind) for name, shape, kind in found if name != _WORKSPACE]


def _declared(stream: BinaryIO) -> list[tuple[str, tuple[int, ...], str]]:
    """Return name, shape and class of every variable."""
    from scipy.io import whosmat
    from scipy.io.matlab import varmats_from_mat

    try:
        return list(whosmat(stream))
    except TypeError:  # SciPy finds no axes for an object of MATLAB, and lists nothing of a file that has one
        stream.seek(0)
        parts = varmats_from_mat(stream)
    found = []
    for name, part in parts:
        try:
            found += whosmat(part)
        except TypeError:
            found.append((name, (), "opaque"))
    return found


def _variable(name: str, shape: tuple[int, ...], kind: str) -> Variable:
    return Variable(name, shape, _ITEMSIZES.get(kind), _KINDS.get(kind, "numbers" if kind in _ITEMSIZES else _OBJECT))


def _list_hdf5(path: Path) -> list[Variable]:
    found: list[Variable] = []
    with open_hdf5(path) as file:
        for name in members(file, path):
            # MATLAB keeps what cells and objects refer to in groups of their own.
            item = None if name.startswith("#") or not name.isprintable() else find_object(file, name, path)
            if item is None or number_attribute(item, "MATLAB_empty"):
                continue
            kind = text_attribute(item, "MATLAB_class")
            # Other programs write no class.
            if not isinstance(item, h5py.Dataset) or item.shape is None or kind not in ("", *_ITEMSIZES):
                found.append(Variable(name, (), None, _KINDS.get(kind, _OBJECT)))
                continue
            is_complex = item.dtype.names == ("real", "imag") or item.dtype.kind == "c"
            itemsize = item.dtype.itemsize if is_complex or item.dtype.kind in NUMERIC_KINDS else None
            found.append(Variable(name, item.shape[::-1], itemsize, _OBJECT, is_hdf5=True, is_complex=is_complex))
    return found


def _choose(variables: list[Variable], path: Path) -> dict[str, Variable]:
    numeric = {variable.name: variable for variable in variables if variable.itemsize is not None}
    images = [name for name, variable in numeric.items() if len(_long_axes(variable)) >= 2]
    # A list may be called "data" or "stack" without being one of images.
    not_images = set(USUAL_NAMES["projections"]) - {name.lower() for name in images}
    names = usual_names([name for name in numeric if name.lower() not in not_images], path)
    if "projections" not in names:
        stacks = [name for name in images if len(_long_axes(numeric[name])) == 3 and name != names.get("mask")]
        if len(stacks) != 1:
            raise _no_projections(variables, [numeric[name] for name in stacks], path)
        names["projections"] = stacks[0]
    chosen = {key: numeric[name] for key, name in names.items()}
    if sum(variable.name in names.values() for variable in variables) != len(names):
        raise damaged(path, "every name once", "it has a variable twice")
    return chosen


def _no_projections(variables: list[Variable], stacks: list[Variable], path: Path) -> StinrError:
    if stacks:
        return StinrError(
            f"{path.name} holds {_listed(stacks)}", expected="one stack", cure="Name the right one 'projections'."
        )
    if any(variable.itemsize is None for variable in variables):
        others = sorted({variable.kind for variable in variables if variable.itemsize is None})
        return StinrError(
            f"{path.name} stores {' and '.join(others)} and no stack",
            expected="the projections as a plain array (rows, columns, tilts)",
            cure=_SAVE_PLAIN_ARRAYS,
        )
    return StinrError(
        f"{path.name} holds {_listed(variables)}",
        expected="the projections as an array (rows, columns, tilts)",
        cure=_SAVE_PLAIN_ARRAYS,
    )


def _listed(variables: list[Variable]) -> str:
    shown = ", ".join(map(str, variables[:10])) or "no variables"
    return shown + (f" and {len(variables) - 10} more" if len(variables) > 10 else "")


def _long_axes(variable: Variable) -> list[int]:
    return [axis for axis, length in enumerate(variable.shape) if length != 1]


def _image_axes(variable: Variable, counts: list[int]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    # The axes of the images in the order (tilt, row, column), or (row, column) of a single one.
    shape = variable.shape
    axes = list(range(len(shape))) if len(shape) <= 3 else _long_axes(variable)
    if len(axes) != 3:
        return tuple(axes), ()
    tilts = axes[-1]
    fitting = [axis for axis in axes if shape[axis] in counts]
    if not fitting or tilts in fitting:
        return (tilts, *axes[:-1]), ()
    tilts = fitting[0]
    note = (
        f"The tilts were taken along axis {tilts + 1} of {variable}, not along its last one, because the number of "
        "tilt angles or times fits no other."
    )
    return (tilts, *(axis for axis in axes if axis != tilts)), (note,)


def _images(variable: Variable, axes: tuple[int, ...], path: Path) -> Images:
    # What is complex in an older file is known when it is read.
    kind = np.dtype("c16" if variable.is_complex else "f8")
    shape = image_shape(tuple(variable.shape[axis] for axis in axes), kind, path)
    if variable.is_hdf5:
        n_axes = len(variable.shape)
        return dataset_images(path, variable.name, axes=tuple(n_axes - 1 - axis for axis in axes))
    _check_size(variable, path)
    others = tuple(axis for axis in range(len(variable.shape)) if axis not in axes)

    def read() -> Iterator[NDArray[Any]]:
        values = _load(variable, path)
        image_shape(shape, values.dtype, path)
        yield from np.transpose(values, (*others, *axes)).reshape(shape)

    return Images(shape, read)


def _check_size(variable: Variable, path: Path) -> int:
    itemsize = variable.itemsize or 1
    check_expansion(variable.shape, itemsize, path.stat().st_size, path)
    return math.prod(variable.shape) * itemsize


def _mask(mask: Variable, projections: Variable, axes: tuple[int, ...], path: Path) -> Images:
    if mask.shape != projections.shape:
        raise damaged(path, f"a mask of the shape {projections.shape}, as the projections", f"it is {mask.shape}")
    return _images(mask, axes, path).changed(lambda image: image != 0)


def _read_values(variable: Variable, path: Path) -> NDArray[Any]:
    # Short lists of numbers: nothing else is read whole.
    if math.prod(variable.shape) > 3 * MAXIMUM_IMAGES:
        raise damaged(path, f"at most {MAXIMUM_IMAGES} numbers in {variable.name}", f"it is {variable.shape}")
    if not variable.is_hdf5:
        return _load(variable, path)
    with open_hdf5(path) as file:
        dataset = find_dataset(file, variable.name, path)
        if dataset is None:
            raise damaged(path, f"a list of numbers in {variable.name}", "there is none")
        return read_numbers(dataset, path).reshape(dataset.shape).T


def _load(variable: Variable, path: Path) -> NDArray[Any]:
    from scipy.io import loadmat

    check_memory(_check_size(variable, path), path, shape=variable.shape)
    try:
        with warnings.catch_warnings(), _Sip(path) as stream:
            warnings.simplefilter("ignore")
            values = loadmat(stream, variable_names=[variable.name])[variable.name]
    except MemoryError:
        raise
    except Exception as error:
        raise damaged(path, "a MATLAB file", error) from error
    if not isinstance(values, np.ndarray) or values.shape != variable.shape:
        raise damaged(path, f"{variable.name} of the shape {variable.shape}", "it holds something else")
    return values
