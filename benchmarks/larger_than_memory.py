"""A run whose volume lies on files: peak memory, time per step, and what checkpoint, going on and a slice take.

Every case runs in a process of its own. Memory is sampled a hundred times a second: what the process has for itself
(anonymous), and all of it with the pages of its files. What counts is beyond what it had when everything was imported.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import in_processes, markdown_table, median, save
from memory import blobs

from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.cores import available_threads
from napari_stinr.data.tilt_series import TiltSeries
from napari_stinr.reconstruction import run_file
from napari_stinr.reconstruction.sampled_field import SampledField
from napari_stinr.training import whole_atoms
from napari_stinr.training.batching import blocks_of_rows
from napari_stinr.training.estimates import expected_stages, measure_speed, memory_on_files
from napari_stinr.training.stages import VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_stinr.training import StepReport

CASES = ((512, 61, "growth"), (1024, 61, "static"), (1024, 61, "growth"))
QUICK_CASES = ((64, 13, "growth"),)
STEPS = 14
"""Of a whole run that is so short: it goes through all stages, the search in a few steps."""
_MEGA = 1e6
_MADE = 256
"""Pixels across of the series that are made: projecting larger ones takes longer than the steps."""


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Measure every case in a process of its own.

    Parameters
    ----------
    quick : bool
        One small case.

    Returns
    -------
    dict
        One entry per case.
    """
    cases = in_processes(__file__, QUICK_CASES if quick else CASES)
    return {"cases": cases}


def large_blobs(size: int, n_tilts: int) -> TiltSeries:
    """Return a series of blobs, the large ones from small ones with pixels that are repeated: what is in it costs."""
    factor = max(1, size // _MADE)
    series = blobs(size // factor, n_tilts)
    projections = np.repeat(np.repeat(series.projections, factor, axis=1), factor, axis=2) * np.float32(factor)
    return TiltSeries(projections, series.tilt_angles, series.times, pixel_size=1.0)


class Peaks:
    """Samples the memory of this process in a thread, and keeps the highest of every phase."""

    def __init__(self) -> None:
        self._ends, self._thread = threading.Event(), threading.Thread(target=self._sample, daemon=True)
        self._now = [0.0, 0.0]
        self.base = self._read()
        self.phases: dict[str, dict[str, float]] = {}
        self._thread.start()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Keep peaks and time of a phase under a name."""
        self._now, start, worked = [0.0, 0.0], time.perf_counter(), time.process_time()
        yield
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        anonymous, whole = (max(0.0, peak - base) for peak, base in zip(self._now, self.base, strict=True))
        self.phases[name] = {
            "seconds": seconds,
            "cpu_seconds": worked,  # of all threads: the same beside other programs
            "anonymous_megabytes": anonymous,
            "resident_megabytes": whole,
        }
        print(f"{name}: {self.phases[name]}", file=sys.stderr, flush=True)

    @property
    def highest(self) -> dict[str, float]:
        """The highest of all phases."""
        return {
            name: max(phase[name] for phase in self.phases.values())
            for name in ("anonymous_megabytes", "resident_megabytes")
        }

    def end(self) -> None:
        """Sample no more."""
        self._ends.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ends.wait(0.01):
            self._now = [max(pair) for pair in zip(self._now, self._read(), strict=True)]

    @staticmethod
    def _read() -> list[float]:
        # Of Linux: nothing else tells pages of files from others.
        lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
        sizes = {
            words[0]: 1024 * float(words[1]) for words in lines if words and words[0].startswith(("RssAnon", "VmRSS"))
        }
        return [sizes["RssAnon:"] / _MEGA, sizes["VmRSS:"] / _MEGA]


def run_case(size: int, n_tilts: int, preset: str, folder: Path) -> dict[str, Any]:
    """Train on files, stop, save, go on from the file and look at a slice, and return what that took.

    Parameters
    ----------
    size : int
        Voxels along each edge of the volume.
    n_tilts : int
        Number of tilts.
    preset : str
        What is trained.
    folder : Path
        Where the files are made.

    Returns
    -------
    dict
        Memory beyond the imports, times, and what was expected.
    """
    threads = available_threads()
    speed = measure_speed(threads)
    series = large_blobs(size, n_tilts)
    config = preset_config(preset)
    whole_atoms._RESOLVED = 1.0  # whatever is there after so few steps counts as atoms, which take most
    shape = series.projections.shape
    needed = memory_on_files(shape, config)
    *_, volume = expected_stages(shape, config, speed, on_files=True)
    peaks = Peaks()
    with peaks.phase("begin"):
        trainer = Trainer(series, config, device="cpu", threads=threads, files=folder)
    blocks = blocks_of_rows(trainer.config.training, trainer.grid)
    seconds, numbers, path = list[float](), list[int](), folder / "run.stinr"
    before = _stage(trainer, peaks, seconds, numbers, stop_at=STEPS // 2)
    with peaks.phase("checkpoint"):
        trainer.reconstruction().save(path)
    del trainer
    run_file._PART_OF_MEMORY = 0.0  # whatever is free here: the run stays in its file
    with peaks.phase("load"):
        run = load_reconstruction(path)
    with peaks.phase("slice"):
        middle = size // 2
        SampledField.of(run).at(0.0, (slice(middle, middle + 1), slice(None), slice(None)))
    with peaks.phase("resume"):
        trainer = Trainer.resume(run, series, device="cpu", threads=threads, files=folder)
    del run
    _stage(trainer, peaks, seconds, numbers, stop_at=None, before=before)
    peaks.end()
    per_step = median(seconds)
    return {
        "size": size,
        "preset": preset,
        "tilts": n_tilts,
        "volume_megabytes": size**3 * 4 / _MEGA,
        **peaks.highest,
        "seconds_per_step": per_step,
        "cpu_seconds_per_step": median([peaks.phases[f"step {number}"]["cpu_seconds"] for number in numbers]),
        "steps_per_visit": blocks,
        "minutes_per_visit": per_step * blocks / 60,
        "checkpoint_megabytes": path.stat().st_size / _MEGA,
        "expected_megabytes": 0.0 if needed is None else needed.device / _MEGA,
        "expected_disk_megabytes": 0.0 if needed is None else needed.disk / _MEGA,
        "expected_seconds_per_step": volume.step_seconds,
        "phases": peaks.phases,
    }


def _stage(
    trainer: Trainer,
    peaks: Peaks,
    seconds: list[float],
    numbers: list[int],
    *,
    stop_at: int | None,
    before: StepReport | None = None,
) -> StepReport | None:
    """Train until a step, or to the end; every step is a phase, and those of the volume are timed and noted."""
    steps, last = trainer.run(steps=STEPS), before
    while True:
        with peaks.phase(f"step {trainer.step + 1}"):
            report = next(steps, None)
        if report is None:
            return last
        if report.stage == VOLUME:
            seconds.append(report.seconds - (0.0 if last is None else last.seconds))
            numbers.append(report.step)
        last = report
        if report.step == stop_at:
            trainer.stop()


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown."""
    header = [
        "on files", "preset", "tilts", "one volume", "peak memory", "without pages of files", "expected",
        "per step", "of all cores", "expected", "one visit of all rows", "checkpoint", "slice of a saved run",
    ]  # fmt: skip
    rows = []
    for case in result["cases"]:
        phases = case["phases"]
        rows.append(
            [
                f"{case['size']} × {case['size']} × {case['size']}",
                f"`{case['preset']}`",
                str(case["tilts"]),
                f"{case['volume_megabytes'] / 1000:.1f} GB",
                f"{case['resident_megabytes'] / 1000:.1f} GB",
                f"{case['anonymous_megabytes'] / 1000:.1f} GB",
                f"{case['expected_megabytes'] / 1000:.1f} GB",
                f"{case['seconds_per_step']:.2f} s",
                f"{case['cpu_seconds_per_step']:.2f} s",
                f"{case['expected_seconds_per_step']:.2f} s",
                f"{case['minutes_per_visit']:.1f} min",
                f"{phases['checkpoint']['seconds']:.0f} s",
                f"{phases['slice']['seconds']:.1f} s",
            ]
        )
    return markdown_table(header, rows)


def main() -> None:
    """Measure one case and print it as JSON, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    parser.add_argument("--case", nargs=3, metavar=("SIZE", "TILTS", "PRESET"), help="one case, in this process")
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="on a disk with room; the current one by default"
    )
    arguments = parser.parse_args()
    if arguments.case:
        folder = Path(tempfile.mkdtemp(dir=arguments.folder, prefix="stinr-benchmark-"))
        try:
            size, n_tilts, preset = arguments.case
            print(json.dumps(run_case(int(size), int(n_tilts), preset, folder)))
        finally:
            shutil.rmtree(folder)
        return
    measured = measure(quick=arguments.quick)
    save("larger_than_memory", measured, table(measured), quick=arguments.quick)


if __name__ == "__main__":
    main()
