"""Tell on stderr how far a long command is: a bar in a terminal, a plain line every few seconds anywhere else."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from napari_stinr.pace import Pace, Update, remaining_text
from napari_stinr.training.interrupts import Stopped
from napari_stinr.training.remaining import RemainingTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_stinr.training.schedule import StepReport

LINE_INTERVAL = 5.0
"""Time between two lines where there is no terminal [s]."""


class SteadyUpdate(Update, Protocol):
    """What also hears whether the rest goes on at the pace of now, or how long it takes.

    Without either, nothing is said about the remaining time.
    """

    def __call__(
        self, done: float, total: float, remark: str = "", /, *, is_steady: bool = True, left: float | None = None
    ) -> None:
        """Report progress; what was done before it became steady does not count for the pace."""


@contextlib.contextmanager
def progress(
    title: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[SteadyUpdate]:
    """Show progress as long as the block runs; it is called as ``update(done, total, remark)``."""
    out = sys.stderr if stream is None else stream
    try:
        if out.isatty():
            with _bar(title, out, clock) as update:
                yield update
        else:
            lines = _Lines(title, out, clock)
            yield lines
            lines.finish()
    except KeyboardInterrupt as stop:
        if stop.args:  # something is kept; typer would lose what that says
            raise Stopped(str(stop)) from stop
        raise


def say(text: str) -> None:
    """Write one line to stderr, headed by the name of the program; line breaks become blanks."""
    with contextlib.suppress(OSError):  # nobody listens, which must not cost the result
        sys.stderr.write(f"stinr: {' '.join(text.split())}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def forgiving_output() -> Iterator[None]:
    """Keep stdout from causing errors of its own: letters it cannot show, or text that a full disk did not take."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # Å becomes a question mark
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # The command has said so already; Python would complain once more when it ends.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


@contextlib.contextmanager
def messages_as_lines() -> Iterator[None]:
    """Show warnings of this package as lines, and keep those of other people's from the person who can mend neither."""
    own, python = logging.getLogger("napari_stinr"), logging.getLogger("py.warnings")
    lines, nowhere = _SaidMessages(logging.WARNING), logging.NullHandler()
    own.addHandler(lines)
    python.addHandler(nowhere)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        own.removeHandler(lines)
        python.removeHandler(nowhere)


def step_reporter(
    update: SteadyUpdate, *, seconds: float | None = None, remaining: RemainingTime | None = None
) -> Callable[[StepReport], None]:
    """Return what passes the reports of a training on as progress; `seconds` where time limits it [s]."""
    # `remaining` knows what was expected of the training.
    # Not before a training loads torch.
    from napari_stinr.training.stages import VOLUME

    pace, stages, remaining = Pace(), {VOLUME}, remaining or RemainingTime()

    def report(step: StepReport) -> None:
        pace.add(step.seconds, step.step, stage=step.stage)
        stages.add(step.stage)
        rate = pace.per_second
        remark = f"{step.stage}, " if len(stages) > 1 else ""
        remark += f"loss {step.loss:.3g}, residual {step.relative_residual:.3f}"
        if rate is not None:
            remark += f", {rate:.3g} steps/s"
        remaining.add(step)
        if seconds is None:
            # The cheap steps of the search would promise an early end.
            update(step.step, step.n_steps, remark, is_steady=step.stage == VOLUME, left=remaining.seconds)
        else:
            update(min(step.seconds, seconds), seconds, remark)

    return report


class _Lines:
    """Plain lines for a log file: no control characters, and not too many."""

    def __init__(self, title: str, stream: TextIO, clock: Callable[[], float]) -> None:
        self._title, self._stream, self._clock = title, stream, clock
        self._pace = Pace()
        self._last = clock()
        self._pending = ""
        self._shown = False

    def __call__(
        self, done: float, total: float, remark: str = "", /, *, is_steady: bool = True, left: float | None = None
    ) -> None:
        now = self._clock()
        rest = _left(self._pace, now, done, total, is_steady=is_steady, left=left)
        self._pending = ", ".join(part for part in (f"{self._title}: {_share(done, total)}", remark, rest) if part)
        if now - self._last >= LINE_INTERVAL:
            self._last = now
            self._write()

    def finish(self) -> None:
        # A command that was over before its first line is worth none, but the end of a longer one is.
        if self._pending and self._shown:
            self._write()

    def _write(self) -> None:
        self._stream.write(self._pending + "\n")
        self._stream.flush()
        self._pending, self._shown = "", True


@contextlib.contextmanager
def _bar(title: str, stream: TextIO, clock: Callable[[], float]) -> Iterator[SteadyUpdate]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[remark]}", markup=False),
    )
    pace = Pace()
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task(title, total=None, remark="")

        def update(
            done: float, total: float, remark: str = "", /, *, is_steady: bool = True, left: float | None = None
        ) -> None:
            rest = _left(pace, clock(), done, total, is_steady=is_steady, left=left)
            bar.update(task, completed=done, total=total, remark=", ".join(part for part in (remark, rest) if part))

        yield update


def _left(pace: Pace, now: float, done: float, total: float, *, is_steady: bool, left: float | None) -> str:
    """Take the progress in and return the remaining time, "" at the end and before it is known."""
    if is_steady:
        pace.add(now, done)
    rate = pace.per_second
    if left is None and is_steady and rate is not None:
        left = (total - done) / rate
    return remaining_text(None if done >= total else left)


def _share(done: float, total: float) -> str:
    return f"{done:.0f} of {total:.0f} ({100 * done / total:.0f} %)"


class _SaidMessages(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())
