"""Read thousands of damaged files as users do: every one must give a series or one line that says what is wrong.

    python tools/fuzz.py --inputs 10000 --seed 0 --format mrc --format tiff

prints a table and ends with status 1 if an input did harm: an exception other than `StinrError`, a warning from this
package, more than 2 s of CPU time, more than 300 MB of memory, or the death of the process. Such inputs are kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.fuzzing_fixtures import FAMILIES, make_fixtures
from helpers.fuzzing_run import run


def main() -> int:
    """Run, print the table, return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="how many inputs are read")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same inputs")
    parser.add_argument("--format", action="append", choices=FAMILIES, help="only this format; may be repeated")
    parser.add_argument("--workers", type=int, default=1, help="processes that read at a time")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for inputs that do harm")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stinr-fuzz-") as scratch:
        valid, work = Path(scratch, "valid"), Path(scratch, "work")
        valid.mkdir()
        fixtures = make_fixtures(valid, tuple(options.format or ()))
        last = time.monotonic()

        def progress(done: int) -> None:
            nonlocal last
            if sys.stderr.isatty() and time.monotonic() - last > 1:
                last = time.monotonic()
                print(f"\r{done} of {options.inputs}", end="", file=sys.stderr, flush=True)

        report = run(
            fixtures, work, inputs=options.inputs, seed=options.seed, workers=options.workers, keep=options.keep,
            progress=progress,
        )  # fmt: skip
    print(report.table())
    n_inputs = sum(tally.inputs for tally in report.tallies.values())
    print(f"{n_inputs} inputs from {len(fixtures)} valid ones in {report.seconds:.0f} s, seed {options.seed}")
    for number, fixture, text in report.violations:
        print(f"\ninput {number} ({fixture.format}, {fixture.name}), kept in {options.keep}:\n{text}")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
