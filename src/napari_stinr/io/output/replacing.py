"""Images that nobody can make again: an export may replace an earlier export, but no file of another program.

The start of the file tells, so that this costs nothing before a long computation.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file
from napari_stinr.io.formats.mrc_headers import HEADER_BYTES, OUR_LABEL, checked_header
from napari_stinr.io.output.tiff_descriptions import OME_CREATOR

if TYPE_CHECKING:
    import os

_START_BYTES = 65_536
"""tifffile writes the first description here, before the pixels."""
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MRC_MAGIC, _ISPG, _LABEL = slice(208, 211), 88, 224


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Refuse to write a volume over a tilt series or images of another program; what is no image may be replaced.

    Parameters
    ----------
    path : str or path-like
        File that a volume will be written to; it need not exist. A symbolic link is followed.

    Raises
    ------
    StinrError
        The file is an MRC or TIFF file of another program, or a tilt series.
    """
    target = Path(path).expanduser()
    if not is_file(target):
        return
    try:
        with target.open("rb") as stream:
            start = stream.read(_START_BYTES)
    except OSError:
        return  # whoever writes the file says what is wrong with it
    found = ""
    if start[:4] in _TIFF_MAGIC:
        found = "" if OME_CREATOR in start else "a TIFF that napari-stinr did not write"
    elif _is_mrc(target, start):
        found = _foreign_mrc(start)
    if found:
        raise StinrError(
            f"{target} is there already and is {found}",
            expected="a new name, or that of an earlier export",
            cure="Choose another name, or remove that file first if nobody needs it.",
        )


def _is_mrc(path: Path, start: bytes) -> bool:
    if len(start) < HEADER_BYTES or start[_MRC_MAGIC] == b"MAP":
        return len(start) >= HEADER_BYTES
    try:
        checked_header(path)  # files of older programs lack the magic word
    except (StinrError, OSError):
        return False
    return True


def _foreign_mrc(start: bytes) -> str:
    """Say what an MRC file is that must stay, "" for one that this program can write again."""
    space_group, extended_bytes = struct.unpack_from("<2i", start, _ISPG)
    is_ours = start[_LABEL : _LABEL + len(OUR_LABEL)] == OUR_LABEL.encode() and extended_bytes == 0
    if start[_MRC_MAGIC] == b"MAP" and space_group == 0:
        return "an image stack: a tilt series"
    return "" if is_ours else "an MRC file that napari-stinr did not write"
