"""Zip archives as ``.npz`` files are: listed and expanded without trusting what they declare."""

from __future__ import annotations

import struct
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST_DIRECTORY = 1_000_000
"""Size of a list of thousands of members [byte]; Python reads it whole and takes ten times its size in memory."""
_END_BYTES = 22
_LOCATOR_BYTES = 20
_END_64_BYTES = 56
_LONGEST_COMMENT = 65_535
_IS_ENCRYPTED = 1


@dataclass(frozen=True)
class ZipMember:
    """One file in an archive, with the size that it declares and the one that it has in the archive [byte]."""

    name: str
    size: int
    stored: int


def read_members(path: Path) -> dict[str, ZipMember]:
    """Return the members by name; refuse encrypted, doubled, overlapping or unusually compressed ones."""
    _check_directory(path)
    found: dict[str, ZipMember] = {}
    with _opened(path) as archive:
        for info in archive.infolist():
            if info.filename in found:
                raise damaged(path, "every name once", f"it has {info.filename[:60]} twice")
            if info.flag_bits & _IS_ENCRYPTED:
                raise StinrError(
                    f"{path.name} is encrypted", expected="a plain .npz file", cure="Save it without a password."
                )
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise StinrError(
                    f"{path.name} is compressed in an unusual way (zip method {info.compress_type})",
                    expected="an .npz file as NumPy writes it",
                    cure="Save it with numpy.savez or numpy.savez_compressed.",
                )
            found[info.filename] = ZipMember(info.filename, info.file_size, info.compress_size)
    if sum(member.stored for member in found.values()) > path.stat().st_size:
        raise damaged(path, "members beside one another", "they overlap or go beyond the end of the file")
    return found


@contextmanager
def open_member(member: ZipMember, path: Path) -> Iterator[IO[bytes]]:
    """Open a member, which is expanded as far as it is read."""
    with _opened(path) as archive, archive.open(member.name) as stream:
        yield stream


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (StinrError, MemoryError):
        raise
    except OSError as error:
        raise damaged(path, "a file that can be read", error.strerror or error) from error
    except Exception as error:  # damaged archives end in almost any exception
        raise damaged(path, "an .npz file of plain numbers", error) from error


def _check_directory(path: Path) -> None:
    # The end of the archive says how long the list of its members is; archives beyond 4 GB have a second, longer end.
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT - _LOCATOR_BYTES - _END_64_BYTES))
        tail = stream.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or end + _END_BYTES > len(tail):
        raise damaged(path, "an .npz file of plain numbers", "it is no zip archive")
    (length,) = struct.unpack_from("<I", tail, end + 12)
    long_end = end - _LOCATOR_BYTES - _END_64_BYTES
    if long_end >= 0 and tail[end - _LOCATOR_BYTES :].startswith(b"PK\6\7"):
        (length,) = struct.unpack_from("<Q", tail, long_end + 40)
    if length > min(_LARGEST_DIRECTORY, size):
        raise damaged(path, "an .npz file of a few arrays", f"the list of its members has {length} bytes")
