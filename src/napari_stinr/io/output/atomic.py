"""Write a file completely or not at all.

The new content goes to a temporary file in the same folder and takes the name of the old one in a single step, so that
a full disk, a crash or Ctrl-C never leaves half a file where a good one was. Only a program that is killed leaves its
temporary file behind, ``.stinr-<computer>-<process>-<random>-<name>``; the next write of the same file removes it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import platform
import re
import secrets
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_DISK_IS_FULL = "Free some disk space, or choose a folder on another disk."
_CHOOSE_A_FOLDER = "Choose another folder, or change its permissions."
_CLOSE_IT = "Close the file in other programs, or choose another folder."
_CHECK_THE_DISK = "Check the disk and its connection, or choose a folder on another disk."
_EXPECTED_AND_CURE = {
    errno.ENOSPC: ("enough free space on the disk", _DISK_IS_FULL),
    errno.EDQUOT: ("enough space left in the disk quota", _DISK_IS_FULL),
    errno.EFBIG: ("a file size that this disk allows", "Choose a folder on another disk, or write less."),
    errno.EACCES: ("a folder and a file that may be written", _CLOSE_IT),
    errno.EPERM: ("a folder and a file that may be written", _CLOSE_IT),
    errno.EBUSY: ("a file that no other program holds", _CLOSE_IT),
    errno.EROFS: ("a disk that can be written", _CHOOSE_A_FOLDER),
    errno.EIO: ("a disk that works", _CHECK_THE_DISK),
    errno.ESTALE: ("a network disk that is there", _CHECK_THE_DISK),
    errno.ENOENT: ("a folder that exists", "Make the folder first, or choose another one."),
    errno.ENOTDIR: ("a folder that exists", "Make the folder first, or choose another one."),
    errno.ENAMETOOLONG: ("a shorter file name", "Choose a shorter name."),
}
_LONGEST_NAME = 143
"""Bytes of a file name that every usual file system takes; an encrypted home folder has the fewest."""
_SURELY_LEFT_BEHIND = 86_400.0
"""Age from which a temporary file belongs to nobody, whatever computer and process it names [s]."""
_PAUSES_BEFORE_RETRY = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses before the next attempts to replace a file that another program holds, such as a virus scanner [s]."""
_BUSY = (errno.EACCES, errno.EPERM, errno.EBUSY)
_FLUSH_IS_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the name `path` when the block ends without an error.

    Parameters
    ----------
    path : str or path-like
        Where the finished file shall be. A symbolic link is followed.
    overwrite : bool
        Replace a file that is there already; the new one takes over its permissions.

    Yields
    ------
    Path
        An empty file in the same folder whose name ends like that of `path`, because writers look at the ending.

    Raises
    ------
    StinrError
        The folder is missing or cannot be written, the disk is full, or `path` is not to be replaced; what was there
        before is there still.
    """
    target = Path(os.path.realpath(os.path.expanduser(path)))
    check_target(target, overwrite=overwrite)
    _remove_leftovers(target)
    temporary = temporary_beside(target)
    try:
        temporary.touch(exist_ok=False)
        permissions = stat.S_IMODE((target if target.exists() else temporary).stat().st_mode)
        yield temporary
        if not overwrite:
            check_target(target, overwrite=False)
        # Some writers put a file of their own in its place, readable by nobody else.
        if stat.S_IMODE(temporary.stat().st_mode) != permissions:
            with contextlib.suppress(PermissionError):  # some network disks have permissions of their own
                temporary.chmod(permissions)
        flush_to_disk(temporary)
        move(temporary, target)
        flush_folder(target.parent)
    except OSError as error:
        raise write_problem(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_problem(error: OSError, path: Path) -> StinrError:
    """Return what an `OSError` while writing means to the person who wanted the file, to be raised from it."""
    # Without an error number (NumPy reports a short write that way) a full disk is the likely cause.
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
        The folder is missing, or `target` is a folder, a device or write-protected, or it exists and must not be
        replaced.
    """
    try:
        if not target.parent.is_dir():
            raise StinrError(
                f"the folder {target.parent} does not exist",
                expected=f"an existing folder for {target.name}",
                cure="Make the folder first, or choose another one.",
            )
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise write_problem(error, target) from error
    if stat.S_ISDIR(mode):
        raise StinrError(f"{target} is a folder", expected="the name of a file", cure="Add a file name to it.")
    if not stat.S_ISREG(mode):
        # Replaced by a file, /dev/null would be gone for every program.
        raise StinrError(f"{target} is a device", expected="the name of a file", cure="Choose another name.")
    if not overwrite:
        raise StinrError(
            f"{target} exists", expected="a new file name", cure="Choose another name, or allow it to be replaced."
        )
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        # Renaming over it would need the permission of the folder only, but somebody has protected it.
        raise StinrError(
            f"{target} is write-protected",
            expected="a file that may be replaced",
            cure="Choose another name, or allow it to be changed.",
        )


def temporary_beside(target: Path) -> Path:
    """Return a new name beside a file that ends like it and tells its process and computer; write nothing."""
    return target.with_name(f".stinr-{_computer()}-{os.getpid()}-{secrets.token_hex(4)}-{_tail(target)}")


def _tail(target: Path) -> str:
    """Return the name of the file, or what can stand for it where the temporary one would become too long."""
    longest = _LONGEST_NAME - len(f".stinr-{_computer()}-4294967295-01234567-")
    if len(os.fsencode(target.name)) <= longest:
        return target.name
    ending = "".join(target.suffixes[-2:])
    return hashlib.blake2b(os.fsencode(target.name), digest_size=8).hexdigest() + ending[-16:]


def _computer() -> str:
    return hashlib.blake2b(platform.node().encode(), digest_size=2).hexdigest()


def leftovers(target: Path) -> list[Path]:
    """Return what killed processes have left of earlier writes of this file or folder."""
    form = re.compile(rf"\.stinr-([0-9a-f]{{4}})-(\d+)-[0-9a-f]{{8}}-{re.escape(_tail(target))}")
    left: list[Path] = []
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            match = form.fullmatch(entry.name)
            if match is not None and _is_left_behind(entry, match[1], int(match[2])):
                left.append(Path(entry.path))
    return left


def _remove_leftovers(target: Path) -> None:
    for left in leftovers(target):
        with contextlib.suppress(OSError):
            left.unlink()
            logger.warning("An earlier write of %s was interrupted; its unfinished file was removed", target)


def _is_left_behind(entry: os.DirEntry[str], computer: str, process: int) -> bool:
    import psutil

    if time.time() - entry.stat().st_mtime > _SURELY_LEFT_BEHIND:
        return True
    # Not os.kill(process, 0): on Windows, that would end the process.
    return computer == _computer() and not psutil.pid_exists(process)


def move(temporary: Path, target: Path) -> None:
    """Rename, over a file that is there; on Windows and network disks, a program that has it open may delay that."""
    for pause in _PAUSES_BEFORE_RETRY:
        try:
            os.replace(temporary, target)
        except OSError as error:
            if error.errno not in _BUSY:
                raise
            time.sleep(pause)
        else:
            return
    os.replace(temporary, target)


def flush_to_disk(path: Path) -> None:
    """Wait until the content of a file is on the disk, where the system can do that."""
    # Without this a power cut after the renaming could leave the new name with no content.
    with path.open("rb+") as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            if error.errno not in _FLUSH_IS_UNKNOWN:
                raise


def flush_folder(folder: Path) -> None:
    """Make the renaming last over a power cut, where the system can do that for a folder."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
