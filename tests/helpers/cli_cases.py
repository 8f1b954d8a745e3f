"""A small tilt series on disk, and the command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.places import SOURCE
from napari_stinr.io import write_tilt_angles, write_tilt_series, write_times, write_volume

if TYPE_CHECKING:
    from pathlib import Path

VOXEL_SIZE = 0.5
ANGLES = np.linspace(-60, 60, 13)
SIZE, HEIGHT = 16, 6
RUN = "import sys; from napari_stinr.cli.main import main; sys.exit(main())"


def gaussian(size: int, centre: float, sigma: float) -> np.ndarray:
    return np.exp(-((np.arange(size) - centre) ** 2) / (2 * sigma**2))


def write_stack(folder: Path, *, times: bool = True) -> Path:
    """Projections of a round rod on the axis, beside which a second one grows; with angles and, if wanted, times."""
    column = gaussian(HEIGHT, (HEIGHT - 1) / 2, 2)
    rod = gaussian(SIZE, (SIZE - 1) / 2, 1.5)
    moved = [gaussian(SIZE, (SIZE - 1) / 2 + 4 * np.cos(np.deg2rad(angle)), 1.5) for angle in ANGLES]
    grown = np.linspace(0, 1, len(ANGLES))
    projections = [column[:, None] * (10 * rod + 5 * part * other) for part, other in zip(grown, moved, strict=True)]
    write_tilt_series(folder / "stack.mrc", np.stack(projections), pixel_size=VOXEL_SIZE)
    write_tilt_angles(folder / "stack.rawtlt", ANGLES)
    if times:
        write_times(folder / "times.csv", ANGLES, grown)
    return folder / "stack.mrc"


def write_truth(folder: Path) -> Path:
    """Three carbon atoms on a grid, with their XYZ file and a contamination beside them."""
    indices = np.array([[8, 8, 8], [8, 8, 14], [8, 14, 8]])  # z, y, x
    blobs = [
        np.einsum("i,j,k->ijk", *(gaussian(24, centre, 0.9) for centre in atom)).astype(np.float32) for atom in indices
    ]
    write_volume(folder / "truth.mrc", sum(blobs), voxel_size=VOXEL_SIZE)
    far = np.einsum("i,j,k->ijk", *(gaussian(24, centre, 0.9) for centre in (18, 18, 18)))
    write_volume(folder / "contamination.mrc", far, voxel_size=VOXEL_SIZE)
    lines = [f"C {x * VOXEL_SIZE} {y * VOXEL_SIZE} {z * VOXEL_SIZE}" for z, y, x in indices]
    (folder / "atoms.xyz").write_text("\n".join(["3", "made by another program", *lines]) + "\n")
    return folder / "truth.mrc"


def start(*arguments: object, code: str = RUN, stdout: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start ``stinr`` with these words in a new process with one thread."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True)
