"""One process of one thread against two that share the run: time, numbers and memory, for the preset `growth`.

The two share a run whose steps have two blocks of rows, which one process does as well, to compare the numbers; what
is compared in time is the work on as many blocks. They take turns, so that a disturbance hits all. Seconds of the CPU
tell what a busy machine hides: how much less work each of two has than one.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import markdown_table, median, save
from memory import blobs

from napari_stinr.config import preset_config
from napari_stinr.reconstruction import load_reconstruction
from napari_stinr.training.distributed.place import launched
from napari_stinr.training.distributed.ranks import follow, leading
from napari_stinr.training.stages import VOLUME
from napari_stinr.training.trainer import Trainer

if TYPE_CHECKING:
    from napari_stinr.config import ReconstructionConfig

CASES = ((128, 61), (256, 61))
QUICK_CASES = ((48, 13),)
RANKS, STEPS, WARM_UP, REPEATS = 2, 16, 2, 4
"""Processes, steps of two blocks that are timed and those before, and how often."""
WAYS = {"alone": (1, 1), "one": (1, RANKS), "two": (RANKS, RANKS), "apart": (RANKS, 1)}
"""Number of processes, and blocks in a step: a run as everywhere, the shared one by a process, and by two; and two runs
that have nothing to do with each other at the same time, which is what the computer can give."""


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Measure every case.

    Parameters
    ----------
    quick : bool
        One small case.

    Returns
    -------
    dict
        One entry per case.
    """
    cases = []
    for size, n_tilts in QUICK_CASES if quick else CASES:
        cases.append(measure_case(size, n_tilts, repeats=1 if quick else REPEATS))
        print(f"{size}³: {cases[-1]['speed_up']:.2f} times as fast", flush=True)
    return {"ranks": RANKS, "steps": STEPS, "cases": cases}


def measure_case(size: int, n_tilts: int, *, repeats: int) -> dict[str, Any]:
    """Train the same run with one process and with two, in turns.

    Parameters
    ----------
    size : int
        Voxels along each edge of the volume.
    n_tilts : int
        Number of tilts.
    repeats : int
        How often.

    Returns
    -------
    dict
        Times, largest difference of the volumes, memory.
    """
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, found in told.items():
                found.append(_run_processes(name, size, n_tilts, Path(folder) / f"{name}.stinr"))
        one, many = (load_reconstruction(Path(folder) / f"{name}.stinr") for name in ("one", "two"))
        volumes = [run.render(0.0) for run in (one, many)]
        fine = [run.field.density.grids[-1].values.detach().numpy() for run in (one, many)]  # type: ignore[union-attr, index]
    seconds, cpu = (
        {name: [run[kind] for run in found] for name, found in told.items()} for kind in ("seconds", "cpu_seconds")
    )
    return {
        "size": size,
        "tilts": n_tilts,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "speed_up": median([a / b for a, b in zip(seconds["alone"], seconds["two"], strict=True)]),
        "limit": median([RANKS * a / b for a, b in zip(seconds["alone"], seconds["apart"], strict=True)]),
        "less_work": median([a / b for a, b in zip(cpu["alone"], cpu["two"], strict=True)]),
        "volume_difference": float(np.abs(volumes[0] - volumes[1]).max() / np.abs(volumes[0]).max()),
        "fine_grids_equal": bool(np.array_equal(*fine)),
        "megabytes": {
            name: [max(each) for each in zip(*(run["megabytes"] for run in found), strict=True)]
            for name, found in told.items()
        },
    }


def settings(blocks: int) -> ReconstructionConfig:
    """Return the settings of a run: short, and without a search, which every process does alike."""
    steps = (STEPS + WARM_UP) * RANKS // blocks
    return preset_config("growth").voxelwise().with_training(blocks_per_step=blocks, steps=steps)


def run_case(size: int, n_tilts: int, out: Path, blocks: int) -> None:
    """Train in this process and print what it took as JSON; in the first of several, with the others."""
    place = launched()
    config, series = settings(blocks), None
    if place is None or place.leads:
        series = blobs(size, n_tilts)
    if place is None:
        assert series is not None
        _train(Trainer(series, config, device="cpu", threads=1), out)
    elif place.leads:
        with leading(place, out, device="cpu") as ranks:
            assert series is not None
            trainer = ranks.begin(series, config, threads=1)
            del series
            _train(trainer, out)
    else:
        follow(place, device="cpu", threads=1)
        print(json.dumps({"rank": place.rank, "megabytes": _megabytes()}))


def _train(trainer: Trainer, out: Path) -> None:
    blocks = trainer.config.training.blocks_per_step
    seconds, cpu, before = [], [], (0.0, 0.0)
    for report in trainer.run():
        now = (report.seconds, time.process_time())
        if report.stage == VOLUME and report.step > WARM_UP * RANKS // blocks:
            seconds.append(now[0] - before[0])
            cpu.append(now[1] - before[1])
        before = now
    trainer.reconstruction().save(out)
    # Of as many blocks as there are processes, in all ways.
    per_step = {"seconds": RANKS / blocks * median(seconds), "cpu_seconds": RANKS / blocks * median(cpu)}
    print(json.dumps({"rank": 0, "megabytes": _megabytes(), **per_step}))


def _run_processes(name: str, size: int, n_tilts: int, out: Path) -> dict[str, Any]:
    n, blocks = WAYS[name]
    starts = [[sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n)]]
    if name == "apart" or n == 1:
        starts = [[sys.executable]] * n
    runs = []
    for k, start in enumerate(starts):
        case = [str(size), str(n_tilts), str(out.with_suffix(f".{k}.stinr") if k else out), str(blocks)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        runs.append(subprocess.Popen([*start, __file__, "--case", *case], **pipes))  # type: ignore[call-overload]
    told: list[dict[str, Any]] = []
    for run in runs:
        stdout, stderr = run.communicate()
        if run.returncode:
            raise SystemExit(f"{size}³ voxels with {n} processes failed:\n{stderr}")
        told += sorted(map(json.loads, stdout.split("\n")[:-1]), key=lambda one: one["rank"])
    slowest = {kind: max(run[kind] for run in told if kind in run) for kind in ("seconds", "cpu_seconds")}
    return {"megabytes": [one["megabytes"] for one in told], **slowest}


def _megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown."""
    header = [
        "preset `growth`", "tilts", "one process: two blocks", "two processes", "times as fast",
        "two unrelated runs at a time", "less work for each",
        "difference of the volumes", "memory: one", "two, each",
    ]  # fmt: skip
    rows = []
    for case in result["cases"]:
        memory = case["megabytes"]
        rows.append(
            [
                f"{case['size']} × {case['size']} × {case['size']}",
                str(case["tilts"]),
                *(f"{median(case['seconds'][name]):.2f} s" for name in ("alone", "two")),
                f"{case['speed_up']:.2f}",
                f"{case['limit']:.2f}",
                f"{case['less_work']:.2f}",
                "none" if case["volume_difference"] == 0 else f"{case['volume_difference']:.1g}",
                f"{memory['alone'][0]:.0f} MB",
                " and ".join(f"{value:.0f}" for value in memory["two"]) + " MB",
            ]
        )
    return markdown_table(header, rows)


def main() -> None:
    """Measure one case in this process, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    parser.add_argument("--case", nargs=4, metavar=("SIZE", "TILTS", "OUT", "BLOCKS"), help="one case, in this process")
    arguments = parser.parse_args()
    if arguments.case:
        size, n_tilts, out, blocks = arguments.case
        run_case(int(size), int(n_tilts), Path(out), int(blocks))
        return
    measured = measure(quick=arguments.quick)
    save("ranks", measured, table(measured), quick=arguments.quick)


if __name__ == "__main__":
    main()
