"""Put what `make demo` and `make bench` measured into README and guide, between the marks that name the source.

Run it after them: `.venv/bin/python tools/fill_readme.py`. No number in these tables is typed by hand. A source that is
not there leaves what stands between its marks.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": ("demo", "matrix", "neural", "gpu", "benchmarks"), "docs/guide.md": ("matrix",)}
"""Parts of every page."""
SOURCES = {
    "demo": Path("demo/scores.json"),
    "matrix": Path("benchmarks/results/matrix.md"),
    "neural": Path("benchmarks/results/neural.md"),
    "gpu": Path("benchmarks/results/gpu.md"),
    "benchmarks": Path("benchmarks/results/table.md"),
}
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
            row("contamination left", "contamination_left", form="{:z.1f} %", factor=100),
            row("NRMSE", "nrmse"),
            row("recall of Zr and Te", "atoms", "recall_by_group", "sandwich"),
            row("recall, inner wall", "atoms", "recall_by_group", "inner wall"),
            row("recall, outer wall", "atoms", "recall_by_group", "outer wall"),
            row("precision of atoms", "atoms", "precision"),
            f"| training on 2 cores | {times} |",
        ]
    )


def content(name: str, root: Path = ROOT) -> str | None:
    """Return the Markdown of a part, None where its source is not there."""
    path = root / SOURCES[name]
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    return demo_table(json.loads(text)) if name == "demo" else text.strip()


def fill(text: str, name: str, body: str) -> str:
    """Return a page with another body between the marks of a part; ValueError where it is not there exactly once."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
    filled, n_found = re.subn(pattern, lambda match: f"{match[1]}{body}\n{match[2]}", text, flags=re.DOTALL)
    if n_found != 1:
        raise ValueError(f"{n_found} parts are marked {name!r}; expected 1")
    return filled


def main(root: Path = ROOT) -> None:
    """Fill every marked part of every page."""
    for page, names in PAGES.items():
        text = (root / page).read_text(encoding="utf-8")
        for name in names:
            body = content(name, root)
            if body is None:
                print(f"{page}: {name} stays as it is, there is no {SOURCES[name]}")
                continue
            try:
                text = fill(text, name, body)
            except ValueError as error:
                raise SystemExit(f"{page}: {error}") from error
        (root / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
