"""Memory, time and disk of a 4D series exported as OME-Zarr, against the size of the volume.

Every case runs in a process of its own, which makes a growth field of that size without training it: smooth blobs of
noise, half of which arrive one after the other. What counts is the highest resident memory while it exports, beyond
what the reconstruction itself takes. Afterwards slices are read, as a viewer does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from common import in_processes, markdown_table, median, quick_asked, save

from napari_stinr.config import preset_config
from napari_stinr.data.geometry import VoxelGrid
from napari_stinr.fields import build_field
from napari_stinr.io.output.ome_zarr_reading import open_store
from napari_stinr.reconstruction import Reconstruction
from napari_stinr.reconstruction.export import export_volumes

CASES = ((128, 21), (256, 21), (512, 21))
QUICK_CASES = ((32, 5), (64, 5))
LIMIT_GIGABYTES = 2.0
_SLICES = 9
"""That are read, at places all over the series."""


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
    highest = max(case["extra_megabytes"] for case in cases)
    return {"cases": cases, "highest_megabytes": highest, "within_limit": highest < LIMIT_GIGABYTES * 1000}


def run_case(size: int, n_times: int) -> dict[str, float]:
    """Make a field, export it and read some slices, and return what that took.

    Parameters
    ----------
    size : int
        Voxels along each edge of the volume.
    n_times : int
        Number of volumes.

    Returns
    -------
    dict of str to float
        Memory beyond the reconstruction, times and sizes.
    """
    times = np.linspace(0, 1, n_times).tolist()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        # Loads all modules.
        export_volumes(_reconstruction(16), Path(folder) / "first.ome.zarr", times=times)
        run = _reconstruction(size)
        process, path = psutil.Process(), Path(folder) / "film.ome.zarr"
        before, peak = process.memory_info().rss, 0

        def look(done: float, total: float, remark: str = "", /) -> None:
            nonlocal peak
            peak = max(peak, _peak_bytes())

        _forget_peak()
        start = time.perf_counter()
        export_volumes(run, path, times=times, progress=look)
        seconds = time.perf_counter() - start
        peak = max(peak, _peak_bytes())
        n_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        store, slices = open_store(path), []
        for place in np.linspace(0, 0.999, _SLICES):
            start = time.perf_counter()
            store.read((int(place * n_times), int(place * size)))
            slices.append(time.perf_counter() - start)
        return {
            "size": size,
            "times": n_times,
            "reconstruction_megabytes": before / 1e6,
            "extra_megabytes": (peak - before) / 1e6,
            "series_megabytes": 4 * size**3 * n_times / 1e6,
            "disk_megabytes": n_bytes / 1e6,
            "seconds": seconds,
            "slice_milliseconds": 1000 * median(slices),
        }


def _reconstruction(size: int) -> Reconstruction:
    grid = VoxelGrid(size, size, size, voxel_size=0.5)
    config = preset_config("growth")
    field = build_field(config, grid, scale=1.0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in field.parameters():
            value.add_(torch.randn(value.shape, generator=generator), alpha=0.5)
    return Reconstruction(field.requires_grad_(False).eval(), config, grid)


def _forget_peak() -> None:
    """Let Linux count the highest resident memory anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def table(measured: dict[str, Any]) -> str:
    """Return the result as Markdown.

    Parameters
    ----------
    measured : dict
        From :func:`measure`.

    Returns
    -------
    str
        A table and one line.
    """
    rows = [
        [
            f"{case['size']:.0f}³ × {case['times']:.0f}",
            f"{case['series_megabytes'] / 1000:.2f}",
            f"{case['disk_megabytes'] / 1000:.2f}",
            f"{case['reconstruction_megabytes'] / 1000:.2f}",
            f"{case['extra_megabytes'] / 1000:.2f}",
            f"{case['seconds']:.0f}",
            f"{case['slice_milliseconds']:.0f}",
        ]
        for case in measured["cases"]
    ]
    head = ["volume × times", "series (GB)", "on disk (GB)", "before (GB)", "extra (GB)", "export (s)", "a slice (ms)"]
    limit = "within" if measured["within_limit"] else "beyond"
    return markdown_table(head, rows) + f"\n\nMemory of the export itself: {limit} {LIMIT_GIGABYTES:g} GB."


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", nargs=2, type=int)
    case = parser.parse_known_args()[0].case
    if case:
        print(json.dumps(run_case(*case)))
    else:
        is_quick = quick_asked(__doc__)
        result = measure(quick=is_quick)
        save("ome_zarr", result, table(result), quick=is_quick)
