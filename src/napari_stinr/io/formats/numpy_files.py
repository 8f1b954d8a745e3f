"""NumPy files: ``.npy`` with the projections alone, ``.npz`` with everything. Nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import struct
import warnings
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.array_names import as_angles, as_list, as_number, as_vector, fitting_times, usual_names
from napari_stinr.io.formats.containers import NUMERIC_KINDS, Images, Stack, damaged, image_shape
from napari_stinr.io.formats.guards.zip_archives import ZipMember, open_member, read_members
from napari_stinr.io.formats.limits import check_expansion, check_memory, check_stored
from napari_stinr.io.formats.stored import StoredImages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
"""NumPy's own limit [byte]: a header is Python text, and long or deeply nested text takes the parser down."""
_BYTES_AT_ONCE = 32_000_000
"""Images in Fortran's order that are read in one pass [byte]."""


@dataclass(frozen=True)
class _Array:
    """What the header of an array declares; `offset` is where its numbers begin [byte]."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    offset: int

    @property
    def n_bytes(self) -> int:
        """Size of the numbers [byte]."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, raw: bytes) -> NDArray[Any]:
        """Return the numbers in their shape."""
        values = np.frombuffer(raw, dtype=self.dtype)
        return values.reshape(self.shape[::-1]).T if self.is_fortran else values.reshape(self.shape)


def read_npy(path: Path) -> Stack:
    """Read the projections from a `.npy` file."""
    declared, shape = _checked_npy(path)
    if declared.is_fortran:
        return Stack(Images(shape, lambda: _fortran_images(path, declared, shape)))
    return Stack(StoredImages.of(path, shape, dtype=declared.dtype, offset=declared.offset))


def _fortran_images(path: Path, declared: _Array, shape: tuple[int, int, int]) -> Iterator[NDArray[Any]]:
    """Read `(height, width)` images of which every pixel lies elsewhere: several in one pass through the file."""
    n_tilts, height, width = shape
    n_at_once = max(1, _BYTES_AT_ONCE // (height * width * declared.dtype.itemsize))
    for first in range(0, n_tilts, n_at_once):
        images = np.empty((min(n_at_once, n_tilts - first), height, width), declared.dtype)
        with path.open("rb") as stream:
            stream.seek(declared.offset)
            for x in range(width):
                column = np.fromfile(stream, declared.dtype, height * n_tilts).reshape(height, n_tilts)
                images[:, :, x] = column[:, first : first + n_at_once].T
        yield from images


def read_npy_vector(path: Path) -> NDArray[np.float64]:
    """Read tilt angles or times from a ``.npy`` file.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    ndarray
        `(n_tilts,)` values, or a table with three of them for every projection [unit of the file].

    Raises
    ------
    StinrError
        The file is damaged, or does not hold one list of real numbers.
    """
    with path.open("rb") as stream:
        declared = _read_header(stream, path.name, path)
    if declared.dtype.kind not in NUMERIC_KINDS or declared.n_bytes == 0:
        raise damaged(path, "a list of numbers", f"the shape {declared.shape} of the data type {declared.dtype}")
    check_stored(declared.offset + declared.n_bytes, path, what="the array")
    return as_list(_mapped(path, declared), "the array", path)


def read_npz(path: Path) -> Stack:
    """Read a `.npz` file; only the projections must be there, and other usual names are understood."""
    members = read_members(path)
    names = usual_names([name.removesuffix(".npy") for name in members], path)
    if "projections" not in names:
        raise StinrError(
            f"{path.name} has no projections",
            expected="a key 'projections' with the axes (projections, height, width)",
            cure="Save it with numpy.savez(file, projections=..., tilt_angles=..., times=..., pixel_size=...).",
        )
    found = {key: members.get(f"{name}.npy") or members[name] for key, name in names.items()}
    images = _npz_images(found["projections"], path)
    lists = {key: _read_member(found[key], path) for key in ("tilt_angles", "times") if key in found}
    angles = as_angles(lists["tilt_angles"], names["tilt_angles"], path) if "tilt_angles" in lists else None
    listed = as_vector(lists["times"], names["times"], path) if "times" in lists else None
    size = found.get("pixel_size")
    times, note = fitting_times(listed, len(images), names.get("times", ""))
    return Stack(
        images,
        tilt_angles=None if angles is None else angles.values,
        angle_remark="" if angles is None else angles.remark,
        times=times,
        pixel_size=None if size is None else as_number(_read_member(size, path), size.name, path),
        mask=_read_mask(found["mask"], images.shape, path) if "mask" in found else None,
        place="NumPy arrays",
        complete=True,
        notes=(note,) if note else (),
    )


def _checked_npy(path: Path) -> tuple[_Array, tuple[int, int, int]]:
    with path.open("rb") as stream:
        declared = _read_header(stream, path.name, path)
    shape = image_shape(declared.shape, declared.dtype, path)
    check_stored(declared.offset + declared.n_bytes, path, what="the array")
    return declared, shape


def _mapped(path: Path, declared: _Array) -> NDArray[Any]:
    # Never np.load: this opens arrays of plain numbers only.
    order: Literal["C", "F"] = "F" if declared.is_fortran else "C"
    values: NDArray[Any] = np.memmap(
        path, declared.dtype, mode="r", offset=declared.offset, shape=declared.shape, order=order
    )
    return values


def _npz_images(member: ZipMember, path: Path) -> Images:
    declared = _member_header(member, path)
    shape = image_shape(declared.shape, declared.dtype, path)

    def read() -> Iterator[NDArray[Any]]:
        # The axes of Fortran's order run the other way, so that the first image ends with the file.
        if declared.is_fortran:
            yield from _read_member(member, path).reshape(shape)
            return
        image = _Array(shape[1:], declared.dtype, is_fortran=False, offset=0)
        check_memory(image.n_bytes, path, shape=shape)
        with open_member(member, path) as stream:
            stream.read(declared.offset)
            for _ in range(shape[0]):
                yield image.array(stream.read(image.n_bytes))

    return Images(shape, read)


def _read_member(member: ZipMember, path: Path) -> NDArray[Any]:
    declared = _member_header(member, path)
    if declared.dtype.kind not in NUMERIC_KINDS:
        raise damaged(path, "arrays of plain numbers", f"{member.name} has the data type {declared.dtype}")
    check_memory(declared.n_bytes, path, shape=declared.shape)
    with open_member(member, path) as stream:
        stream.read(declared.offset)
        return declared.array(stream.read(declared.n_bytes))


def _read_mask(member: ZipMember, shape: tuple[int, int, int], path: Path) -> NDArray[np.bool_]:
    declared = _member_header(member, path)
    if declared.shape != shape:
        raise damaged(path, f"a mask of the shape {shape}, as the projections", f"{member.name} has {declared.shape}")
    return _read_member(member, path).astype(bool)


def _member_header(member: ZipMember, path: Path) -> _Array:
    with open_member(member, path) as stream:
        declared = _read_header(stream, member.name, path)
    if declared.offset + declared.n_bytes > member.size:
        raise damaged(path, "as many numbers as its header declares", f"{member.name} declares {declared.shape}")
    check_expansion(declared.shape, declared.dtype.itemsize, member.stored, path)
    return declared


def _read_header(stream: IO[bytes], name: str, path: Path) -> _Array:
    start = stream.read(12)
    if len(start) < 12 or start[:6] != _MAGIC or start[6] not in (1, 2, 3):
        raise damaged(path, "a NumPy array of plain numbers", f"{name} does not begin as one")
    is_first_version = start[6] == 1
    (length,) = struct.unpack_from("<H" if is_first_version else "<I", start, 8)
    if not 2 <= length <= _LONGEST_HEADER:
        raise damaged(path, f"a header of 2 to {_LONGEST_HEADER} bytes", f"that of {name} has {length}")
    offset = length + (10 if is_first_version else 12)
    text = io.BytesIO(start + stream.read(offset - 12))
    text.seek(8)
    read = np.lib.format.read_array_header_1_0 if is_first_version else np.lib.format.read_array_header_2_0
    try:
        # Python may warn about forged text, and NumPy about that of Python 2.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, is_fortran, dtype = read(text)
    except Exception as error:  # the header is Python text: rubbish in it fails in many ways
        raise damaged(path, "a NumPy array of plain numbers", error) from error
    if dtype.hasobject:
        raise damaged(path, "arrays of plain numbers", f"{name} stores Python objects")
    if any(int(edge) < 0 for edge in shape):
        raise damaged(path, "positive sizes", f"{name} declares the shape {shape}")
    return _Array(tuple(int(edge) for edge in shape), dtype, is_fortran, offset)
