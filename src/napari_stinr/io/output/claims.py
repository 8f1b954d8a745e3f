"""One program at a time works towards a file: two that train the same run would each undo what the other has saved."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Let no other program begin to work towards a file as long as the block runs; it may be claimed twice in this one.

    Parameters
    ----------
    path : Path
        The file, which need not be there; its folder is. The lock beside it is gone at the end, and with a program
        that is killed it is free.

    Raises
    ------
    StinrError
        Another program is at it.
    """
    target = path.expanduser().resolve()
    beside = target.with_name(f".stinr-{target.name}.lock")
    lock = FileLock(beside, is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise StinrError(
            f"another program is working on {path.name}",
            expected="one at a time",
            cure="Wait until it has ended, or choose another name.",
        ) from error
    except (OSError, RuntimeError):  # of a disk without locks; whether it can be written is found elsewhere
        logger.debug("No lock for %s", target, exc_info=True)
        yield
        return
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            # While it is held: whoever opens it now finds that it has no name any more.
            with contextlib.suppress(OSError):
                beside.unlink()
        lock.release()
