"""The matrix: every kind of case against `static` and the never-contaminated series, on seeds nothing was chosen on.

`python benchmarks/matrix.py --only "181 tilts, side" --seeds 1 --part 1/2` runs a part. Every finished case is a line
of `matrix.jsonl`; what stands there from the same program is not run again, so a run may be stopped and shared out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from common import REPOSITORY, machine, results_folder, save
from matrix_cases import BASE_SEED, N_SEEDS, NOTHING, SIZES, Job, draw_jobs
from matrix_table import SCORES, chosen_records, identity, markdown, quality_table, tabulate

from napari_stinr import SimulationConfig, preset_config, reconstruct, simulate
from napari_stinr.analysis.metrics import contamination_removed, evaluate
from napari_stinr.errors import StinrError
from napari_stinr.training.failures import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matrix_table import Record
    from numpy.typing import NDArray

    from napari_stinr import Reconstruction, TiltSeries
    from napari_stinr.simulation import Simulation

LAST_STEPS = 10
"""The final loss is the median over this part of the steps: that of one step depends on its block."""
UNSEEN = ("cli", "plugin")
"""Rooms of the program that no reconstruction here goes through: a change there leaves the results as they are."""


def run(*, quick: bool = False) -> None:
    """Run the whole matrix as far as it is not there yet, then write its tables.

    Parameters
    ----------
    quick : bool
        Two tiny cases.
    """
    run_jobs(draw_jobs(n_seeds=1, size="quick") if quick else draw_jobs(), results_path(quick))
    write_tables(results_path(quick), base_seed=BASE_SEED, size="quick" if quick else "full", quick=quick)


def run_jobs(
    jobs: Sequence[Job],
    path: Path,
    *,
    threads: int = 1,
    device: str = "cpu",
    score: Callable[..., dict[str, Any]] | None = None,
) -> int:
    """Run the jobs that are not in the results yet, and append a line for each as soon as it is done.

    Parameters
    ----------
    jobs : sequence of Job
        What shall be in the results.
    path : path
        File of results, one JSON object a line.
    threads : int
        CPU threads of a training.
    device : str
        See `reconstruct`.
    score : callable, optional
        Called with a job, ``threads`` and ``device``, returns its scores: `scores_of` by default.

    Returns
    -------
    int
        How many were run.
    """
    program = program_fingerprint()
    about = {"program": program, **commit(), "machine": machine(), "threads": threads, "device": device}
    finished = {identity(record) for record in read_records(path) if "scores" in record}
    waiting = [job for job in jobs if identity(record_of(job, about)) not in finished]
    print(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are there already", flush=True)
    for number, job in enumerate(waiting, 1):
        start = time.perf_counter()
        result: Record
        try:
            result = {"scores": (score or scores_of)(job, threads=threads, device=device)}
        except (StinrError, TrainingError) as error:
            # What diverges counts as failed in the tables, and the others go on.
            result = {"failed": str(error)}
        seconds = time.perf_counter() - start
        append_record(path, {**record_of(job, about), **result, "seconds": round(seconds, 1)})
        said = result.get("failed") or _summary(result["scores"])
        print(f"{number}/{len(waiting)} {job.case.name}, seed {job.seed_number}: {said}, {seconds:.0f} s", flush=True)
    return len(waiting)


def scores_of(job: Job, *, threads: int = 1, device: str = "cpu") -> dict[str, Any]:
    """Simulate a job, and score `growth`, `static` and the never-contaminated series against the truth.

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
        ``growth``, ``static``, ``uncontaminated`` (`static` on the clean series) with their scores, and ``removed``:
        0 is `static`, 1 never contaminated, None where nothing grows or `static` leaves no more than the latter.
    """
    simulation, clean_series = simulated(job)
    grows = job.case.kind != NOTHING
    series = simulation.series if grows else clean_series
    options: dict[str, Any] = {"threads": threads, "device": device, "visits": SIZES[job.size].visits}

    clean, facts = trained("static", clean_series, **options)
    reference = clean.render(0.0)
    scores = {"uncontaminated": scored(reference, reference, simulation, grows=grows) | facts}
    scores["static"] = scores["uncontaminated"]
    if grows:
        static, facts = trained("static", series, **options)
        scores["static"] = scored(static.render(0.0), reference, simulation, grows=True) | facts
    growth, facts = trained("growth", series, **options)
    scores["growth"] = scored(growth.render(0.0), reference, simulation, grows=grows) | facts
    if not grows:
        scores["growth"]["invented"] = float(growth.contamination(1.0).sum() / simulation.truth.sum())
    return {**scores, "removed": removed_part(scores) if grows else None}


def simulated(job: Job) -> tuple[Simulation, TiltSeries]:
    """Simulate a job; also return the series that was never contaminated."""
    simulation = simulate(SimulationConfig(**{**job.settings, "grid": tuple(job.settings["grid"])}))
    return simulation, replace(simulation.series, projections=simulation.clean_projections)


def trained(
    preset: str, series: TiltSeries, *, visits: int | None, **where: Any
) -> tuple[Reconstruction, dict[str, float]]:
    """Train a preset; its seconds and final loss."""
    losses: list[float] = []
    config = preset_config(preset).with_training(visits=visits)
    start = time.perf_counter()
    found = reconstruct(series, config=config, callback=lambda report: losses.append(report.loss), **where)
    seconds = time.perf_counter() - start
    return found, {"seconds": seconds, "loss": statistics.median(losses[-max(1, len(losses) // LAST_STEPS) :])}


def scored(
    volume: NDArray[Any], reference: NDArray[Any], simulation: Simulation, *, grows: bool
) -> dict[str, float | None]:
    """All scores of a volume at t = 0, against the truth and the never-contaminated reconstruction."""
    specimen, voxel_size = simulation.specimen, simulation.config.pixel_size
    found = evaluate(
        volume,
        simulation.truth,
        voxel_size=voxel_size,
        contamination=simulation.contamination if grows else None,
        atom_positions=specimen.indices * voxel_size,
        atom_groups=specimen.groups,
        uncontaminated=reference,
    ).to_dict()
    atoms, left = found.pop("atoms"), found.pop("contamination_left")
    return {**found, "left": left, "f1": atoms["f1"], "precision": atoms["precision"]}


def removed_part(scores: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return what ``growth`` has removed: 0 is ``static``, 1 ``uncontaminated``; None where these are the same."""
    left, left_static, left_clean = (scores[name]["left"] for name in ("growth", "static", "uncontaminated"))
    if not left_static > left_clean:
        return None
    return contamination_removed(left, left_static=left_static, left_uncontaminated=left_clean)


def _summary(scores: dict[str, Any]) -> str:
    record = {"scores": scores}
    said = {name: score.read(record) for name, score in SCORES.items() if name != "seconds"}
    return ", ".join(f"{name} {SCORES[name].write(value)}" for name, value in said.items() if value is not None)


def record_of(job: Job, about: Mapping[str, Any]) -> Record:
    """Return the part of a line that is known before the job has run."""
    factors = asdict(job.case)
    drawn = {"base_seed": job.base_seed, "seed_number": job.seed_number, "size": job.size, "settings": job.settings}
    return {"case": job.case.name, "factors": factors, **drawn, "date": time.strftime("%Y-%m-%d"), **about}


def results_path(quick: bool) -> Path:
    """Return the file of results."""
    return results_folder(quick) / "matrix.jsonl"


def read_records(path: Path) -> list[Record]:
    """Return all lines of a file of results that are whole; none where there is no file."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            # A process was killed while it wrote: that case is run again.
            continue
    return records


def append_record(path: Path, record: Record) -> None:
    """Append a line; several processes may do so at once."""
    # One write in append mode, so that lines do not mix, on a new line after one that was cut off.
    broken = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("ab", buffering=0) as file:
        file.write((("\n" if broken else "") + json.dumps(record, ensure_ascii=False) + "\n").encode())


def program_fingerprint() -> str:
    """Return a hash of all source files that a reconstruction goes through."""
    source = REPOSITORY / "src" / "napari_stinr"
    content = hashlib.sha256()
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source)
        if name.parts[0] not in UNSEEN:
            content.update(name.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:12]


def commit() -> dict[str, Any]:
    """Return the commit of the checkout, and whether its source differs from it; an empty one outside of git."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--", "src", "benchmarks/*.py")),
    }


def write_tables(path: Path, *, base_seed: int, size: str, quick: bool) -> None:
    """Write `matrix.json`, `matrix.md` (what is quoted) and `matrix_factors.md` from the results.

    Parameters
    ----------
    path : path
        File of results.
    base_seed : int
        Whose runs to tabulate.
    size : str
        Of which size.
    quick : bool
        Write to the folder of quick runs.
    """
    records = chosen_records(read_records(path), base_seed=base_seed, size=size)
    if not records:
        print(f"no runs of base seed {base_seed} and size {size}", flush=True)
        return
    measured = tabulate(records)
    factors = f"Over the cells of the matrix, median / worst:\n\n{markdown('factor', measured['factors'])}"
    (results_folder(quick) / "matrix_factors.md").write_text(factors + "\n", encoding="utf-8")
    print(f"\n{factors}", flush=True)
    save("matrix", measured, quality_table(measured), quick=quick)


def part_of(jobs: Sequence[Job], part: str) -> list[Job]:
    """Return the k-th of n parts of the jobs, for ``"k/n"``."""
    try:
        which, n_parts = map(int, part.split("/"))
    except ValueError:
        which, n_parts = 0, 0
    if not 1 <= which <= n_parts:
        raise StinrError(f"the part is {part!r}", expected="K/N with K from 1 to N", cure="Give --part 1/2, say.")
    return list(jobs[which - 1 :: n_parts])


def main() -> None:
    """Read the command line, run what is asked for, and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="cases with this in their name or in a row that holds them; twice: with both")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=N_SEEDS, help="seeds for every case (%(default)s)")
    parser.add_argument("--base-seed", type=int, default=BASE_SEED, help="what is drawn starts from it (%(default)s)")
    parser.add_argument("--size", choices=SIZES, default="full", help="how large the boxes are (%(default)s)")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="the K-th of N parts, each a process of its own")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a training (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where it trains (%(default)s)")
    parser.add_argument("--table", action="store_true", help="run nothing: make the tables from the results")
    parser.add_argument("--quick", action="store_true", help="two tiny cases: shows that it works, measures nothing")
    asked = parser.parse_args()
    size = "quick" if asked.quick else asked.size
    quick, n_seeds = size == "quick", 1 if asked.quick else asked.seeds
    jobs = draw_jobs(n_seeds=n_seeds, base_seed=asked.base_seed, size=size, only=tuple(asked.only))
    if not asked.table:
        try:
            part = part_of(jobs, asked.part)
        except StinrError as error:
            parser.error(str(error))
        run_jobs(part, results_path(quick), threads=asked.threads, device=asked.device)
    write_tables(results_path(quick), base_seed=asked.base_seed, size=size, quick=quick)


if __name__ == "__main__":
    main()
