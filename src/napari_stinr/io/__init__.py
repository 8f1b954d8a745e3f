"""Files: tilt series are read and volumes written here, and nowhere else.

Names are loaded when they are used: the process that opens containers needs one reader of this room and nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
_HOMES = {"READERS": "formats.registry", "atomic_output": "output.atomic", "read_tilt_series": "series.reading"}
_OTHERS = "output.writing"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, _OTHERS)}"), name)
