"""Write a file completely or not at all.

The new content goes to a temporary file in the same folder and takes the name of the old one in a single step, so that
a full disk, a crash or Ctrl-C never leaves half a file where a good one was.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISK_IS_FULL = "Free some disk space, or choose a folder on another disk."
_CHOOSE_A_FOLDER = "Choose another folder, or change its permissions."
_EXPECTED_AND_CURE = {
    errno.ENOSPC: ("enough free space on the disk", _DISK_IS_FULL),
    errno.EDQUOT: ("enough space left in the disk quota", _DISK_IS_FULL),
    errno.EFBIG: ("a file size that this disk allows", "Choose a folder on another disk, or write less."),
    errno.EACCES: ("a folder and a file that may be written", "Close the file elsewhere, or choose another folder."),
    errno.EPERM: ("a folder and a file that may be written", "Close the file elsewhere, or choose another folder."),
    errno.EROFS: ("a disk that can be written", _CHOOSE_A_FOLDER),
    errno.ENOENT: ("a folder that exists", "Make the folder first, or choose another one."),
    errno.ENOTDIR: ("a folder that exists", "Make the folder first, or choose another one."),
    errno.ENAMETOOLONG: ("a shorter file name", "Choose a shorter name."),
}


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the name `path` when the block ends without an error.

    Parameters
    ----------
    path : str or path-like
        Where the finished file shall be. A symbolic link is followed.
    overwrite : bool
        Replace a file that is there already.

    Yields
    ------
    Path
        An empty file in the same folder whose name ends like that of `path`, because writers look at the ending.

    Raises
    ------
    StinrError
        The folder is missing or cannot be written, the disk is full, `path` is a folder, or it exists and must not be
        replaced.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    check_target(target, overwrite=overwrite)
    temporary = target.with_name(f".{secrets.token_hex(4)}-{target.name}")
    try:
        temporary.touch(exist_ok=False)
        permissions = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        # Some writers put a file of their own in its place, readable by nobody else.
        temporary.chmod(permissions)
        _flush_to_disk(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise write_problem(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_problem(error: OSError, path: Path) -> StinrError:
    """Return what an `OSError` while writing means to the person who wanted the file.

    Parameters
    ----------
    error : OSError
        What the system reported. Without an error number (NumPy reports a short write that way) a full disk is the
        likely cause.
    path : Path
        The file that was to be written.

    Returns
    -------
    StinrError
        To be raised from `error`.
    """
    number = errno.ENOSPC if error.errno is None else error.errno
    expected, cure = _EXPECTED_AND_CURE.get(number, ("a file that can be written", _CHOOSE_A_FOLDER))
    return StinrError(f"{path} cannot be written: {error.strerror or error}", expected=expected, cure=cure)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Check that a file may be written where it is meant to be.

    Parameters
    ----------
    target : Path
        Where the file shall be.
    overwrite : bool
        Whether a file that is there already may be replaced.

    Raises
    ------
    StinrError
        The folder is missing, `target` is a folder, or it exists and must not be replaced.
    """
    if not target.parent.is_dir():
        raise StinrError(
            f"the folder {target.parent} does not exist",
            expected=f"an existing folder for {target.name}",
            cure="Make the folder first, or choose another one.",
        )
    if target.is_dir():
        raise StinrError(f"{target} is a folder", expected="the name of a file", cure="Add a file name to it.")
    if target.exists() and not overwrite:
        raise StinrError(
            f"{target} exists", expected="a new file name", cure="Choose another name, or allow it to be replaced."
        )


def _flush_to_disk(path: Path) -> None:
    # Without this a power cut after the renaming could leave the new name with no content.
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
