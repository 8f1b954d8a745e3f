"""Third-party multislice simulations: the share of the true atoms that have a peak of the volume within 1 Å.

`carbon`: 7514 atoms, 37 tilts over 144 degrees. `asi`: 208 atoms, 60 tilts over 180 degrees, single electrons counted.
The data lie in ../shared/data beside the checkout; without them the benchmark is skipped and says so. `as read` is what
the files hold, looked at and aligned by the program as it does by default; `prepared` has the rotation axis where it is
and no background, and nothing is looked for; `one block` also uses all rows in every step; `linear` is the same atoms
projected linearly, without noise and as wide as in the images: what wedge and sampling alone allow. With `held out` the
length of the run is taken from projections that are not trained on.
Peaks beside the specimen, which a person would not take for atoms, are counted and do not enter the precision.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from common import markdown_table, save
from third_party_truth import (
    SERIES,
    random_peaks,
    read_series,
    rigid_translation,
    specimen_region,
    true_atoms,
    why_absent,
)

from napari_stinr import align, preset_config, reconstruct
from napari_stinr.analysis.atoms import ATOM_WIDTH, MINIMUM_DISTANCE, THRESHOLD, find_atoms, score_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from third_party_truth import ThirdPartySeries

    from napari_stinr import Alignment, TiltSeries
    from napari_stinr.config import ReconstructionConfig

TOLERANCES = (1.0, 0.5)
"""Farthest a peak may be from the atom it counts for [Å]."""

CARBON_BOND = 1.42
"""Bond that the settings of the finder are meant for: for another material they are scaled with the bond [Å]."""

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
WIDTHS = (0.30, 0.35, 0.40, ATOM_WIDTH, 0.60)
"""Of the filter that finds atoms, for carbon [Å]."""

WELL_SEPARATED = 0.1
"""Atoms and ripples are told apart where between them are this few peaks, over those of the commonest height.

The rule sees no truth, but was made when the scores of these data were known: the usual filter is the plain result.
"""

N_RINGS = 32
"""Spatial frequencies, from 0 to Nyquist, at which the width of the atoms in the images is measured."""

VISITS = (10, 20, 40, 80, 160)
"""Lengths of a run that the held-out projections choose from."""

_STATES = (
    ("as read", "static"),
    ("as read", "growth"),
    ("prepared", "static"),
    ("prepared", "growth"),
    ("one block", "static"),
    ("one block", "growth"),
    ("linear", "static"),
)
_NOISY = tuple(("asi", state, preset) for state in ("held out", "as read, held out") for preset in ("static", "growth"))
CASES = (*((name, *state) for name in SERIES for state in _STATES), *_NOISY)
QUICK_CASES = (("asi", "prepared", "static"), ("asi", "prepared", "growth"))


def measure(*, quick: bool) -> dict[str, Any]:
    """Reconstruct and score every case, each in a process of its own.

    Parameters
    ----------
    quick : bool
        The small data set and few steps.

    Returns
    -------
    dict
        Scores of every case.
    """
    cases = []
    for case in QUICK_CASES if quick else CASES:
        command = [sys.executable, __file__, "--case", *case, *(["--quick"] if quick else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{', '.join(case)} failed:\n{done.stderr}")
        cases.append(json.loads(done.stdout))
        print("\n".join(" | ".join(row) for row in _rows(cases[-1])), flush=True)
    return {"cases": cases}


def table(measured: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    header = ["data, preset", "filter", "peaks in + beside it", "recall 1 Å", "precision 1 Å", "recall by chance",
              "recall 0.5 Å, by chance", "rms distance", "training", "memory"]  # fmt: skip
    return markdown_table(header, [row for case in measured["cases"] for row in _rows(case)])


def run_case(name: str, state: str, preset: str, *, quick: bool) -> dict[str, Any]:
    """Reconstruct one data set and score its peaks.

    Parameters
    ----------
    name : str
        Which of `SERIES`.
    state : {"as read", "as read, held out", "prepared", "one block", "held out", "linear"}
        What is done to the projections.
    preset : str
        Preset of the reconstruction.
    quick : bool
        Few steps.

    Returns
    -------
    dict
        Scores, seconds and memory.
    """
    known = SERIES[name]
    is_as_read, is_held_out = state.startswith("as read"), state.endswith("held out")
    series = read_series(known, prepared=not is_as_read)
    if state == "linear":
        series = _linear(known, series)
    start = time.perf_counter()
    one_block = None if state in {"as read", "prepared"} else series.width**2 * series.height
    config = preset_config(preset).with_training(visits=20 if quick else None, voxels_per_step=one_block)
    aligned = align(series) if is_as_read else "off"
    if is_held_out:
        config = config.with_training(visits=_visits_by_held_out(series, config, aligned))
    reconstruction = reconstruct(series, config=config, align=aligned)
    seconds = time.perf_counter() - start
    volume = reconstruction.render(0.0)
    return {
        "data": name,
        "state": state,
        "preset": preset,
        "seconds": seconds,
        "steps": reconstruction.step,
        "visits": config.training.visits,
        "residual": float(reconstruction.provenance["relative_residual"]),
        "peak_megabytes": _peak_megabytes(),
        **_scores(known, volume),
    }


def _visits_by_held_out(series: TiltSeries, config: ReconstructionConfig, aligned: str | Alignment) -> int:
    """Return the length of the run that predicts projections best that it has not seen: a longer one explains noise."""
    last: dict[int, float] = {}
    for visits in VISITS:
        losses: list[float] = []
        held_out = config.with_training(visits=visits, held_out=series.n_tilts // 10)
        reconstruct(
            series,
            config=held_out,
            callback=lambda report, kept=losses: kept.append(report.held_out_loss),
            align=aligned,
        )
        last[visits] = [loss for loss in losses if np.isfinite(loss)][-1]
    return min(last, key=lambda visits: last[visits])


def _linear(known: ThirdPartySeries, series: TiltSeries) -> TiltSeries:
    """Return linear, noise-free projections of the true atoms as wide as in the images; not by our projector.

    How wide is taken from the images: the transfer from points to images at every spatial frequency, over all tilts.
    """
    shape = (series.width, series.height, series.width)
    z, y, x = (true_atoms(known, shape) / series.voxel_size - (np.array(shape) - 1) / 2).T
    rows = np.fft.fftfreq(series.height)[:, None]
    columns = np.fft.rfftfreq(series.width)[:, None]
    frequency = np.hypot(rows, columns.T)
    ring = np.minimum(np.round(frequency * N_RINGS / 0.5).astype(int), N_RINGS)
    points = []
    for angle_rad in np.deg2rad(series.tilt_angles):
        u = x * np.cos(angle_rad) + z * np.sin(angle_rad) + series.axis_offset + (series.width - 1) / 2
        v = y + (series.height - 1) / 2
        points.append(np.exp(-2j * np.pi * rows * v) @ np.exp(-2j * np.pi * columns * u).T)
    spectra = np.array(points)
    images = np.fft.rfft2(series.projections)
    common = np.bincount(ring.ravel(), weights=(images * spectra.conj()).real.sum(axis=0).ravel())
    power = np.bincount(ring.ravel(), weights=(np.abs(spectra) ** 2).sum(axis=0).ravel())
    transfer = np.interp(frequency, np.arange(N_RINGS + 1) / N_RINGS * 0.5, np.maximum(common / power, 0.0))
    projections = np.fft.irfft2(spectra * transfer, s=(series.height, series.width))
    return replace(series, projections=projections.astype(np.float32))


def _separation(heights: NDArray[np.float64]) -> float:
    """Return how few peaks lie between ripples and atoms, over those of the commonest height: 0 where none do."""
    strong = np.median(heights[heights > heights.max() / 4])
    counts, _ = np.histogram(heights / strong, bins=np.arange(0.1, 2.05, 0.1))
    common = 4 + int(counts[4:].argmax())
    return float(counts[1 : common + 1].min() / max(1, counts[common]))


def _scores(known: ThirdPartySeries, volume: NDArray[np.float32]) -> dict[str, Any]:
    bond = known.bond / CARBON_BOND
    region = specimen_region(volume, known.pixel_size)
    by_width = [_score(known, volume, region, width=width * bond, distance=bond) for width in WIDTHS]
    separate = [score for score in by_width if score["separation"] <= WELL_SEPARATED]
    usual = next(score for score in by_width if score["atom_width"] == ATOM_WIDTH * bond)
    return {
        "finder": usual,
        # Chosen without the truth: the narrowest filter that still tells atoms from ripples.
        "narrowest": min([*separate, usual], key=lambda score: score["atom_width"]),
        # What the finder's settings change is shown; nothing is chosen by it.
        "by_width": by_width,
        "by_threshold": [
            _score(known, volume, region, width=ATOM_WIDTH * bond, distance=bond, threshold=threshold)
            for threshold in THRESHOLDS
        ],
        "unscaled": _score(known, volume, region, width=ATOM_WIDTH, distance=1.0),
    }


def _score(
    known: ThirdPartySeries,
    volume: NDArray[np.float32],
    region: NDArray[np.bool_],
    *,
    width: float,
    distance: float,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    size, apart = known.pixel_size, MINIMUM_DISTANCE * distance
    all_peaks, heights = find_atoms(
        volume, voxel_size=size, atom_width=width, minimum_distance=apart, threshold=min(THRESHOLDS)
    )
    inside = region[tuple(np.round(all_peaks / size).astype(int).T)]
    everywhere, _ = find_atoms(volume, voxel_size=size, atom_width=width, minimum_distance=apart, threshold=threshold)
    peaks = everywhere[region[tuple(np.round(everywhere / size).astype(int).T)]]
    expected = true_atoms(known, volume.shape)
    moved = rigid_translation(peaks, expected)
    expected = expected + moved
    guesses = random_peaks(len(peaks), region, voxel_size=size, apart=apart)
    result: dict[str, Any] = {
        "atom_width": width,
        "minimum_distance": apart,
        "threshold": threshold,
        "separation": _separation(heights[inside]),
        "translation": [round(float(shift), 3) for shift in moved],
        "outside": len(everywhere) - len(peaks),
        "recall_of_strongest": score_atoms(peaks[: len(expected)], expected, tolerance=TOLERANCES[0]).recall,
    }
    for tolerance in TOLERANCES:
        score = score_atoms(peaks, expected, tolerance=tolerance)
        chance = score_atoms(guesses, expected, tolerance=tolerance).recall
        result[f"within {tolerance:g}"] = {**score.to_dict(), "chance": chance}
    return result


def _rows(case: dict[str, Any]) -> list[list[str]]:
    finders = [case["finder"]]
    if case["narrowest"]["atom_width"] != case["finder"]["atom_width"]:
        finders.append(case["narrowest"])
    return [_row(case, finder) for finder in finders]


def _row(case: dict[str, Any], finder: dict[str, Any]) -> list[str]:
    near, nearer = (finder[f"within {tolerance:g}"] for tolerance in TOLERANCES)
    return [
        f"{case['data']}, {case['state']}, {case['preset']}",
        f"{finder['atom_width']:.2f} Å",
        f"{near['n_found']} + {finder['outside']}",
        f"{near['recall']:.3f}",
        f"{near['precision']:.3f}",
        f"{near['chance']:.2f}",
        f"{nearer['recall']:.3f}, {nearer['chance']:.2f}",
        "" if near["rms_distance"] is None else f"{near['rms_distance']:.2f} Å",
        f"{case['seconds']:.0f} s",
        f"{case['peak_megabytes']:.0f} MB",
    ]


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main() -> None:
    """Measure one case and print it as JSON, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    parser.add_argument("--case", nargs=3, metavar=("DATA", "STATE", "PRESET"), help="one case, in this process")
    arguments = parser.parse_args()
    if (reason := why_absent()) is not None:
        # Earlier results stay: nothing was measured.
        print(f"skipped: {reason}", flush=True)
        return
    if arguments.case:
        print(json.dumps(run_case(*arguments.case, quick=arguments.quick)))
        return
    measured = measure(quick=arguments.quick)
    save("third_party", measured, table(measured), quick=arguments.quick)


if __name__ == "__main__":
    main()
