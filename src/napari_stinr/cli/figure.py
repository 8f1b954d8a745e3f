"""A picture of an experiment with known truth, after Figure 3 of Chien, Ophus and Waller (2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.output.atomic import atomic_output

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_stinr.data.tilt_series import TiltSeries

BACKGROUND = "#0b0d10"
TEXT = "#e8eaed"
QUIET_TEXT = "#9aa0a6"
CONTAMINATION_COLOUR = (1.0, 0.55, 0.12)
GAMMA = 0.6
"""Exponent of the grey scale: below 1, so that carbon is seen beside atoms ten times as heavy."""
WHITE_QUANTILE = 0.998
"""Share of the pixels of the truth below white; the few heaviest atoms may saturate."""
_SCALE_BARS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_VIEWS = (("along the beam, z", "x", "y"), ("along the tilt axis, y", "x", "z"), ("along x", "z", "y"))
"""Row label and the axes to the right and downwards."""
_COLUMN_INCHES = 2.4
_GAP_INCHES = 0.08
_TOP_INCHES = 0.62
_LEFT_INCHES = 0.34
_DOTS_PER_INCH = 160


@dataclass(frozen=True, eq=False)
class Panel:
    """One column of the figure: a volume seen along z, y and x."""

    title: str
    volume: NDArray[np.float32]
    """`(z, y, x)`, shown grey [V]."""
    contamination: NDArray[np.float32] | None = None
    """`(z, y, x)`, what was added to it, shown in orange [V]."""
    caption: str = ""
    """A smaller line below the title, such as a score."""


def write_figure(
    path: str | os.PathLike[str],
    panels: Sequence[Panel],
    *,
    series: TiltSeries,
    truth: NDArray[np.float32],
    voxel_size: float,
    length_unit: str = "Å",
) -> None:
    """Draw measured projections and volumes side by side, seen along z, y (the tilt axis) and x, as PNG."""
    # The first column shows the last projection, a sinogram, and one along x; all have the grid and grey scale of the
    # truth.
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _check_shapes(panels, truth.shape)
    figure, axes = _layout(truth.shape, 1 + len(panels))
    FigureCanvasAgg(figure)  # draws without a screen, whatever back end the process has chosen
    _draw_measured(axes[:, 0], series)
    whites = [_white(view) for view in views(truth)]
    for column, panel in enumerate(panels, start=1):
        _title(axes[0, column], panel.title, panel.caption)
        added = (None, None, None) if panel.contamination is None else views(panel.contamination)
        for row, (view, extra) in enumerate(zip(views(panel.volume), added, strict=True)):
            _show(axes[row, column], composite(view, extra, whites[row]))
    for row, (name, right, up) in enumerate(_VIEWS):
        _row_label(axes[row, 0], name)
        _axis_names(axes[row, 1], right, up)
    _scale_bar(axes[1, -1], truth.shape[2], voxel_size, length_unit)
    with atomic_output(path) as temporary:
        # Without the version of matplotlib in it, the same data make the same file.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def views(volume: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return means along z `(y, x)`, y `(z, x)` and x `(y, z)`; in the last z is to the right, as at 90 degrees."""
    return volume.mean(axis=0), volume.mean(axis=1), volume.mean(axis=2).T


def composite(
    specimen: NDArray[np.float32], contamination: NDArray[np.float32] | None, white: float
) -> NDArray[np.float64]:
    """Return red, green and blue `(height, width, 3)`, 0 to 1: the specimen grey, what was added orange."""
    grey = np.clip(specimen, 0, None)
    orange = np.zeros_like(grey) if contamination is None else np.clip(contamination, 0, None)
    total = np.asarray(grey + orange, dtype=np.float64)
    share = np.divide(orange, total, out=np.zeros_like(total), where=total > 0)[..., None]
    brightness = np.clip(total / white, 0, 1)[..., None] ** GAMMA
    colour = (1 - share) * np.ones(3) + share * np.array(CONTAMINATION_COLOUR)
    background = np.array([int(BACKGROUND[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    image: NDArray[np.float64] = np.clip(background + brightness * (colour - background), 0, 1)
    return image


def _check_shapes(panels: Sequence[Panel], shape: tuple[int, ...]) -> None:
    for panel in panels:
        if panel.volume.shape != shape:
            raise StinrError(
                f"the volume {panel.title!r} has the shape {panel.volume.shape}",
                expected=f"{shape}, that of the truth",
                cure="Render it with the voxel size of the truth.",
            )


def _layout(shape: tuple[int, ...], n_columns: int) -> tuple[Any, NDArray[np.object_]]:
    """Return a figure and its `(3, n_columns)` axes, of one scale in all columns."""
    from matplotlib.figure import Figure

    depth, height, width = shape
    inches = _COLUMN_INCHES / max(width, depth)  # for one voxel
    heights = [height * inches, depth * inches, height * inches]
    total_height = sum(heights) + 2 * _GAP_INCHES + _TOP_INCHES + _GAP_INCHES
    total_width = n_columns * (_COLUMN_INCHES + _GAP_INCHES) + _LEFT_INCHES
    figure = Figure(figsize=(total_width, total_height), dpi=_DOTS_PER_INCH, facecolor=BACKGROUND)
    axes = np.empty((3, n_columns), dtype=object)
    top = _TOP_INCHES
    for row, row_height in enumerate(heights):
        for column in range(n_columns):
            left = _LEFT_INCHES + column * (_COLUMN_INCHES + _GAP_INCHES)
            box = (left / total_width, 1 - (top + row_height) / total_height, _COLUMN_INCHES / total_width)
            axes[row, column] = figure.add_axes((*box, row_height / total_height), facecolor=BACKGROUND)
            axes[row, column].axis("off")
        top += row_height + _GAP_INCHES
    return figure, axes


def _draw_measured(axes: NDArray[np.object_], series: TiltSeries) -> None:
    _title(axes[0], "measured", f"{series.n_tilts} projections")
    along_z, along_x = _last_near(series, 0.0), _last_near(series, 90.0)
    for axis, tilt in ((axes[0], along_z), (axes[2], along_x)):
        image = np.nan_to_num(series.projections[tilt])
        # Seen from behind, the image is the mirror image of the views of the volumes beside it.
        angle = series.ray_angles_rad[tilt]
        behind = (np.sin(angle) if axis is axes[2] else np.cos(angle)) < 0
        _show(axis, composite(image[:, ::-1] if behind else image, None, _white(image)))
        _note(axis, f"{series.tilt_angles[tilt]:.0f}°, t = {series.times[tilt]:.2g}" + (", mirrored" if behind else ""))
    order = np.argsort(series.tilt_angles, kind="stable")
    sinogram = np.nan_to_num(series.projections[order, series.height // 2])
    _show(axes[1], composite(sinogram, None, _white(sinogram)), stretch=True)
    _note(axes[1], "central line: tilt angle downwards")


def _last_near(series: TiltSeries, angle: float) -> int:
    """Return the tilt along this direction, seen from either side; of two such, the one recorded later."""
    apart = np.abs((series.tilt_angles - angle + 90) % 180 - 90)
    near = np.flatnonzero(apart <= apart.min() + 1e-6)
    return int(near[np.argmax(series.times[near])])


def _white(view: NDArray[np.float32]) -> float:
    return max(float(np.quantile(view, WHITE_QUANTILE)), float(np.finfo(np.float32).tiny))


def _show(axis: Any, image: NDArray[np.float64], *, stretch: bool = False) -> None:
    axis.imshow(image, interpolation="bicubic", aspect="auto" if stretch else "equal")


def _title(axis: Any, title: str, caption: str) -> None:
    axis.annotate(title, (0.5, 1), (0, 22), "axes fraction", "offset points", color=TEXT, fontsize=11, ha="center")
    axis.annotate(
        caption, (0.5, 1), (0, 8), "axes fraction", "offset points", color=QUIET_TEXT, fontsize=8, ha="center"
    )


def _note(axis: Any, text: str) -> None:
    plate = {"boxstyle": "round,pad=0.25", "facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.75}
    axis.text(0.03, 0.04, text, transform=axis.transAxes, color=TEXT, fontsize=7, va="bottom", bbox=plate)


def _row_label(axis: Any, text: str) -> None:
    axis.text(
        -0.04, 0.5, text, transform=axis.transAxes, color=QUIET_TEXT, fontsize=8, rotation=90, ha="right", va="center"
    )


def _axis_names(axis: Any, right: str, down: str) -> None:
    box, (figure_width, figure_height) = axis.get_position(), axis.figure.get_size_inches()
    inch_right, inch_down = 1 / (box.width * figure_width), -1 / (box.height * figure_height)  # in parts of the axes
    arrow = {"arrowstyle": "<|-", "color": QUIET_TEXT, "lw": 0.8, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 6}
    corner = (0.08 * inch_right, 1 + 0.08 * inch_down)
    for text, (x, y) in ((right, (0.22, 0)), (down, (0, 0.22))):
        end = (corner[0] + x * inch_right, corner[1] + y * inch_down)
        axis.annotate("", corner, end, "axes fraction", arrowprops=arrow)
        label = (corner[0] + 1.3 * x * inch_right, corner[1] + 1.3 * y * inch_down)
        axis.annotate(text, label, xycoords="axes fraction", color=QUIET_TEXT, fontsize=7, ha="center", va="center")


def _scale_bar(axis: Any, width: int, voxel_size: float, length_unit: str) -> None:
    length = max((bar for bar in _SCALE_BARS if bar <= 0.3 * width * voxel_size), default=_SCALE_BARS[0])
    name = f"{length / 10:g} nm" if length_unit == "Å" and length >= 10 else f"{length} {length_unit}"
    end, start = 0.95, 0.95 - length / (width * voxel_size)
    axis.plot([start, end], [0.06, 0.06], transform=axis.transAxes, color=TEXT, lw=3, solid_capstyle="butt")
    axis.text(
        (start + end) / 2, 0.085, name, transform=axis.transAxes, color=TEXT, fontsize=8, ha="center", va="bottom"
    )
