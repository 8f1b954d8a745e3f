"""Carry the jobs of a file out: train or go on, write the volumes, say one line each, and a table at the end."""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from typing import TYPE_CHECKING

import typer

from napari_stinr.cli.batch_plan import plan_of
from napari_stinr.cli.batch_tables import Result, result_line, summary_table
from napari_stinr.cli.console import progress, say
from napari_stinr.cli.describe import describe_problem
from napari_stinr.errors import StinrError
from napari_stinr.io.output.claims import claimed
from napari_stinr.training.interrupts import Stopped
from napari_stinr.training.jobs.queue import JobQueue, JobState
from napari_stinr.training.jobs.record import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_stinr.cli.batch_plan import Plan
    from napari_stinr.reconstruction import Reconstruction

logger = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED = 0, 1
_GO_ON = "go on with stinr run {file}."


def run_plans(plans: Sequence[Plan], file: Path, *, n_jobs: int, stops_at_error: bool) -> int:
    """Do all that is planned, and return 0 where all is done, else 1; `Stopped` says that a person stopped it."""
    queue: JobQueue[Plan] = JobQueue()
    queue.add(*plans)
    results: dict[int, Result] = {}
    go_on = _GO_ON.format(file=file)
    while (plan := queue.next()) is not None:
        queue.begin(plan)
        begun = time.monotonic()
        try:
            result = _carried_out(plan, file, n_jobs=n_jobs)
        except (Stopped, KeyboardInterrupt) as stop:
            result = Result(plan, JobState.STOPPED, remark=str(stop).removesuffix(f": {go_on}") or "stopped")
            queue.is_stopped = True
        except Exception as error:  # whatever it is, the others are done all the same
            result = Result(plan, JobState.FAILED, remark=_text_of(error))
            queue.is_stopped = stops_at_error
        result.seconds = result.seconds if result.seconds is not None else time.monotonic() - begun
        queue.end(plan, result.state, result.remark)
        results[plan.number] = result
        _echo(result_line(result, n_jobs))
        gc.collect()
    if len(plans) > 1:
        _echo(summary_table([results.get(plan.number) or Result(plan, plan.state) for plan in plans]))
    n_done = sum(result.state is JobState.DONE for result in results.values())
    if any(result.state is JobState.STOPPED for result in results.values()):
        raise Stopped(f"stopped with {n_done} of {len(plans)} jobs done: {go_on}")
    return ALL_DONE if n_done == len(plans) else SOME_FAILED


def _carried_out(planned: Plan, file: Path, *, n_jobs: int) -> Result:
    """Do one job that nobody else is at; a StinrError says why that failed, `Stopped` that a person stopped it."""
    planned.options.out.parent.mkdir(parents=True, exist_ok=True)
    with claimed(planned.options.out):
        return _done(planned, file, n_jobs=n_jobs)


def _done(planned: Plan, file: Path, *, n_jobs: int) -> Result:
    # What is on the disk may have changed since the others began.
    plan = plan_of(
        planned.number,
        planned.job,
        written=file.stat().st_mtime,
        is_again=planned.is_again,
        is_estimated=False,
    )
    head = f"{plan.number} of {n_jobs}, {plan.name}"
    if plan.is_trained:
        run, is_new = _loaded(plan), False
    else:
        where = f" goes on at step {plan.stand.step}" if plan.stand.standing is Standing.BEGUN else ""
        say(f"{head}{where}")
        run, is_new = _trained(plan, planned, file), True
    for volume in plan.volumes:
        _write(plan, run, volume.path, volume.times, contamination=volume.contamination)
    return Result.of(plan, run, is_new=is_new)


def _trained(plan: Plan, planned: Plan, file: Path) -> Reconstruction:
    from napari_stinr.cli.training import train

    return train(
        plan.order(plan.series.read()),
        title=plan.name,
        estimate=planned.estimate,
        tells_notes=True,
        go_on=_GO_ON.format(file=file),
    )


def _loaded(plan: Plan) -> Reconstruction:
    from napari_stinr.reconstruction import load_reconstruction

    return load_reconstruction(plan.options.out)


def _write(plan: Plan, run: Reconstruction, path: Path, times: Sequence[str], *, contamination: bool) -> None:
    from napari_stinr.reconstruction.export import export_volumes
    from napari_stinr.reconstruction.export_times import stated_time

    path.parent.mkdir(parents=True, exist_ok=True)
    with progress(path.name) as update:
        export_volumes(
            run,
            path,
            times=[stated_time(each, run) for each in times],
            contamination=contamination,
            voxel_size=plan.options.export.voxel_size,
            progress=update,
        )


def _text_of(error: Exception) -> str:
    logger.debug("Job failed", exc_info=error)
    if isinstance(error, StinrError | OSError | MemoryError):
        return str(describe_problem(error))
    return f"{type(error).__name__}: {error or 'no details'}"


def _echo(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more, which must not end the jobs
        typer.echo(text)
