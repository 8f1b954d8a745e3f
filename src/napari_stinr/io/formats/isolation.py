"""Containers are opened in a process of their own, with a limit on memory and time.

The libraries that read HDF5, MATLAB and DM files hang, crash or fill the memory where a file is damaged. Here such a
file ends the process that reads it, see :mod:`napari_stinr.io.formats.child`, and becomes one :class:`StinrError`. The
process stays for the next file: it takes a third of a second to start, and a series may be a thousand files.

Python without an interpreter to start (a frozen application, an embedded one) reads in its own process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.child import IDLE_SECONDS, mapped_blocks, stack_of
from napari_stinr.io.formats.containers import Images, Stack, checked_images, damaged, printable, short_of_memory
from napari_stinr.io.formats.limits import check_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_START_SECONDS = 120.0
"""A library is loaded from a slow disk in this time [s]."""
_CPU_SECONDS = 1.5
"""Time of the processor that any file may take until the next answer [s]; more in proportion to what is read."""
_BYTES_PER_SECOND = 20e6
"""The slowest code expands ten times as much."""
_HEADER_BYTES_PER_SECOND = 100e6
"""Of most of a file nothing is read but its pixels."""
_WALL_SECONDS = 60.0
"""Beyond it nothing happens any more, on a busy machine or a slow network either [s]."""
_LOOK_SECONDS = 0.05
_END_SECONDS = 5.0
"""A process that answers no more is gone in this time, and says what of [s]."""
_MOST_IDLE = 2
_COPIES = 4
"""Times that a file or its images may be in memory: as stored, expanded, turned and put together."""
_BASE_BYTES = 192_000_000
"""Memory that any file may take while it is read [byte]; more only in proportion to what is read."""
_LIMITS_ITSELF = sys.platform == "linux"
"""Elsewhere a limit that a process sets itself holds for nothing, and its memory is watched from here."""
_APART: dict[str, Any] = {"process_group": 0}
if sys.platform == "win32":
    _APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
"""Ctrl-C in a terminal is for this process alone."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class _CrashError(Exception):
    """The process ended without an answer."""


class _StartError(_CrashError):
    """The process ended before it looked at a file."""


def read_isolated(reader: str, path: Path) -> Stack:
    """Read a stack in another process by ``"module:function"``; its pixels are read there when they are wanted."""
    # A StinrError of the function comes through; another one says that the file makes the process hang, crash or take
    # more memory than it may.
    path = path.absolute()  # the pixels are of this very file, whatever the current folder is by then
    if not _can_isolate():
        stack: Stack = _function(reader)(path)
        if stack.mask_images is None:
            return stack
        return replace(stack, mask=_whole(stack.mask_images, path), mask_images=None)
    facts = _asked({"reader": reader}, path)["stack"]
    shape = (int(facts["shape"][0]), int(facts["shape"][1]), int(facts["shape"][2]))
    mask = _whole(Images(shape, lambda: _pixels(reader, "mask", shape, path)), path) if facts["mask"] else None

    def choose(positions: Sequence[int], bands: Sequence[slice]) -> Iterator[NDArray[Any]]:
        for image in _pixels(reader, "images", shape, path, chosen=positions):
            yield from (image[rows] for rows in bands)

    images = Images(
        shape, lambda: _pixels(reader, "images", shape, path), choose=choose if facts["can_choose"] else None
    )
    return stack_of(facts, images, mask)


def list_isolated(reader: str, path: Path, *arguments: str) -> NDArray[np.float64]:
    """Read a list or table of numbers [unit of the file] in another process, as :func:`read_isolated` does."""
    if not _can_isolate():
        values: NDArray[np.float64] = _function(reader)(path, *arguments)
        return values
    return np.array(_asked({"reader": reader, "arguments": arguments}, path)["list"], dtype=np.float64)


def _whole(mask: Images, path: Path) -> NDArray[np.bool_]:
    check_memory(math.prod(mask.shape), path, shape=mask.shape)
    values = np.empty(mask.shape, dtype=np.bool_)
    for k, image in enumerate(checked_images(mask, path)):
        values[k] = image
    return values


def _can_isolate() -> bool:
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def _function(reader: str) -> Any:
    module, _, name = reader.partition(":")
    return getattr(import_module(f"napari_stinr.io.formats.{module}"), name)


def _asked(request: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the answer to a request; a process that read other files before may suffer from them, a new one not."""
    try:
        with _worker(path) as worker:
            is_new = worker.is_new
            return worker.ask(request, path)
    except _CrashError as error:
        if is_new:
            raise _crashed(path, error) from None
    try:
        with _worker(path, is_new=True) as worker:
            return worker.ask(request, path)
    except _CrashError as error:
        raise _crashed(path, error) from None


def _crashed(path: Path, error: _CrashError) -> StinrError:
    if isinstance(error, _StartError):
        return _not_started(path, error)
    return damaged(path, "a file that can be read", f"the library that reads it {error}")


def _not_started(path: Path, reason: object) -> StinrError:
    return StinrError(
        f"{path.name} cannot be read, because no process for it can be started ({printable(str(reason))})",
        expected=f"that {sys.executable} starts",
        cure="Close other programs, which may use up memory or open files; otherwise mend the installation of Python.",
    )


def _pixels(
    reader: str, pixels: str, shape: tuple[int, int, int], path: Path, *, chosen: Sequence[int] | None = None
) -> Iterator[NDArray[Any]]:
    """Yield `(height, width)` images of a file, from a new process where an older one gives none."""
    request: dict[str, Any] = {"reader": reader, "pixels": pixels, "shape": shape}
    if chosen is not None:
        request["chosen"] = [int(k) for k in chosen]
    n_images = 0
    try:
        with _worker(path) as worker:
            is_new = worker.is_new
            for image in worker.images(request, path):
                n_images += 1
                yield image
        return
    except _CrashError as error:
        if is_new or n_images:
            raise _crashed(path, error) from None
    try:
        with _worker(path, is_new=True) as worker:
            yield from worker.images(request, path)
    except _CrashError as error:
        raise _crashed(path, error) from None


class _Worker:
    """A process that reads files, and what it says."""

    def __init__(self) -> None:
        self.is_new = True
        self.last_used = time.monotonic()
        self._buffer, name = _shared_memory()
        number = () if self._buffer is None else (self._buffer.fileno(),)
        command = [sys.executable, "-P", "-m", "napari_stinr.io.formats.child", name]
        paths = os.pathsep.join(place for place in sys.path if place)
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, pass_fds=number,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": paths}, **_APART,
            )  # fmt: skip
        except OSError:
            if self._buffer is not None:
                self._buffer.close()
            raise
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cpu = 0.0
        self._idle_bytes = 0
        self._most_bytes = 0
        self._cpu_seconds = self._wall_seconds = 0.0
        assert self._process.stdout is not None
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked; it ends by itself when it is idle, which must not happen meanwhile."""
        return self._process.poll() is None and time.monotonic() - self.last_used < IDLE_SECONDS / 2

    def ask(self, request: dict[str, Any], path: Path, *, n_bytes: int = 0) -> dict[str, Any]:
        """Send a request about a file and return the first answer."""
        size = _size(path)
        self._most_bytes = _BASE_BYTES + _COPIES * (size + n_bytes)
        self._cpu_seconds = _CPU_SECONDS + size / _HEADER_BYTES_PER_SECOND + n_bytes / _BYTES_PER_SECOND
        self._wall_seconds = _WALL_SECONDS + 10 * self._cpu_seconds
        limits = {"seconds": 2 * self._wall_seconds, "memory": self._most_bytes if _LIMITS_ITSELF else None}
        self._send({"path": str(path.absolute()), **limits, **request})
        self._wait(path, _START_SECONDS, _START_SECONDS)
        self.is_new = False
        self._idle_bytes = 0 if _LIMITS_ITSELF else self._used()[1]
        return self._answer(path)

    def images(self, request: dict[str, Any], path: Path) -> Iterator[NDArray[Any]]:
        """Send a request for pixels and yield `(height, width)` images."""
        answer = self.ask(request, path, n_bytes=8 * math.prod(request["shape"]))
        blocks = None
        while "end" not in answer:
            if blocks is None:
                blocks = mapped_blocks("" if self._buffer is None else str(self._buffer.fileno()), answer)
            for image in blocks[answer["block"], : answer["n_images"]]:
                yield image.copy()  # the block is used again
            self._send({})
            answer = self._answer(path)

    def free(self) -> None:
        """Give the memory of the last images back; nobody looks at it any more, and the next file takes it anew."""
        if self._buffer is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._buffer.fileno(), 0)

    def _send(self, request: dict[str, Any]) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._crash() from None

    def _answer(self, path: Path) -> dict[str, Any]:
        """Return the next answer, or say why there is none."""
        answer = self._wait(path, self._cpu_seconds, self._wall_seconds)
        if "refused" in answer:
            found, expected, cure = answer["refused"]
            raise StinrError(found, expected=expected, cure=cure)
        return answer

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._buffer):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                # What Python prints when it starts is no answer, and the last one of a crash may be cut off.
                with contextlib.suppress(ValueError):
                    answer = json.loads(line)
                    if isinstance(answer, dict) and "cpu" in answer:
                        self._answers.put(answer)
        self._answers.put(None)

    def _wait(self, path: Path, cpu_seconds: float, wall_seconds: float) -> dict[str, Any]:
        until = time.monotonic() + wall_seconds
        while True:
            with contextlib.suppress(queue.Empty):
                answer = self._answers.get(timeout=_LOOK_SECONDS)
                if answer is None:
                    raise self._crash()
                self._cpu = answer["cpu"]
                return answer
            seconds, n_bytes = self._used()
            if time.monotonic() > until or seconds - self._cpu > cpu_seconds:
                self.end()
                raise damaged(path, "a file that can be read", "reading it does not come to an end")
            if self._idle_bytes and n_bytes - self._idle_bytes > self._most_bytes:
                self.end()
                raise short_of_memory(path)

    def _used(self) -> tuple[float, int]:
        """Return time of the processor [s] and memory [byte] of the process."""
        import psutil  # type: ignore[import-untyped,unused-ignore]  # comes with napari

        try:
            process = psutil.Process(self._process.pid)
            times = process.cpu_times()
            return float(times.user + times.system), int(process.memory_info().rss)
        except (psutil.Error, OSError):  # it has just ended, which is noticed elsewhere, or no file can be opened
            return 0.0, 0

    def _crash(self) -> _CrashError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self.end()
        code = self._process.returncode
        kind = _StartError if self.is_new else _CrashError
        return kind(f"was ended by signal {-code}" if code < 0 else f"ended with status {code}")


_idle: list[_Worker] = []
_lock = threading.Lock()


@contextlib.contextmanager
def _worker(path: Path, *, is_new: bool = False) -> Iterator[_Worker]:
    """Lend a process that has nothing to do, or start one for a file; what is left half done is ended."""
    with _lock:
        over = [one for one in _idle if not one.is_ready]
        _idle[:] = [one for one in _idle if one not in over]
        found = _idle.pop() if _idle and not is_new else None
    for one in over:
        one.end()
    try:
        worker = found or _Worker()
    except (OSError, RuntimeError) as error:  # it depends on this computer alone
        raise _not_started(path, getattr(error, "strerror", None) or error) from error
    try:
        yield worker
    except StinrError:
        _give_back(worker)
        raise
    except BaseException:
        worker.end()
        raise
    _give_back(worker)


def _give_back(worker: _Worker) -> None:
    worker.last_used = time.monotonic()
    if worker.is_ready:
        worker.free()
    with _lock:
        if len(_idle) < _MOST_IDLE and worker.is_ready:
            _idle.append(worker)
            return
    worker.end()


@atexit.register
def end_workers() -> None:
    """End the processes that wait for a file."""
    with _lock:
        waiting = [_idle.pop() for _ in range(len(_idle))]
    for worker in waiting:
        worker.end()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the process says what is wrong
        return 0


def _shared_memory() -> tuple[IO[bytes] | None, str]:
    """Return a file in memory without a name, which nothing can leave behind, and how the process finds it."""
    if sys.platform == "win32":
        return None, f"napari-stinr-{os.getpid()}-{uuid.uuid4().hex}"
    import fcntl

    with _nameless_file() as first:
        # Where a standard stream of this program is closed its number is free, and in the process it is a pipe's.
        memory = os.fdopen(fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 3), "r+b")
    return memory, str(memory.fileno())


def _nameless_file() -> IO[bytes]:
    return os.fdopen(os.memfd_create("napari-stinr"), "r+b") if sys.platform == "linux" else tempfile.TemporaryFile()


def _forget_workers() -> None:
    # Two processes that write to the same pipe would get each other's answers, and a thread that held the lock is gone.
    global _lock
    _lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
