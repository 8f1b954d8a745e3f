"""The experiment of the 2023 paper, simulated: the only place that imports abTEM and ASE.

Both are imported where they are used, so importing this package stays cheap.
"""

from __future__ import annotations

from napari_stinr.simulation.contamination import GROWTHS, Contamination, grow_contamination
from napari_stinr.simulation.experiment import Simulation, SimulationConfig, simulate, write_simulation
from napari_stinr.simulation.specimen import SPECIMENS, Specimen, build_specimen

__all__ = [
    "GROWTHS",
    "SPECIMENS",
    "Contamination",
    "Simulation",
    "SimulationConfig",
    "Specimen",
    "build_specimen",
    "grow_contamination",
    "simulate",
    "write_simulation",
]
