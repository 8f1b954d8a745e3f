"""One process of one thread against two that share the run: time, numbers and memory, for the preset `growth`.

Both do the same run: as many steps of two blocks of rows, drawn alike. They take turns, so that a disturbance hits
both.
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
RANKS, STEPS, REPEATS = 2, 12, 3
"""Processes, steps of the volume that are timed, and how often."""


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
    told: dict[int, list[dict[str, Any]]] = {1: [], RANKS: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for n, found in told.items():
                found.append(_run_processes(n, size, n_tilts, Path(folder) / f"{n}.stinr"))
        one, many = (load_reconstruction(Path(folder) / f"{n}.stinr") for n in told)
        volumes = [run.render(0.0) for run in (one, many)]
        fine = [run.field.density.grids[-1].values.detach().numpy() for run in (one, many)]  # type: ignore[union-attr, index]
    seconds = {n: median([run["seconds_per_step"] for run in found]) for n, found in told.items()}
    ratios = [a["seconds_per_step"] / b["seconds_per_step"] for a, b in zip(told[1], told[RANKS], strict=True)]
    cpu = {n: median([max(run["cpu_seconds_per_step"]) for run in found]) for n, found in told.items()}
    return {
        "size": size,
        "tilts": n_tilts,
        "seconds_per_step": {str(n): value for n, value in seconds.items()},
        "cpu_seconds_per_step": {str(n): value for n, value in cpu.items()},
        "speed_up": median(ratios),
        "speed_ups": ratios,
        "less_work": cpu[1] / cpu[RANKS],
        "volume_difference": float(np.abs(volumes[0] - volumes[1]).max() / np.abs(volumes[0]).max()),
        "fine_grids_equal": bool(np.array_equal(*fine)),
        "megabytes": {
            str(n): [max(m) for m in zip(*(run["megabytes"] for run in found), strict=True)]
            for n, found in told.items()
        },
    }


def settings(size: int) -> ReconstructionConfig:
    """Return the settings of the run: short, and without a search, which every process does alike."""
    return preset_config("growth").voxelwise().with_training(blocks_per_step=RANKS, steps=STEPS + 2)


def run_case(size: int, n_tilts: int, out: Path) -> None:
    """Train in this process and print what it took as JSON; in the first of several, with the others."""
    place = launched()
    config, series = settings(size), None
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
        start = time.process_time()
        follow(place, device="cpu", threads=1)
        print(json.dumps({"rank": place.rank, "cpu": time.process_time() - start, "megabytes": _megabytes()}))


def _train(trainer: Trainer, out: Path) -> None:
    seconds, cpu, before = [], [], (0.0, 0.0)
    for report in trainer.run():
        now = (report.seconds, time.process_time())
        if report.stage == VOLUME and report.step > 2:
            seconds.append(now[0] - before[0])
            cpu.append(now[1] - before[1])
        before = now
    trainer.reconstruction().save(out)
    told = {"rank": 0, "seconds": median(seconds), "cpu_per_step": median(cpu), "megabytes": _megabytes()}
    print(json.dumps(told))


def _run_processes(n: int, size: int, n_tilts: int, out: Path) -> dict[str, Any]:
    launcher = [] if n == 1 else ["-m", "torch.distributed.run", "--nproc-per-node", str(n)]
    command = [sys.executable, *launcher, __file__, "--case", str(size), str(n_tilts), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{size}³ voxels with {n} processes failed:\n{done.stderr}")
    told = sorted(map(json.loads, done.stdout.split("\n")[:-1]), key=lambda one: one["rank"])
    return {
        "seconds_per_step": told[0]["seconds"],
        "cpu_seconds_per_step": [told[0]["cpu_per_step"]],
        "megabytes": [one["megabytes"] for one in told],
    }


def _megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown."""
    header = [
        "preset `growth`", "tilts", "one process", "two processes", "times as fast", "difference of the volumes",
        "memory: one", "two, each",
    ]  # fmt: skip
    rows = []
    for case in result["cases"]:
        seconds, memory = case["seconds_per_step"], case["megabytes"]
        rows.append(
            [
                f"{case['size']} × {case['size']} × {case['size']}",
                str(case["tilts"]),
                f"{seconds['1']:.2f} s per step",
                f"{seconds[str(RANKS)]:.2f} s per step",
                f"{case['speed_up']:.2f}",
                "none" if case["volume_difference"] == 0 else f"{case['volume_difference']:.1g}",
                f"{memory['1'][0]:.0f} MB",
                " and ".join(f"{value:.0f}" for value in memory[str(RANKS)]) + " MB",
            ]
        )
    return markdown_table(header, rows)


def main() -> None:
    """Measure one case in this process, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    parser.add_argument("--case", nargs=3, metavar=("SIZE", "TILTS", "OUT"), help="one case, in this process")
    arguments = parser.parse_args()
    if arguments.case:
        run_case(int(arguments.case[0]), int(arguments.case[1]), Path(arguments.case[2]))
        return
    measured = measure(quick=arguments.quick)
    save("ranks", measured, table(measured), quick=arguments.quick)


if __name__ == "__main__":
    main()
