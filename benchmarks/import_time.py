"""What the plugin adds to the start of napari: `python benchmarks/import_time.py [--repeats N]`.

Each case is a fresh process that does what napari does at its start, with and without the plugin, in turn. napari
imports nothing of a plugin before it is used: the manifest alone is read. The contributed modules are counted on top,
as if a person had used all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

NAME = "napari-stinr"
LIMIT_S = 0.3
HEAVY = ("torch", "numba", "abtem")
WITHOUT_DOCKS = ("readers", "writers", "samples", "settings")
DOCKS = ("tilt_series_dock", "reconstruct_dock", "explore_dock")

CASE = """
import json, sys, time
mode, name = sys.argv[1], sys.argv[2]
start = time.perf_counter()
import napari, napari.viewer, napari._qt.qt_main_window
from npe2 import PluginManager
ready = time.perf_counter()
manager = PluginManager.instance()
if mode == "without":
    # An environment without the plugin: it is not among the distributions.
    from npe2.manifest import schema
    distributions = schema.metadata.distributions
    schema.metadata.distributions = lambda **context: (
        found for found in distributions(**context)
        if name not in (found.read_text("entry_points.txt") or "")
    )
manager.discover()
from napari.plugins import _initialize_plugins
_initialize_plugins()
discovered = time.perf_counter()
assert (name in manager) == (mode != "without")
parts = {}
for module in sys.argv[3:]:
    before = time.perf_counter()
    __import__(f"napari_stinr.plugin.{module}")
    parts[module] = time.perf_counter() - before
end = time.perf_counter()
print(json.dumps({"napari": ready - start, "discovery": discovered - ready, "modules": end - discovered,
                  "all": end - start, "parts": parts, "loaded": sorted(set(sys.modules))}))
"""


def main() -> None:
    """Measure, print the medians and fail where the plugin adds more than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9, help="runs of every case (default 9)")
    repeats = parser.parse_args().repeats
    cases = {
        "without": ("without",),
        "with": ("with", *WITHOUT_DOCKS),
        "with, docks opened": ("with", *WITHOUT_DOCKS, *DOCKS),
    }
    runs: dict[str, list[dict]] = {name: [] for name in cases}
    for repeat in range(repeats + 1):
        for name, (mode, *modules) in cases.items():
            measured = run(mode, modules)
            # The first round only fills the caches of the disk.
            if repeat:
                runs[name].append(measured)
    base = median(runs["without"], "all")
    for name, measured in runs.items():
        discovery, modules = median(measured, "discovery"), median(measured, "modules")
        print(f"{name}: start {median(measured, 'all'):.3f} s", end="; ")
        print(f"discovery {discovery:.3f} s, contributed modules {modules:.3f} s")
    for module in (*WITHOUT_DOCKS, *DOCKS):
        seconds = statistics.median(measured["parts"][module] for measured in runs["with, docks opened"])
        print(f"  {module}: {seconds:.3f} s")
    failed = False
    for name in list(runs)[1:]:
        # Pairs of one round: what disturbs the machine disturbs both. Importing napari itself is the same in all cases.
        added = statistics.median(
            one["discovery"] + one["modules"] - other["discovery"] - other["modules"]
            for one, other in zip(runs[name], runs["without"], strict=True)
        )
        loaded = set(runs[name][-1]["loaded"]) - set(runs["without"][-1]["loaded"])
        heavy = [library for library in HEAVY if library in loaded]
        print(f"{name}: adds {added:.3f} s, {1 + added / base:.3f} times a start without", end="; ")
        print(f"heavy libraries that it loads: {', '.join(heavy) or 'none'}")
        failed |= name == "with" and (added >= LIMIT_S or bool(heavy))
    sys.exit(failed)


def run(mode: str, modules: list[str]) -> dict:
    """Run one case in a fresh process and return its seconds."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CASE, mode, NAME, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    measured: dict = json.loads(done.stdout.splitlines()[-1])
    return measured


def median(measured: list[dict], key: str) -> float:
    """Return the median of one number of all runs [s]."""
    return statistics.median(one[key] for one in measured)


if __name__ == "__main__":
    main()
