"""The file of a run: one safetensors file with JSON in its header and a checksum over everything.

Written here and not by safetensors, which copies every tensor and writes to a temporary file of its own, which nobody
knows after a crash. Read by safetensors, which checks the header; nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from safetensors import SafetensorError, safe_open

from napari_stinr.errors import StinrError
from napari_stinr.fields.storage import mapped_bytes, some_rows
from napari_stinr.io.formats.containers import is_file, printable
from napari_stinr.io.output.atomic import atomic_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    _Check = Callable[[Mapping[str, str], Mapping[str, tuple[int, ...]]], None]

FORMAT = "napari-stinr reconstruction"
FORMAT_VERSION = 3
"""3 may have a margin around the grid, 2 has a checksum, 1 had none."""
_READABLE_VERSIONS = ("1", "2", "3")
_CHECKSUM = "checksum"
_LONGEST_HEADER = 2**20
"""A header with the settings and the names of some tensors has a few kilobytes [byte]."""
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_PART_OF_MEMORY = 0.4
"""Of the free memory, that a run may take to be read into it; a larger one stays in its file."""
_LEAST_IN_ITS_FILE = 2**24
"""Size of the tensors of such a run that do [byte]."""
_USE_AN_EARLIER_ONE = "Use an earlier checkpoint, or copy it again from where it came from."


@dataclass(frozen=True, eq=False)
class InParts:
    """A tensor to be written that is nowhere as a whole.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : torch.dtype
        Kind of its numbers.
    parts : callable
        Gives all its numbers in order, as `(n,)` tensors on the CPU; called once, tensor by tensor in order of names.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    parts: Callable[[], Iterator[torch.Tensor]]

    @property
    def nbytes(self) -> int:
        """Its size [byte]."""
        return math.prod(self.shape) * self.element_size()

    def element_size(self) -> int:
        """Size of a number [byte]."""
        return self.dtype.itemsize


@dataclass(frozen=True)
class RunFile:
    """What the file of a run holds: texts and tensors by name, and more tensors to be written that are in parts."""

    header: Mapping[str, str]
    tensors: Mapping[str, torch.Tensor]
    in_parts: Mapping[str, InParts] = field(default_factory=dict)


def write_run(path: str | Path, content: RunFile, *, overwrite: bool = True) -> None:
    """Write the file of a run, whole or not at all; format, version and checksum are added to its header."""
    tensors: dict[str, torch.Tensor | InParts] = dict(content.in_parts)
    tensors |= {name: value.detach().cpu().contiguous() for name, value in content.tensors.items()}
    header = {**content.header, "format": FORMAT, "version": str(FORMAT_VERSION)}
    starts, end = {}, 0
    # The largest numbers first: that keeps every tensor aligned.
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        starts[name], end = end, end + tensors[name].nbytes
    with atomic_output(path, overwrite=overwrite) as temporary, temporary.open("wb") as stream:
        # Everything is gone through a single time, after which the checksum is known: as long as any other.
        first = len(_header_bytes({**header, _CHECKSUM: _checksum_text(0)}, tensors, starts))
        places = {name: first + start for name, start in starts.items()}

        def write(name: str, part: torch.Tensor) -> None:
            _check_finite(path, name, part)
            stream.seek(places[name])
            places[name] += stream.write(_bytes_of(part))

        # Not in a thread beside the writing: the last checkpoint of a program that ends must be written, too, and
        # Python starts no more threads then.
        header[_CHECKSUM] = checksum_of(header, tensors, write)
        stream.seek(0)
        stream.write(_header_bytes(header, tensors, starts))


def _check_finite(path: str | Path, name: str, part: torch.Tensor) -> None:
    if not _is_finite(part):
        raise StinrError(
            f"{path} is not written: {name} holds values that are not finite (NaN)",
            expected="a training that has not failed",
            cure="Go on from an earlier checkpoint, with a lower training.density_rate.",
        )


def _header_bytes(
    header: Mapping[str, str], tensors: Mapping[str, torch.Tensor | InParts], starts: Mapping[str, int]
) -> bytes:
    """Return what stands before the tensors in a safetensors file: length, texts, and the place of each tensor."""
    entries: dict[str, Any] = {"__metadata__": header}
    for name, start in starts.items():
        offsets, shape = [start, start + tensors[name].nbytes], list(tensors[name].shape)
        entries[name] = {"dtype": _TYPES[tensors[name].dtype], "shape": shape, "data_offsets": offsets}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_run(path: Path, check: _Check, *, stays: bool = False) -> RunFile:
    """Read what `write_run` wrote; `check` sees the header and `{name: shape}` before memory is taken for tensors."""
    # It raises ValueError where they do not belong together. What `stays` in its file is only looked at once.
    _check_kind(path)
    try:
        with safe_open(path, framework="pt") as file:
            header, names = dict(file.metadata() or {}), list(file.keys())
            _check_version(path, header)
            _check_content(path, header, {name: tuple(file.get_slice(name).get_shape()) for name in names}, check)
            if stays or path.stat().st_size > _PART_OF_MEMORY * psutil.virtual_memory().available:
                tensors = mapped_tensors(path)
                _check_tensors(path, header, tensors)
                return RunFile(header, tensors)
            tensors = {name: file.get_tensor(name) for name in names}
            _check_tensors(path, header, tensors)
            # Copies: a tensor that is still in the file would hold it open, and vanish with a network disk.
            return RunFile(header, {name: value.clone() for name, value in tensors.items()})
    except StinrError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise damaged(path, f"{error or type(error).__name__}") from error


def damaged(path: str | Path, reason: str) -> StinrError:
    """Return the error that says that the file of a run is damaged, and why."""
    return StinrError(
        f"{path} is damaged ({printable(reason)})",
        expected="a whole file that `stinr train` wrote",
        cure=_USE_AN_EARLIER_ONE,
    )


def _check_kind(path: Path) -> None:
    """Tell a missing, a foreign and a truncated file from one that is worth opening."""
    if not is_file(path):
        raise StinrError(
            f"there is no file {path}", expected="a reconstruction", cure="Check the name; `stinr train` writes one."
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(9)
            length = int.from_bytes(start[:8], "little")
            if start[8:] not in (b"", b"{") or (start and length > _LONGEST_HEADER):
                raise StinrError(
                    f"{path} is a file of another kind",
                    expected=f"a {FORMAT}",
                    cure="Give a file that `stinr train` wrote.",
                )
            header = start[8:] + stream.read(max(length - 1, 0))
            end = _announced_size(header) if len(header) == length else 8 + length
    except OSError as error:
        raise StinrError(
            f"{path} cannot be read: {error.strerror or error}",
            expected="a file that may be read",
            cure="Check its permissions and the disk.",
        ) from error
    if size < max(end, 9):
        raise StinrError(
            f"{path} is truncated: it has {size} bytes",
            expected=f"{end}, as its header says" if size > 8 else "a whole file that `stinr train` wrote",
            cure=_USE_AN_EARLIER_ONE,
        )


def _announced_size(header: bytes) -> int:
    """Return the size that a header announces [byte], 0 where it cannot be understood."""
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        return 8 + len(header) + max(map(int, ends), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError):
        return 0


def _check_version(path: Path, header: Mapping[str, str]) -> None:
    if header.get("format") != FORMAT:
        raise StinrError(
            f"{path} is a safetensors file of another program",
            expected=f"a {FORMAT}",
            cure="Give a file that `stinr train` wrote.",
        )
    version = header.get("version")
    if version not in _READABLE_VERSIONS:
        raise StinrError(
            f"{path} is a {FORMAT} version {version}",
            expected="version " + " or ".join(_READABLE_VERSIONS),
            cure="Open it with the release of napari-stinr that wrote it, or update this one.",
        )


def _check_content(path: Path, header: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], check: _Check) -> None:
    try:
        check(header, shapes)
    except StinrError as error:  # about a setting, where the file is to be named
        raise damaged(path, error.found) from error


def mapped_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a run that was checked before, the large ones as they are in its file."""
    content, types = mapped_bytes(path), {name: dtype for dtype, name in _TYPES.items()}
    start = 8 + int.from_bytes(bytes(content[:8].tolist()), "little")
    entries = json.loads(bytes(content[8:start].tolist()))
    tensors = {}
    for name in entries.keys() - {"__metadata__"}:
        first, end = (start + place for place in entries[name]["data_offsets"])
        tensor = content[first:end].view(types[entries[name]["dtype"]]).view(entries[name]["shape"])
        tensors[name] = tensor if tensor.nbytes >= _LEAST_IN_ITS_FILE else tensor.clone()
    return tensors


def _check_tensors(path: Path, header: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> None:
    """Compare the checksum, and look for values that are not finite."""
    not_finite: list[str] = []

    def look(name: str, part: torch.Tensor) -> None:
        if not _is_finite(part):
            not_finite.append(name)

    found, expected = checksum_of(header, tensors, look), header.get(_CHECKSUM, "none")
    if found != expected and (_CHECKSUM in header or header["version"] != "1"):
        raise damaged(path, f"its checksum is {found} and not {expected}")
    if not_finite:
        raise damaged(path, f"{not_finite[0]} holds values that are not finite")


def checksum_of(
    header: Mapping[str, str],
    tensors: Mapping[str, torch.Tensor | InParts],
    look: Callable[[str, torch.Tensor], None] = lambda name, part: None,
) -> str:
    """Return the CRC-32 of all texts and tensors: it sees what a disk or a network does, not what a forger does.

    Parameters
    ----------
    header : mapping of str
        Texts.
    tensors : mapping of Tensor
        On the CPU, each in one piece or in parts.
    look : callable
        Takes the name of a tensor and some of its numbers, all of them in order: they are gone through once.

    Returns
    -------
    str
        As the header has it.
    """
    texts = sorted((name, text) for name, text in header.items() if name != _CHECKSUM)
    forms = [(name, _TYPES[tensors[name].dtype], list(tensors[name].shape)) for name in sorted(tensors)]
    value = zlib.crc32(json.dumps([texts, forms]).encode())
    for name in sorted(tensors):
        for part in _parts_of(tensors[name]):
            look(name, part)
            value = zlib.crc32(_bytes_of(part), value)
    return _checksum_text(value)


def _parts_of(tensor: torch.Tensor | InParts) -> Iterator[torch.Tensor]:
    """All numbers of a tensor in order, some at a time."""
    if isinstance(tensor, InParts):
        yield from tensor.parts()
        return
    flat = tensor.reshape(-1)
    for some in some_rows(flat):
        yield flat[some]


def _checksum_text(value: int) -> str:
    return f"crc32:{value:08x}"


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _is_finite(value: torch.Tensor) -> bool:
    """Return whether there is neither NaN nor infinity."""
    if not value.is_floating_point():
        return True
    values = (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        is_doubtful = not np.isfinite(values.sum())
    # The sum tells nearly always, in a fraction of the time; of very large values it may overflow.
    return not is_doubtful or bool(np.isfinite(values).all())
