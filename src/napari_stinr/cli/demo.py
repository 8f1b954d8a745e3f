"""The main job of the package in one go: the 2023 paper's experiment, simulated, reconstructed, scored and drawn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_stinr.cli.console import progress
from napari_stinr.cli.training import train
from napari_stinr.io import atomic_output, read_tilt_series, write_volume
from napari_stinr.io.output.targets import RUN_ENDING, check_folder
from napari_stinr.training.run import Order

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.analysis.metrics import Evaluation
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.simulation import Simulation, SimulationConfig

PRESETS = ("static", "growth")
"""What existing software assumes, and what this package does."""

QUICK_GRID = (48, 24, 48)
QUICK_TILT_STEP = 6.0
QUICK_STEPS = {"static": 120, "growth": 300}
"""Steps in all, of which the volume has as many in both."""
HALF_WAY = 0.5
"""Time of the contaminated column of the figure: t = 90 of the paper's 181 tilts."""


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo found."""

    evaluations: dict[str, Evaluation]
    """Scores at t = 0 by preset, and of the truth itself, which the same search for atoms does not score at 1."""
    seconds: dict[str, float]
    """Time each preset was trained [s]."""
    folder: Path


def run_demo(folder: Path, *, quick: bool = False, threads: int | None = None, device: str = "auto") -> DemoResult:
    """Simulate the paper's experiment, reconstruct it as `static` and as `growth`, and compare both with the truth.

    The folder then holds the simulated files (see `write_simulation`), ``static.stinr``, ``growth.stinr``,
    ``clean.tif`` and ``clean.mrc`` (the growth reconstruction at t = 0), ``scores.json`` and ``figure.png``.

    `quick` takes a smaller specimen with fewer tilts and steps, to see that everything works; on one thread where
    `threads` does not say otherwise.
    """
    from napari_stinr.simulation import simulate, write_simulation

    check_folder(folder)
    # The small volume gains nothing from a second thread, and loses much where another program runs.
    threads = threads or (1 if quick else None)
    config = simulation_config(quick=quick)
    with progress("simulate") as update:
        simulation = simulate(config, progress=update)
    write_simulation(folder, simulation)
    # From the files, so that the demo takes the way of everybody's data.
    series = read_tilt_series(folder / "stack.mrc")
    runs, seconds = {}, {}
    for preset in PRESETS:
        path = folder / f"{preset}{RUN_ENDING}"
        runs[preset], seconds[preset] = _train(series, preset, path, quick=quick, threads=threads, device=device)
    clean = runs["growth"].render(0.0)
    for name in ("clean.tif", "clean.mrc"):
        write_volume(folder / name, clean, voxel_size=config.pixel_size)
    evaluations = {name: _evaluate(run.render(0.0), simulation) for name, run in runs.items()}
    evaluations["truth"] = _evaluate(simulation.truth, simulation)
    _write_scores(folder / "scores.json", evaluations, seconds, config)
    _draw(folder / "figure.png", runs, evaluations, simulation, series)
    return DemoResult(evaluations, seconds, folder)


def simulation_config(*, quick: bool = False) -> SimulationConfig:
    """Return what the demo simulates: the paper's 181 tilts over 180 degrees, or 31 of a smaller specimen."""
    from napari_stinr.simulation import SimulationConfig

    return SimulationConfig(grid=QUICK_GRID, tilt_step=QUICK_TILT_STEP) if quick else SimulationConfig()


def training_config(preset: str, *, quick: bool = False) -> ReconstructionConfig:
    """Return how the demo trains a preset: shortened where it shall be quick."""
    from napari_stinr.config import preset_config

    config = preset_config(preset)
    return config.with_training(steps=QUICK_STEPS[preset]) if quick else config


def _train(
    series: TiltSeries, preset: str, path: Path, *, quick: bool, threads: int | None, device: str
) -> tuple[Reconstruction, float]:
    """Return a reconstruction and the time it was trained [s]."""
    config = training_config(preset, quick=quick)
    run = train(Order(series, config, device=device, threads=threads, path=path), title=f"train {preset}")
    return run, float(run.provenance["training_seconds"])


def _evaluate(volume: Any, simulation: Simulation) -> Evaluation:
    from napari_stinr.analysis.metrics import evaluate

    specimen = simulation.specimen
    return evaluate(
        volume,
        simulation.truth,
        voxel_size=simulation.config.pixel_size,
        contamination=simulation.contamination,
        atom_positions=specimen.indices * specimen.voxel_size,
        atom_groups=specimen.groups,
    )


def _write_scores(
    path: Path, evaluations: dict[str, Evaluation], seconds: dict[str, float], config: SimulationConfig
) -> None:
    scores: dict[str, Any] = {name: evaluation.to_dict() for name, evaluation in evaluations.items()}
    for name, length in seconds.items():
        scores[name]["seconds"] = round(length, 2)
    scores["simulation"] = config.model_dump(mode="json")
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps(scores, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _draw(
    path: Path,
    runs: dict[str, Reconstruction],
    evaluations: dict[str, Evaluation],
    simulation: Simulation,
    series: TiltSeries,
) -> None:
    from napari_stinr.cli.figure import Panel, write_figure

    growth = runs["growth"]
    captions = {
        name: f"contamination left: {100 * (found.contamination_left or 0):z.1f} %"
        for name, found in evaluations.items()
    }
    panels = [
        Panel("static reconstruction", runs["static"].render(0.0), caption=captions["static"]),
        Panel(
            f"growth, t = {HALF_WAY:g}",
            growth.render(0.0),
            growth.contamination(HALF_WAY),
            caption="specimen grey, contamination orange",
        ),
        Panel("growth, t = 0", growth.render(0.0), caption=captions["growth"]),
        Panel("truth", simulation.truth, caption="before the beam touched it"),
    ]
    write_figure(path, panels, series=series, truth=simulation.truth, voxel_size=simulation.config.pixel_size)
