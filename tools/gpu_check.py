"""Check and time this program on a machine with a graphics processor: one command, less than four minutes.

    PYTHONPATH=src python tools/gpu_check.py [--seconds 220] [--out FOLDER] [--demo FOLDER]

It runs from a source checkout, and says which packages the machine lacks. Without a graphics processor it does the same
at small sizes on the CPU, which shows that the script works and measures nothing. What does not fit into the time is
left out and said so; what was not run to the end is marked. Results: gpu.json, and gpu.md with the tables.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEEDED = ("numpy", "torch", "scipy", "numba", "psutil", "platformdirs", "pydantic", "yaml", "safetensors")
ACCURACY = 1e-5
"""Largest difference from the CPU, by the largest number."""
REMOVED = 0.97
"""Part of the contamination whose removal is timed."""
TIMES_OF_A_DEMO = 9


def missing_packages() -> list[str]:
    """Names of the modules that are needed and not there."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


if missing_packages():
    sys.exit("This machine lacks: " + ", ".join(missing_packages()))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from napari_stinr.analysis.metrics import contamination_left, nrmse  # noqa: E402
from napari_stinr.config import preset_config  # noqa: E402
from napari_stinr.data.tilt_series import TiltSeries  # noqa: E402
from napari_stinr.fields.base import Slices  # noqa: E402
from napari_stinr.projection import backends  # noqa: E402
from napari_stinr.projection.backends import projector_for  # noqa: E402
from napari_stinr.projection.views import SliceShape, Views  # noqa: E402
from napari_stinr.training.trainer import Trainer  # noqa: E402


@dataclass
class Check:
    """What is checked on which device, within which time, and what came out of it."""

    device: torch.device
    seconds: float
    begin: float = field(default_factory=time.perf_counter)
    result: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_real(self) -> bool:
        """There is a graphics processor."""
        return self.device.type != "cpu"

    @property
    def left(self) -> float:
        """Time that is left [s]."""
        return self.seconds - (time.perf_counter() - self.begin)

    def note(self, text: str) -> None:
        """Keep and print a remark."""
        self.notes.append(text)
        print("NOTE", text, flush=True)

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def peak_gigabytes(self) -> float | None:
        """Most memory that was taken since this was asked last [GB]; None where that is not known."""
        if self.device.type != "cuda":
            return None
        peak = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return round(peak, 2)


def serving(check: Check) -> list[backends.BackEnd]:
    """Back ends that can be loaded for the device, the best first."""
    projector_for(SliceShape(4, 4, 4), device=check.device)
    found = []
    for back_end in sorted(backends._BACK_ENDS.values(), key=lambda other: -other.rank):
        if back_end.serves(check.device):
            try:
                start = time.perf_counter()
                back_end.build(SliceShape(4, 4, 4), device=check.device, threads=1)
                check.wait()
                print(f"{back_end.name}: ready after {time.perf_counter() - start:.2f} s", flush=True)
                found.append(back_end)
            except (ImportError, OSError, RuntimeError) as error:
                check.note(f"back end {back_end.name}: {str(error)[:300]}")
    return found


def slices_of(rows: int, depth: int, width: int, *, kind: str, device: torch.device) -> Slices:
    """Random slices: `static`, `growth`, or `shares`."""
    generator = torch.Generator().manual_seed(1)
    values = [torch.rand(rows, depth, width, generator=generator).to(device) for _ in range(3)]
    density, arrival, share = values
    if kind == "static":
        return Slices(density)
    return Slices(density, arrival, 0.05, share if kind == "shares" else None)


def views_of(n_tilts: int, m: int, *, width: int) -> Views:
    """`m` of the tilts of a series: 181 over 180 degrees, fewer over 120."""
    angles = np.radians(np.linspace(0, 180, n_tilts) if n_tilts > 100 else np.linspace(-60, 60, n_tilts))
    views = Views.at(angles, np.linspace(0, 1, n_tilts), n_pixels=width, axis_offset=0.3)
    return views[torch.linspace(0, n_tilts - 1, m).round().long()]


def numbers(check: Check) -> None:
    """Compare every back end with the compiled one of the CPU."""
    rows = []
    for n_rows, depth, width, n_tilts, m in ((5, 7, 9, 13, 7), (33, 40, 64, 61, 20), (40, 88, 88, 181, 34)):
        shape, rays = SliceShape(depth, width, width, 0.5), views_of(n_tilts, m, width=width).rays
        reference = projector_for(shape, device=torch.device("cpu"))
        for kind in ("static", "growth", "shares"):
            here, there = (
                slices_of(n_rows, depth, width, kind=kind, device=d) for d in (reference.device, check.device)
            )
            lines = reference.project(here, rays)
            residual = torch.randn(lines.shape, generator=torch.Generator().manual_seed(2))
            expected = (lines, *reference.backproject(residual, here, rays))
            for back_end in check.result["back_ends"]:
                projector = back_end.build(shape, device=check.device, threads=1)
                twice = [
                    (projector.project(there, rays), *projector.backproject(residual.to(check.device), there, rays))
                    for _ in range(2)
                ]
                errors = [
                    float((a - b.cpu()).abs().max() / a.abs().max())
                    for a, b in zip(expected, twice[0], strict=True)
                    if a is not None
                ]
                same = all(a is None or torch.equal(a, b) for a, b in zip(*twice, strict=True))
                rows.append({"back_end": back_end.name, "shape": [n_rows, depth, width], "tilts": m, "kind": kind})
                rows[-1] |= {
                    "error": max(errors),
                    "right": all(error < ACCURACY for error in errors),
                    "same_bits_twice": same,
                }
                print(f"numbers {rows[-1]}", flush=True)
    check.result["numbers"] = rows


SIZES = (
    ("88 × 40 × 88, 181 tilts", 40, 88, 88, 181, 34),
    ("16 rows of 256 × 256, 61 tilts", 16, 256, 256, 61, 32),
    ("128 rows of 256 × 256, 61 tilts", 128, 256, 256, 61, 32),
    ("64 rows of 512 × 512, 61 tilts", 64, 512, 512, 61, 32),
    ("32 rows of 1024 × 1024, 61 tilts", 32, 1024, 1024, 61, 32),
)


def projectors(check: Check) -> None:
    """Time projection and back-projection."""
    rows = check.result["projector"] = []
    for label, n_rows, depth, width, n_tilts, m in SIZES if check.is_real else (("32 × 16 × 32", 16, 32, 32, 31, 16),):
        shape, rays = SliceShape(depth, width, width, 0.5), views_of(n_tilts, m, width=width).rays
        for back_end in check.result["back_ends"]:
            for kind in ("static", "growth", "shares"):
                slices = slices_of(n_rows, depth, width, kind=kind, device=check.device)
                projector = back_end.build(shape, device=check.device, threads=1)
                forward = _best(check, lambda p=projector, s=slices, r=rays: p.project(s, r))
                lines = projector.project(slices, rays)
                backward = _best(check, lambda p=projector, s=slices, r=rays, x=lines: p.backproject(x, s, r))
                speed = n_rows * depth * width * m / (forward + backward) / 1e9
                rows.append({"size": label, "back_end": back_end.name, "kind": kind, "project_ms": 1e3 * forward})
                rows[-1] |= {"backproject_ms": 1e3 * backward, "giga_voxel_tilts_per_s": speed}
                rows[-1]["peak_gigabytes"] = check.peak_gigabytes()
                print(f"projector {rows[-1]}", flush=True)


def _best(check: Check, work: Callable[[], Any], *, most: float = 0.4) -> float:
    """Least seconds that some work takes, once it has been done before."""
    work()
    seconds: list[float] = []
    while len(seconds) < 5 and sum(seconds) < most:
        check.wait()
        start = time.perf_counter()
        work()
        check.wait()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def noise_series(n_tilts: int, height: int, width: int) -> TiltSeries:
    """Make a series of this size, for time and memory alone: every voxel counts alike."""
    stack = np.random.default_rng(0).random((n_tilts, height, width), dtype=np.float32)
    return TiltSeries(stack, np.linspace(-60, 60, n_tilts), np.arange(n_tilts, dtype=float), pixel_size=0.5)


@dataclass(frozen=True, eq=False)
class Blobs:
    """Gaussian atoms, half of which arrive outside while a series is recorded."""

    series: TiltSeries
    centres: np.ndarray  # (n, 3) positions (z, y, x) from the centre [voxel]
    is_late: np.ndarray  # (n,)
    sigma: float = 1.3  # [voxel]

    @classmethod
    def recorded(cls, n_tilts: int, height: int, width: int, *, n: int = 160) -> Blobs:
        """Make some, and their series."""
        generator = np.random.default_rng(3)
        angles = np.linspace(0, 180, n_tilts) if n_tilts > 100 else np.linspace(-60, 60, n_tilts)
        is_late = np.arange(n) >= n // 2
        radius = np.where(is_late, generator.uniform(0.26, 0.36, n), 0.22 * np.sqrt(generator.uniform(0, 1, n))) * width
        turn, row = generator.uniform(0, 2 * np.pi, n), generator.uniform(-0.4, 0.4, n) * height
        centres = np.stack([radius * np.sin(turn), row, radius * np.cos(turn)], axis=1)
        born = np.where(is_late, generator.uniform(0.03, 1, n), -1.0)
        u, y = (np.arange(size) - (size - 1) / 2 for size in (width, height))
        stack = np.zeros((n_tilts, height, width), dtype=np.float32)
        for k, (angle, t) in enumerate(zip(np.radians(angles), np.linspace(0, 1, n_tilts), strict=True)):
            here = born <= t
            p = centres[here, 2] * np.cos(angle) + centres[here, 0] * np.sin(angle)
            stack[k] = _bells(y, centres[here, 1], cls.sigma) @ _bells(u, p, cls.sigma).T
        return cls(TiltSeries(stack, angles, np.arange(n_tilts, dtype=float), pixel_size=0.5), centres, is_late)

    def volume(self, *, is_late: bool) -> np.ndarray:
        """`(z, y, x)` potential of the specimen, or of the contamination at the end."""
        _, height, width = self.series.projections.shape
        u, y = (np.arange(size) - (size - 1) / 2 for size in (width, height))
        some = self.centres[self.is_late == is_late]
        bells = [_bells(axis, some[:, i], self.sigma) for i, axis in enumerate((u, y, u))]
        total = np.einsum("zn,yn,xn->zyx", *bells, optimize=True)
        # Rays are counted in the length of a voxel.
        return (total / (self.sigma * np.sqrt(2 * np.pi)) / 0.5).astype(np.float32)


def _bells(axis: np.ndarray, centres: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-((axis[:, None] - centres) ** 2) / (2 * sigma**2))


def trained(check: Check, trainer: Trainer, *, limit: float) -> tuple[int, int, float]:
    """Train to the end or for so long; steps done, steps in all, and seconds."""
    check.wait()
    begin, n_steps = time.perf_counter(), 0
    for report in trainer.run():
        n_steps = report.n_steps
        if time.perf_counter() - begin > limit:
            break
    check.wait()
    return trainer.step, n_steps, time.perf_counter() - begin


def steps(check: Check) -> None:
    """Time whole steps of the last stage, and count what a step launches."""
    rows = check.result["steps"] = []
    sizes = ((181, 40, 88), (61, 256, 256)) if check.is_real else ((31, 16, 32),)
    for size in sizes:
        for preset in ("static", "growth"):
            config = preset_config(preset).voxelwise()
            trainer = Trainer(noise_series(*size), config, device=str(check.device))
            run = trainer.run()
            for _ in range(3):
                next(run)
            check.wait()
            start, n = time.perf_counter(), 0
            while n < 30 and time.perf_counter() - start < 3:
                next(run)
                n += 1
            check.wait()
            milliseconds = 1e3 * (time.perf_counter() - start) / n
            launches = _launches(lambda r=run: next(r), check)
            rows.append({"size": list(size), "preset": preset, "ms_per_step": milliseconds, "launches": launches})
            rows[-1]["peak_gigabytes"] = check.peak_gigabytes()
            print(f"steps {rows[-1]}", flush=True)


def _launches(work: Callable[[], Any], check: Check) -> int:
    """Kernels and copies that some work starts on the device; on the CPU, operations of torch that would be some."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if check.device.type == "cuda" else [])
    with profile(activities=kinds) as record:
        work()
        check.wait()
    if check.device.type == "cuda":
        return sum(1 for event in record.events() if event.device_type == torch.autograd.DeviceType.CUDA)
    leaves = [event for event in record.events() if event.name.startswith("aten::") and not event.cpu_children]
    return len(leaves)


def runs(check: Check) -> Iterator[str]:
    """Time whole default runs; a run that does not fit is extrapolated, and marked."""
    rows = check.result["runs"] = []
    sizes = ((61, 256, 256, 45.0), (61, 512, 512, 110.0)) if check.is_real else ((31, 16, 32, 10.0),)
    for n_tilts, height, width, most in sizes:
        limit = min(most, check.left - 15)
        if limit < 5:
            check.note(f"run of {width}³: no time left")
            continue
        series = Blobs.recorded(n_tilts, height, width, n=4 * width).series
        start = time.perf_counter()
        trainer = Trainer(series, preset_config("growth"), device=str(check.device))
        done, n_steps, seconds = trained(check, trainer, limit=limit)
        rows.append({"size": [n_tilts, height, width], "steps": n_steps, "seconds": seconds * n_steps / done})
        rows[-1] |= {"is_extrapolated": done < n_steps, "start_seconds": time.perf_counter() - start - seconds}
        rows[-1]["peak_gigabytes"] = check.peak_gigabytes()
        yield f"run {rows[-1]}"


def demo(check: Check) -> Iterator[str]:
    """Reconstruct a small case on device and CPU: quality, and the time until most of the contamination is removed."""
    rows = check.result["demo"] = []
    blobs = Blobs.recorded(*((181, 40, 88) if check.is_real else (31, 16, 32)))
    series, truth, dirt = blobs.series, blobs.volume(is_late=False), blobs.volume(is_late=True)
    static = Trainer(series, preset_config("static"), device=str(check.device))
    trained(check, static, limit=60)
    base = contamination_left(static.reconstruction().render(0.0), truth, dirt)
    for device in dict.fromkeys((str(check.device), "cpu")):
        for steps in (None, 300, 200, 150, 100) if device != "cpu" else (None,):
            if check.left < (70 if device == "cpu" else 10):
                check.note(f"demo on {device}: no time left")
                continue
            trainer = Trainer(series, preset_config("growth").with_training(steps=steps), device=device)
            _, n_steps, seconds = trained(check, trainer, limit=120)
            volume = trainer.reconstruction().render(0.0)
            left = contamination_left(volume, truth, dirt)
            rows.append({"device": device, "steps": n_steps, "seconds": seconds, "removed": 1 - left / base})
            rows[-1]["nrmse"] = nrmse(volume, truth)
            yield f"demo {rows[-1]}"
    quick = [row["seconds"] for row in rows if row["device"] != "cpu" and row["removed"] >= REMOVED]
    check.result["seconds_to_97_percent"] = min(quick, default=None)


def paper(check: Check) -> None:
    """Count how many points on rays the network of the published method learns from in a second."""
    series = noise_series(*((181, 40, 88) if check.is_real else (31, 16, 32)))
    config = preset_config("paper")
    rows = check.result["paper"] = []
    for rays in (config.training.rays_per_step, 2**14, 2**17) if check.is_real else (256,):
        trainer = Trainer(series, config.with_training(rays_per_step=rays), device=str(check.device))
        run = trainer.run()
        next(run)
        seconds = _best(check, lambda r=run: next(r), most=3.0)
        fitted = trainer.grid.fitted
        samples = rays * max(fitted.depth, fitted.width) / seconds
        rows.append({"rays": rays, "ms_per_step": 1e3 * seconds, "mega_samples_per_s": samples / 1e6})
        rows[-1]["peak_gigabytes"] = check.peak_gigabytes()
        print(f"paper {rows[-1]}", flush=True)


COLUMNS = {
    "steps": ("size", "preset", "ms_per_step", "launches", "peak_gigabytes"),
    "runs": ("size", "steps", "seconds", "is_extrapolated", "peak_gigabytes"),
    "demo": ("device", "steps", "seconds", "removed", "nrmse"),
    "paper": ("rays", "ms_per_step", "mega_samples_per_s", "peak_gigabytes"),
}
"""What the tables show of each part, but for the projector."""
TITLES = {
    "steps": "**Steps of a training** without a surface; launches: kernels and copies on the device",
    "runs": "**Default runs** of `growth` on Gaussian atoms, from start to end; size: tilts × rows × columns",
    "demo": "**Quality by number of steps**, `growth` on 160 Gaussian atoms, half of them late, 181 tilts of 88 × 40",
    "paper": "**Preset `paper`**, 181 tilts of 88 × 40",
}


def tables(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    rows = result.get("numbers", [])
    n_right = sum(row["right"] for row in rows)
    agree = f"{n_right} of {len(rows)} comparisons with the compiled kernels of the CPU agree within {ACCURACY:g}"
    parts = [f"{result['device']}, torch {result['torch']}: {agree}."]
    if result.get("projector"):
        parts.append(_projector_table(result["projector"]))
    for name, columns in COLUMNS.items():
        if result.get(name):
            cells = [[_cell(row.get(column)) for column in columns] for row in result[name]]
            parts.append(f"{TITLES[name]}:\n\n{_table([column.replace('_', ' ') for column in columns], cells)}")
    return "\n\n".join([*parts, *(f"Not done: {note}" for note in result["notes"])])


def _projector_table(rows: list[dict[str, Any]]) -> str:
    """Voxels per second of every size, by back end and kind of slices."""
    kinds = list(dict.fromkeys((row["back_end"], row["kind"]) for row in rows))
    speeds = {(row["size"], row["back_end"], row["kind"]): row["giga_voxel_tilts_per_s"] for row in rows}
    sizes = dict.fromkeys(row["size"] for row in rows)
    cells = [[size, *(_cell(speeds.get((size, *kind))) for kind in kinds)] for size in sizes]
    head = ["forward + backward, 10⁹ voxels per second and tilt", *(f"{name}, {kind}" for name, kind in kinds)]
    return "**Projector**:\n\n" + _table(head, cells)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "| --- |" + " ---: |" * (len(head) - 1), *lines[1:]])


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:.3g}"
    return " × ".join(map(str, value)) if isinstance(value, list) else str(value)


def main() -> int:
    """Do everything that fits into the time; 0 where all numbers are right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=220, help="time for all of it")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for gpu.json and gpu.md")
    parser.add_argument("--parts", default="numbers,projectors,steps,demo,paper,runs", help="which parts, in order")
    options = parser.parse_args()
    name = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    check = Check(torch.device(name), options.seconds)
    label = torch.cuda.get_device_name(0) if name == "cuda:0" else "Apple MPS" if name == "mps" else "CPU only"
    check.result |= {"device": label, "torch": torch.__version__, "back_ends": serving(check), "notes": check.notes}
    for part in options.parts.split(","):
        try:
            for line in globals()[part](check) or ():
                print(line, flush=True)
        except Exception as error:  # what one part finds must not keep the others from being tried
            check.note(f"{part}: {type(error).__name__}: {str(error)[:500]}")
        _save(check, options.out)
    print(tables(check.result), flush=True)
    rows = check.result.get("numbers", [])
    return 0 if rows and all(row["right"] for row in rows) else 1


def _save(check: Check, folder: Path) -> None:
    kept = check.result | {"back_ends": [back_end.name for back_end in check.result["back_ends"]]}
    kept["seconds"] = time.perf_counter() - check.begin
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "gpu.md").write_text(tables(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
