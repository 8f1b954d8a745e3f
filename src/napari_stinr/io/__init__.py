"""Files: tilt series are read and volumes written here, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.lazy import lazy_names

if TYPE_CHECKING:
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

_HOMES = {
    "READERS": "formats.registry",
    "atomic_output": "output.atomic",
    "read_tilt_series": "series.reading",
    "read_volume": "output.writing",
    "write_frames": "output.writing",
    "write_tilt_angles": "output.writing",
    "write_tilt_series": "output.writing",
    "write_times": "output.writing",
    "write_volume": "output.writing",
}

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

__getattr__ = lazy_names(__name__, _HOMES)
