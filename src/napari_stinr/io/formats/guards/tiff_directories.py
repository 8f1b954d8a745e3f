"""The directories of a TIFF, one for every image, walked before a library parses them.

A directory is a number of entries, the entries and the position of the next one. Positions that overlap or go round let
a file of a kilobyte declare millions of entries.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from napari_stinr.io.formats.containers import damaged
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES

if TYPE_CHECKING:
    from pathlib import Path

MAXIMUM_ENTRIES = 1000
"""Entries of one directory; most have twenty."""
_FORMS = {42: (4, "I", "H", 12), 43: (8, "Q", "Q", 20)}
"""For TIFF and BigTIFF: place and kind of the first position, kind of the number of entries, size of an entry."""


def check_directories(path: Path) -> int:
    """Return the number of images; refuse directories that overlap, go round or are too many."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(16).ljust(16, b"\0")
        order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        form = _FORMS.get(struct.unpack_from(f"{order or '<'}H", head, 2)[0])
        if not order or form is None:
            raise damaged(path, "a TIFF stack", "it does not begin as one")
        place, position_kind, number_kind, entry_bytes = form
        (position,) = struct.unpack_from(order + position_kind, head, place)
        position_bytes, number_bytes = struct.calcsize(position_kind), struct.calcsize("=" + number_kind)
        n_directories = total = 0
        # A position beyond the end is where a file was cut off; what is missing is noticed by whoever reads the pixels.
        while 0 < position <= size - number_bytes:
            stream.seek(position)
            (n_entries,) = struct.unpack(order + number_kind, stream.read(number_bytes))
            n_directories, total = n_directories + 1, total + number_bytes + n_entries * entry_bytes + position_bytes
            if n_entries > MAXIMUM_ENTRIES or n_directories > MAXIMUM_IMAGES:
                most = f"at most {MAXIMUM_IMAGES} images with {MAXIMUM_ENTRIES} entries each in its directories"
                raise damaged(path, most, f"image {n_directories} has {n_entries} entries")
            if total > size:
                raise damaged(path, "the directories of its images beside one another", "they overlap")
            stream.seek(n_entries * entry_bytes, 1)
            following = stream.read(position_bytes)
            if len(following) < position_bytes:
                break
            (position,) = struct.unpack(order + position_kind, following)
    return n_directories
