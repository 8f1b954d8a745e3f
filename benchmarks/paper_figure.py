"""The figure of `paper.py`: truth, static and paper at two times, along the tube and in the plane of its axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.cli.figure import BACKGROUND, QUIET_TEXT, TEXT, WHITE_QUANTILE, composite

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SLICE_VOXELS = 3
"""Thickness of the slice: about that of an atom."""
_CELL_INCHES = 2.9
_LONG = 120.0
"""Time from which on minutes are told [s]."""


def draw(measured: dict[str, Any], volumes: dict[str, dict[str, NDArray[np.float32]]], path: Path) -> None:
    """Draw the mean along the tube and a slice through its axis, one column for each method, and write the image.

    Parameters
    ----------
    measured : dict
        What `paper.measure` returned.
    volumes : dict
        `(z, y, x)` potential by method and name of the time [V].
    path : path
        Image to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    depth, height, width = next(iter(volumes["truth"].values())).shape
    names = list(volumes["truth"])
    ratios = [depth, height] * len(names)
    figure = Figure(
        figsize=(_CELL_INCHES * len(volumes), _CELL_INCHES * sum(ratios) / width + 0.8),
        dpi=90,
        facecolor=BACKGROUND,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(ratios), len(volumes), gridspec_kw={"height_ratios": ratios})
    for row, (name, view) in enumerate((name, view) for name in names for view in ("along the tube", "slice")):
        images = {method: _view(by_time[name], view) for method, by_time in volumes.items()}
        white = float(np.quantile(images["truth"], WHITE_QUANTILE))
        for column, (method, image) in enumerate(images.items()):
            axis = axes[row, column]
            axis.imshow(composite(image, None, white), interpolation="bicubic")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_title(_title(measured, method), color=TEXT, fontsize=10)
        axes[row, 0].set_ylabel(f"{name}, {view}", color=QUIET_TEXT, fontsize=9)
    figure.savefig(path, metadata={"Software": None})


def _view(volume: NDArray[np.float32], view: str) -> NDArray[np.float32]:
    """`(z, x)` mean along the tube, or `(y, x)` mean of the middle planes."""
    if view == "along the tube":
        return volume.mean(axis=1)
    first = (len(volume) - SLICE_VOXELS) // 2
    return volume[first : first + SLICE_VOXELS].mean(axis=0)


def _title(measured: dict[str, Any], method: str) -> str:
    scores = measured["scores"][method]
    if "seconds" not in scores:
        return method
    seconds, threads = scores["seconds"], measured["threads"]
    length = f"{seconds:.0f} s" if seconds < _LONG else f"{seconds / 60:.0f} minutes"
    return f"{method}, {length} on {threads} core{'s' if threads > 1 else ''}"
