"""Text of variable length, taken from the bytes of an HDF5 file without libhdf5.

Such text lies in a "global heap" apart from the attribute or dataset that refers to it. libhdf5 (2.0 at the latest)
trusts both: one wrong bit in the reference takes up to 4 GB of memory, and one in the heap is an endless loop. The part
of the format that is needed here is small: object headers, attribute messages and heaps, as described in the "HDF5
File Format Specification Version 3.0", sections III.E, IV.A and IV.A.2.m. Numbers in it are little-endian.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAXIMUM_BLOCK = 1_000_000
"""No part of an object header is larger: a message has at most 64 kB [byte]."""

_CONTINUATION, _ATTRIBUTE, _ATTRIBUTE_INFO = 0x10, 0x0C, 0x15
_MAXIMUM_BLOCKS = 100
_REFERENCE = struct.Struct("<IQI")


class ElsewhereError(Exception):
    """The attributes of an object are not in its header."""


def attribute_bytes(stream: IO[bytes], base: int, address: int, name: bytes) -> bytes | None:
    """Return the bytes of an attribute.

    Parameters
    ----------
    stream : file
        The HDF5 file; its addresses have 8 bytes.
    base : int
        Size of what stands before the HDF5 file, which its addresses do not count [byte].
    address : int
        Address of the object that the attribute is attached to.
    name : bytes
        Name of the attribute.

    Returns
    -------
    bytes or None
        What follows its name and types in the header; None where there is none of this name.

    Raises
    ------
    ElsewhereError
        The object has so many attributes that they are not in its header.
    struct.error, ValueError
        The header is damaged.
    """
    for kind, body in _messages(stream, base, address):
        if kind == _ATTRIBUTE_INFO and body[1] in (0, 1, 2, 3):
            (heap,) = struct.unpack_from("<Q", body, 2 + (2 if body[1] & 1 else 0))
            if heap != 2**64 - 1:
                raise ElsewhereError
        if kind != _ATTRIBUTE or len(body) < 9:
            continue
        sizes = struct.unpack_from("<HHH", body, 2)
        start = 9 if body[0] == 3 else 8
        if body[start : start + sizes[0]].split(b"\0")[0] == name:
            # The first version fills each of the three up to multiples of 8 bytes.
            return body[start + sum((size + 7) // 8 * 8 if body[0] == 1 else size for size in sizes) :]
    return None


def heap_text(stream: IO[bytes], base: int, reference: bytes, most: int) -> bytes:
    """Return the text that a reference leads to.

    Parameters
    ----------
    stream : file
        The HDF5 file; its addresses have 8 bytes.
    base : int
        Size of what stands before the HDF5 file, which its addresses do not count [byte].
    reference : bytes
        Length of the text, address of a heap, number of an object in it.
    most : int
        Longer text is refused [byte].

    Returns
    -------
    bytes
        The text.

    Raises
    ------
    struct.error, ValueError
        The reference or the heap is damaged, or the text is too long.
    """
    length, address, number = _REFERENCE.unpack_from(reference)
    if length == 0:
        return b""
    signature, version, size = struct.unpack("<4sB3xQ", _read(stream, base + address, 16))
    if signature != b"GCOL" or version != 1 or length > most:
        raise ValueError("it refers to text that is not there")
    at, end = base + address + 16, base + address + size
    while at + 16 <= end:
        index, extent = struct.unpack("<H6xQ", _read(stream, at, 16))
        if index == number and index > 0:
            if extent < length:
                raise ValueError("its text is shorter than declared")
            return _read(stream, at + 16, length)
        if index == 0:  # free space, the last object
            break
        at += 16 + (extent + 7) // 8 * 8
    raise ValueError("it refers to text that is not there")


def _messages(stream: IO[bytes], base: int, address: int) -> Iterator[tuple[int, bytes]]:
    start = _read(stream, base + address, 16)
    if start[:4] == b"OHDR":
        flags = start[5]
        at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(_read(stream, base + address + at, width), "little")
        blocks = [(address + at + width, size)]
        prefix, form, frame = (6, "<BHB2x", 4) if flags & 4 else (4, "<BHB", 4)
    elif start[0] == 1:
        blocks = [(address + 16, int.from_bytes(start[8:12], "little"))]
        prefix, form, frame = 8, "<HHB3x", 0
    else:
        raise ValueError("an object has no header")
    n_blocks = 0
    while blocks:
        where, size = blocks.pop(0)
        n_blocks += 1
        if n_blocks > _MAXIMUM_BLOCKS or size > MAXIMUM_BLOCK:
            raise ValueError("the header of an object is too long")
        block = _read(stream, base + where, size)
        at = 0
        while at + prefix <= len(block):
            kind, length, _ = struct.unpack_from(form, block, at)
            body = block[at + prefix : at + prefix + length]
            at += prefix + length
            if kind == _CONTINUATION:
                position, extent = struct.unpack_from("<QQ", body)
                # In newer headers a continuation has a signature before it and a checksum behind it.
                blocks.append((position + frame, max(0, extent - 2 * frame)))
            else:
                yield kind, body


def _read(stream: IO[bytes], position: int, size: int) -> bytes:
    if position >= 2**63:
        raise ValueError("an address is beyond the end of the file")
    stream.seek(position)
    content = stream.read(size)
    if len(content) < size:
        raise ValueError("an address is beyond the end of the file")
    return content
