"""Where in its work a process is when it is killed, told through memory that it shares with the one that kills."""

from __future__ import annotations

import mmap
import os
import signal
import stat
import struct
import threading
import time
from pathlib import Path
from typing import Any

from napari_stinr.reconstruction import Reconstruction

COMPUTING, OPENED, WRITING, FLUSHED, RENAMING, RENAMED, FINISHED = MOMENTS = (
    "computing or rendering",
    "temporary file just made",
    "writing or flushing the content",
    "flushed, not renamed",
    "about to rename",
    "renamed, folder not flushed",
    "folder flushed",
)
_NUMBERS = ("moment", "has_begun", "step", "events_left", "delay_us")


class Watch:
    """What a process does, in memory that it shares with the one that has made it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 * len(_NUMBERS))
        self._saving = 0

    @property
    def moment(self) -> str:
        """Where the process is, or was when it was killed."""
        return MOMENTS[self._get("moment")]

    @property
    def has_begun(self) -> bool:
        """Whether the work has begun."""
        return bool(self._get("has_begun"))

    @property
    def step(self) -> int:
        """Step of the last checkpoint that has its name."""
        return self._get("step")

    def kill_at(self, number: int, *, delay_us: int) -> None:
        """Let the process kill itself at an event of its writing, counted from 1, or a little after it."""
        self._set("events_left", number)
        self._set("delay_us", delay_us)

    def begin(self) -> None:
        """Follow every write of this process from now on."""
        touch, fsync, replace, save = Path.touch, os.fsync, os.replace, Reconstruction.save

        def watched_touch(path: Path, *arguments: Any, **options: Any) -> None:
            touch(path, *arguments, **options)
            self._pass(OPENED)
            self._set("moment", MOMENTS.index(WRITING))

        def watched_fsync(descriptor: int) -> None:
            fsync(descriptor)
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            self._pass(FINISHED if is_folder else FLUSHED)
            if is_folder:
                self._set("moment", MOMENTS.index(COMPUTING))

        def watched_replace(source: Any, target: Any) -> None:
            self._pass(RENAMING)
            replace(source, target)
            self._set("step", self._saving)
            self._pass(RENAMED)

        def watched_save(run: Reconstruction, *arguments: Any, **options: Any) -> None:
            self._saving = run.step
            save(run, *arguments, **options)

        Path.touch, os.fsync, os.replace = watched_touch, watched_fsync, watched_replace  # type: ignore[method-assign,assignment]
        Reconstruction.save = watched_save  # type: ignore[method-assign]
        self._set("has_begun", 1)

    def _pass(self, moment: str) -> None:
        self._set("moment", MOMENTS.index(moment))
        left = self._get("events_left") - 1
        self._set("events_left", left)
        if left == 0 and moment == OPENED:
            # Goes on meanwhile, so that it is hit in the middle of the content.
            threading.Thread(target=self._kill, daemon=True).start()
        elif left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _kill(self) -> None:
        time.sleep(1e-6 * self._get("delay_us"))
        os.kill(os.getpid(), signal.SIGKILL)

    def _get(self, name: str) -> int:
        return int(struct.unpack_from("=q", self._memory, 8 * _NUMBERS.index(name))[0])

    def _set(self, name: str, value: int) -> None:
        struct.pack_into("=q", self._memory, 8 * _NUMBERS.index(name), value)
