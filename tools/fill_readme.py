"""Put what `make demo` and `make bench` measured into README.md, between the marks that name the source.

Run it after both: `.venv/bin/python tools/fill_readme.py`. No number in these tables is typed by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("static", "growth", "truth")


def demo_table(scores: dict[str, Any]) -> str:
    """Return the scores of the demo as Markdown."""

    def row(title: str, *keys: str, form: str = "{:.3f}", factor: float = 1.0) -> str:
        cells = []
        for column in COLUMNS:
            value: Any = scores[column]
            for key in keys:
                value = value[key]
            cells.append(form.format(value * factor))
        return f"| {title} | " + " | ".join(cells) + " |"

    times = " | ".join(f"{scores[name]['seconds']:.0f} s" if "seconds" in scores[name] else "" for name in COLUMNS)
    return "\n".join(
        [
            "| 181 tilts of 88 × 40, t = 0 | `static` | **`growth`** | truth |",
            "|---|---|---|---|",
            row("contamination left", "contamination_left", form="{:.1f} %", factor=100),
            row("NRMSE", "nrmse"),
            row("recall of Zr and Te", "atoms", "recall_by_group", "sandwich"),
            row("recall, inner wall", "atoms", "recall_by_group", "inner wall"),
            row("recall, outer wall", "atoms", "recall_by_group", "outer wall"),
            row("precision of atoms", "atoms", "precision"),
            f"| training on 2 cores | {times} |",
        ]
    )


def main() -> None:
    """Fill every marked part of the README."""
    parts = {
        "demo": demo_table(json.loads((ROOT / "demo" / "scores.json").read_text(encoding="utf-8"))),
        "benchmarks": (ROOT / "benchmarks" / "results" / "table.md").read_text(encoding="utf-8").strip(),
    }
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name, content in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        text, n_found = re.subn(
            pattern, lambda match, body=content: f"{match[1]}{body}\n{match[2]}", text, flags=re.DOTALL
        )
        if n_found != 1:
            raise SystemExit(f"README.md has {n_found} parts marked {name!r}; expected 1")
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
