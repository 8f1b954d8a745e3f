"""Several processes that share a run, started as torchrun starts them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from helpers.series_cases import growing_series
from napari_stinr import write_tilt_angles, write_tilt_series
from napari_stinr.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 240.0


@dataclass
class Ranks:
    """Processes that are running; the first one leads."""

    processes: list[subprocess.Popen[str]]

    def ended(self) -> tuple[int, list[str]]:
        """Exit code of the first process, and what all of them wrote on stderr that is no progress."""
        texts = [process.communicate(timeout=LONGEST)[1] for process in self.processes]
        lines = [line for text in texts for line in text.splitlines()]
        return self.processes[0].returncode, [line for line in lines if not re.match(r"(train|align): ", line)]

    def stop(self) -> None:
        """Leave none of them running."""
        for process in self.processes:
            process.kill()
            process.communicate()


def start_ranks(n: int, arguments: list[str], folder: Path) -> Ranks:
    """Start `stinr` with these arguments in so many processes, two or more."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    processes = []
    for rank in range(n):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n}
        place = {name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, "OMP_NUM_THREADS": "1"} | place
        command = [sys.executable, "-m", "napari_stinr", *arguments]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, cwd=folder, env=environment, **pipes))  # type: ignore[call-overload]
    return Ranks(processes)


def trained_by(n: int, arguments: list[str], folder: Path) -> list[str]:
    """Train with so many processes, this one for 1, and return what they said."""
    command = ["train", "s.mrc", "--threads", "1", "--device", "cpu", *arguments]
    if n == 1:
        said = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stderr(said):
            assert main(command) == 0, said.getvalue()
        return said.getvalue().splitlines()
    ranks = start_ranks(n, command, folder)
    try:
        code, lines = ranks.ended()
    finally:
        ranks.stop()
    assert code == 0, lines
    return lines


def write_series(folder: Path, *, jitter: int = 0, **options: int) -> None:
    """Write ``s.mrc``, its projections shifted by up to so many whole pixels, and its list of tilt angles."""
    series = growing_series(**options)
    shifts = np.random.default_rng(5).integers(-jitter, jitter + 1, (len(series.projections), 2))
    moved = [np.roll(image, tuple(shift), (0, 1)) for image, shift in zip(series.projections, shifts, strict=True)]
    write_tilt_series(folder / "s.mrc", np.stack(moved), pixel_size=1.0)
    write_tilt_angles(folder / "s.rawtlt", series.tilt_angles)


def wait_for(path: Path, ranks: Ranks) -> None:
    """Wait until a file is there, as long as all processes run."""
    end = time.monotonic() + LONGEST
    while not path.exists():
        assert time.monotonic() < end
        assert all(process.poll() is None for process in ranks.processes), ranks.ended()
        time.sleep(0.05)
