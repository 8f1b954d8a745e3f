"""Figure 3 of Chien, Ophus and Waller (2023) again: what `paper` makes of their experiment, and how long it takes.

A double-walled carbon nanotube around a Zr-Te sandwich, 181 projections over 180 degrees while carbon grows from one
side, on 88 x 40 x 88 voxels. The presets `static` and `paper` are trained as they are, and compared with the truth at
t = 0 and half way, at 90 degrees. Heavy atoms are those of the sandwich.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from common import markdown_table, quick_asked, results_folder, save

from napari_stinr.analysis.metrics import Evaluation, evaluate
from napari_stinr.config import preset_config
from napari_stinr.cores import available_threads
from napari_stinr.simulation import SimulationConfig, simulate
from napari_stinr.simulation.potential import potential
from napari_stinr.training.trainer import Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.simulation import Simulation

SEED = 201
"""Drawn for this report: no setting was chosen on it."""
TIMES = {"t = 0": 0.0, "t = 90": 0.5}
"""Names of the paper, which counts its 181 tilts, and the times that we mean."""
PRESETS = ("static", "paper")
GROUPS = ("sandwich", "inner wall", "outer wall")
QUICK_STEPS = {"static": 60, "paper": 100}
_CARBON = 6

Volumes = dict[str, dict[str, "NDArray[np.float32]"]]
"""`(z, y, x)` potential by method and name of the time [V]."""


@dataclass(frozen=True, eq=False)
class Reproduction:
    """What was measured, and what is drawn.

    Parameters
    ----------
    measured : dict
        Scores and times, as JSON can hold them.
    volumes : dict
        Truth and reconstructions at both times.
    """

    measured: dict[str, Any]
    volumes: Volumes


def measure(*, quick: bool = False) -> Reproduction:
    """Simulate the experiment, train both presets, and score them against the truth at both times.

    Parameters
    ----------
    quick : bool
        A small specimen, fewer tilts and steps.

    Returns
    -------
    Reproduction
        Scores and volumes.
    """
    case = {"grid": (48, 24, 48), "tilt_step": 6.0} if quick else {}
    simulation = simulate(SimulationConfig(seed=SEED, **case))
    volumes: Volumes = {"truth": {name: _truth(simulation, t) for name, t in TIMES.items()}}
    scores: dict[str, Any] = {"truth": {}}
    for preset in PRESETS:
        volumes[preset], scores[preset] = _trained(simulation, preset, quick=quick)
    for method, by_time in volumes.items():
        for name, volume in by_time.items():
            scores[method][name] = _scores(simulation, volume, volumes["truth"][name])
    measured = {
        "case": simulation.config.model_dump(mode="json"),
        "settings": {preset: preset_config(preset).model_dump(mode="json") for preset in PRESETS},
        "threads": available_threads(),
        "scores": scores,
    }
    return Reproduction(measured, volumes)


def _truth(simulation: Simulation, t: float) -> NDArray[np.float32]:
    arrived, config = simulation.carbon.arrived(t), simulation.config
    carbon = potential(arrived, np.full(len(arrived), _CARBON), config.view_grid, config.sampling)
    return simulation.truth + carbon if len(arrived) else simulation.truth


def _trained(
    simulation: Simulation, preset: str, *, quick: bool
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Return the volumes at both times, and what the training took."""
    config = preset_config(preset)
    trainer = Trainer(simulation.series, config.with_training(steps=QUICK_STEPS[preset]) if quick else config)
    processor_seconds = time.process_time()
    *_, report = trainer.run()
    processor_seconds = time.process_time() - processor_seconds
    print(f"  {preset}: {report.step} steps in {report.seconds:.0f} s", flush=True)
    reconstruction = trainer.reconstruction(with_training_state=False)
    took = {
        "seconds": round(report.seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
        "steps": report.step,
        "relative_residual": round(report.relative_residual, 4),
    }
    return {name: reconstruction.render(t) for name, t in TIMES.items()}, took


def _scores(simulation: Simulation, volume: NDArray[np.float32], truth: NDArray[np.float32]) -> dict[str, Any]:
    specimen = simulation.specimen
    found: Evaluation = evaluate(
        volume,
        truth,
        voxel_size=simulation.config.pixel_size,
        contamination=simulation.contamination,
        atom_positions=specimen.indices * specimen.voxel_size,
        atom_groups=specimen.groups,
    )
    return found.to_dict()


def table(measured: dict[str, Any]) -> str:
    """Return the measurement as Markdown: error, contamination and atoms of truth and methods at both times."""
    scores = measured["scores"]
    rows = []
    for method, name in ((method, name) for name in TIMES for method in scores):
        found, took = scores[method][name], scores[method].get("seconds")
        recall = found["atoms"]["recall_by_group"]
        rows.append(
            [
                f"{method}, {name}",
                "" if took is None else f"{took:.0f} s",
                f"{found['nrmse']:.3f}",
                f"{100 * found['contamination_left']:.1f} %" if name == "t = 0" else "",
                *(f"{recall[group]:.3f}" if group in recall else "" for group in GROUPS),
                f"{found['atoms']['precision']:.3f}" if name == "t = 0" else "",
            ]
        )
    header = ["", "training", "NRMSE", "contamination left", "recall of Zr and Te", "inner wall", "outer wall"]
    header.append("precision of atoms")
    threads, processor = measured["threads"], scores["paper"]["processor_seconds"]
    return (
        markdown_table(header, rows)
        + f"\n\nTime of the clock with {threads} thread{'s' if threads > 1 else ''}; `paper` had {processor:.0f} s of "
        "the processors. At t = 90, half of the 181 tilts, the atoms of the specimen are looked for among the "
        "carbon that has grown; `static` has one volume for all times."
    )


def run(*, quick: bool = False) -> Path:
    """Measure, write the table, the numbers and the figure; return the figure's path."""
    from paper_figure import draw

    reproduction = measure(quick=quick)
    save("paper", reproduction.measured, table(reproduction.measured), quick=quick)
    path = results_folder(quick) / "paper.png"
    draw(reproduction.measured, reproduction.volumes, path)
    return path


if __name__ == "__main__":
    run(quick=quick_asked(__doc__))
