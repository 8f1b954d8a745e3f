"""Draw slices of a real needle as recorded and aligned: docs/alignment.png.

The series is HAADF.mrc of etspy's test data, which is not part of this project; without it beside the checkout nothing
is drawn. Every fourth pixel, the preset static, and no option but the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import napari_stinr as stinr

ROOT = Path(__file__).resolve().parent.parent
STACK = ROOT.parent / "shared" / "data" / "etspy" / "HAADF.mrc"
TARGET = ROOT / "docs" / "alignment.png"
BINNING, STEPS, SLICES = 4, 200, (1 / 3, 2 / 3)


def main() -> int:
    """Reconstruct twice and draw; 1 where the series is not there."""
    if not STACK.is_file():
        print(f"{STACK.name} is not beside the checkout: nothing is drawn", file=sys.stderr)
        return 1
    series = stinr.read_tilt_series(STACK, times="sequential", binning=BINNING)
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    rows = figure.subplots(1, 2 * len(SLICES))
    for column, (method, name) in enumerate((("off", "as recorded"), ("coarse", "aligned"))):
        residuals: list[float] = []
        run = stinr.reconstruct(
            series,
            preset="static",
            steps=STEPS,
            align=method,
            callback=lambda step, kept=residuals: kept.append(step.relative_residual),
        )
        volume = run.render(0.0)
        for number, part in enumerate(SLICES):
            axes = rows[len(SLICES) * column + number]
            axes.imshow(volume[:, round(part * volume.shape[1])], cmap="gray", vmin=0)
            axes.set_axis_off()
            axes.set_title(f"{name}, residual {np.mean(residuals[-8:]):.3f}" if number == 0 else "")
    figure.savefig(TARGET, dpi=110)
    print(f"wrote {TARGET.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
