"""What the benchmarks share: where results go, interleaved timing, Markdown tables and a description of the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
QUICK_RESULTS = REPOSITORY / "build" / "benchmarks"
"""A quick run only shows that the scripts work: its numbers must not replace the real ones."""


def results_folder(quick: bool) -> Path:
    """Return the folder that results are written to, made if it is not there."""
    folder = QUICK_RESULTS if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def quick_asked(description: str | None) -> bool:
    """Read the command line of a script that runs on its own; True where --quick is given."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    return bool(parser.parse_args().quick)


def save(name: str, result: Mapping[str, Any], table: str, *, quick: bool) -> None:
    """Write ``name.json`` and ``name.md``, and print the table.

    Parameters
    ----------
    name : str
        Name of the benchmark.
    result : mapping
        Everything that was measured.
    table : str
        The same as Markdown.
    quick : bool
        Write to the folder of quick runs.
    """
    folder = results_folder(quick)
    content = {"benchmark": name, "machine": machine(), **result}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}\n", flush=True)


def machine() -> dict[str, Any]:
    """Return what the numbers depend on besides the program."""
    import numpy
    import torch

    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_at_end": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def interleave(jobs: Mapping[str, Callable[[], float]], *, repeats: int) -> dict[str, list[float]]:
    """Run all jobs in turn, again and again, so that a disturbance of the machine hits all of them alike.

    Parameters
    ----------
    jobs : mapping of str to callable
        Each returns the seconds that it took.
    repeats : int
        How often each is run.

    Returns
    -------
    dict of str to list of float
        `(repeats,)` seconds of each job.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            seconds[name].append(job())
    return seconds


def timed(job: Callable[[], Any]) -> Callable[[], float]:
    """Return a job that returns its seconds."""

    def run() -> float:
        start = time.perf_counter()
        job()
        return time.perf_counter() - start

    return run


def in_processes(script: str, cases: Sequence[tuple[int | str, ...]]) -> list[dict[str, Any]]:
    """Measure every case in a process of its own.

    Parameters
    ----------
    script : str
        Prints one case as JSON when it is run with ``--case`` and what the case is; all else that it has to say goes
        to stderr.
    cases : sequence of tuple
        What each case is.

    Returns
    -------
    list of dict
        What the script printed.
    """
    measured = []
    for case in cases:
        words = [str(word) for word in case]
        print(" ".join(words), flush=True)
        command = [sys.executable, script, "--case", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the case {' '.join(words)} of {Path(script).name} failed")
        measured.append(json.loads(done.stdout))
    return measured


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, first column to the left and all others to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
