"""The report of an alignment as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose

_NAMES = ("as recorded", "aligned")


def draw(
    path: str | Path,
    pose: Pose,
    *,
    tilt_angles: NDArray[np.float64],
    correlations: tuple[NDArray[np.float64], NDArray[np.float64]],
    sinograms: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    """Draw shifts, and correlations and sinograms before and after, over the tilt angle into PNG, PDF or SVG."""
    order = np.argsort(tilt_angles, kind="stable")
    angles = tilt_angles[order]
    figure = Figure(figsize=(10, 6), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    shifts = figure.add_subplot(grid[0, 0])
    likeness = figure.add_subplot(grid[1, 0], sharex=shifts)
    for values, name in ((pose.dx, "along x"), (pose.dy, "along y")):
        shifts.plot(angles, values[order], ".-", label=name)
    for values, name in zip(correlations, _NAMES, strict=True):
        likeness.plot(angles, values[order], ".-", label=name)
    shifts.set_ylabel("shift [pixel]")
    likeness.set(xlabel="tilt angle [degrees]", ylabel="correlation with neighbour")
    for axes in (shifts, likeness):
        axes.legend(frameon=False)
    low, high = np.percentile(sinograms[0], (0.5, 99.5))
    for row, (sinogram, name) in enumerate(zip(sinograms, _NAMES, strict=True)):
        axes = figure.add_subplot(grid[row, 1])
        _draw_sinogram(axes, sinogram[order], angles, (float(low), float(high)))
        axes.set(title=f"central row, {name}", xlabel="column [pixel]", ylabel="tilt angle [degrees]")
    figure.savefig(path, dpi=150)


def _draw_sinogram(
    axes: Axes, values: NDArray[np.float32], angles: NDArray[np.float64], limits: tuple[float, float]
) -> None:
    """`(n_tilts, width)` values at `(n_tilts,)` ascending angles [degrees], each as high as the gap to the next."""
    middles = (angles[1:] + angles[:-1]) / 2
    borders = np.r_[2 * angles[0] - middles[0], middles, 2 * angles[-1] - middles[-1]]
    columns = np.arange(values.shape[1] + 1) - 0.5
    axes.pcolormesh(columns, borders, values, cmap="gray", vmin=limits[0], vmax=limits[1], rasterized=True)
