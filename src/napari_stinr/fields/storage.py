"""Where the tensors lie that grow with the volume: in memory, or on files, of which a step reads and writes some rows.

A file is mapped into memory and has no name from then on: nothing is left of it, whatever ends the program. Its room on
the disk is taken when it is made, as a program dies at once that finds a disk full later. Pages that were used stay in
memory until the system needs that, or :func:`let_go` gives it back.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import tempfile
from contextvars import ContextVar
from copy import deepcopy
from typing import IO, TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import nn

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    _Maker = Callable[[tuple[int, ...], torch.dtype], torch.Tensor]

_Module = TypeVar("_Module", bound=nn.Module)

_BYTES_AT_ONCE = 2**26
"""Of a tensor that is gone through."""
_ZEROS = bytes(2**22)


class _Mapped(mmap.mmap):
    """A mapped file; `folder` is where more room beside it is, None where nothing may be written."""

    folder: Path | None = None


_MAPPED: WeakValueDictionary[int, _Mapped] = WeakValueDictionary()
"""Files by the address of their first number, which a tensor and its views have in common; the tensors own them."""
_MAKER: ContextVar[_Maker | None] = ContextVar("_MAKER", default=None)


@contextlib.contextmanager
def on_files(folder: Path | None) -> Iterator[None]:
    """Let the large tensors of fields that are built here lie on files.

    Parameters
    ----------
    folder : Path or None
        A folder on a disk with room for them; None: they are in memory.

    Raises
    ------
    StinrError
        There is no room; raised where a field is built.
    """
    with _made_by(None if folder is None else lambda shape, dtype: _zeros_on_file(folder, shape, dtype)):
        yield


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Let the large tensors of fields that are built here have a shape only: values are assigned to them."""
    with _made_by(lambda shape, dtype: torch.empty(shape, dtype=dtype, device="meta")):
        yield


@contextlib.contextmanager
def _made_by(maker: _Maker | None) -> Iterator[None]:
    token = _MAKER.set(maker)
    try:
        yield
    finally:
        _MAKER.reset(token)


def large(shape: tuple[int, ...], value: float = 0.0, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a tensor that is as large as a volume, where :func:`on_files` says.

    Parameters
    ----------
    shape : tuple of int
        Its shape, rows first.
    value : float
        What it is filled with.
    dtype : torch.dtype
        Kind of its numbers.

    Returns
    -------
    Tensor
        On torch's device of now, or on a file.
    """
    maker = _MAKER.get()
    if maker is None:
        return torch.full(shape, value, dtype=dtype)
    made = maker(shape, dtype)
    if value and not made.is_meta:
        for rows in some_rows(made):
            made[rows] = value
    return made


def zeros_beside(
    tensor: torch.Tensor, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> torch.Tensor:
    """Return zeros where a tensor lies: on its device, or on another file in the same folder.

    Parameters
    ----------
    tensor : Tensor
        Has their shape.
    dtype : torch.dtype, optional
        Kind of the numbers; as of the tensor by default.
    device : torch.device, optional
        Where they are in memory; as the tensor by default.

    Returns
    -------
    Tensor
        New memory, or a new file.
    """
    mapped = _mapped(tensor)
    if mapped is None or mapped.folder is None:
        return torch.zeros(tensor.shape, dtype=dtype or tensor.dtype, device=device or tensor.device)
    return _zeros_on_file(mapped.folder, tuple(tensor.shape), dtype or tensor.dtype)


def clone_beside(source: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of numbers where a tensor of the same shape lies; in memory where it has another."""
    if source.shape != tensor.shape or not is_on_file(tensor):
        return source.clone()
    copied = zeros_beside(tensor, dtype=source.dtype)
    copy_values(source, copied)
    return copied


def copy_values(source: torch.Tensor, target: torch.Tensor) -> None:
    """Copy all numbers to a tensor of the same shape, a block of rows at a time where either is on a file."""
    with torch.no_grad():
        if is_on_file(source) or is_on_file(target):
            source, target = source.reshape(-1), target.detach().view(-1)
            for part in some_rows(target, source):
                target[part] = source[part]
        else:
            target.copy_(source)


def load_values(module: nn.Module, values: Mapping[str, torch.Tensor]) -> None:
    """Give a module, in place, the values that :meth:`state_dict` of one like it has, a block of rows at a time."""
    own = module.state_dict()
    if own.keys() != values.keys():
        raise ValueError(f"these are no values of {', '.join(own.keys() ^ values.keys())}")
    for name, target in own.items():
        copy_values(values[name], target)


def is_on_file(tensor: torch.Tensor) -> bool:
    """Return whether a tensor lies on a file."""
    return _mapped(tensor) is not None


def let_go(*tensors: torch.Tensor) -> None:
    """Give the memory back that tensors on files have taken; their values are in the files."""
    for tensor in tensors:
        mapped = _mapped(tensor)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # Windows takes back itself what it needs
            mapped.madvise(mmap.MADV_DONTNEED)


def some_rows(*tensors: torch.Tensor) -> Iterator[slice]:
    """Blocks of rows of tensors that have as many; what they take of memory is given back after each.

    Parameters
    ----------
    *tensors : Tensor
        `(n_rows, ...)` tensors, one of them at least.

    Yields
    ------
    slice
        The next rows.
    """
    n_rows = len(tensors[0])
    largest = max(math.prod(tensor.shape[1:]) * tensor.element_size() for tensor in tensors)
    together = max(1, _BYTES_AT_ONCE // max(1, largest))
    for start in range(0, n_rows, together):
        yield slice(start, min(start + together, n_rows))
        let_go(*tensors)


def view_of(module: _Module, *, but: tuple[nn.Module, ...] = ()) -> _Module:
    """Return a module whose numbers are those of another: they change with it.

    Parameters
    ----------
    module : Module
        What is too large to be copied.
    but : tuple of Module
        Parts whose numbers are copied.

    Returns
    -------
    Module
        A module of its own, that wants no gradients.
    """
    copied = {id(value) for part in but for value in (*part.parameters(), *part.buffers())}
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in module.parameters()}
    memo |= {id(buffer): buffer.detach() for buffer in module.buffers()}
    seen = deepcopy(module, {key: value for key, value in memo.items() if key not in copied})
    return seen.requires_grad_(False)


def mapped_bytes(path: Path) -> torch.Tensor:
    """Return a file as `(n_bytes,)` uint8 that are read when they are looked at; what is written to them is lost."""
    with path.open("rb") as stream:
        # A copy as soon as it is written to, so that torch may take it for memory like any other.
        return _as_bytes(_Mapped(stream.fileno(), 0, access=mmap.ACCESS_COPY))


def _zeros_on_file(folder: Path, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    n_bytes = max(1, math.prod(shape) * dtype.itemsize)
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".stinr-") as stream:
            _take_room(stream, n_bytes)
            mapped = _Mapped(stream.fileno(), n_bytes)
    except OSError as error:
        raise StinrError(
            f"{folder} has no room for {n_bytes / 1e9:.3g} GB more of the reconstruction: {error.strerror or error}",
            expected="a folder on a disk with room for what does not fit into memory",
            cure="Free some disk space, or save the run in a folder on another disk.",
        ) from error
    mapped.folder = folder
    return _as_bytes(mapped)[: math.prod(shape) * dtype.itemsize].view(dtype).view(shape)


def _take_room(stream: IO[bytes], n_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, n_bytes)
        return
    for start in range(0, n_bytes, len(_ZEROS)):
        stream.write(_ZEROS[: n_bytes - start])
    stream.flush()


def _as_bytes(mapped: _Mapped) -> torch.Tensor:
    values = torch.frombuffer(mapped, dtype=torch.uint8)
    _MAPPED[values.untyped_storage().data_ptr()] = mapped
    return values


def _mapped(tensor: torch.Tensor) -> _Mapped | None:
    # A sparse tensor has no memory of its own.
    return None if tensor.layout != torch.strided else _MAPPED.get(tensor.untyped_storage().data_ptr())
