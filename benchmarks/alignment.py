"""How well the pose of simulated series is found, on seeds that no setting was chosen on.

Atoms are moved and turned before they are projected, so that no image is interpolated: 3 pixels of drift along y and 7
along x with jitter, the axis 3 pixels off and 1.5 degrees turned, tilt angles wrong by 0.3 degrees, gains by 3 %.
Errors are what is left beside moves of the object, which no data tell. `--volumes` also trains on each: NRMSE at t = 0
of the series aligned by what was found, by that of the same series without any of these errors, in the rows that stay
in view; beside it what the true pose gives, where only interpolation and the angles are left, and by how much less of
the atoms are found (F1).
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from common import markdown_table, save

from napari_stinr.alignment.gauges import moves, without
from napari_stinr.alignment.pose import Pose
from napari_stinr.alignment.warp import aligned
from napari_stinr.analysis.metrics import evaluate
from napari_stinr.config import PreprocessingConfig, preset_config
from napari_stinr.data.preprocessing.prepare import prepare
from napari_stinr.simulation import SimulationConfig, simulate
from napari_stinr.simulation.instrument import Instrument
from napari_stinr.training.aligning import align_prepared
from napari_stinr.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.simulation import Simulation
    from napari_stinr.simulation.instrument import TruePose

MOVED = Instrument(drift_x=7, drift_y=3, jitter=0.7, axis_offset=3, axis_rotation=1.5, angle_error=0.3, gain_error=0.03)
RANGES = {
    "91 over 180": (0.0, 180.0, "sequential"),
    "61 over 120 interleaved": (-60.0, 60.0, "interleaved"),
    "61 over 120 sequential": (-60.0, 60.0, "sequential"),
}
STEPS = 400


@dataclass(frozen=True)
class Found:
    """What is left of the errors of one series."""

    dx: float  # RMS [pixel]
    dy: float  # the same
    offset: float  # of the axis [pixel]
    rotation: float  # [degrees]
    angles: float  # standard deviation of the tilt angles [degrees]
    seconds: float
    ratio: float  # NRMSE at t = 0 by that of the series without errors [1]
    best_ratio: float  # the same at the true pose
    f1_lost: float  # F1 of the atoms below that of the series without errors [1]


def main() -> None:
    """Align what was asked for, print and save a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--method", choices=("coarse", "joint"), default="coarse")
    parser.add_argument("--ranges", nargs="+", choices=tuple(RANGES), default=tuple(RANGES))
    parser.add_argument("--noise", type=float, nargs="+", default=(0.03,))
    parser.add_argument("--volumes", action="store_true")
    parser.add_argument("--drift", type=float, default=3.0, help="along y; 4 more along x [pixel]")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    rows = []
    for name in given.ranges:
        for noise in given.noise:
            found = []
            for seed in given.seeds:
                for specimen in ("nanotube", "particle"):
                    for growth in ("side", "radial"):
                        one = _found(name, specimen, growth, noise, seed, given)
                        print(f"{name}, {noise:g}, {specimen}, {growth}, {seed}: {one}", flush=True)
                        found.append(one)
            rows.append([f"{name}, {100 * noise:g} % noise", given.method, *_cells(found)])
    headings = [
        "tilts",
        "method",
        "dx",
        "dy",
        "axis offset",
        "rotation",
        "tilt angles",
        "NRMSE ratio",
        "at the true pose",
        "seconds",
    ]
    table = markdown_table(headings, rows)
    said = f"Seeds {', '.join(map(str, given.seeds))}; median / worst; pixels and degrees.\n\n{table}"
    save(f"alignment_{given.method}", {"rows": rows, "seeds": given.seeds}, said, quick=False)


def _found(name: str, specimen: str, growth: str, noise: float, seed: int, given: argparse.Namespace) -> Found:
    start, stop, order = RANGES[name]
    config = SimulationConfig(
        specimen=specimen, growth=growth, noise=noise, seed=seed, order=order, grid=(72, 40, 72), pixel_size=0.5,
        tilt_start=start, tilt_stop=stop, tilt_step=2.0,
        instrument=MOVED.model_copy(update={"drift_x": given.drift + 4, "drift_y": given.drift}),
    )  # fmt: skip
    simulation = simulate(config)
    series = prepare(simulation.series, PreprocessingConfig())
    begin = time.perf_counter()
    alignment = align_prepared(series, PreprocessingConfig(), method=given.method, threads=given.threads)
    seconds = time.perf_counter() - begin
    pose, true, angles = alignment.pose, simulation.pose, simulation.series.tilt_angles
    error_x, error_y, waves_x, waves_y = _errors(pose, true, angles)
    waves = np.r_[waves_x, waves_y]
    gauge = np.linalg.lstsq(waves, np.r_[error_x, error_y], rcond=None)[0]
    left = np.r_[error_x, error_y] - waves @ gauge
    ratio = best_ratio = f1_lost = float("nan")
    if given.volumes:
        n = len(angles)
        there = replace(pose, dx=pose.dx - (waves @ gauge)[:n], dy=pose.dy - (waves @ gauge)[n:])
        # Gains have been made up for.
        ideal = Pose(true.dx, true.dy, 0 * angles, np.ones(n), true.axis_offset, true.axis_rotation)
        still = simulate(config.model_copy(update={"instrument": Instrument()}))
        edge = math.ceil(np.abs(true.dy).max() + math.sin(math.radians(abs(true.axis_rotation))) * config.grid[2] / 2)
        rows = slice(edge, config.grid[1] - edge)
        scores = [
            _scores(shown, still, rows, given)
            for shown in (still.series, aligned(series, there), aligned(series, ideal))
        ]
        (base, base_f1), (error, f1), (best, _) = scores
        ratio, best_ratio, f1_lost = error / base, best / base, base_f1 - f1
    turns = without(np.c_[np.ones(len(angles)), np.deg2rad(angles)], pose.angle_error - true.angle_error)
    constant = np.linalg.lstsq(np.c_[waves_x[:, :2], np.ones(len(angles))], error_x, rcond=None)[0][-1]
    return Found(
        _rms(left[: len(angles)]),
        _rms(left[len(angles) :]),
        abs(float(constant)),
        abs(pose.axis_rotation - true.axis_rotation),
        float(turns.std()),
        seconds,
        ratio,
        best_ratio,
        f1_lost,
    )


def _errors(pose: Pose, true: TruePose, angles: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """`(n,)` errors of where the axis was recorded, along x and y, and what moves of the object do to them [pixel]."""
    psi = np.deg2rad(true.axis_rotation)
    places = []
    for known in (pose, true):
        turn = np.deg2rad(known.axis_rotation)
        places.append((known.dx + np.cos(turn) * known.axis_offset, known.dy + np.sin(turn) * known.axis_offset))
    (x, y), (true_x, true_y) = places
    waves, one = moves(angles + true.angle_error), np.ones((len(angles), 1))
    return (
        x - true_x,
        y - true_y,
        np.c_[np.cos(psi) * waves, -np.sin(psi) * one],
        np.c_[np.sin(psi) * waves, np.cos(psi) * one],
    )


def _scores(series: TiltSeries, truth: Simulation, rows: slice, given: argparse.Namespace) -> tuple[float, float]:
    """NRMSE and F1 of the atoms at t = 0 in some rows."""
    config = preset_config("growth").with_training(steps=STEPS)
    trainer = Trainer(series, config, device="cpu", threads=given.threads)
    for _ in trainer.run():
        pass
    clean = trainer.reconstruction(with_training_state=False).render(0.0)[:, rows]
    size, places = truth.config.pixel_size, truth.specimen.indices
    within = (places[:, 1] >= rows.start) & (places[:, 1] <= rows.stop - 1)
    atoms = (places[within] - [0, rows.start, 0]) * size
    found = evaluate(clean, truth.truth[:, rows], voxel_size=size, atom_positions=atoms)
    assert found.atoms is not None
    return found.nrmse, found.atoms.f1


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _cells(found: list[Found]) -> Iterable[str]:
    for name in ("dx", "dy", "offset", "rotation", "angles", "ratio", "best_ratio", "f1_lost", "seconds"):
        values = np.array([getattr(one, name) for one in found])
        yield f"{np.median(values):.3g} / {values.max():.3g}" if np.isfinite(values).all() else ""


if __name__ == "__main__":
    main()
