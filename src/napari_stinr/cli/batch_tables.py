"""The jobs of a file as text: what is planned, one line as each ends, what became of all."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.training.jobs.queue import JobState
from napari_stinr.training.jobs.record import Standing
from napari_stinr.training.requirements import duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.table import Table

    from napari_stinr.cli.batch_plan import Plan
    from napari_stinr.reconstruction import Reconstruction

_NOT_KNOWN = "–"
_LONGEST_REMARK = 70
"""Letters of what went wrong in the table; the line of the job has all of it."""


@dataclass
class Result:
    """What became of a job.

    Parameters
    ----------
    plan : Plan
        The job.
    state : JobState
        Where it is.
    remark : str
        What went wrong, or where it was stopped.
    is_new : bool
        It was trained now, not before.
    residual : float, optional
        What is left of the projections [%].
    contamination : str
        Part of the specimen, for people.
    seconds : float, optional
        Time of the training, or until it failed [s].
    """

    plan: Plan
    state: JobState
    remark: str = ""
    is_new: bool = True
    residual: float | None = None
    contamination: str = ""
    seconds: float | None = None

    @classmethod
    def of(cls, plan: Plan, run: Reconstruction, *, is_new: bool) -> Result:
        """Look at a run that is done."""
        from napari_stinr.analysis.contamination import Growth, two_digits

        growth = Growth.of(run, 2, in_volts=False)
        percent = growth.percent(1.0)
        shown = "none found" if growth.is_none else "" if percent is None else f"{two_digits(percent)} %"
        residual = 100 * float(run.provenance.get("relative_residual", "nan"))
        seconds = float(run.provenance["training_seconds"])
        known = residual if math.isfinite(residual) else None
        return cls(plan, JobState.DONE, "", is_new, known, shown, seconds)

    @property
    def word(self) -> str:
        """What became of it in a word or two."""
        if self.state is JobState.DONE and not self.is_new:
            return "done before"
        return "not begun" if self.state is JobState.WAITING else str(self.state)


def result_line(result: Result, n_jobs: int) -> str:
    """Return what is said when a job has ended."""
    plan = result.plan
    parts = [result.word]
    if result.state is JobState.DONE:
        parts += [f"residual {_residual(result)}"] if result.residual is not None else []
        parts += [f"contamination {result.contamination}"] if result.contamination else []
        parts += [] if result.seconds is None else [duration_text(result.seconds)]
        parts.append(shown_path(plan.options.out))
    elif result.remark:
        parts = [f"{result.word}: {result.remark}" if result.state is JobState.FAILED else result.remark]
    return f"{plan.number} of {n_jobs}, {plan.name}: {', '.join(parts)}"


def summary_table(results: Sequence[Result]) -> str:
    """Return all that became of the jobs as a table."""
    table = _table(("#", "job", "result", "residual", "contamination", "time", "file"), right=(0, 3, 4, 5))
    for result in results:
        is_done = result.state is JobState.DONE
        table.add_row(
            str(result.plan.number),
            result.plan.name,
            result.word,
            _residual(result) if is_done else "",
            (result.contamination or _NOT_KNOWN) if is_done else "",
            "" if result.seconds is None else duration_text(result.seconds),
            shown_path(result.plan.options.out) if is_done else _shortened(result.remark),
        )
    return _text_of(table)


def plan_table(plans: Sequence[Plan]) -> str:
    """Return what is to be done as a table, with the memory and time that it takes."""
    table = _table(("#", "job", "now", "voxels", "steps", "memory", "time", "file"), right=(0, 4, 5, 6))
    for plan in plans:
        estimate = plan.estimate
        cells = [""] * 4
        if estimate is not None:
            _, height, width = estimate.shape
            length = str(estimate.steps) if estimate.limit is None else duration_text(estimate.limit)
            time = "not known" if estimate.seconds is None else duration_text(estimate.seconds)
            cells = [f"{width} × {height} × {width}", length, size_text(estimate.memory), time]
        table.add_row(str(plan.number), plan.name, _now(plan), *cells, shown_path(plan.options.out))
    known = [plan.estimate.seconds for plan in plans if plan.estimate is not None]
    total = sum(seconds for seconds in known if seconds is not None)
    ends = "" if not total or None in known else f"Together about {duration_text(total)}."
    return f"{_text_of(table)}\n{ends}".rstrip()


def shown_path(path: Path) -> str:
    """Return a path as it is typed from the folder of now, where it lies in there."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive of Windows
        return str(path)
    return str(path) if relative.startswith(os.pardir) else relative


def _now(plan: Plan) -> str:
    if plan.is_trained:
        n = len(plan.volumes)
        return "done" if not n else f"done, {n} volume{'s' if n > 1 else ''} to write"
    if plan.stand.standing is Standing.BEGUN:
        return f"goes on at step {plan.stand.step}"
    return "begins again" if plan.is_again else "begins"


def _residual(result: Result) -> str:
    from napari_stinr.analysis.contamination import two_digits

    return _NOT_KNOWN if result.residual is None else f"{two_digits(result.residual)} %"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_REMARK else f"{text[: _LONGEST_REMARK - 1]}…"


def _table(names: Sequence[str], *, right: Sequence[int]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number in right else "left", no_wrap=True)
    return table


def _text_of(table: Table) -> str:
    from rich.console import Console

    # The width of the table and not that of the terminal: a wrapped table cannot be read by anything.
    stream = io.StringIO()
    Console(file=stream, width=max(80, Console(width=1000).measure(table).maximum), markup=False).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")
