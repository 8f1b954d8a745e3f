"""The report of an alignment as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose


def draw(
    path: str | Path,
    pose: Pose,
    *,
    tilt_angles: NDArray[np.float64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> None:
    """Draw shifts, and correlations before and after, over the tilt angle [degrees] into a PNG, PDF or SVG file."""
    order = np.argsort(tilt_angles, kind="stable")
    angles = tilt_angles[order]
    figure = Figure(figsize=(7, 5), layout="constrained")
    shifts, likeness = figure.subplots(2, 1, sharex=True)
    for values, name in ((pose.dx, "along x"), (pose.dy, "along y")):
        shifts.plot(angles, values[order], ".-", label=name)
    for values, name in ((before, "as recorded"), (after, "aligned")):
        likeness.plot(angles, values[order], ".-", label=name)
    shifts.set_ylabel("shift [pixel]")
    likeness.set(xlabel="tilt angle [degrees]", ylabel="correlation with neighbour")
    for axes in (shifts, likeness):
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
