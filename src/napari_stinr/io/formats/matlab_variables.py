"""What a MATLAB file of version 4 or 5 declares, read without expanding or trusting it.

The layout is that of "MAT-File Format" (The MathWorks). Every length is compared with the file here, so that the
library that reads the numbers never meets one that is impossible.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from napari_stinr.io.formats.containers import damaged, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER_BYTES = 128
_MOST_VARIABLES = 10_000
_HEAD_BYTES = 1024
"""What is expanded of a variable: its kind, its axes, its name and the length of its numbers [byte]."""
_MATRIX, _COMPRESSED = 14, 15
_UINT32, _INT32, _INT8 = 6, 5, 1
_MOST_AXES = 32
_COMPLEX_FLAG = 8
_CHARACTERS = 4
_NUMBER_CLASSES = range(6, 16)
_OTHER_CLASSES = {1: "a cell array", 2: "a struct", 4: "text", 5: "a sparse matrix", 16: "a function handle"}
_STORED_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_KINDS_4 = {1: "text", 2: "a sparse matrix"}


@dataclass(frozen=True)
class Variable:
    """A variable of a MATLAB file.

    Parameters
    ----------
    name : str
        Its name.
    shape : tuple of int
        Lengths of its axes in MATLAB's order (rows, columns, ...); empty where that is not known.
    dtype : numpy.dtype, optional
        Data type of its numbers; None where it does not hold plain numbers.
    kind : str
        What it is, in words.
    stored : int, optional
        What it takes in the file [byte]; None in HDF5, where every dataset is checked for itself.
    start : int
        Where it begins in the file [byte].
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    kind: str
    stored: int | None
    start: int = 0

    def __str__(self) -> str:
        axes = " x ".join(map(str, self.shape))
        return f"{printable(self.name[:60])} ({axes if self.dtype is not None else self.kind})"


class _Element(NamedTuple):
    """One tagged piece of data: its type code, where its bytes begin and how many they are."""

    code: int
    start: int
    n_bytes: int


def list_version_5(path: Path) -> list[Variable]:
    """List the variables of a MATLAB 5 file (MATLAB 5 to 7.2, and the default of 7.3 and later).

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of Variable
        Its variables, in the order of the file.

    Raises
    ------
    StinrError
        The file is damaged.
    """
    size = path.stat().st_size
    found: list[Variable] = []
    with path.open("rb") as stream:
        order = "<" if stream.read(HEADER_BYTES)[126:128] == b"IM" else ">"
        position = HEADER_BYTES
        while position < size:
            tag = stream.read(8)
            code, n_bytes = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, 0)
            if code not in (_MATRIX, _COMPRESSED) or not 0 < n_bytes <= size - position - 8:
                raise damaged(path, "a MATLAB file", f"variable {len(found) + 1} goes beyond the end of the file")
            if len(found) == _MOST_VARIABLES:
                raise damaged(path, "a tilt series", f"it holds more than {_MOST_VARIABLES} variables")
            head = stream.read(min(n_bytes, _HEAD_BYTES))
            variable = _read_variable(head, code == _COMPRESSED, n_bytes, order, path)
            found.append(replace(variable, stored=8 + n_bytes, start=position))
            position += 8 + n_bytes
            stream.seek(position)
    return found


def list_version_4(path: Path) -> list[Variable]:
    """List the variables of a MATLAB 4 file, which are matrices.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of Variable
        Its variables, in the order of the file.

    Raises
    ------
    StinrError
        The file is damaged.
    """
    size = path.stat().st_size
    found: list[Variable] = []
    with path.open("rb") as stream:
        order = "<" if int.from_bytes(stream.read(4), "little") <= 5000 else ">"
        position = 0
        while position < size:
            stream.seek(position)
            raw = stream.read(20)
            code, rows, columns, imaginary, n_name = struct.unpack(f"{order}5i", raw) if len(raw) == 20 else (-1,) * 5
            machine, rest = divmod(code, 1000)
            type_code, kind = divmod(rest, 10)
            fits = machine in (0, 1) and type_code < len(_TYPES_4) and kind in (0, 1, 2) and imaginary in (0, 1)
            if not fits or min(rows, columns, n_name) < 0 or n_name > _HEAD_BYTES or len(found) == _MOST_VARIABLES:
                raise damaged(path, "a MATLAB file", f"variable {len(found) + 1} has an impossible header")
            name = stream.read(n_name).strip(b"\0").decode("latin-1")
            dtype = np.dtype(order + _TYPES_4[type_code])
            n_bytes = rows * columns * dtype.itemsize * (1 + imaginary)
            start, stored = position, 20 + n_name + n_bytes
            position += stored
            if position > size:
                raise damaged(path, "a MATLAB file", f"variable {len(found) + 1} goes beyond the end of the file")
            numbers = None if kind else np.dtype("c16") if imaginary else dtype
            found.append(Variable(name, (rows, columns), numbers, _KINDS_4.get(kind, "numbers"), stored, start))
    return found


@contextmanager
def only_variable(variable: Variable, path: Path) -> Iterator[BinaryIO]:
    """Open a file of version 4 or 5 as if it held one variable.

    The library expands the beginning of every other one, a hundred kilobytes at a time, on its way to the one it wants.

    Parameters
    ----------
    variable : Variable
        One of the variables of the file.
    path : Path
        The file.

    Yields
    ------
    file-like
        The header of the file, if it has one, and the variable.
    """
    with path.open("rb") as stream, io.BufferedReader(_Window(stream, variable)) as window:
        yield window


class _Window(io.RawIOBase):
    """The header of a file and one variable of it."""

    def __init__(self, stream: BinaryIO, variable: Variable) -> None:
        self._stream = stream
        self._start = variable.start
        # The old version has no header, so that its first variable begins at once.
        self._header = 0 if 0 in stream.read(4) else HEADER_BYTES
        self._length = self._header + (variable.stored or 0)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence, self._length)
        return self._position

    def readinto(self, buffer: Any) -> int:
        in_header = self._position < self._header
        left = (self._header if in_header else self._length) - self._position
        self._stream.seek(self._position if in_header else self._start + self._position - self._header)
        raw = self._stream.read(max(0, min(left, len(buffer))))
        buffer[: len(raw)] = raw
        self._position += len(raw)
        return len(raw)


def _read_variable(head: bytes, compressed: bool, stored: int, order: str, path: Path) -> Variable:
    length = stored
    if compressed:
        try:
            head = zlib.decompressobj().decompress(head, _HEAD_BYTES)
        except zlib.error as error:
            raise damaged(path, "a MATLAB file", error) from error
        code, length = struct.unpack_from(f"{order}II", head) if len(head) >= 8 else (0, 0)
        if code != _MATRIX:
            raise damaged(path, "a MATLAB file", "something else than a variable is compressed in it")
        head = head[8:]
    elements = _elements(head, order)
    try:
        flags = next(elements)
        if flags.code != _UINT32 or flags.n_bytes != 8:
            raise ValueError("a variable has no flags")
        (word,) = struct.unpack_from(f"{order}I", head, flags.start)
        mx_class = word & 0xFF
        kind = _OTHER_CLASSES.get(mx_class, "numbers" if mx_class in _NUMBER_CLASSES else "a MATLAB object")
        # Newer kinds of object have no axes, and their names stand elsewhere.
        if mx_class not in (*_OTHER_CLASSES, *_NUMBER_CLASSES):
            return Variable("", (), None, kind, stored)
        shape, name = _shape_and_name(elements, head, order)
        if mx_class not in _NUMBER_CLASSES:
            return Variable(name, shape, None, kind, stored)
        numbers = next(elements)
        dtype = np.dtype(order + _STORED_TYPES.get(numbers.code, "u1"))
        n_bytes = math.prod(shape) * dtype.itemsize
        if (numbers.code not in _STORED_TYPES and n_bytes) or numbers.n_bytes != n_bytes:
            raise ValueError(f"{name} declares {shape} and holds {numbers.n_bytes} bytes")
        if numbers.start + n_bytes > length:
            raise ValueError(f"{name} declares {shape} and takes {length} bytes")
    except (ValueError, struct.error, StopIteration) as error:
        raise damaged(path, "a MATLAB file", error) from error
    is_complex = bool((word >> 8) & _COMPLEX_FLAG)
    return Variable(name, shape, np.dtype("c16") if is_complex else dtype, kind, stored)


def _shape_and_name(elements: Iterator[_Element], head: bytes, order: str) -> tuple[tuple[int, ...], str]:
    axes, letters = next(elements), next(elements)
    n_axes = axes.n_bytes // 4
    if axes.code != _INT32 or not 2 <= n_axes <= _MOST_AXES or letters.code != _INT8:
        raise ValueError("a variable has no axes or no name")
    shape = struct.unpack_from(f"{order}{n_axes}i", head, axes.start)
    if min(shape) < 0 or letters.start + letters.n_bytes > len(head):
        raise ValueError("the axes or the name of a variable are impossible")
    return shape, head[letters.start : letters.start + letters.n_bytes].decode("latin-1")


def _elements(head: bytes, order: str) -> Iterator[_Element]:
    # Up to four bytes are kept in the tag itself, which then begins with their number.
    position = 0
    while True:
        code, n_bytes = struct.unpack_from(f"{order}II", head, position)
        if code >> 16:
            yield _Element(code & 0xFFFF, position + 4, code >> 16)
            position += 8
        else:
            yield _Element(code, position + 8, n_bytes)
            position += 8 + -(-n_bytes // 8) * 8
