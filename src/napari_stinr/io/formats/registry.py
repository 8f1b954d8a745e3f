"""Which file endings can be read as a stack, and with what."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Stack, is_file, refusing
from napari_stinr.io.formats.endings import MRC_ENDINGS, TIFF_ENDINGS
from napari_stinr.io.formats.isolation import read_isolated
from napari_stinr.io.formats.matlab import read_mat
from napari_stinr.io.formats.mrc import read_mrc
from napari_stinr.io.formats.numpy_files import read_npy, read_npz
from napari_stinr.io.formats.stamps import FileStamp
from napari_stinr.io.formats.tiff import read_tiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _read_dm(path: Path) -> Stack:
    return read_isolated("dm:read_dm", path)


def _read_hdf5(path: Path) -> Stack:
    return read_isolated("hdf5_layouts:read_hdf5", path)


READERS: dict[str, Callable[[Path], Stack]] = {
    **dict.fromkeys(MRC_ENDINGS, read_mrc),
    **dict.fromkeys(TIFF_ENDINGS, read_tiff),
    ".dm3": _read_dm,
    ".dm4": _read_dm,
    **dict.fromkeys((".emd", ".h5", ".hdf5", ".hdf", ".nxs", ".nx"), _read_hdf5),
    ".mat": read_mat,
    ".npz": read_npz,
    ".npy": read_npy,
}
"""File endings that can be read, in lower case, with their readers."""
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".7z")


def read_stack(path: Path) -> Stack:
    """Read a stack or volume with the reader for its file ending.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    Stack
        Content of the file.

    Raises
    ------
    StinrError
        The file is missing, a folder, of an unknown ending, damaged, or too large for the memory.
    """
    readable = "a file ending in " + ", ".join(READERS)
    if not is_file(path):
        raise _no_file(path, readable)
    reader = READERS.get(path.suffix.lower())
    if path.suffix.lower() in _PACKED:
        raise StinrError(
            f"{path.name} is packed",
            expected="the file itself: what is inside may expand to any size",
            cure=f"Unpack it, and give {path.stem}.",
        )
    if reader is None:
        raise StinrError(
            f"{path.name} ends in {path.suffix!r}", expected=readable, cure="Convert it, for instance to MRC or TIFF."
        )
    with refusing(path):
        # Before its header is read: what changes after this is seen.
        stamp = FileStamp.of(path)
        return replace(reader(path), stamps=(stamp,))


def _no_file(path: Path, readable: str) -> StinrError:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return StinrError(f"{path} does not exist", expected=readable, cure="Check the name and the folder.")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return StinrError(
            f"{path} cannot be opened: {reason}", expected=readable, cure="Check the name and the folder."
        )
    if stat.S_ISDIR(mode):
        return StinrError(f"{path} is a folder", expected=readable, cure="Give the file of the stack in it.")
    # To open a pipe is to wait for whoever writes to it.
    return StinrError(f"{path} is a pipe or a device", expected=readable, cure="Save the data as a file.")
