"""Files that several jobs name: none is written twice, and none that is read is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_stinr.training.jobs.options import JobOptions


def doubled(jobs: Sequence[tuple[str, JobOptions]]) -> list[StinrError]:
    """Find names and files that are there twice.

    Parameters
    ----------
    jobs : sequence of (str, JobOptions)
        Each with the place where it stands.

    Returns
    -------
    list of StinrError
        One for every job that takes what an earlier one has.
    """
    names: dict[str, str] = {}
    written: dict[str, str] = {}
    read = {_same(path): place for place, options in jobs for path in _read(options)}
    problems = []
    for place, options in jobs:
        if options.name in names:
            problems.append(
                StinrError(
                    f"{place}: a job is called {options.name}, like that of {names[options.name]}",
                    expected="a name of its own for every job",
                    cure="Give `name`, or <seed> in it where seeds are listed.",
                )
            )
        names.setdefault(options.name, place)
        for what, path in _written(options):
            same = _same(path)
            if same in written or same in read:
                other = f"written by the job of {written[same]}" if same in written else f"read by that of {read[same]}"
                problems.append(
                    StinrError(
                        f"{place}: {what} is {path}, which is {other}",
                        expected="a file of its own for every result",
                        cure="Give another name; <name> in it stands for that of the job.",
                    )
                )
            written.setdefault(same, place)
    return problems


def _written(options: JobOptions) -> Iterator[tuple[str, Path]]:
    yield "out", options.out
    for volume in options.export.volumes:
        yield "a file of export", volume.path


def _read(options: JobOptions) -> Iterator[Path]:
    yield from options.stack
    if options.pose is not None:
        yield options.pose


def _same(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))
