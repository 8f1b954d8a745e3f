"""Read inputs one after the other in a process of its own, which may die or hang without harm.

As a script this is the host: it imports everything once and forks the reader that does the work. When the reader dies,
the host says so and forks another, which takes milliseconds. One line of JSON is a request or an answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SECONDS = 2.0
"""CPU time that an input may take [s]."""
MOST_BYTES = 300_000_000
"""Memory that an input may take beyond that of the idle process [byte]."""
PATIENCE = 60.0
"""Wall time after which a reader hangs, also on a busy machine [s]."""
HEADROOM = 1_500_000_000
"""Address space beyond that of the idle process [byte]; whoever asks for more is found out by MemoryError."""
VIOLATION = "violation"


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Parameters
    ----------
    kind : str
        ``"valid"``, ``"refused"`` or ``"violation"``.
    text : str
        Name of what was read, the one line of the error, or what is wrong.
    seconds : float
        CPU time [s].
    n_bytes : int
        Largest memory beyond that of the idle process [byte].
    """

    kind: str
    text: str
    seconds: float = 0.0
    n_bytes: int = 0


class Reader:
    """A process that reads inputs, replaced when it dies or hangs; a context manager.

    Parameters
    ----------
    patience : float
        Wall time after which an input hangs [s].
    headroom : int
        Address space that an input may take beyond that of the idle process [byte].
    before : str
        Python that the process runs before it reads.
    """

    def __init__(self, *, patience: float = PATIENCE, headroom: int = HEADROOM, before: str = "") -> None:
        self.patience = patience
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        command = [sys.executable, __file__, str(headroom), before]
        self._host = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
        self._unread = b""
        self._reader = int(self._line(PATIENCE)["reader"])

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._host.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._reader, signal.SIGKILL)
        self._host.communicate()

    def read(self, paths: Sequence[Path], how: str = "series", *, options: dict[str, Any] | None = None) -> Outcome:
        """Read an input as a user does.

        Parameters
        ----------
        paths : sequence of Path
            What is given to the program.
        how : str
            See `Fixture`.
        options : dict, optional
            Of `read_tilt_series`, as JSON can hold them.

        Returns
        -------
        Outcome
            Whatever happens.
        """
        request = json.dumps({"paths": list(map(str, paths)), "how": how, "options": options or {}})
        assert self._host.stdin is not None
        self._host.stdin.write(request.encode() + b"\n")
        self._host.stdin.flush()
        try:
            answer = self._line(self.patience)
        except TimeoutError:
            os.kill(self._reader, signal.SIGKILL)
            self._reader = int(self._line(PATIENCE)["reader"])
            return Outcome(VIOLATION, f"hangs for {self.patience:g} s", self.patience)
        if "reader" in answer:
            self._reader = int(answer["reader"])
            return Outcome(VIOLATION, f"the process died of signal {answer['signal']}")
        outcome = Outcome(**answer)
        if outcome.kind != VIOLATION and outcome.seconds > MOST_SECONDS:
            return Outcome(
                VIOLATION, f"takes {outcome.seconds:.1f} s: {outcome.text}", outcome.seconds, outcome.n_bytes
            )
        if outcome.kind != VIOLATION and outcome.n_bytes > MOST_BYTES:
            megabytes = f"takes {outcome.n_bytes / 1e6:.0f} MB: {outcome.text}"
            return Outcome(VIOLATION, megabytes, outcome.seconds, outcome.n_bytes)
        return outcome

    def _line(self, patience: float) -> dict[str, Any]:
        assert self._host.stdout is not None
        until = time.monotonic() + patience
        while b"\n" not in self._unread:
            if not select([self._host.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            piece = os.read(self._host.stdout.fileno(), 65536)
            if not piece:
                raise RuntimeError("the host of the readers has died")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return dict(json.loads(line))


def judge(paths: list[Path], how: str, options: dict[str, Any]) -> tuple[str, str]:
    """Return what becomes of an input, as kind and text of an `Outcome`."""
    from napari_stinr.errors import StinrError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            kind, (fault, text) = "valid", _read(paths, how, options)
        except StinrError as error:
            kind, text = "refused", str(error)
            fault = _fault_of_message(error)
        except BaseException:  # whatever it is, it must not be
            return VIOLATION, traceback.format_exc()
    own = [warning for warning in caught if "napari_stinr" in str(warning.filename)]
    fault = fault or "".join(f"{one.filename}:{one.lineno}: {one.message}" for one in own[:1])
    return (VIOLATION, fault) if fault else (kind, text)


def _fault_of_message(error: Exception) -> str:
    text = str(error)
    if isinstance(error.__cause__ or error.__context__, MemoryError):
        return f"asked for more memory than there was: {text}"
    if len(text.splitlines()) != 1 or len(text) > 1500 or "Traceback" in text or not text.isprintable():
        return f"not one printable line: {text!r}"
    return ""


def _read(paths: list[Path], how: str, options: dict[str, Any]) -> tuple[str, str]:
    import numpy as np

    if how == "run":
        from napari_stinr import load_reconstruction

        return "", repr(load_reconstruction(paths[0]).grid)
    if how in ("angles", "times"):
        from napari_stinr.io.series.sidecars import read_angles, read_timetable

        values = read_angles(paths[0]) if how == "angles" else read_timetable(paths[0]).times
        return ("" if values.ndim == 1 and values.dtype == np.float64 else f"{values!r}"), f"{len(values)} numbers"
    from napari_stinr.cli.describe import describe_files
    from napari_stinr.io import read_tilt_series

    lines = describe_files(paths)
    if any(len(line.splitlines()) > 1 or not line.isprintable() for line in lines):
        return f"a line that cannot be shown: {lines!r}", ""
    series = read_tilt_series(paths if len(paths) > 1 else paths[0], **options)
    counted = series.projections if series.mask is None else series.projections[series.mask]
    size = series.pixel_size
    for what, is_right in {
        "projections": series.projections.ndim == 3 and bool(np.isfinite(counted).all()),
        "angles": series.tilt_angles.shape == (series.n_tilts,) and bool((np.abs(series.tilt_angles) <= 180).all()),
        "times": series.times.shape == (series.n_tilts,) and (series.times.min(), series.times.max()) == (0, 1),
        "pixel size": size is None or bool(np.isfinite(size) and size > 0),
        "mask": series.mask is None or (series.mask.shape == series.projections.shape and series.mask.dtype == bool),
    }.items():
        if not is_right:
            return f"a series with wrong {what}: {series!r}", ""
    return "", repr(series)


def _memory(field: str) -> int:
    """Return a line of Linux's status of this process [byte]; elsewhere what getrusage knows."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _serve() -> None:
    """Answer requests until there are no more; what runs in the reader."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        most = _memory("VmSize") + int(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
    unread = b""
    while True:
        while b"\n" not in unread:
            piece = os.read(0, 65536)
            if not piece:
                os._exit(0)
            unread += piece
        line, _, unread = unread.partition(b"\n")
        request = json.loads(line)
        idle = _memory("VmRSS")
        _forget_peak()
        started = time.process_time()
        kind, text = judge([Path(path) for path in request["paths"]], request["how"], request["options"])
        seconds, n_bytes = time.process_time() - started, max(0, _memory("VmHWM") - idle)
        answer = {"kind": kind, "text": text[-4000:], "seconds": seconds, "n_bytes": n_bytes}
        os.write(1, json.dumps(answer).encode() + b"\n")
        gc.collect(1)
        # What an input leaves free would otherwise hide what the next one takes.
        trim(0)


def _host() -> None:
    import logging

    import scipy.io

    # Torch itself imports it with the first network that is built, which takes half as long as an input may.
    import torch._dynamo

    import napari_stinr.cli.describe
    import napari_stinr.io
    import napari_stinr.io.formats.registry
    import napari_stinr.reconstruction.reconstruction

    del scipy, torch
    with contextlib.suppress(ImportError):
        import rsciio.digitalmicrograph  # noqa: F401
    with contextlib.suppress(ImportError):
        import napari_stinr.io.formats.hdf5_layouts  # noqa: F401
    logging.disable(logging.CRITICAL)
    exec(sys.argv[2], {})
    gc.freeze()
    died_of = 0
    while True:
        child = os.fork()
        if child == 0:
            _serve()
        os.write(1, json.dumps({"reader": child, "signal": died_of}).encode() + b"\n")
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return
        died_of = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


if __name__ == "__main__":
    _host()
