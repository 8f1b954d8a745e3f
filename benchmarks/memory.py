"""Peak memory and time per step against the size of the volume and the number of tilts, for the preset `growth`.

Every case runs in a process of its own: it makes the data, trains for a few steps, renders t = 0 and saves. What counts
is the highest resident memory of that process beyond what it had when everything was imported.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import in_processes, markdown_table, median, save

from napari_stinr.config import preset_config
from napari_stinr.data.geometry import VoxelGrid, grid_of
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.fields.base import Slices
from napari_stinr.projection.backends.numba import CompiledProjector
from napari_stinr.projection.views import SliceShape, Views
from napari_stinr.training.stages import VOLUME, total_steps
from napari_stinr.training.trainer import Trainer

CASES = ((64, 61), (128, 31), (128, 61), (128, 181), (256, 61), (512, 61))
QUICK_CASES = ((32, 13), (64, 13))
STEPS = 40
"""Of a whole run that is so short: it goes through all stages, in which the field is not the same."""
ROWS_AT_ONCE = 16
LIMIT_GIGABYTES = 8.0


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Measure every case in a process of its own.

    Parameters
    ----------
    quick : bool
        Two small cases.

    Returns
    -------
    dict
        One entry per case.
    """
    cases = in_processes(__file__, QUICK_CASES if quick else CASES)
    highest = max(case["peak_megabytes"] + case["import_megabytes"] for case in cases)
    return {"cases": cases, "highest_megabytes": highest, "within_limit": highest < LIMIT_GIGABYTES * 1000}


def run_case(size: int, n_tilts: int) -> dict[str, float]:
    """Make data, train, render and save, and return what that took.

    Parameters
    ----------
    size : int
        Voxels along each edge of the volume.
    n_tilts : int
        Number of tilts.

    Returns
    -------
    dict of str to float
        Memory beyond the imports, and times.
    """
    _run(blobs(32, 5))  # loads the compiled kernels and all modules
    at_start = _peak_megabytes()
    series = blobs(size, n_tilts)
    seconds, n_steps, render_seconds = _run(series)
    per_step = median(seconds[1:])
    return {
        "size": size,
        "tilts": n_tilts,
        "import_megabytes": at_start,
        "peak_megabytes": _peak_megabytes() - at_start,
        "stack_megabytes": series.projections.nbytes / 1e6,
        "volume_megabytes": size**3 * 4 / 1e6,
        "seconds_per_step": per_step,
        "steps_of_a_full_run": n_steps,
        "minutes_of_a_full_run": per_step * n_steps / 60,
        "render_and_save_seconds": render_seconds,
    }


def blobs(size: int, n_tilts: int) -> TiltSeries:
    """Return the tilt series of random Gaussian blobs, projected a few rows at a time."""
    generator = np.random.default_rng(0)
    angles = np.linspace(-60, 60, n_tilts)
    grid = VoxelGrid(size, size, size)
    projector = CompiledProjector(SliceShape(size, size, size), threads=2)
    rays = Views.at(np.radians(angles), np.linspace(0, 1, n_tilts), n_pixels=size).rays
    centres = generator.uniform(-0.3 * size, 0.3 * size, (40, 3))
    z, y, x = (grid.axis_positions(axis)[:, None] for axis in range(3))
    profiles = [np.exp(-(((axis - centres[:, k]) / (0.04 * size)) ** 2)) for k, axis in enumerate((z, y, x))]
    projections = np.empty((n_tilts, size, size), dtype=np.float32)
    for start in range(0, size, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        for first, tilts in ((0, slice(0, None)), (20, slice(n_tilts // 2, None))):  # half of them come later
            some = slice(first, first + 20)
            slices = np.einsum(
                "zn,yn,xn->yzx", profiles[0][:, some], profiles[1][rows, some], profiles[2][:, some], optimize=True
            )
            density = torch.from_numpy(slices.astype(np.float32))
            lines = projector.project(Slices(density), rays).numpy()
            projections[tilts, rows] = lines[tilts] + (projections[tilts, rows] if first else 0)
    return TiltSeries(projections, angles, np.arange(n_tilts, dtype=float), pixel_size=1.0)


def _run(series: TiltSeries) -> tuple[list[float], int, float]:
    trainer = Trainer(series, preset_config("growth"))
    assert trainer.grid == grid_of(series)
    seconds, before, n_steps = [], 0.0, total_steps(trainer.config, trainer.grid)
    for report in trainer.run(steps=STEPS):
        if report.stage == VOLUME:
            seconds.append(report.seconds - before)
        before = report.seconds
    start = time.perf_counter()
    reconstruction = trainer.reconstruction()
    reconstruction.render(0.0)
    with tempfile.TemporaryDirectory() as folder:
        reconstruction.save(Path(folder) / "run.stinr")
    return seconds, n_steps, time.perf_counter() - start


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown."""
    header = [
        "preset `growth`", "tilts", "one volume", "tilt series", "peak memory", "peak / volume",
        "seconds per step", "steps of a full run", "full run",
    ]  # fmt: skip
    rows = []
    for case in result["cases"]:
        peak, volume = case["peak_megabytes"], case["volume_megabytes"]
        rows.append(
            [
                f"{case['size']} × {case['size']} × {case['size']}",
                str(case["tilts"]),
                f"{volume:.0f} MB",
                f"{case['stack_megabytes']:.0f} MB",
                f"{peak:.0f} MB",
                f"{peak / volume:.0f}",
                f"{case['seconds_per_step']:.2f}",
                str(case["steps_of_a_full_run"]),
                f"{case['minutes_of_a_full_run']:.0f} min",
            ]
        )
    highest = f"Highest in all, imports included: {result['highest_megabytes'] / 1000:.1f} GB."
    return markdown_table(header, rows) + "\n\n" + highest


def main() -> None:
    """Measure one case and print it as JSON, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    parser.add_argument("--case", nargs=2, type=int, metavar=("SIZE", "TILTS"), help="one case, in this process")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(run_case(*arguments.case)))
        return
    measured = measure(quick=arguments.quick)
    save("memory", measured, table(measured), quick=arguments.quick)


if __name__ == "__main__":
    main()
