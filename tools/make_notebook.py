"""Write an example as a notebook: make_notebook.py SCRIPT NOTEBOOK.

The script is the one source; its cells begin with ``# %%``, those of text with ``# %% [markdown]``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

MARK = re.compile(r"^# %%( \[markdown\])?\n", flags=re.MULTILINE)


def notebook_of(script: str) -> dict[str, Any]:
    """Return the notebook of a script, without outputs."""
    _, *parts = MARK.split(script)
    cells = [cell(number, text.strip(), is_text=bool(mark)) for number, (mark, text) in enumerate(pairs(parts))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def pairs(parts: list[str]) -> zip[tuple[str, str]]:
    """Return the mark and the text of every cell."""
    return zip(parts[::2], parts[1::2], strict=True)


def cell(number: int, text: str, *, is_text: bool) -> dict[str, Any]:
    """Return one cell; `number` makes its name, so that the same script gives the same bytes."""
    if is_text:
        source = re.sub(r"^# ?", "", text, flags=re.MULTILINE).splitlines(keepends=True)
        return {"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}, "source": source}
    empty = {"execution_count": None, "metadata": {}, "outputs": []}
    return {"cell_type": "code", "id": f"cell-{number}", "source": text.splitlines(keepends=True)} | empty


def main(script: str, notebook: str) -> None:
    """Write the notebook."""
    content = notebook_of(Path(script).read_text(encoding="utf-8"))
    # Keys and indents as Jupyter writes them, so that a notebook saved there differs by its outputs alone.
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    Path(notebook).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
