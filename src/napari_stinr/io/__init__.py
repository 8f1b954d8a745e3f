"""Files: tilt series are read and volumes written here, and nowhere else."""

from __future__ import annotations

from napari_stinr.io.formats.registry import READERS
from napari_stinr.io.output.atomic import atomic_output
from napari_stinr.io.output.writing import (
    read_volume,
    write_frames,
    write_tilt_angles,
    write_tilt_series,
    write_times,
    write_volume,
)
from napari_stinr.io.series.reading import read_tilt_series

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
