"""The experiment of the 2023 paper, simulated: the only place that imports abTEM and ASE.

Both are imported where they are used, so importing this package stays cheap.
"""

from __future__ import annotations

from napari_stinr.simulation.config import SimulationConfig
from napari_stinr.simulation.contamination import GROWTHS, PACES, Contamination, grow_contamination
from napari_stinr.simulation.experiment import Simulation, simulate, write_simulation
from napari_stinr.simulation.instrument import Instrument, TruePose
from napari_stinr.simulation.specimen import SPECIMENS, Specimen, build_specimen

__all__ = [
    "GROWTHS",
    "PACES",
    "SPECIMENS",
    "Contamination",
    "Instrument",
    "Simulation",
    "SimulationConfig",
    "Specimen",
    "TruePose",
    "build_specimen",
    "grow_contamination",
    "simulate",
    "write_simulation",
]
