"""Read damaged inputs, count what becomes of them, and keep those that do harm."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from helpers.fuzzing import make_input
from helpers.fuzzing_children import VIOLATION, Outcome, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from helpers.fuzzing_fixtures import Fixture


@dataclass
class Tally:
    """What became of the inputs of a format."""

    inputs: int = 0
    valid: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    n_bytes: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.inputs += 1
        self.valid += outcome.kind == "valid"
        self.refused += outcome.kind == "refused"
        self.seconds += outcome.seconds
        self.slowest = max(self.slowest, outcome.seconds)
        self.n_bytes = max(self.n_bytes, outcome.n_bytes)


@dataclass
class Report:
    """Everything that a run found; `violations` are (number of the input, fixture, what is wrong)."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    violations: list[tuple[int, Fixture, str]] = field(default_factory=list)
    seconds: float = 0.0

    def table(self) -> str:
        """Return a line for every format, and one for all."""
        head = f"{'format':8} {'inputs':>7} {'valid':>7} {'refused':>8} {'harmful':>8} {'slowest':>9} {'memory':>8}"
        total = Tally()
        lines = [head]
        for name, tally in [*sorted(self.tallies.items()), ("all", total)]:
            harmful = tally.inputs - tally.valid - tally.refused
            lines.append(
                f"{name:8} {tally.inputs:7} {tally.valid:7} {tally.refused:8} {harmful:8} "
                f"{1000 * tally.slowest:6.0f} ms {tally.n_bytes / 1e6:5.0f} MB"
            )
            total.inputs, total.valid, total.refused = (
                total.inputs + tally.inputs, total.valid + tally.valid, total.refused + tally.refused
            )  # fmt: skip
            total.slowest, total.n_bytes = max(total.slowest, tally.slowest), max(total.n_bytes, tally.n_bytes)
        return "\n".join(lines)


def lay_out(fixture: Fixture, folder: Path, changed: dict[str, bytes] | None = None) -> list[Path]:
    """Write the files of a fixture into a new folder, some of them changed; return what is given to the program."""
    folder.mkdir(parents=True)
    for name, content in {**fixture.files, **(changed or {})}.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in fixture.given]


def run(
    fixtures: Sequence[Fixture],
    folder: Path,
    *,
    inputs: int,
    seed: int,
    seconds: float = float("inf"),
    workers: int = 1,
    keep: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Read damaged inputs.

    Parameters
    ----------
    fixtures : sequence of Fixture
        Valid files.
    folder : Path
        An empty folder to work in.
    inputs : int
        How many inputs are read.
    seed : int
        The same seed gives the same inputs.
    seconds : float
        No input is begun after so long, but for the first of every kind [s].
    workers : int
        How many processes read at a time.
    keep : Path, optional
        Where harmful inputs are kept.
    progress : callable, optional
        Called with the number of inputs that have been read.

    Returns
    -------
    Report
        What became of them.
    """
    report, lock = Report(), threading.Lock()
    numbers, started = iter(range(inputs)), time.monotonic()

    def work(worker: int) -> None:
        with Reader() as reader:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None or (number >= len(fixtures) and time.monotonic() - started >= seconds):
                    return
                fixture, name, content = make_input(fixtures, number, seed)
                place = folder / f"{worker}_{number}"
                outcome = reader.read(lay_out(fixture, place, {name: content}), fixture.how)
                with lock:
                    report.tallies.setdefault(fixture.format, Tally()).add(outcome)
                    if outcome.kind == VIOLATION:
                        report.violations.append((number, fixture, outcome.text))
                        _keep(place, keep, fixture, number, outcome)
                    if progress is not None:
                        progress(sum(tally.inputs for tally in report.tallies.values()))
                shutil.rmtree(place)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.seconds = time.monotonic() - started
    return report


def _keep(place: Path, keep: Path | None, fixture: Fixture, number: int, outcome: Outcome) -> None:
    if keep is None:
        return
    target = keep / f"{fixture.format}_{number}"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(place, target)
    (target / "WHY").write_text(f"{fixture.name}\n{outcome.text}\n", encoding="utf-8")
