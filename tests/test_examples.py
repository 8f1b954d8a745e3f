"""The examples: the notebook is the script, and its cells do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import napari_stinr as stinr
from helpers.places import ROOT, SOURCE

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))

# What Jupyter does, without Jupyter: cell after cell with the same names.
RUN_CELLS = """
import json, sys
names = {"__name__": "__main__"}
with open(sys.argv[1], encoding="utf-8") as file:
    for cell in json.load(file)["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_its_script(script: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.ipynb"
    subprocess.run([sys.executable, str(ROOT / "tools" / "make_notebook.py"), str(script), str(made)], check=True)
    notebook = script.with_suffix(".ipynb")
    assert notebook.read_bytes() == made.read_bytes(), "run `make examples`"
    code = [cell for cell in json.loads(made.read_bytes())["cells"] if cell["cell_type"] == "code"]
    text = "\n\n".join("".join(cell["source"]) for cell in code)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        line for line in lines if line and not line.startswith("#")
    ]


@pytest.mark.slow
def test_the_notebook_gives_the_clean_specimen_back(tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(SOURCE), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-c", RUN_CELLS, str(EXAMPLES / "clean_specimen.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    left = {name: int(percent) for name, percent in re.findall(r"^(\w+) .*carbon left (-?\d+) %$", done.stdout, re.M)}
    assert left.keys() == {"static", "growth"}
    assert left["static"] > 30
    assert abs(left["growth"]) < 5

    folder = tmp_path / "clean-specimen"
    (clean, voxel_size), (truth, _) = (stinr.read_volume(folder / name) for name in ("clean.tif", "truth.mrc"))
    assert voxel_size == pytest.approx(0.5)
    assert stinr.evaluate(clean, truth, voxel_size=voxel_size).nrmse < 0.4
    run = stinr.load_reconstruction(folder / "growth.stinr")
    assert run.contamination(t=1.0).sum() > 0.5 * truth.sum()
    assert {path.name for path in folder.glob("*.png")} == {"series.png", "comparison.png"}
