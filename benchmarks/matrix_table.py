"""Median and worst of the matrix, for every row that is quoted and for every factor."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import markdown_table
from matrix_cases import CASES, FACTORS, ROWS, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Record = dict[str, Any]
"""One line of the results: a job, what ran it, and its scores or why it failed."""


@dataclass(frozen=True)
class Score:
    """How a score is read from a record, which of its values is the worst, and how it is written."""

    title: str
    read: Callable[[Record], float | None]
    badness: Callable[[float], float]
    form: str

    def write(self, value: float) -> str:
        """Return the value as it is quoted."""
        return self.form.format(value).replace("%", " %")


def _of_growth(name: str) -> Callable[[Record], float | None]:
    return lambda record: record["scores"]["growth"].get(name)


def _nrmse_ratio(record: Record) -> float:
    scores = record["scores"]
    return float(scores["growth"]["nrmse"] / scores["uncontaminated"]["nrmse"])


def _f1_lost(record: Record) -> float:
    scores = record["scores"]
    return float(scores["uncontaminated"]["f1"] - scores["growth"]["f1"])


SCORES = {
    "removed": Score("removed", lambda record: record["scores"]["removed"], lambda value: -value, "{:.1%}"),
    "nrmse": Score("NRMSE", _of_growth("nrmse"), lambda value: value, "{:.3f}"),
    "nrmse_ratio": Score("NRMSE ratio", _nrmse_ratio, lambda value: value, "{:.2f}"),
    "kept": Score("specimen kept", _of_growth("specimen_kept"), lambda value: -value, "{:.3f}"),
    "f1_lost": Score("F1 below by", _f1_lost, lambda value: value, "{:.3f}"),
    "scale": Score("scale", _of_growth("scale"), lambda value: abs(value - 1), "{:.3f}"),
    "invented": Score("invented", _of_growth("invented"), lambda value: value, "{:.2%}"),
    "seconds": Score("training, s", _of_growth("seconds"), lambda value: value, "{:.0f}"),
}


QUOTED = ("removed", "nrmse_ratio", "kept", "f1_lost", "scale", "invented")
EXPLANATION = (
    "Removed: 0 % is `static`, 100 % the same specimen recorded without contamination, reconstructed by the same "
    "engine. That series is also what the NRMSE at t = 0, the mass at the specimen's outer atoms (in the worst of "
    "eight sectors around the axis) and the F1 of atoms are compared with. Scale is the factor against the truth. "
    "Invented: mass of the contamination against that of the specimen where nothing grows. What a row leaves open "
    "takes every value: nanotube, particle and glass; sequential, interleaved and dose-symmetric; side and all "
    "round. Pixels have 0.35 to 0.6 Å."
)


def identity(record: Record) -> str:
    """Return what two lines share that tell of the same: program, kind of case, size and all settings."""
    parts = (record["program"], record["device"], record["factors"]["kind"], record["size"], record["settings"])
    return json.dumps(parts, sort_keys=True)


def chosen_records(records: Iterable[Record], *, base_seed: int, size: str) -> list[Record]:
    """Return the last line of every run of a matrix, of the program that wrote the last of them.

    Parameters
    ----------
    records : iterable of dict
        Lines of the results, oldest first.
    base_seed : int
        That of the matrix.
    size : str
        That of the matrix.

    Returns
    -------
    list of dict
        One line a run.
    """
    matching = [record for record in records if record["base_seed"] == base_seed and record["size"] == size]
    last = matching[-1]["program"] if matching else None
    return list({identity(record): record for record in matching if record["program"] == last}.values())


def aggregate(records: Sequence[Record]) -> dict[str, Any]:
    """Return median and worst of every score.

    Parameters
    ----------
    records : sequence of dict
        Lines of the results.

    Returns
    -------
    dict
        ``runs``, ``failed``, and for every name of `SCORES` that a line has: ``{"median", "worst", "n"}``.
    """
    scored = [record for record in records if "scores" in record]
    row: dict[str, Any] = {"runs": len(records), "failed": len(records) - len(scored)}
    for name, score in SCORES.items():
        values = [value for value in map(score.read, scored) if value is not None]
        if values:
            worst = max(values, key=score.badness)
            row[name] = {"median": statistics.median(values), "worst": worst, "n": len(values)}
    return row


def tabulate(records: Sequence[Record]) -> dict[str, Any]:
    """Aggregate a matrix for every row that is quoted, and for every value of every factor.

    Parameters
    ----------
    records : sequence of dict
        Lines of one matrix.

    Returns
    -------
    dict
        ``rows`` and ``factors``, the latter over the cells of the product, by title; and what they were made with.
    """
    held = [(Case(**record["factors"]), record) for record in records]
    rows = {row.title: aggregate([record for case, record in held if row.holds(case)]) for row in ROWS}
    cells = [(case, record) for case, record in held if case.is_in_product]
    groups: dict[str, list[Record]] = {"all": [record for _, record in cells]}
    for factor in FACTORS:
        for value in dict.fromkeys(getattr(case, factor) for case in CASES if case.is_in_product):
            groups[f"{factor}: {value}"] = [record for case, record in cells if getattr(case, factor) == value]
    for edge in sorted({record["settings"]["pixel_size"] for _, record in cells}):
        groups[f"pixel size: {edge:g} Å"] = [r for _, r in cells if r["settings"]["pixel_size"] == edge]
    commits = sorted({record["commit"][:9] + (" with changes" if record["dirty"] else "") for record in records})
    return {
        "machine": records[-1]["machine"],
        "devices": sorted({record["device"] for record in records}),
        "base_seed": records[-1]["base_seed"],
        "size": records[-1]["size"],
        "seeds": _range(Counter(record["case"] for record in records).values()),
        "cases": len({record["case"] for record in records}),
        "runs": len(records),
        "commits": commits,
        "program": records[-1]["program"],
        "rows": rows,
        "factors": {title: aggregate(group) for title, group in groups.items()},
    }


def _range(numbers: Iterable[int]) -> str:
    """Return the least and the most of some numbers."""
    least, most = min(held := list(numbers)), max(held)
    return f"{least}" if least == most else f"{least} to {most}"


def quality_table(measured: Mapping[str, Any]) -> str:
    """Return the quoted rows as Markdown, with what they were made with."""
    about = measured["machine"]
    where = f"{about['cores']} cores of {about['processor']}, torch {about['torch']}, {', '.join(measured['devices'])}"
    made = (
        f"Median / worst; runs: {measured['runs']}, of {measured['cases']} of {len(CASES)} cases, seeds for each: "
        f"{measured['seeds']}, size {measured['size']}, base seed "
        f"{measured['base_seed']}, commit {', '.join(measured['commits'])}; {where}."
    )
    return f"{markdown('case', measured['rows'], QUOTED)}\n\n{made} {EXPLANATION}"


def markdown(corner: str, groups: Mapping[str, Mapping[str, Any]], names: Iterable[str] = SCORES) -> str:
    """Return the groups that were run at all as a Markdown table.

    Parameters
    ----------
    corner : str
        Heading of the first column.
    groups : mapping
        What `aggregate` found, by title.
    names : iterable of str
        Which scores, of `SCORES`; one that no group has gets no column.

    Returns
    -------
    str
        The table.
    """
    shown = {name: SCORES[name] for name in names if any(name in group for group in groups.values())}
    lines = []
    for title, group in groups.items():
        if group["runs"]:
            runs = str(group["runs"]) + (f", {group['failed']} failed" if group["failed"] else "")
            lines.append([title, runs, *(_cell(group.get(name), score) for name, score in shown.items())])
    return markdown_table([corner, "runs", *(score.title for score in shown.values())], lines)


def _cell(found: Mapping[str, float] | None, score: Score) -> str:
    return "" if found is None else " / ".join(score.write(found[which]) for which in ("median", "worst"))
