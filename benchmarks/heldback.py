"""Held-back cases: seeds that no setting was chosen on, each against `static` and the uncontaminated series.

Removed: 0 % is the static reconstruction, 100 % the same specimen recorded without contamination, reconstructed by the
same engine. NRMSE ratio: NRMSE at t = 0 over that of the uncontaminated series.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common import quick_asked, save

from napari_stinr import SimulationConfig, preset_config, reconstruct, simulate
from napari_stinr.analysis.metrics import contamination_removed, evaluate

if TYPE_CHECKING:
    from napari_stinr import TiltSeries
    from napari_stinr.analysis.metrics import Evaluation
    from napari_stinr.simulation import Simulation

FULL: dict[str, Any] = {}
HARD: dict[str, Any] = {"tilt_start": -60, "tilt_stop": 60, "tilt_step": 3, "noise": 0.03}
CASES: dict[str, dict[str, Any]] = {
    "nanotube, 181 tilts, from the side": {**FULL, "seed": 201},
    "particle, 181 tilts, from the side": {**FULL, "seed": 202, "specimen": "particle"},
    "nanotube, 181 tilts, from the surface": {**FULL, "seed": 203, "growth": "radial"},
    "particle, 41 tilts over 120°, 3 % noise": {**HARD, "seed": 204, "specimen": "particle"},
    "nanotube, 41 tilts over 120°, 3 % noise": {**HARD, "seed": 205},
}
QUICK_CASE = {"seed": 206, "grid": (48, 24, 48), "tilt_step": 6}


def measure(*, quick: bool) -> dict[str, Any]:
    """Simulate and reconstruct every case three times.

    Parameters
    ----------
    quick : bool
        One small case and few steps.

    Returns
    -------
    dict
        Scores and seconds of every case.
    """
    cases = {"nanotube, small": QUICK_CASE} if quick else CASES
    return {"cases": {name: _case(simulate(SimulationConfig(**settings)), quick) for name, settings in cases.items()}}


def table(measured: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = [
        "| case | removed | NRMSE, ratio | atom F1, uncontaminated | scale | training, 1 thread |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in measured["cases"].items():
        growth, clean = case["growth"], case["uncontaminated"]
        lines.append(
            f"| {name} | {100 * case['removed']:.1f} % | {growth['nrmse']:.3f}, {growth['nrmse'] / clean['nrmse']:.2f} "
            f"| {growth['f1']:.3f}, {clean['f1']:.3f} | {growth['scale']:.3f} | {growth['seconds']:.0f} s |"
        )
    return "\n".join(lines)


def _case(simulation: Simulation, quick: bool) -> dict[str, Any]:
    clean_series = replace(simulation.series, projections=simulation.clean_projections)
    scores = {
        "growth": _score("growth", simulation.series, simulation, quick),
        "static": _score("static", simulation.series, simulation, quick),
        "uncontaminated": _score("static", clean_series, simulation, quick),
    }
    removed = contamination_removed(
        scores["growth"]["left"],
        left_static=scores["static"]["left"],
        left_uncontaminated=scores["uncontaminated"]["left"],
    )
    return {"removed": removed, **scores}


def _score(preset: str, series: TiltSeries, simulation: Simulation, quick: bool) -> dict[str, float | None]:
    config = preset_config(preset).with_training(visits=30 if quick else None)
    start = time.perf_counter()
    volume = reconstruct(series, config=config, threads=1).render(0.0)
    seconds = time.perf_counter() - start
    specimen, voxel_size = simulation.specimen, simulation.config.pixel_size
    found: Evaluation = evaluate(
        volume,
        simulation.truth,
        voxel_size=voxel_size,
        contamination=simulation.contamination,
        atom_positions=specimen.indices * voxel_size,
        atom_groups=specimen.groups,
    )
    return {
        "left": found.contamination_left,
        "nrmse": found.nrmse,
        "scale": found.scale,
        "f1": None if found.atoms is None else found.atoms.f1,
        "precision": None if found.atoms is None else found.atoms.precision,
        "seconds": seconds,
    }


if __name__ == "__main__":
    QUICK = quick_asked(__doc__)
    RESULT = measure(quick=QUICK)
    save("heldback", RESULT, table(RESULT), quick=QUICK)
