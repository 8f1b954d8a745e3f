"""Kill trainings and exports at random moments, and check that nothing is lost and nothing is half-written.

    python tools/kill_runs.py --kills 200 --seed 0

Every training saves after every step and goes on from the last checkpoint, as a person would; every export replaces
the one before. Half of the kills come after a random time, the others at a random moment of the writing itself: in the
middle of the content, before and after each flush and renaming. After each kill, another process checks the files.
Prints the counts by kind and moment; the exit status is 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from kill_moments import MOMENTS, Watch

from napari_stinr import Trainer, load_reconstruction, preset_config
from napari_stinr.cli.training import TrainingRequest, train
from napari_stinr.errors import StinrError
from napari_stinr.io import read_tilt_series, read_volume, write_tilt_angles, write_tilt_series
from napari_stinr.reconstruction.export import export_run
from napari_stinr.training.optimisers import adam

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 60
"""Steps after which a training has ended and the next one starts anew."""
KILLED = "killed"
LONGEST = {"training": 1.5, "export": 0.1}
"""Longest time until a kill, from the moment at which the work begins [s]."""
EVENTS = {"training": 25, "export": 5}
"""Events of writing out of which one is drawn: those of several checkpoints, and those of one export."""
EXPORTS = {
    "volume.tif": {"times": (0.0,)},
    "volume.mrc": {"times": (0.0,)},
    "contamination.ome.tif": {"times": (1.0,), "contamination": True},
    "frames.tif": {"times": (0.0, 0.25, 0.5, 0.75, 1.0)},
}


def in_new_process(work: Callable[[], Any], *, watch: Watch | None = None, after: float | None = None) -> Any:
    """Do something in a copy of this process; kill it after a time, or let it kill itself.

    Parameters
    ----------
    work : callable
        What to do; its result must be JSON.
    watch : Watch, optional
        Shared with the copy; tells when the work begins.
    after : float, optional
        Time from then to the kill [s].

    Returns
    -------
    result
        Of `work`; `KILLED` where it was killed.

    Raises
    ------
    RuntimeError
        The work failed by itself.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.close(reading)
            os.write(writing, json.dumps(work()).encode())
            status = 0
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(status)
    os.close(writing)
    if after is not None and watch is not None:
        while not watch.has_begun and os.waitpid(process, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return KILLED
    if os.WEXITSTATUS(status):
        raise RuntimeError(answer)
    return json.loads(answer)


class Experiment:
    """A folder in which trainings and exports are killed.

    Parameters
    ----------
    folder : Path
        An empty folder.
    seed : int
        Of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.luck = folder, random.Random(seed)
        self.stack, self.run = folder / "stack.mrc", folder / "run.stinr"
        self.exported_run = folder / "finished.stinr"
        self.counts: Counter[tuple[str, str]] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self.step, self.resumed = 0, 0

    def prepare(self) -> None:
        """Write a small series, train on it, and export as it should be."""
        angles = np.linspace(0, 168, 15)
        columns = np.arange(16) - 7.5
        blob = [np.exp(-((columns - 4 * np.cos(np.deg2rad(angle))) ** 2) / 4) for angle in angles]
        projections = np.stack(blob)[:, None] * np.hanning(10)[1:-1, None]
        write_tilt_series(self.stack, projections, pixel_size=1.0)
        write_tilt_angles(self.stack.with_suffix(".rawtlt"), angles)
        trainer = Trainer(read_tilt_series(self.stack), preset_config("growth"), device="cpu", threads=1)
        list(trainer.run(steps=5))
        trainer.reconstruction().save(self.exported_run)
        right = self.folder / "right"
        right.mkdir()
        for name, options in EXPORTS.items():
            export_run(self.exported_run, right / name, **options)  # type: ignore[arg-type]

    def kill_a_training(self) -> None:
        """Start a training or go on with it, kill it, and look at its checkpoint."""
        before = self.step
        moment, seen = self._kill("training", self._train)
        found = in_new_process(self._loaded_step)
        if found is None and (before or seen):
            self._fault(f"training killed {moment}: no checkpoint, but {max(before, seen)} steps had been saved")
        elif found is not None and found < max(before, seen):
            self._fault(f"training killed {moment}: step {found} in the checkpoint, {max(before, seen)} were saved")
        self.outcomes["checkpoint whole" if found is not None else "no checkpoint yet"] += 1
        self.resumed += before > 0
        self.step = found or 0
        self._check_leftovers(self.run, moment)
        if self.step >= STEPS:
            self.run.unlink()
            self.step = 0

    def kill_an_export(self) -> None:
        """Start an export, kill it, and look at its file."""
        name = self.luck.choice(list(EXPORTS))
        target = self.folder / name
        if self.luck.random() < 0.3:
            target.unlink(missing_ok=True)
        elif self.luck.random() < 0.5:
            target.write_bytes(b"what was there before")
        before = target.read_bytes() if target.exists() else None
        moment, _ = self._kill("export", lambda watch: self._export(watch, target))
        now = target.read_bytes() if target.exists() else None
        right = (self.folder / "right" / name).read_bytes()
        if now not in (before, right):
            self._fault(f"export of {name} killed {moment}: {len(now or b'')} bytes are neither the old nor the new")
        elif now == right and not in_new_process(lambda: self._reads_back(target)):
            self._fault(f"export of {name} killed {moment}: it does not read back as rendered")
        new = "export whole" if now == right else "no export yet" if now is None else "previous export kept"
        self.outcomes[new] += 1
        self._check_leftovers(target, moment)

    def finish(self) -> None:
        """Write everything once more, without a kill: nothing may be left behind."""
        in_new_process(lambda: self._train(None))
        for name in EXPORTS:
            in_new_process(lambda name=name: self._export(None, self.folder / name))
        left = [path.name for path in self.folder.iterdir() if path.name.startswith(".")]
        if left:
            self._fault(f"left behind after the next write: {left}")

    def _kill(self, kind: str, work: Callable[[Watch], Any]) -> tuple[str, int]:
        watch, after = Watch(), None
        if self.luck.random() < 0.5:
            after = self.luck.uniform(0, LONGEST[kind])
        else:
            watch.kill_at(self.luck.randrange(1, EVENTS[kind] + 1), delay_us=self.luck.randrange(3000))
        if in_new_process(lambda: work(watch), watch=watch, after=after) == KILLED:
            self.counts[kind, watch.moment] += 1
        else:
            self.outcomes[f"{kind}s that ended before the kill"] += 1
        return watch.moment, watch.step

    def _train(self, watch: Watch | None) -> None:
        series = read_tilt_series(self.stack)
        resume = self.run if self.run.exists() else None
        request = TrainingRequest(self.run, resume=resume, device="cpu", threads=1, checkpoint_every=0)
        begins = None if watch is None else lambda *_: watch.begin()
        train(replace(request.order(series), steps=STEPS, check=begins))

    def _export(self, watch: Watch | None, target: Path) -> None:
        if watch is not None:
            watch.begin()
        export_run(self.exported_run, target, **EXPORTS[target.name])  # type: ignore[arg-type]

    def _loaded_step(self) -> int | None:
        if not self.run.exists():
            return None
        return load_reconstruction(self.run).step

    def _reads_back(self, target: Path) -> bool:
        run, options = load_reconstruction(self.exported_run), EXPORTS[target.name]
        render = run.contamination if "contamination" in options else run.render
        if len(options["times"]) == 1:  # type: ignore[arg-type]
            return bool((read_volume(target)[0] == render(options["times"][0])).all())  # type: ignore[index]
        import tifffile

        frames = tifffile.imread(target)
        return all((frame == render(t)).all() for frame, t in zip(frames, options["times"], strict=True))  # type: ignore[call-overload]

    def _check_leftovers(self, target: Path, moment: str) -> None:
        left = [path for path in self.folder.iterdir() if path.name.startswith(".") and path.name.endswith(target.name)]
        self.outcomes["with a temporary file left"] += bool(left)
        if len(left) > 1:
            self._fault(f"killed {moment}: {len(left)} temporary files of {target.name} are left")

    def _fault(self, text: str) -> None:
        self.faults.append(text)


def main() -> int:
    """Run, print the counts and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # each next write says that it found what the kill has left
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(Path(folder), options.seed)
        # All that takes long to import, once for all processes; but no training, whose threads a copy would not have.
        adam([torch.zeros(1, requires_grad=True)])
        assert len(os.listdir("/proc/self/task")) == 1
        in_new_process(experiment.prepare)
        while experiment.counts.total() < options.kills and not experiment.faults:
            try:
                (experiment.kill_an_export if experiment.counts.total() % 2 else experiment.kill_a_training)()
            except (RuntimeError, StinrError, OSError) as error:
                experiment.faults.append(f"after {experiment.counts.total()} kills: {error}")
        experiment.finish()
    for (kind, moment), count in sorted(experiment.counts.items(), key=lambda item: (item[0][0], order(item[0][1]))):
        print(f"{kind:<10}{moment:<34}{count:>5}")
    for outcome, count in sorted(experiment.outcomes.items()):
        print(f"{outcome:<44}{count:>5}")
    print(
        f"{experiment.counts.total()} kills in {time.monotonic() - began:.0f} s, {experiment.resumed} of them of a run "
        f"that went on after an earlier one; {len(experiment.faults)} violations"
    )
    print("\n".join(experiment.faults[:20]))
    return 1 if experiment.faults else 0


def order(moment: str) -> int:
    """Position of a moment in the course of a write."""
    return MOMENTS.index(moment)


if __name__ == "__main__":
    sys.exit(main())
