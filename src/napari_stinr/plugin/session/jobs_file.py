"""The queue of a window as a file of jobs, and such a file as a queue: `stinr run` does the same without a window."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from napari_stinr.config import preset_config
from napari_stinr.errors import StinrError
from napari_stinr.io import atomic_output, write_tilt_angles, write_times
from napari_stinr.plugin.session.alignment_files import save_pose
from napari_stinr.plugin.session.asked_job import AskedJob
from napari_stinr.plugin.session.corrections import angles_from, times_from
from napari_stinr.plugin.session.draft import EDITED
from napari_stinr.plugin.session.dropped import Dropped
from napari_stinr.plugin.session.queue import Job
from napari_stinr.training.jobs.file import FaultyJobsError, read_jobs
from napari_stinr.training.jobs.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.plugin.session.alignment_pose import KnownPose
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.training.jobs.options import JobOptions

JOBS_FILTER = "Jobs (*.yaml *.yml)"
_HEAD = "# Jobs of napari-stinr. In a shell: stinr run {name}\n"


def load_jobs(path: Path, *, threads: int) -> tuple[Job, ...]:
    """Read a file of jobs with the series that they are about.

    Parameters
    ----------
    path : Path
        What :func:`napari_stinr.training.jobs.file.read_jobs` reads.
    threads : int
        CPU threads of a job that does not say how many.

    Returns
    -------
    tuple of Job
        To be added to a queue.

    Raises
    ------
    StinrError
        Something is wrong with one of them, which is named.
    """
    try:
        asked = read_jobs(path)
    except FaultyJobsError as error:
        n = len(error.problems) - 1
        if not n:
            raise
        raise StinrError(
            error.found, expected=error.expected, cure=f"{error.cure} {n} more: see stinr run {path.name} --dry-run."
        ) from error
    drafts: dict[str, SeriesDraft] = {}
    return tuple(_loaded(each.options, each.place, drafts, threads=threads) for each in asked)


def save_jobs(path: Path, jobs: Sequence[Job], *, known: KnownPose | None = None) -> list[Path]:
    """Write the jobs of a queue, done or not.

    Angles, times and poses that are in the window only go into files beside it.

    Parameters
    ----------
    path : Path
        YAML file to write; replaced if it is there.
    jobs : sequence of Job
        The jobs.
    known : KnownPose, optional
        The pose that a training of its series takes.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    StinrError
        The projections of a job are in the viewer only, or not in order; or a file cannot be written.
    """
    path = path.expanduser().absolute()
    written, listed, names = [path], list[dict[str, Any]](), set[str]()
    for job in jobs:
        job.draft.check()
        if job.draft.path is None:
            raise StinrError(
                f"the projections of {job.draft.name} are in this viewer only",
                expected="a file",
                cure="Save their layer as MRC, open that file, and queue that.",
            )
    for job in jobs:
        name = _free_name(job, names)
        words, files = _words(job, name, path, known)
        written += [file for file in files if file not in written]
        listed.append({"name": name, **words})
    text = yaml.safe_dump({"jobs": listed}, sort_keys=False, width=10_000, allow_unicode=True)
    with atomic_output(path) as temporary:
        temporary.write_text(_HEAD.format(name=path.name) + text, encoding="utf-8")
    return written


def _loaded(options: JobOptions, place: str, drafts: dict[str, SeriesDraft], *, threads: int) -> Job:
    try:
        if options.seconds is not None:
            raise StinrError(
                "seconds is given", expected="steps, as a window trains for", cure="Use stinr run for this file."
            )
        key = repr(options.model_dump(include=_OF_SERIES))
        draft = drafts[key] = drafts.get(key) or _draft(options)
        record = Record.of(options, options.found())
        asked = AskedJob(options, record, _pose(options, draft))
    except StinrError as error:
        found = f"{place}, job {options.name}: {error.found}"
        raise StinrError(found, expected=error.expected, cure=error.cure) from error
    return Job(draft, options.settings, options.device, options.threads or threads, asked=asked)


_OF_SERIES = {
    "stack", "angles", "times", "pixel_size", "flip_tilt", "axis_offset", "exclude", "bin", "invert_contrast", "crop",
}  # fmt: skip


def _draft(options: JobOptions) -> SeriesDraft:
    """Read the series of a job; seeds share one."""
    from napari_stinr.data.preprocessing.crop import Crop
    from napari_stinr.io.series.given import positions_of

    draft = Dropped.of(options.stack).draft(None)
    draft = draft if options.angles is None else angles_from(draft, options.angles)
    draft = draft if options.times is None else times_from(draft, options.times)
    used = draft.used.copy()
    for position in positions_of(options.exclude):
        if not 0 <= position < draft.n_tilts:
            raise StinrError(
                f"exclude has {position}", expected=f"positions from 0 to {draft.n_tilts - 1}", cure="Correct it there."
            )
        used[position] = False
    is_given = options.pixel_size is not None
    draft = replace(
        draft,
        used=used,
        pixel_size=options.pixel_size if is_given else draft.pixel_size,
        pixel_size_given=is_given,
        flip_tilt=options.flip_tilt,
        axis_offset=options.axis_offset,
        binning=options.bin,
        invert_contrast=options.invert_contrast,
        crop=None if options.crop is None else Crop.of_text(options.crop),
    )
    draft.check()
    return draft


def _pose(options: JobOptions, draft: SeriesDraft) -> Pose | None:
    if options.pose is None:
        return None
    from napari_stinr.alignment.pose_files import read_pose

    series, turned = draft.series(), options.settings.preprocessing.axis == "horizontal"
    return read_pose(options.pose, shape=(series.height, series.width), tilt_angles=series.tilt_angles, turned=turned)


def _words(job: Job, name: str, path: Path, known: KnownPose | None) -> tuple[dict[str, Any], list[Path]]:
    """Return the options of a job as they are written, and the files beside that were written for it."""
    draft, config, files = job.draft, job.config, list[Path]()
    stack = [_relative(each, path.parent) for each in (*draft.paths, *draft.described_by)]
    words: dict[str, Any] = {"stack": stack[0] if len(stack) == 1 else stack}
    beside = path.with_name(f"{path.stem}_{name}")
    for option, argument in (("angles", draft.angles_argument), ("times", draft.times_argument)):
        if argument == EDITED:
            file = beside.with_name(f"{beside.name}.rawtlt" if option == "angles" else f"{beside.name}_times.csv")
            if option == "angles":
                write_tilt_angles(file, draft.listed(draft.filled_angles))
            else:
                write_times(file, draft.listed(draft.filled_angles), draft.listed(draft.times))
            files.append(file)
            words[option] = file.name
        elif argument:
            words[option] = _relative(Path(argument), path.parent) if Path(argument).is_absolute() else argument
    words |= {"pixel-size": draft.pixel_size} if draft.pixel_size_given and draft.pixel_size is not None else {}
    words |= {"flip-tilt": True} if draft.flip_tilt else {}
    words |= {"axis-offset": draft.axis_offset} if draft.axis_offset else {}
    words |= {"exclude": draft.excluded} if draft.excluded else {}
    words |= {"crop": draft.crop.text} if draft.crop is not None else {}
    words |= {"bin": draft.binning} if draft.binning > 1 else {}
    words |= {"invert-contrast": True} if draft.invert_contrast else {}
    if job.asked is not None and job.asked.options.align is not None and job.asked.options.pose is not None:
        words["align"] = _relative(job.asked.options.pose, path.parent)
    elif known is not None and config.alignment.method != "off" and known.fits(draft, config):
        file = beside.with_name(f"{beside.name}_pose.yaml")
        save_pose(file, known)
        files.append(file)
        words["align"] = file.name
        # A pose is that of turned images where they were turned, which the file of jobs must say.
        config = config.with_preprocessing(axis="horizontal") if known.is_turned else config
    words |= {"device": job.device} if job.device != "auto" else {}
    words |= _settings(config)
    if job.asked is not None:
        words |= _results(job.asked.options, path.parent)
    return words, files


def _settings(config: ReconstructionConfig) -> dict[str, Any]:
    """Return the preset, with what differs from it."""
    own, base = config.model_dump(mode="json"), preset_config(config.preset).model_dump(mode="json")
    changed: dict[str, Any] = {}
    for part, values in own.items():
        if not isinstance(values, dict):
            continue
        is_other_kind = values.get("kind") != base[part].get("kind")
        differing = {name: value for name, value in values.items() if is_other_kind or value != base[part].get(name)}
        changed |= {part: differing} if differing else {}
    return {"config": {"preset": config.preset, **changed}} if changed else {"preset": config.preset}


def _results(options: JobOptions, folder: Path) -> dict[str, Any]:
    """Return what a file of jobs said of the results, for the next file."""
    export, words = options.export, {"out": _relative(options.out, folder)}
    volumes: dict[str, Any] = {}
    for name in ("clean", "contamination", "series"):
        files = [_relative(file, folder) for file in getattr(export, name)]
        volumes |= {name: files} if files else {}
    if not volumes:
        return words
    volumes |= {"times": list(export.times)} if export.series else {}
    volumes |= {"voxel-size": export.voxel_size} if export.voxel_size is not None else {}
    return {**words, "export": volumes}


def _free_name(job: Job, taken: set[str]) -> str:
    """Return a name that no other job has, and any system takes as that of a file."""
    text = job.asked.name if job.asked is not None else f"{job.draft.name} {job.text}".replace(",", "")
    stem = re.sub(r"[^\w.-]+", "-", text).strip("-") or "job"
    name = next(name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in taken)
    taken.add(name)
    return name


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return str(path)
