"""The figure of `convergence.py`: error and contamination left against training time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"growth": "#d95f02", "paper": "#1b6ca8", "static": "#555555", "static, early third": "#8a63a8"}
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
FLOOR = "never contaminated"
PANELS = (
    ("nrmse", "NRMSE at t = 0", 1.0, "empty volume"),
    ("contamination_left", "contamination left at t = 0 [%]", 100.0, None),
)


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw both panels and write them.

    Parameters
    ----------
    result : dict
        What `convergence.measure` returned.
    path : path
        Image to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    for axes, (quantity, label, factor, top) in zip(figure.subplots(1, 2), PANELS, strict=True):
        _panel(axes, result["curves"], quantity, factor, None if top is None else 1.0)
        axes.set_ylabel(label)
        if top is not None:
            axes.axhline(1.0, color="#aaaaaa", linewidth=0.8, linestyle=":")
            axes.annotate(top, (0.01, 1.0), (0, 3), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                          color="#888888", fontsize=8)  # fmt: skip
    shape, tilts = result["case"]["grid"], result["case"]["tilt_step"]
    size = " × ".join(str(n) for n in shape)
    figure.suptitle(
        f"Simulated nanotube, {size} voxels, a tilt every {tilts:g}°; every point is a run of its own", fontsize=10
    )
    figure.savefig(path, dpi=150)


def _panel(axes: Any, curves: dict[str, list[dict[str, Any]]], quantity: str, factor: float, top: float | None) -> None:
    ends = {}
    for name, colour in COLOURS.items():
        seconds = [point["seconds"] for point in curves[name]]
        values = [factor * point[quantity] for point in curves[name]]
        axes.plot(seconds, values, color=colour, marker="o", markersize=3.5, linewidth=1.6)
        ends[name] = (seconds[-1], values[-1])
    floor = factor * min(curves[FLOOR], key=lambda point: point["nrmse"])[quantity]
    axes.axhline(floor, color="#222222", linewidth=0.8, linestyle="--")
    axes.annotate(FLOOR, (0.99, floor), (0, -9), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                  ha="right", color="#222222", fontsize=8)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("training time on this machine [s]")
    highest = max(top or 0.0, *(factor * point[quantity] for name in COLOURS for point in curves[name]))
    axes.set_ylim(-0.06 * highest, 1.07 * highest)
    for name, (x, y) in ends.items():
        axes.annotate(name, (x, y), (6, 5), textcoords="offset points", va="center", color=COLOURS[name], fontsize=9,
                      fontweight="bold")  # fmt: skip
    axes.margins(x=0.04)
    axes.set_xlim(right=axes.get_xlim()[1] * 2.2)
    axes.set_xticks([tick for tick in TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]])
    axes.xaxis.set_minor_formatter("")
    axes.xaxis.set_major_formatter("{x:g}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
