"""The process that opens containers of strangers: it may hang, crash or fill its memory, and nothing else is lost.

:mod:`napari_stinr.io.formats.isolation` starts it, sends requests and gets answers, a line of JSON each. Pixels go
through memory that both have mapped, as many images at a time as fit into :data:`BLOCK_BYTES`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import math
import mmap
import os
import queue
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import Images, Stack, checked_bands, checked_images, damaged, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

BLOCK_BYTES = 4_000_000
"""Images that go over at a time, where a single one is not larger [byte]."""
_N_BLOCKS = 2
"""One is filled while the other one is looked at."""
IDLE_SECONDS = 60.0
"""A process without work ends after so long [s]."""
_MOST_STACKS = 1000
"""Files that are remembered between their headers and their pixels: a series may be one file for every tilt."""
_LISTS = ("tilt_angles", "times", "timestamps")
_FACTS = ("pixel_size", "pixel_height", "time_unit", "place", "angle_place", "angle_remark", "complete", "notes")


def serve(buffer: str) -> None:
    """Answer requests until there are none for a while, or the process that sends them has ended."""
    answers = os.fdopen(os.dup(1), "wb")
    answers.write(b"\n")  # what is printed while Python starts may end without one
    # What a library prints would be taken for an answer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _forbid_traces()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    server = _Server(answers, requests, buffer)
    with contextlib.suppress(queue.Empty):
        while True:
            server.answer(requests.get(timeout=IDLE_SECONDS))
    os._exit(0)  # an interpreter that ends in good order waits for the thread that waits for requests


def _listen(stream: IO[bytes], requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in stream:
        requests.put(json.loads(line))
    os._exit(0)  # whoever asked is gone, whatever the libraries are doing


def _forbid_traces() -> None:
    """Let a crash leave neither a core file nor a window with a question."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x8003)
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Server:
    """Reads files one after the other, and remembers what their headers say."""

    def __init__(self, answers: IO[bytes], requests: queue.SimpleQueue[dict[str, Any]], buffer: str) -> None:
        self._answers = answers
        self._requests = requests
        self._buffer = buffer
        self._n_buffers = 0
        self._n_lent = 0
        self._stacks: dict[tuple[Any, ...], Stack] = {}

    def answer(self, request: dict[str, Any]) -> None:
        """Answer one request, whatever comes of it."""
        path = Path(request["path"])
        module, _, name = request["reader"].partition(":")
        home = import_module(f"napari_stinr.io.formats.{module}")
        read = getattr(home, name)
        with contextlib.suppress(OSError):  # what is wrong with the file is said below
            getattr(home, "prepare", Path)(path)
        # Loading a library is no fault of the file: the time that is allowed for it begins here.
        self._say({"ready": True})
        # It needs no cooperation of a library that hangs, and ends this process where nobody is left to do it.
        faulthandler.dump_traceback_later(request["seconds"], exit=True)
        try:
            with refusing(path), _limited_memory(request["memory"]):
                if "arguments" in request:
                    last = {"list": read(path, *request["arguments"]).tolist()}
                elif "pixels" in request:
                    self._send_pixels(read, request, path)
                    last = {"end": True}
                else:
                    last = {"stack": described(self._opened(read, path))}
        except StinrError as error:
            last = {"refused": [error.found, error.expected, error.cure]}
        finally:
            faulthandler.cancel_dump_traceback_later()
        # Until everything is copied this process is not idle, however long that takes.
        while self._n_lent:
            self._await_copy()
        self._say(last)

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps({**answer, "cpu": time.process_time()}).encode() + b"\n")
        self._answers.flush()

    def _opened(self, read: Any, path: Path) -> Stack:
        facts = path.stat()
        key = (read, path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if key not in self._stacks:
            if len(self._stacks) == _MOST_STACKS:
                self._stacks.clear()
            self._stacks[key] = read(path)
        return self._stacks[key]

    def _send_pixels(self, read: Any, request: dict[str, Any], path: Path) -> None:
        stack = self._opened(read, path)
        if stack.images.shape != tuple(request["shape"]):
            raise damaged(path, f"images of the shape {tuple(request['shape'])}", "it has changed since")
        images = stack.images if request["pixels"] == "images" else stack.mask_images
        if images is None:
            raise damaged(path, "a mask", "it has changed since")
        for answer in self._blocks(_wanted(images, request.get("chosen"), path), request["seconds"]):
            self._n_lent += 1
            self._say(answer)

    def _blocks(self, images: Iterator[NDArray[Any]], seconds: float) -> Iterator[dict[str, Any]]:
        """Put images into one block after the other; yield what to say when one is full."""
        blocks: NDArray[Any] | None = None
        n_images = n_sent = 0
        for image in images:
            if blocks is None:
                n_slots = max(1, BLOCK_BYTES // max(1, image.nbytes))
                blocks, place = self._mapped((_N_BLOCKS, n_slots, *image.shape), image.dtype)
            if n_images == 0 and self._n_lent == _N_BLOCKS:
                # However long the other side takes over the images, it is not this file that hangs.
                faulthandler.cancel_dump_traceback_later()
                self._await_copy()
                faulthandler.dump_traceback_later(seconds, exit=True)
            blocks[n_sent % _N_BLOCKS, n_images] = image
            n_images += 1
            if n_images == blocks.shape[1]:
                yield {"n_images": n_images, "block": n_sent % _N_BLOCKS, **place}
                n_images, n_sent = 0, n_sent + 1
        if n_images:
            yield {"n_images": n_images, "block": n_sent % _N_BLOCKS, **place}

    def _await_copy(self) -> None:
        self._requests.get()
        self._n_lent -= 1

    def _mapped(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
        n_bytes = max(1, math.prod(shape) * dtype.itemsize)
        self._n_buffers += 1
        place = {"dtype": dtype.str, "shape": shape, "n_bytes": n_bytes, "name": f"{self._buffer}-{self._n_buffers}"}
        return mapped_blocks(self._buffer, place, is_new=True), place


def _wanted(images: Images, positions: Sequence[int] | None, path: Path) -> Iterator[NDArray[Any]]:
    """Yield all images, or some."""
    if positions is None:
        return checked_images(images, path)
    height = images.shape[1]
    return (image for _, _, image in checked_bands(images, positions, [slice(0, height)], path))


def mapped_blocks(buffer: str, place: dict[str, Any], *, is_new: bool = False) -> NDArray[Any]:
    """Return `(blocks, images, height, width)` memory of both processes: a file by its number, on Windows by a name."""
    n_bytes, shape = place["n_bytes"], tuple(place["shape"])
    if sys.platform == "win32":
        memory = mmap.mmap(-1, n_bytes, tagname=place["name"])
    else:
        if is_new:
            os.ftruncate(int(buffer), n_bytes)
        memory = mmap.mmap(int(buffer), n_bytes)
    return np.frombuffer(memory, np.dtype(place["dtype"]), math.prod(shape)).reshape(shape)


def described(stack: Stack) -> dict[str, Any]:
    """Return everything but the pixels of a stack, as JSON can hold it."""
    lists = {name: getattr(stack, name) for name in _LISTS}
    return {
        "shape": stack.images.shape,
        "can_choose": stack.images.choose is not None,
        "mask": stack.mask_images is not None,
        **{name: None if values is None else values.tolist() for name, values in lists.items()},
        **{name: getattr(stack, name) for name in _FACTS},
    }


def stack_of(facts: dict[str, Any], images: Images, mask: NDArray[np.bool_] | None) -> Stack:
    """Return the stack that was described."""
    found: dict[str, Any] = {name: facts[name] for name in (*_LISTS, *_FACTS)}
    for name in _LISTS:
        found[name] = None if found[name] is None else np.array(found[name], dtype=np.float64)
    return Stack(images, mask=mask, **{**found, "notes": tuple(found["notes"])})


@contextlib.contextmanager
def _limited_memory(n_bytes: int | None) -> Iterator[None]:
    """Allow this process so much memory beyond what it has [byte], None for any."""
    if sys.platform != "linux" or n_bytes is None:
        yield
        return
    import resource

    own = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    lowest = min((limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY), default=own + n_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (min(lowest, own + n_bytes), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    serve(sys.argv[1])
