"""Neural or not: the density of `growth` as grids that are added up, and as grids that a network decodes.

The volume of a case is fitted with each for the CPU time that grids take at Standard and at High, with the same
surface: the search for it takes grids anyway, and is run once. A third density tells whether it is the network that
matters, or only that it bends the sum of the grids more than a softplus does: grids alone, with the square of one.

`python benchmarks/neural.py --only "3 % noise" --seeds 2` runs a part. Every finished case is a line of
`neural.jsonl`; what stands there from the same program is not run again.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import results_folder, save
from matrix import read_records, removed_part, run_jobs, scored, simulated, trained
from matrix_cases import CASES, ROWS, SIZES, SPECIMENS, STEADY, Job, draw_job, draw_jobs
from matrix_table import chosen_records
from neural_table import GRIDS, LENGTHS, scores_table, table, tabulate

from napari_stinr.config import ReconstructionConfig, TrainingConfig, preset_config
from napari_stinr.data.geometry import grid_of
from napari_stinr.data.margin import EdgeMatter
from napari_stinr.data.measurements import Measurements
from napari_stinr.devices import has_bfloat16, resolve_device
from napari_stinr.fields import build_field
from napari_stinr.fields.static import Density
from napari_stinr.projection.views import Views
from napari_stinr.reconstruction.rendering import potential_at
from napari_stinr.training.batching import blocks_of_rows
from napari_stinr.training.field_fit import FieldFit
from napari_stinr.training.fit import Fit
from napari_stinr.training.objectives import build_objective
from napari_stinr.training.surface import ROUNDS, SurfaceSearch, search_settings
from napari_stinr.training.whole_atoms import decide_on_whole_atoms, is_undecided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr import TiltSeries
    from napari_stinr.data.geometry import VoxelGrid

BASE_SEED = 700001
"""Drawn after the settings of the network were chosen, on seeds 301 to 303 of `SimulationConfig`."""


class SquaredDensity(Density):
    """Grids that are added up, as by default, but the square of the softplus: small values stay small for longer."""

    def rate(self, training: TrainingConfig, *, contrast: float, n_blocks: int) -> float:
        """Return a quarter of the rate, as the square changes faster; chosen on the same seeds as the network."""
        return super().rate(training, contrast=contrast, n_blocks=n_blocks) / 4

    def _unlimited_on_lattice(self, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return super()._unlimited_on_lattice(z, y, x).square() / self.scale

    def _unlimited_at(self, coordinates: torch.Tensor) -> torch.Tensor:
        return super()._unlimited_at(coordinates).square() / self.scale


@dataclass(frozen=True)
class Candidate:
    """A density that is compared with grids."""

    settings: Mapping[str, int] = field(default_factory=dict)  # of the field
    rate: float | None = None  # training.density_rate at Standard; None: that of grids
    density: type[Density] = Density

    def config(self, length: str) -> ReconstructionConfig:
        """Return the settings for a quality."""
        base = preset_config("growth").with_quality(length)
        rate = None if self.rate is None else self.rate * base.training.density_rate / TrainingConfig().density_rate
        changed = base.model_copy(update={"field": base.field.model_copy(update=self.settings)})
        return changed.with_training(density_rate=rate)


CANDIDATES = {
    "network": Candidate({"features": 4, "hidden": 32}, rate=0.06),
    "squared": Candidate(density=SquaredDensity),
}


def run(*, quick: bool = False) -> None:
    """Run the cases of the first seed as far as they are not there yet, then write the tables.

    Parameters
    ----------
    quick : bool
        One tiny case.
    """
    size = "quick" if quick else "small"
    jobs = draw_jobs(n_seeds=1, base_seed=BASE_SEED, size=size)[:1] if quick else spread_jobs(n_seeds=1)
    run_jobs(jobs, results_path(quick), score=scores_of)
    write_tables(results_path(quick), size=size, quick=quick)


def spread_jobs(*, n_seeds: int, only: Sequence[str] = ()) -> list[Job]:
    """Return cases of every row of the matrix where something grows steadily, one of each specimen for a seed.

    Parameters
    ----------
    n_seeds : int
        Seeds for each.
    only : sequence of str
        Texts that must all stand in the title of a row.

    Returns
    -------
    list of Job
        In an order in which the first few are of all rows and specimens.
    """
    # Last rows first: a wedge and noise are where a network might know better.
    rows = [row for row in ROWS[::-1] if row.kind == STEADY and all(text in row.title for text in only)]
    jobs: dict[tuple[str, int], Job] = {}
    for turn in range(n_seeds * len(SPECIMENS)):
        for place, row in enumerate(rows, start=turn):
            specimen, number = SPECIMENS[place % len(SPECIMENS)], turn // len(SPECIMENS)
            if cases := [case for case in CASES if row.holds(case) and case.specimen == specimen]:
                case = cases[place % len(cases)]
                jobs.setdefault((case.name, number), draw_job(case, number, base_seed=BASE_SEED, size="small"))
    return list(jobs.values())


@dataclass(frozen=True, eq=False)
class Volume:
    """What the volume of a case is fitted to, with the surface that was found for it."""

    series: TiltSeries
    grid: VoxelGrid
    regions: torch.Tensor | None  # None where matter reaches the edge: there is no surface to find
    device: torch.device
    threads: int

    @classmethod
    def of(cls, series: TiltSeries, *, device: str, threads: int) -> Volume:
        """Find the surface of the specimen in a series."""
        config, where = preset_config("growth"), resolve_device(device)
        margin = EdgeMatter.of_series(series).margin(series.width, config.training.margin)
        grid = grid_of(series, margin=margin)
        found = None if margin else _regions(series, grid, config, device=where, threads=threads)
        return cls(series, grid, found, where, threads)

    def fitted(
        self, config: ReconstructionConfig, *, density: type[Density] = Density, cpu_seconds: float | None = None
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Fit the volume for so long, or in the steps of the settings.

        Parameters
        ----------
        config : ReconstructionConfig
            Settings of a growth field.
        density : type
            Its density, of these settings.
        cpu_seconds : float, optional
            CPU time of the fit, whose part that is over decides learning rates and duration of an arrival [s].

        Returns
        -------
        volume : ndarray
            `(z, y, x)` float32 potential at t = 0 [V].
        facts : dict
            ``steps`` and ``seconds``, the CPU time of all steps [s].
        """
        config = config if self.regions is not None else config.voxelwise()
        fit, steps = self._fit(config, density), None
        if cpu_seconds is None:
            steps = config.training.visits * blocks_of_rows(config.training, self.grid)
        facts = _advance(fit, config.training.seed, steps=steps, cpu_seconds=cpu_seconds, volume=self.grid)
        return potential_at(fit.field.cpu().requires_grad_(False).eval(), self.grid, 0.0), facts

    def _fit(self, config: ReconstructionConfig, density: type[Density]) -> FieldFit:
        data, training = Measurements.of(self.series, device=self.device), config.training
        torch.manual_seed(training.seed)
        field = build_field(config, self.grid, scale=data.typical_potential(self.grid)).to(self.device)
        field.density = density(self.grid, config.field, scale=float(field.density.scale)).to(self.device)
        if self.regions is not None:
            field.tell_regions(self.regions)
        bfloat16 = config.field.has_network and has_bfloat16(self.device)
        views = Views.of(self.series)
        fit = Fit(data, views, self.grid, training, threads=self.threads, bfloat16=bfloat16, blur=field.blur)
        n_blocks = blocks_of_rows(training, self.grid)
        return FieldFit("field", field, build_objective(fit), training, contrast=data.contrast, n_blocks=n_blocks)


def _regions(
    series: TiltSeries, grid: VoxelGrid, config: ReconstructionConfig, *, device: torch.device, threads: int
) -> torch.Tensor:
    """Regions of a growth field, found as by a whole run."""
    search = SurfaceSearch(
        series,
        grid,
        config.field,
        config.training,
        device=device,
        threads=threads,
        without=np.empty(0, dtype=np.int64),
    )
    settings = search_settings(config.training)
    for _ in range(ROUNDS):
        fit = search.fit()
        _advance(fit, settings.seed, steps=settings.visits * blocks_of_rows(settings, search.grid))
        search.learn(fit.field)
    return torch.cat([rows for _, rows in search.regions(fit.field)])


def _advance(
    fit: FieldFit,
    seed: int,
    *,
    steps: int | None = None,
    cpu_seconds: float | None = None,
    volume: VoxelGrid | None = None,
) -> dict[str, float]:
    """Go on for so many steps or so much CPU time, with the atoms of a volume decided on; how much it was of both."""
    generator, start = torch.Generator().manual_seed(seed), time.process_time()
    for step in itertools.count():
        used = time.process_time() - start
        fraction = step / steps if steps is not None else used / cpu_seconds
        if fraction >= 1:
            return {"steps": step, "seconds": used}
        if (
            volume is not None
            and is_undecided(fit.field)
            and decide_on_whole_atoms(fit.field, volume, fraction=fraction)
        ):
            fit.renew()
        fit.advance(generator, step=step, fraction=fraction, at=step)
    raise AssertionError("counting ends nowhere")


def scores_of(job: Job, *, threads: int = 1, device: str = "cpu") -> dict[str, Any]:
    """Simulate a job, and score every density for every length against the truth.

    Parameters
    ----------
    job : Job
        What to simulate.
    threads : int
        CPU threads of a training.
    device : str
        See `reconstruct`.

    Returns
    -------
    dict
        As of the matrix, with grids at Standard for ``growth``; and ``fits``: the same scores for each density and
        length, with what it has ``removed``.
    """
    simulation, clean_series = simulated(job)
    options: dict[str, Any] = {"threads": threads, "device": device, "visits": SIZES[job.size].visits}
    clean, facts = trained("static", clean_series, **options)
    reference = clean.render(0.0)
    scores = {"uncontaminated": scored(reference, reference, simulation, grows=True) | facts}
    static, facts = trained("static", simulation.series, **options)
    scores["static"] = scored(static.render(0.0), reference, simulation, grows=True) | facts
    torch.set_num_threads(threads)
    volume, fits = Volume.of(simulation.series, device=device, threads=threads), {}
    for length in LENGTHS:
        config = preset_config("growth").with_quality(length).with_training(visits=options["visits"])
        found, facts = volume.fitted(config)
        fits[f"{GRIDS}, {length}"] = scored(found, reference, simulation, grows=True) | facts
        for name, candidate in CANDIDATES.items():
            found, spent = volume.fitted(
                candidate.config(length), density=candidate.density, cpu_seconds=facts["seconds"]
            )
            fits[f"{name}, {length}"] = scored(found, reference, simulation, grows=True) | spent
    for fit in fits.values():
        fit["removed"] = removed_part({**scores, "growth": fit})
    standard = fits[f"{GRIDS}, Standard"]
    return {**scores, "growth": standard, "removed": standard["removed"], "fits": fits}


def write_tables(path: Path, *, size: str, quick: bool) -> None:
    """Write `neural.json`, `neural.md` (what is quoted) and `neural_scores.md` from the results.

    Parameters
    ----------
    path : path
        File of results.
    size : str
        Of which size of `SIZES`.
    quick : bool
        Write to the folder of quick runs.
    """
    records = chosen_records(read_records(path), base_seed=BASE_SEED, size=size)
    if not any("scores" in record for record in records):
        print(f"no runs of base seed {BASE_SEED} and size {size}", flush=True)
        return
    measured = tabulate(records, list(CANDIDATES))
    scores = f"Median / worst, by case, density and whose CPU time it took:\n\n{scores_table(measured)}\n"
    (results_folder(quick) / "neural_scores.md").write_text(scores, encoding="utf-8")
    print(f"\n{scores}", flush=True)
    save("neural", measured, table(measured), quick=quick)


def results_path(quick: bool) -> Path:
    """Return the file of results."""
    return results_folder(quick) / "neural.jsonl"


def main() -> None:
    """Read the command line, run what is asked for, and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="rows of the matrix with this in their title; twice: with both")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, help="seeds for every case (%(default)s)")
    parser.add_argument("--table", action="store_true", help="run nothing: make the tables from the results")
    parser.add_argument("--quick", action="store_true", help="one tiny case: shows that it works, measures nothing")
    asked = parser.parse_args()
    if asked.quick:
        run(quick=True)
        return
    if not asked.table:
        run_jobs(spread_jobs(n_seeds=asked.seeds, only=asked.only), results_path(False), score=scores_of)
    write_tables(results_path(False), size="small", quick=False)


if __name__ == "__main__":
    main()
