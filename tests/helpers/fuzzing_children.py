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

import psutil

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
_ISOLATED = {
    **dict.fromkeys((".emd", ".h5", ".hdf5", ".hdf", ".nxs", ".nx"), "hdf5_layouts:read_hdf5"),
    **{".mat": "matlab_files:read_mat", ".dm3": "dm:read_dm", ".dm4": "dm:read_dm"},
}


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
        CPU time, that of the process that opens containers included [s].
    n_bytes : int
        Largest memory beyond that of the idle processes, of either one [byte].
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
            answer = self._line(PATIENCE)
            if "begun" in answer:
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


def _memory(field: str, pid: int | str = "self") -> int:
    """Return a line of Linux's status of a process [byte]; elsewhere what getrusage knows of this one."""
    status = Path(f"/proc/{pid}/status")
    if not status.parent.parent.joinpath("self/status").exists():
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    with contextlib.suppress(OSError):  # a process that has ended has none
        for line in status.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


class _Meter:
    """What an input takes in this process and in those that it starts, the ones that were ended over it included."""

    def __init__(self) -> None:
        self._before = {process.pid: self._cpu(process) for process in _children()}
        self._idle = {pid: _memory("VmRSS", pid) for pid in ("self", *self._before)}
        for pid in self._idle:
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._ended, self._peak = self._of_ended()
        self._started = time.process_time()

    def read(self) -> tuple[float, int]:
        """Return time of the processor [s] and memory [byte] since the beginning."""
        seconds = time.process_time() - self._started
        living = {process.pid: self._cpu(process) for process in _children()}
        ended, peak = self._of_ended()
        seconds += sum(living.values()) - sum(self._before.values()) + ended - self._ended
        grown = [_memory("VmHWM", pid) - self._idle.get(pid, 0) for pid in ("self", *living) if pid in self._idle]
        if peak > self._peak:  # only a record is seen of those that have ended
            grown.append(peak - max(self._idle[pid] for pid in self._before or ("self",)))
        return seconds, max(0, *grown)

    @staticmethod
    def _cpu(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    @staticmethod
    def _of_ended() -> tuple[float, int]:
        import resource

        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]


def _warm_up(paths: list[Path]) -> None:
    """Let the process that opens containers load its libraries before the clock runs."""
    from napari_stinr.errors import StinrError
    from napari_stinr.io.formats.isolation import read_isolated

    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    for reader in {_ISOLATED[file.suffix] for file in files if file.suffix in _ISOLATED}:
        with contextlib.suppress(StinrError):
            read_isolated(reader, Path(__file__))


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
        paths = [Path(path) for path in request["paths"]]
        with contextlib.suppress(OSError):  # no such files
            _warm_up(paths)
        os.write(1, b'{"begun": true}\n')
        meter = _Meter()
        kind, text = judge(paths, request["how"], request["options"])
        seconds, n_bytes = meter.read()
        answer = {"kind": kind, "text": text[-4000:], "seconds": seconds, "n_bytes": n_bytes}
        os.write(1, json.dumps(answer).encode() + b"\n")
        gc.collect(1)
        # What an input leaves free would otherwise hide what the next one takes.
        trim(0)


def _host() -> None:
    import logging

    # Torch itself imports it with the first network that is built, which takes half as long as an input may.
    import torch._dynamo

    import napari_stinr.cli.describe
    import napari_stinr.io.formats.registry
    import napari_stinr.io.output.writing
    import napari_stinr.io.series.reading
    import napari_stinr.reconstruction.reconstruction  # noqa: F401

    del torch
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
