"""Quality of the volume at t = 0 against training time, every preset at its best setting, on a small simulated case.

The case is the paper's experiment on a grid of 48 x 24 x 48 voxels, 181 tilts; training has one thread. First every
candidate setting of a method gets the same time, and the one with the lowest NRMSE at t = 0 wins. Then every point of
the curves is a run of its own with that setting and that training time: the learning rate falls to zero over the length
of a run, so an intermediate state of a longer run would be worse than what the same time can reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from common import markdown_table, quick_asked, results_folder, save

from napari_stinr.analysis.metrics import contamination_left, contamination_removed, correlation, nrmse
from napari_stinr.config import ReconstructionConfig, preset_config
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.simulation import SimulationConfig, simulate
from napari_stinr.training.trainer import Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.simulation import Simulation

Changes = dict[str, dict[str, Any]]
REMOVED = 0.9
EARLY = 1 / 3


@dataclass(frozen=True)
class Method:
    """One curve: a preset, the settings that compete for it, and the training times.

    Parameters
    ----------
    preset : str
        Name of the preset.
    data : str
        Which data: ``all``, ``early`` (first third of the tilts) or ``clean`` (never contaminated).
    candidates : tuple of dict
        Changes to the preset; the empty one is the preset itself.
    search_seconds : float
        Training time of each candidate [s].
    lengths : tuple of float
        Training times of the curve [s].
    """

    preset: str
    data: str
    candidates: tuple[Changes, ...]
    search_seconds: float
    lengths: tuple[float, ...]


def _joint(hidden: int, layers: int, octaves: int, rate: float, rays: int) -> Changes:
    field = {"hidden": hidden, "layers": layers, "spatial_frequencies": octaves}
    return {"field": field, "training": {"density_rate": rate, "rays_per_step": rays}}


_PAPER: tuple[Changes, ...] = (
    {},
    _joint(64, 2, 5, 2e-2, 256),
    _joint(128, 2, 4, 2e-2, 256),
)
_RATES = ({}, *({"training": {"density_rate": rate}} for rate in (0.05, 0.08, 0.17, 0.33)))
_BALANCES = ({"training": {"balance": 0.1}}, {"training": {"balance": 1.0}})
_SHORT = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

METHODS = {
    "static": Method("static", "all", (*_RATES, *_BALANCES), 4.0, _SHORT),
    "static, early third": Method("static", "early", (*_RATES, *_BALANCES), 4.0, _SHORT),
    "growth": Method("growth", "all", (*_RATES, *_BALANCES), 4.0, _SHORT),
    "paper": Method("paper", "all", _PAPER, 30.0, (15.0, 60.0, 240.0)),
    "never contaminated": Method("growth", "clean", _RATES, 4.0, _SHORT),
}
QUICK_METHODS = {
    name: Method(method.preset, method.data, method.candidates[:1], 0.2, (0.2, 0.4)) for name, method in METHODS.items()
}


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Search the best setting of every method, then train it for every length.

    Parameters
    ----------
    quick : bool
        Fewer tilts, no search, fractions of a second of training.

    Returns
    -------
    dict
        The searches, the curves, and what follows from them.
    """
    simulation = simulate(SimulationConfig(grid=(48, 24, 48), tilt_step=6.0 if quick else 1.0))
    methods = QUICK_METHODS if quick else METHODS
    searches, curves = {}, {}
    for name, method in methods.items():
        series = _series(simulation, method.data)
        trials = [_train(simulation, series, method.preset, c, method.search_seconds) for c in method.candidates]
        best = min(range(len(trials)), key=lambda index: trials[index]["nrmse"])
        searches[name] = {"preset": method.preset, "best": method.candidates[best], "trials": trials}
        print(f"{name}: best setting {method.candidates[best] or 'the preset'}", flush=True)
        curves[name] = [
            _train(simulation, series, method.preset, method.candidates[best], length) for length in method.lengths
        ]
    clean = min(curves["never contaminated"], key=lambda point: point["nrmse"])["contamination_left"]
    reference = min(curves["static"], key=lambda point: point["nrmse"])
    for point in (point for curve in curves.values() for point in curve):
        point["contamination_removed"] = contamination_removed(
            point["contamination_left"],
            left_static=curves["static"][-1]["contamination_left"],
            left_uncontaminated=clean,
        )
    reached = {name: _seconds_to_removal(curves[name], reference["nrmse"]) for name in ("growth", "paper")}
    return {
        "case": simulation.config.model_dump(mode="json"),
        "searches": searches,
        "curves": curves,
        "best_static_nrmse": reference["nrmse"],
        "seconds_to_removal": reached,
        "paper_below_static_after_seconds": _first(curves["paper"], lambda p: p["nrmse"] < reference["nrmse"]),
    }


def _series(simulation: Simulation, data: str) -> TiltSeries:
    series = simulation.series
    projections = simulation.clean_projections if data == "clean" else series.projections
    kept = series.times <= EARLY if data == "early" else np.ones(series.n_tilts, dtype=bool)
    return TiltSeries(
        projections[kept], series.tilt_angles[kept], series.times[kept], pixel_size=series.pixel_size, name=data
    )


def _train(simulation: Simulation, series: TiltSeries, preset: str, changes: Changes, seconds: float) -> dict[str, Any]:
    settings = preset_config(preset).model_dump(mode="json")
    for part, values in changes.items():
        settings[part] |= values
    trainer = Trainer(series, ReconstructionConfig.model_validate(settings), threads=1)
    *_, report = trainer.run(seconds=seconds)
    volume = trainer.reconstruction().render(0.0)
    point = {
        "changes": changes,
        "seconds": round(report.seconds, 2),
        "steps": report.step,
        "relative_residual": round(report.relative_residual, 4),
        "nrmse": round(nrmse(volume, simulation.truth), 4),
        "correlation": round(correlation(volume, simulation.truth), 4),
        "contamination_left": round(contamination_left(volume, simulation.truth, simulation.contamination), 4),
    }
    print(f"  {preset} on {series.name} tilts: {point}", flush=True)
    return point


def _seconds_to_removal(curve: list[dict[str, Any]], nrmse_of_static: float) -> float | None:
    # An empty volume holds no contamination either: it must also be nearer to the truth than any static one.
    return _first(curve, lambda p: p["contamination_removed"] >= REMOVED and p["nrmse"] < nrmse_of_static)


def _first(curve: list[dict[str, Any]], condition: Any) -> float | None:
    return next((point["seconds"] for point in curve if condition(point)), None)


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown: the best point of every curve, and the two comparisons."""
    rows = []
    for name, curve in result["curves"].items():
        best, setting = min(curve, key=lambda point: point["nrmse"]), result["searches"][name]["best"]
        changed = ", ".join(f"{key} {value:g}" for part in setting.values() for key, value in part.items())
        rows.append(
            [
                name,
                f"{best['seconds']:.1f}",
                f"{best['nrmse']:.3f}",
                f"{100 * best['contamination_left']:.1f} %",
                f"{100 * best['contamination_removed']:.0f} %",
                changed or "as the preset",
            ]
        )
    header = ["method, at its best", "training seconds", "NRMSE at t = 0", "contamination left", "removed", "settings"]
    return markdown_table(header, rows) + "\n\n" + _conclusion(result)


def _conclusion(result: dict[str, Any]) -> str:
    growth, paper = (result["seconds_to_removal"][name] for name in ("growth", "paper"))
    limit = max(point["seconds"] for point in result["curves"]["paper"])
    below = result["paper_below_static_after_seconds"]
    or_less = " or less" if below == result["curves"]["paper"][0]["seconds"] else ""
    ratio = "not reached by `growth`"
    if growth:
        ratio = f"{paper / growth:.0f} times as long" if paper else f"more than {limit / growth:.0f} times as long"
    return (
        f"90 % of the contamination removed: `growth` after {_seconds(growth, limit)}, `paper` after "
        f"{_seconds(paper, limit)}, {ratio}. `paper` is nearer to the truth than the best `static` "
        f"({result['best_static_nrmse']:.3f}) after {_seconds(below, limit)}{or_less}."
    )


def _seconds(value: float | None, limit: float) -> str:
    return f"more than {limit:.0f} s" if value is None else f"{value:.1f} s"


def run(*, quick: bool = False) -> Path:
    """Measure, write the table, the numbers and the figure; return the figure's path."""
    from convergence_figure import draw

    measured = measure(quick=quick)
    save("convergence", measured, table(measured), quick=quick)
    path = results_folder(quick) / "convergence.png"
    draw(measured, path)
    return path


if __name__ == "__main__":
    run(quick=quick_asked(__doc__))
