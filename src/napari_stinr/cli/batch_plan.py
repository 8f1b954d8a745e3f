"""What is to be done for every job of a file, found out before the first one begins."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from napari_stinr.cli.describe import describe_problem
from napari_stinr.cli.training import TrainingRequest
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file
from napari_stinr.io.formats.endings import WRITTEN_ENDINGS
from napari_stinr.io.output.replacing import check_replaceable
from napari_stinr.io.output.targets import check_folder, check_output
from napari_stinr.training.jobs.queue import QueuedJob
from napari_stinr.training.jobs.record import JOB, Record, Stand, Standing, stand_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.io.series.given import GivenSeries
    from napari_stinr.training.estimates import Speed
    from napari_stinr.training.jobs.file import Job
    from napari_stinr.training.jobs.options import JobOptions, Volume
    from napari_stinr.training.requirements import Estimate
    from napari_stinr.training.run import Order


@dataclass(frozen=True, eq=False)
class Choice:
    """Which jobs of a file are meant, and how.

    Parameters
    ----------
    only, again : tuple of str
        Names, which may be patterns: of the jobs that are done, and of those that begin anew.
    number : int, optional
        The one job that is done, from 1.
    device : str, optional
        In place of that in the file.
    threads : int, optional
        In place of those in the file.
    """

    only: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    number: int | None = None
    device: str | None = None
    threads: int | None = None

    def of(self, jobs: Sequence[Job]) -> tuple[tuple[int, Job], ...]:
        """Return the jobs that are meant with their numbers; a StinrError says that there is none."""
        names = ", ".join(job.name for job in jobs[:10]) + (", …" if len(jobs) > 10 else "")
        for option, patterns in (("--only", self.only), ("--again", self.again)):
            for pattern in patterns:
                if not any(fnmatchcase(job.name, pattern) for job in jobs):
                    raise StinrError(
                        f"{option} is {pattern}, and no job is called so", expected=names, cure="Give one of these."
                    )
        if self.number is not None and not 1 <= self.number <= len(jobs):
            raise StinrError(
                f"--job is {self.number}",
                expected=f"1 to {len(jobs)}, the jobs of the file",
                cure=f"For SLURM write #SBATCH --array=1-{len(jobs)}.",
            )
        numbered = enumerate(map(self._changed, jobs), 1)
        return tuple(
            (number, job)
            for number, job in numbered
            if self.number in (None, number) and (not self.only or _fits(job.name, self.only))
        )

    def is_again(self, job: Job) -> bool:
        """Return whether a job begins anew, whatever there is of it."""
        return _fits(job.name, self.again)

    def _changed(self, job: Job) -> Job:
        given = {"device": self.device, "threads": self.threads}
        changes = {name: value for name, value in given.items() if value is not None}
        return replace(job, options=job.options.model_copy(update=changes))


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan(QueuedJob):
    """One job with all that is known of it before it begins.

    Parameters
    ----------
    number : int
        Its place in the file, from 1.
    job : Job
        What is asked for.
    series : GivenSeries
        The series, not read yet.
    record : Record
        What decides the run.
    stand : Stand
        How far it has come.
    is_again : bool
        It begins anew all the same.
    volumes : tuple of Volume
        What is to be written of its result.
    estimate : Estimate, optional
        What its training needs, where there is any.
    """

    number: int
    job: Job
    series: GivenSeries
    record: Record
    stand: Stand
    is_again: bool
    volumes: tuple[Volume, ...]
    estimate: Estimate | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.job.name

    @property
    def options(self) -> JobOptions:
        """What is asked for."""
        return self.job.options

    @property
    def is_trained(self) -> bool:
        """Whether there is nothing to train."""
        return self.stand.standing is Standing.DONE

    def order(self, series: TiltSeries) -> Order:
        """Return the order for its series."""
        order = replace(
            _request(self.options, self.options.out, self.stand).order(series), told={JOB: self.record.text}
        )
        # What is begun anew replaces a run that another order must leave alone.
        return replace(order, check=None) if self.is_again else order


def plan_of(number: int, job: Job, *, written: float, is_again: bool, is_estimated: bool = True) -> Plan:
    """Find out what is to be done for a job.

    Parameters
    ----------
    number : int
        Its place in the file.
    job : Job
        What is asked for.
    written : float
        When the file of jobs was written: older volumes are written again [s since 1970].
    is_again : bool
        It begins anew, whatever there is of it.
    is_estimated : bool
        Ask for the memory and the time that it takes.

    Returns
    -------
    Plan
        Nothing is written for it.

    Raises
    ------
    StinrError
        A file cannot be read or written, an option does not fit, the memory does not suffice, or its file holds
        another run; the job and its place are said.
    """
    options = job.options
    try:
        series = options.found()
        _check_pose(options)
        place = _possible(options.out)
        check_output(place)
        for volume in options.export.volumes:
            _check_volume(volume, options)
        record = Record.of(options, series)
        stand = Stand(Standing.NEW) if is_again else stand_of(options.out, record, seconds=options.seconds)
        stand.check(job.name, options.out)
        estimate = None
        if is_estimated and stand.standing is not Standing.DONE:
            estimate = _request(options, place, stand).estimate(series.shape, speed=_speed(options))
    except (StinrError, OSError, MemoryError) as error:
        told = describe_problem(error)
        found = f"{job.place}, job {job.name}: {told.found}"
        raise StinrError(found, expected=told.expected, cure=told.cure) from error
    volumes = options.export.volumes
    if stand.standing is Standing.DONE:
        newest = max(written, _written_at(options.out))
        volumes = tuple(volume for volume in volumes if _written_at(volume.path) < newest)
    return Plan(
        number=number,
        job=job,
        series=series,
        record=record,
        stand=stand,
        is_again=is_again,
        volumes=volumes,
        estimate=estimate,
    )


def _request(options: JobOptions, out: Path, stand: Stand) -> TrainingRequest:
    """Return the request of `stinr train` that is the same."""
    if stand.standing is Standing.BEGUN:
        return TrainingRequest(
            out,
            resume=options.out,
            seconds=options.seconds,
            device=options.device,
            threads=options.threads,
            checkpoint_every=options.checkpoint_every,
            binning=options.bin,
        )
    return TrainingRequest(
        out,
        preset=options.preset,
        settings=options.config,
        steps=options.steps,
        seconds=options.seconds,
        seed=options.seed,
        device=options.device,
        threads=options.threads,
        checkpoint_every=options.checkpoint_every,
        preprocessing=options.preprocessing,
        align=options.align,
        binning=options.bin,
    )


def _check_pose(options: JobOptions) -> None:
    from napari_stinr.alignment.pose_files import POSES
    from napari_stinr.training.jobs.asked import ALIGNMENTS

    pose = options.pose
    if pose is not None and (pose.suffix.lower() not in POSES or not is_file(pose)):
        raise StinrError(
            f"align is {pose}",
            expected=f"{', '.join(ALIGNMENTS)}, or a file with a pose that ends in {', '.join(POSES)}",
            cure="Give one of these.",
        )


def _check_volume(volume: Volume, options: JobOptions) -> None:
    from napari_stinr.reconstruction.export import check_format

    if volume.contamination and options.settings.field.kind == "static":
        raise StinrError(
            f"export gives {volume.path.name} for the contamination of a static run",
            expected="clean only, as nothing changes in such a run",
            cure="Take it out of export, or give another preset.",
        )
    check_format(volume.path, len(volume.times))
    check_output(_possible(volume.path), endings=WRITTEN_ENDINGS)
    if volume.path.parent.is_dir():
        check_replaceable(volume.path)


def _possible(path: Path) -> Path:
    """Return a file of this name in the nearest folder that is there already; a StinrError says that it is none."""
    folder = path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    check_folder(folder)
    return folder / path.name


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return -math.inf


def _speed(options: JobOptions) -> Speed | None:
    """Measure the speed of this machine once for all jobs, where it is the machine's own processor that computes."""
    from napari_stinr.cores import available_threads
    from napari_stinr.devices import resolve_device

    return _measured(options.threads or available_threads()) if resolve_device(options.device).type == "cpu" else None


@lru_cache(maxsize=4)
def _measured(threads: int) -> Speed:
    from napari_stinr.training.estimates import measure_speed

    return measure_speed(threads)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
