"""Files: tilt series are read and volumes written here, and nowhere else."""

from __future__ import annotations

from napari_stinr.io.atomic import atomic_output
from napari_stinr.io.reading import read_tilt_series
from napari_stinr.io.stacks import READERS
from napari_stinr.io.writing import (
    read_volume,
    write_frames,
    write_tilt_angles,
    write_tilt_series,
    write_times,
    write_volume,
)

__all__ = [
    "READERS",
    "atomic_output",
    "read_tilt_series",
    "read_volume",
    "write_frames",
    "write_tilt_angles",
    "write_tilt_series",
    "write_times",
    "write_volume",
]
