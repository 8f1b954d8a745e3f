"""Projected voxels per second, forward and backward, beside one iteration of ASTRA's SIRT on the same slices.

One pass of ours is a projection and its adjoint for all tilts and rows; one iteration of SIRT is one forward and one
back projection of every slice. All of them are run in turn, several times, and the median counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import REPOSITORY, interleave, markdown_table, median, quick_asked, save, timed

from napari_stinr.fields.base import Slices, arrived
from napari_stinr.projection.backends.numba import CompiledProjector
from napari_stinr.projection.backends.torch import BatchedProjector
from napari_stinr.projection.footprint import slice_footprint
from napari_stinr.projection.views import SliceShape, TiltRays, Views

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = ({"width": 88, "tilts": 181, "rows": 40}, {"width": 256, "tilts": 61, "rows": 16})
QUICK_CASES = ({"width": 32, "tilts": 13, "rows": 16},)
ARRIVAL_WIDTH = 0.05
BATCHED_ROWS = 8
"""The back end for other devices is slow on a CPU: its speed is that of fewer rows."""
ASTRA_FOLDER = REPOSITORY / ".venv-astra"
BASELINE = "ASTRA SIRT, 1 thread"


class SparseProjector:
    """The plain way: one sparse matrix per tilt, and its transpose, multiplied by torch."""

    def __init__(self, shape: SliceShape, rays: TiltRays) -> None:
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        self._forward, self._adjoint = [], []
        voxels = torch.arange(shape.depth * shape.width)
        for cosine, sine, origin, _ in zip(*(values.tolist() for values in rays), strict=True):
            pixels, weights = slice_footprint(shape, cosine=cosine, sine=sine, origin=origin)
            matrix = torch.sparse_coo_tensor(
                torch.stack([pixels.flatten(), voxels.repeat(len(pixels))]),
                weights.flatten(),
                (shape.n_pixels, len(voxels)),
                check_invariants=True,
            ).coalesce()
            self._forward.append(matrix.to_sparse_csr())
            self._adjoint.append(matrix.t().coalesce().to_sparse_csr())

    def both(self, density: torch.Tensor, arrival: torch.Tensor | None, times: torch.Tensor) -> torch.Tensor:
        """Project `(voxels, rows)`, then apply the adjoint; return the lines `(tilts, rows, pixels)`."""
        lines, gradient = [], torch.zeros_like(density)
        arrival_gradient = torch.zeros_like(density)
        for k, t in enumerate(times.tolist()):
            there = None if arrival is None else arrived(arrival, t, ARRIVAL_WIDTH)
            lines.append(self._forward[k] @ (density if there is None else density * there))
            back = self._adjoint[k] @ lines[-1]
            if there is not None:
                back *= there
                arrival_gradient -= back * density * (1 - there) / ARRIVAL_WIDTH
            gradient += back
        return torch.stack(lines).transpose(1, 2)


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Measure every back end on every case.

    Parameters
    ----------
    quick : bool
        One small case, fewer repeats.

    Returns
    -------
    dict
        Per case: median seconds and voxels per second of every back end.
    """
    python, problem = astra_python()
    cases = [_measure_case(case, python, repeats=2 if quick else 5) for case in (QUICK_CASES if quick else CASES)]
    return {"cases": cases, "astra": problem or "installed"}


def _measure_case(case: dict[str, int], python: Path | None, *, repeats: int) -> dict[str, Any]:
    width, n_tilts, n_rows = case["width"], case["tilts"], case["rows"]
    angles = np.linspace(0, np.pi, n_tilts) if n_tilts > 100 else np.radians(np.linspace(-60, 60, n_tilts))
    shape = SliceShape(width, width, width)
    rays = Views.at(angles, np.linspace(0, 1, n_tilts), n_pixels=width).rays
    generator = torch.Generator().manual_seed(0)
    z, x = torch.meshgrid(torch.linspace(-1, 1, width), torch.linspace(-1, 1, width), indexing="ij")
    # Off the axis, so that a wrong handedness shows.
    disc = torch.hypot(z - 0.3, x + 0.2) < 0.6
    density = torch.rand(n_rows, width, width, generator=generator) * disc
    arrival = torch.rand(n_rows, width, width, generator=generator)
    jobs = _own_jobs(shape, rays, density, arrival)
    with tempfile.TemporaryDirectory() as folder:
        if python is not None:
            problem = Path(folder) / "slices.npz"
            lines, _ = _pass(CompiledProjector(shape), density, None, rays)
            np.savez(problem, density=density.numpy(), lines=lines.numpy(), angles=angles)
            jobs = {BASELINE: lambda: _astra_seconds(python, problem)} | jobs
        for job in jobs.values():
            job()  # compiles, and fills the caches
        seconds = interleave(jobs, repeats=repeats)
    rows = {name: min(BATCHED_ROWS, n_rows) if "batched" in name else n_rows for name in jobs}
    speed = {name: width * width * n_tilts * rows[name] / median(values) for name, values in seconds.items()}
    return {
        **case,
        "seconds": {name: [round(s, 5) for s in values] for name, values in seconds.items()},
        "voxels_per_second": {name: round(value) for name, value in speed.items()},
    }


def _own_jobs(
    shape: SliceShape, rays: TiltRays, density: torch.Tensor, arrival: torch.Tensor
) -> dict[str, Callable[[], float]]:
    sparse, batched = SparseProjector(shape, rays), BatchedProjector(shape, device=torch.device("cpu"))
    compiled = {threads: CompiledProjector(shape, threads=threads) for threads in (1, 2)}
    columns = [slices.flatten(1).T.contiguous() for slices in (density, arrival)]
    _check_agreement(_pass(compiled[1], density, arrival, rays)[0], sparse.both(columns[0], columns[1], rays.times))
    jobs: dict[str, Callable[[], float]] = {}
    for kind, moving, moving_column in (("static", None, None), ("growth", arrival, columns[1])):
        moving_few = None if moving is None else moving[:BATCHED_ROWS]
        for threads, projector in compiled.items():
            name = f"compiled, {kind}, {threads} thread" + "s" * (threads > 1)
            jobs[name] = timed(lambda p=projector, a=moving: _pass(p, density, a, rays))  # type: ignore[misc]
        jobs[f"torch sparse, {kind}, 2 threads"] = timed(
            _with_torch_threads(lambda a=moving_column: sparse.both(columns[0], a, rays.times))  # type: ignore[misc]
        )
        jobs[f"torch batched, {kind}, 2 threads"] = timed(
            _with_torch_threads(lambda a=moving_few: _pass(batched, density[:BATCHED_ROWS], a, rays))  # type: ignore[misc]
        )
    return jobs


def _pass(
    projector: CompiledProjector | BatchedProjector,
    density: torch.Tensor,
    arrival: torch.Tensor | None,
    rays: TiltRays,
) -> tuple[torch.Tensor, torch.Tensor]:
    slices = Slices(density, arrival, ARRIVAL_WIDTH)
    lines = projector.project(slices, rays)
    return lines, projector.backproject(lines, slices, rays).density


def _check_agreement(lines: torch.Tensor, expected: torch.Tensor) -> None:
    difference = float((lines - expected).norm() / expected.norm())
    if not difference < 1e-4:
        raise SystemExit(f"the back ends differ by {difference:.2g}: a comparison of their speed would mean nothing")


def _with_torch_threads(job: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        job()
        torch.set_num_threads(before)

    return run


def astra_python() -> tuple[Path | None, str]:
    """Return the Python that has ASTRA, made where it is missing, and what went wrong.

    The wheel of ASTRA brings CUDA's runtime libraries along; in an environment of its own they cannot mix with torch's.
    """
    python = ASTRA_FOLDER / "bin" / "python"
    steps = [[str(python), "-c", "import astra"]]
    if not python.exists():
        print(f"installing astra-toolbox into {ASTRA_FOLDER.name}", flush=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "astra-toolbox"]
        steps = [[sys.executable, "-m", "venv", str(ASTRA_FOLDER)], pip, *steps]
    for command in steps:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return None, f"not available: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
    return python, ""


def _astra_seconds(python: Path, problem: Path) -> float:
    script = Path(__file__).with_name("astra_sirt.py")
    done = subprocess.run([str(python), str(script), str(problem)], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    # Its footprint is linear, ours cubic: not the same numbers, but the same picture.
    if not answer["difference"] < 0.05:
        raise SystemExit(f"ASTRA's projections differ by {answer['difference']:.2f}: it sees the slices in another way")
    return float(answer["seconds_per_iteration"])


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown: one row per back end, one pair of columns per case."""
    cases = result["cases"]
    header = ["forward + backward, million voxels per second"]
    for case in cases:
        size = f"{case['width']} × {case['width']}, {case['tilts']} tilts, {case['rows']} rows"
        header += [size, "ratio to ASTRA"]
    rows = []
    for name in cases[0]["voxels_per_second"]:
        row = [f"**{name}**" if name.startswith("compiled") else name]
        for case in cases:
            speed, reference = case["voxels_per_second"][name], case["voxels_per_second"].get(BASELINE)
            row += [f"{speed / 1e6:.0f}", f"{speed / reference:.1f}" if reference else "–"]
        rows.append(row)
    if result["astra"] != "installed":
        rows.append([f"ASTRA: {result['astra']}"] + ["–"] * (len(header) - 1))
    return markdown_table(header, rows)


if __name__ == "__main__":
    quick = quick_asked(__doc__)
    measured = measure(quick=quick)
    save("projector", measured, table(measured), quick=quick)
