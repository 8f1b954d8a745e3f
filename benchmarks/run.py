"""Run the benchmarks and join their tables: `make bench`, or `python benchmarks/run.py [NAME ...] [--quick]`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import convergence
import larger_than_memory
import matrix
import memory
import neural
import ome_zarr
import paper
import projector
import ranks
import third_party
import window
from common import results_folder, save
from third_party_truth import why_absent

if TYPE_CHECKING:
    from pathlib import Path

TITLES = {
    "projector": "Speed of the projector",
    "convergence": "Quality against time",
    "memory": "Memory",
    "larger_than_memory": "Larger than memory",
    "ranks": "Several processes",
    "ome_zarr": "Export as OME-Zarr",
    "window": "In the window",
    "third_party": "Third-party simulations",
    "paper": "Figure 3 of the paper",
    "matrix": "The matrix",
    "neural": "Neural or not",
}
LONG = ("paper", "matrix", "neural", "larger_than_memory")
"""A quarter of an hour, and hours: only where they are asked for by name."""
ON_THEIR_OWN = ("third_party", *LONG)
"""Not in `table.md`: of data that not everyone has, beside a figure, and tables of their own in README and guide."""
_SAVE_THEMSELVES = {"convergence": convergence, "paper": paper, "matrix": matrix, "neural": neural}
_MODULES = {
    "projector": projector,
    "memory": memory,
    "larger_than_memory": larger_than_memory,
    "ranks": ranks,
    "ome_zarr": ome_zarr,
    "window": window,
    "third_party": third_party,
}


def main() -> None:
    """Run what was asked for, then write `table.md` from the results of all that were ever run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*TITLES, "all"], default="all", metavar="NAME",
                        help=f"{', '.join(TITLES)} or all (default; without {' and '.join(LONG)})")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    arguments = parser.parse_args()
    everything = [name for name in TITLES if arguments.quick or name not in LONG]
    chosen = everything if "all" in arguments.names else list(dict.fromkeys(arguments.names))
    for name in chosen:
        print(f"== {TITLES[name]}", flush=True)
        if name in _SAVE_THEMSELVES:
            _SAVE_THEMSELVES[name].run(quick=arguments.quick)
            continue
        if name == "third_party" and (reason := why_absent()) is not None:
            print(f"skipped: {reason}", flush=True)
            continue
        module = _MODULES[name]
        measured = module.measure(quick=arguments.quick)
        save(name, measured, module.table(measured), quick=arguments.quick)
    write_table(results_folder(arguments.quick))


def write_table(folder: Path) -> None:
    """Join the tables in a folder into `table.md`.

    Parameters
    ----------
    folder : path
        Where the scripts wrote their results.
    """
    parts = ["Measured without a GPU. Numbers of one table come from one run, on the machine that it names."]
    for name, title in TITLES.items():
        path = folder / f"{name}.md"
        if path.is_file() and name not in ON_THEIR_OWN:
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["machine"]
            where = f"{about['cores']} cores of {about['processor']}, Python {about['python']}, torch {about['torch']}"
            parts.append(f"**{title}** ({where})\n\n{path.read_text(encoding='utf-8').strip()}")
    (folder / "table.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"{folder / 'table.md'} written", flush=True)


if __name__ == "__main__":
    main()
