"""Files as they were when they were opened: `FileStamp`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class FileStamp:
    """What tells that a file is the one that was opened: inode, size [byte] and time of the last change [ns].

    Parameters
    ----------
    path : Path
        The file.
    state : tuple of int
        Inode, size and time.
    """

    path: Path
    state: tuple[int, int, int]

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """Look at a file; an OSError says that there is none.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        FileStamp
            As it is now.
        """
        return cls(path, _state(path.stat()))

    def check(self, stream: IO[bytes] | None = None) -> None:
        """Refuse a file that is another one by now.

        Parameters
        ----------
        stream : file, optional
            The file where it is open; otherwise it is looked for by its name.

        Raises
        ------
        StinrError
            It was replaced, written to or removed.
        """
        try:
            now = self.path.stat() if stream is None else os.fstat(stream.fileno())
        except OSError as error:
            found = f"{self.path.name} has changed since it was opened ({error.strerror})"
        else:
            if _state(now) == self.state:
                return
            found = f"{self.path.name} has changed since it was opened"
        raise StinrError(found, expected="the file as it was then", cure="Open it again.")


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
