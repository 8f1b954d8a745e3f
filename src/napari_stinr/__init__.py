"""Space-time reconstruction of contaminated tilt series: give the microscopist the clean specimen back.

Importing the package loads nothing else: torch, napari and abTEM come when a name that needs them is used.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from napari_stinr.lazy import lazy_names

if TYPE_CHECKING:
    from napari_stinr.alignment.align import Alignment
    from napari_stinr.alignment.pose import Pose
    from napari_stinr.analysis.metrics import evaluate
    from napari_stinr.api import reconstruct
    from napari_stinr.config import PRESETS, ReconstructionConfig, preset_config
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.errors import StinrError
    from napari_stinr.io import (
        read_tilt_series,
        read_volume,
        write_frames,
        write_tilt_angles,
        write_tilt_series,
        write_times,
        write_volume,
    )
    from napari_stinr.reconstruction import Reconstruction, load_reconstruction
    from napari_stinr.simulation import SimulationConfig, simulate, write_simulation
    from napari_stinr.training import StepReport, Trainer

try:
    __version__ = version("napari-stinr")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

_HOMES = {
    "Alignment": "alignment.align",
    "PRESETS": "config",
    "Reconstruction": "reconstruction.reconstruction",
    "ReconstructionConfig": "config",
    "SimulationConfig": "simulation",
    "Pose": "alignment.pose",
    "StepReport": "training.trainer",
    "StinrError": "errors",
    "TiltSeries": "data.tilt_series",
    "Trainer": "training.trainer",
    "align": "training.aligning",
    "evaluate": "analysis.metrics",
    "load_reconstruction": "reconstruction.reconstruction",
    "preset_config": "config",
    "read_tilt_series": "io",
    "read_volume": "io",
    "reconstruct": "api",
    "simulate": "simulation",
    "write_frames": "io",
    "write_simulation": "simulation",
    "write_tilt_angles": "io",
    "write_tilt_series": "io",
    "write_times": "io",
    "write_volume": "io",
}

__all__ = [
    "PRESETS",
    "Alignment",
    "Pose",
    "Reconstruction",
    "ReconstructionConfig",
    "SimulationConfig",
    "StepReport",
    "StinrError",
    "TiltSeries",
    "Trainer",
    "__version__",
    "align",
    "evaluate",
    "load_reconstruction",
    "preset_config",
    "read_tilt_series",
    "read_volume",
    "reconstruct",
    "simulate",
    "write_frames",
    "write_simulation",
    "write_tilt_angles",
    "write_tilt_series",
    "write_times",
    "write_volume",
]


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
