"""The command ``stinr run``: the jobs of a file, one after the other without anybody there."""

from pathlib import Path
from typing import Annotated

import typer

from napari_stinr.cli.console import say
from napari_stinr.cli.series_options import Threads
from napari_stinr.errors import StinrError
from napari_stinr.training.distributed.place import launched

ALL_DONE, WRONG = 0, 2


def run_command(
    file: Annotated[
        Path | None, typer.Argument(metavar="JOBS.yaml", help="File of jobs; see --example.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and how long it takes.")] = False,
    example: Annotated[bool, typer.Option("--example", help="Print a file of jobs that works.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this job, or those like 'needle*'; may be repeated.")
    ] = None,
    job: Annotated[
        int | None, typer.Option(metavar="K", help="Only job number K, from 1: --job $SLURM_ARRAY_TASK_ID.")
    ] = None,
    again: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Begin this job anew and replace what there is of it; may be repeated."),
    ] = None,
    stop_at_first_error: Annotated[
        bool, typer.Option("--stop-at-first-error", help="Begin no other job when one has failed.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda:0|mps", help="Where to compute. Default: as in the file.")
    ] = None,
    threads: Threads = None,
) -> int:
    """Reconstruct several tilt series that a file lists; what is done already is not done again.

    Ctrl-C stops after the step and saves; the same command goes on. Exit code 0: all done; 1: a job failed; 2: the
    file or a job is wrong, and nothing has begun; 130: stopped.
    """
    if example:
        from napari_stinr.training.jobs.example import EXAMPLE

        typer.echo(EXAMPLE, nl=False)
        return ALL_DONE
    if file is None:
        raise StinrError(
            "no file of jobs is given", expected="stinr run JOBS.yaml", cure="stinr run --example prints one."
        )
    place = launched()
    if place is not None:
        raise StinrError(
            f"stinr run is one of {place.n_ranks} processes",
            expected="one process",
            cure="Start it without torchrun; with --job K several of them share the jobs.",
        )
    from napari_stinr.cli.batch_plan import Choice, plan_of
    from napari_stinr.training.jobs.file import FaultyJobsError, read_jobs

    try:
        jobs = read_jobs(file)
    except FaultyJobsError as error:
        return _wrong(error.problems)
    choice = Choice(tuple(only or ()), tuple(again or ()), job, device, threads)
    plans, problems = [], []
    for number, chosen in choice.of(jobs):
        try:
            plans.append(plan_of(number, chosen, written=file.stat().st_mtime, is_again=choice.is_again(chosen)))
        except StinrError as error:
            problems.append(error)
    if dry_run and plans:
        from napari_stinr.cli.batch_tables import plan_table

        typer.echo(plan_table(plans))
    if problems:
        return _wrong(problems)
    if dry_run:
        return ALL_DONE
    from napari_stinr.cli.batch_run import run_plans

    return run_plans(plans, file, n_jobs=len(jobs), stops_at_error=stop_at_first_error)


def _wrong(problems: "list[StinrError] | tuple[StinrError, ...]") -> int:
    for problem in problems:
        say(str(problem))
    return WRONG
