"""What `neural.py` quotes: every density against grids, case by case, for every row of the matrix."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from common import markdown_table
from matrix_cases import ROWS, STEADY, Case
from matrix_table import QUOTED, aggregate, markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matrix_table import Record

GRIDS = "grids"
LENGTHS = ("Standard", "High")
"""Qualities; what is compared with grids takes the CPU time of grids."""


def tabulate(records: Sequence[Record], candidates: Sequence[str]) -> dict[str, Any]:
    """Compare all candidates with grids, for every row of the matrix and for all runs.

    Parameters
    ----------
    records : sequence of dict
        Lines of the results, one of them with scores at least.
    candidates : sequence of str
        What is compared with grids.

    Returns
    -------
    dict
        ``compared``: what :func:`against_grids` found, by title, candidate and length; ``scores``: median and worst of
        every score of the matrix, by title, density and length; and what they were made with.
    """
    groups = {row.title: [r for r in records if row.holds(Case(**r["factors"]))] for row in ROWS if row.kind == STEADY}
    groups = {title: held for title, held in groups.items() if any("scores" in record for record in held)}
    groups["all"] = list(records)
    names = [f"{name}, {length}" for length in LENGTHS for name in (GRIDS, *candidates)]
    return {
        "base_seed": records[-1]["base_seed"],
        "size": records[-1]["size"],
        "runs": len(records),
        "failed": sum("scores" not in record for record in records),
        "cases": len({record["case"] for record in records}),
        "commits": sorted({record["commit"][:9] + (" with changes" if record["dirty"] else "") for record in records}),
        "program": records[-1]["program"],
        "made_on": records[-1]["machine"],
        "compared": {
            title: {f"{name}, {length}": against_grids(held, name, length) for length in LENGTHS for name in candidates}
            for title, held in groups.items()
        },
        "scores": {
            f"{title}: {name}": aggregate([_as_growth(record, name) for record in held])
            for title, held in groups.items()
            for name in names
        },
    }


def against_grids(records: Sequence[Record], name: str, length: str) -> dict[str, Any]:
    """Return NRMSE of a candidate over that of grids, case by case, for one length: 1 is a tie."""
    fits = [record["scores"]["fits"] for record in records if "scores" in record]
    ratios = [fit[f"{name}, {length}"]["nrmse"] / fit[f"{GRIDS}, {length}"]["nrmse"] for fit in fits]
    return {"median": statistics.median(ratios), "worst": max(ratios), "best": min(ratios), "n": len(ratios)}


def _as_growth(record: Record, name: str) -> Record:
    """Return a line in which one fit stands for `growth`."""
    if "scores" not in record:
        return record
    fit = record["scores"]["fits"][name]
    return {**record, "scores": {**record["scores"], "growth": fit, "removed": fit["removed"]}}


def scores_table(measured: Mapping[str, Any]) -> str:
    """Return all scores as Markdown."""
    return markdown("case: density, CPU time", measured["scores"], (*QUOTED, "seconds"))


def table(measured: Mapping[str, Any]) -> str:
    """Return the comparison as Markdown, with what it was made with."""
    names = list(measured["compared"]["all"])
    rows = [
        [title, str(row[names[0]]["n"]), *(_ratio(row[name]) for name in names)]
        for title, row in measured["compared"].items()
    ]
    about = measured["made_on"]
    return "\n\n".join(
        [
            markdown_table(["NRMSE over that of grids", "runs", *names], rows),
            "Median (best to worst) of the error at t = 0 over that of grids in the same case, after the CPU time that "
            "grids take for the volume at that quality; below 1 is nearer to the truth. Network: 4 features a node, "
            "decoded by two layers of 32 units. Squared: grids alone, with the square of the softplus. Runs: "
            f"{measured['runs']}, of {measured['cases']} cases, size {measured['size']}, base seed "
            f"{measured['base_seed']}, commit {', '.join(measured['commits'])}; 1 core of {about['processor']}, torch "
            f"{about['torch']}.",
        ]
    )


def _ratio(found: Mapping[str, Any]) -> str:
    spread = f" ({found['best']:.2f} to {found['worst']:.2f})" if found["n"] > 1 else ""
    return f"{found['median']:.2f}{spread}"
