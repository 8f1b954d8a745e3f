"""The cases of the matrix: every combination of specimen, tilts, order and growth, and the rows that are quoted.

What no factor names is drawn for every case and seed: pixel size, box, how near carbon comes to itself and to the
specimen, and the seed of the simulation. A new base seed gives other cases, which no setting has been chosen on.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BASE_SEED = 648201
"""Draw a new one after the last change of a setting; settings are chosen on other base seeds."""
N_SEEDS = 3

SPECIMENS = ("nanotube", "particle", "glass")
ORDERS = ("sequential", "interleaved", "dose-symmetric")
GROWTHS = {"side": "side", "all round": "radial"}
NOISY = "61 over 120, 3 % noise"
TILTS: dict[str, dict[str, float]] = {
    "181 over 180": {"tilt_start": 0, "tilt_stop": 180, "tilt_step": 1},
    "61 over 180": {"tilt_start": 0, "tilt_stop": 180, "tilt_step": 3},
    "61 over 120": {"tilt_start": -60, "tilt_stop": 60, "tilt_step": 2},
    "41 over 120, 3 % noise": {"tilt_start": -60, "tilt_stop": 60, "tilt_step": 3, "noise": 0.03},
}
EXTRA_TILTS = {NOISY: {**TILTS["61 over 120"], "noise": 0.03}}
"""Not part of the product, for the rows that ask for it."""
CENTRED = {"tilt_start": -90, "tilt_stop": 90}
"""The full range where the order starts in its middle: from 0 to 180 degrees, dose-symmetric would be sequential."""
STEADY, BURST, NOTHING = "steady", "burst", "nothing grows"

PIXEL_SIZES = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
MINIMUM_DISTANCES = (1.45, 2.0)
GAPS = (1.6, 3.0)


@dataclass(frozen=True)
class Size:
    """How large the box is, between two bounds for width = depth and for height [Å], and the length of a training.

    Parameters
    ----------
    width, height : tuple of float
        Least and largest [Å].
    visits : int, optional
        Steps for every block; that of the preset by default.
    tilt_step : float, optional
        Step of every case [degrees]; that of the case by default.
    """

    width: tuple[float, float]
    height: tuple[float, float]
    visits: int | None = None
    tilt_step: float | None = None


SIZES = {
    "full": Size(width=(40.0, 44.0), height=(12.0, 20.0)),
    "small": Size(width=(29.0, 31.0), height=(12.0, 14.0)),
    "quick": Size(width=(20.0, 22.0), height=(8.5, 9.0), visits=40, tilt_step=10),
}


@dataclass(frozen=True)
class Case:
    """One cell of the matrix, or a case beside it.

    Parameters
    ----------
    specimen : str
        One of `SPECIMENS`.
    tilts : str
        One of `TILTS` or `EXTRA_TILTS`.
    order : str
        One of `ORDERS`.
    growth : str
        One of `GROWTHS`.
    kind : str
        `STEADY`, `BURST` (all carbon in the first 5 % of the time) or `NOTHING` (none at all).
    """

    specimen: str
    tilts: str
    order: str
    growth: str
    kind: str = STEADY

    @property
    def name(self) -> str:
        """All factors, as they are quoted."""
        values = list(asdict(self).values())
        return ", ".join(values[:-1] if self.kind == STEADY else values)

    @property
    def is_in_product(self) -> bool:
        """Whether the case is a cell of the matrix."""
        return self.kind == STEADY and self.tilts in TILTS


@dataclass(frozen=True)
class Row:
    """A row that is quoted: all cases with these factors; what it leaves open takes every value."""

    title: str
    tilts: str
    order: str | None = None
    growth: str | None = None
    specimen: str | None = None
    kind: str = STEADY

    def holds(self, case: Case) -> bool:
        """Whether a case belongs to the row."""
        asked = {name: value for name, value in asdict(self).items() if name != "title" and value is not None}
        return all(getattr(case, name) == value for name, value in asked.items())


ROWS = (
    Row("181 tilts, side", "181 over 180", growth="side"),
    Row("181 tilts, all round", "181 over 180", growth="all round"),
    Row("61 tilts over 180", "61 over 180"),
    Row("61 over 120, interleaved, 3 % noise", NOISY, order="interleaved"),
    Row(
        "41 over 120, dose-symmetric, 3 % noise, particle, all round",
        "41 over 120, 3 % noise",
        order="dose-symmetric",
        growth="all round",
        specimen="particle",
    ),
    Row("61 over 120, sequential, 3 % noise", NOISY, order="sequential"),
    Row("41 over 120, sequential, 3 % noise", "41 over 120, 3 % noise", order="sequential"),
    Row("burst in the first 5 %", "181 over 180", kind=BURST),
    Row("nothing grows", "181 over 180", kind=NOTHING),
    Row("nothing grows, 61 over 120, sequential, 3 % noise", NOISY, kind=NOTHING),
)
FACTORS = ("specimen", "tilts", "order", "growth")


def _all_cases() -> tuple[Case, ...]:
    product = [Case(*factors) for factors in itertools.product(SPECIMENS, TILTS, ORDERS, GROWTHS)]
    noisy = [
        Case(specimen, NOISY, order, growth)
        for specimen, order, growth in itertools.product(SPECIMENS, ("sequential", "interleaved"), GROWTHS)
    ]
    others = [
        Case(specimen, tilts, "sequential", "side", kind)
        for tilts, kind in (("181 over 180", BURST), ("181 over 180", NOTHING), (NOISY, NOTHING))
        for specimen in SPECIMENS
    ]
    return (*product, *noisy, *others)


CASES = _all_cases()
"""The place of a case decides what is drawn for it: add new ones at the end."""
QUICK_CASES = tuple(case for case in CASES if case.specimen == "particle" and case.tilts == NOISY)[-2:]
"""One with growth and one without."""


@dataclass(frozen=True)
class Job:
    """A case with everything that was drawn for one seed.

    Parameters
    ----------
    case : Case
        The case.
    base_seed, seed_number : int
        What it was drawn from, besides the place of the case.
    size : str
        One of `SIZES`.
    settings : dict
        Settings of `SimulationConfig`, as JSON holds them.
    """

    case: Case
    base_seed: int
    seed_number: int
    size: str
    settings: dict[str, Any]


def draw_job(case: Case, seed_number: int, *, base_seed: int = BASE_SEED, size: str = "full") -> Job:
    """Draw what no factor of a case names; the same numbers give the same job.

    Parameters
    ----------
    case : Case
        One of `CASES`.
    seed_number : int
        Number of the seed, from 0.
    base_seed : int
        Another one gives another job for every case and seed.
    size : str
        One of `SIZES`.

    Returns
    -------
    Job
        Pixel size of `PIXEL_SIZES`, box of the size, distances in `MINIMUM_DISTANCES` and `GAPS`.
    """
    generator, bounds = np.random.default_rng([base_seed, CASES.index(case), seed_number]), SIZES[size]
    pixel_size = float(generator.choice(PIXEL_SIZES))
    width, height = (int(generator.uniform(*edge) / pixel_size) for edge in (bounds.width, bounds.height))
    settings: dict[str, Any] = {**TILTS, **EXTRA_TILTS}[case.tilts] | {
        "specimen": case.specimen,
        "order": case.order,
        "growth": GROWTHS[case.growth],
        "pace": BURST if case.kind == BURST else STEADY,
        "pixel_size": pixel_size,
        # The least height is a bound of the simulation, too.
        "grid": [width, height + 1, width],
        "minimum_distance": round(float(generator.uniform(*MINIMUM_DISTANCES)), 2),
        "gap": round(float(generator.uniform(*GAPS)), 2),
        "seed": int(generator.integers(2**31)),
    }
    if case.order == "dose-symmetric" and settings["tilt_start"] == 0:
        settings |= CENTRED
    if bounds.tilt_step is not None:
        settings["tilt_step"] = bounds.tilt_step
    return Job(case, base_seed, seed_number, size, settings)


def draw_jobs(
    *, n_seeds: int = N_SEEDS, base_seed: int = BASE_SEED, size: str = "full", only: tuple[str, ...] = ()
) -> list[Job]:
    """Draw the jobs of a matrix: the first seed of all cases, then the second.

    Parameters
    ----------
    n_seeds : int
        Seeds for every case.
    base_seed : int
        What is drawn starts from it.
    size : str
        One of `SIZES`.
    only : tuple of str
        Texts that must all stand in the name of a case, or in the title of a row that holds it.

    Returns
    -------
    list of Job
        One for every case and seed.
    """
    cases = QUICK_CASES if size == "quick" else CASES
    chosen = [case for case in cases if all(_mentions(case, text) for text in only)]
    return [draw_job(case, number, base_seed=base_seed, size=size) for number in range(n_seeds) for case in chosen]


def _mentions(case: Case, text: str) -> bool:
    return any(text in name for name in (case.name, *(row.title for row in ROWS if row.holds(case))))
