"""Commands that open the dock on one of its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.plugin.canvas.dock_opener import open_dock

if TYPE_CHECKING:
    from napari_stinr.plugin.docks.stinr import StinrDock


def series() -> None:
    """Open the dock where a tilt series is put together."""
    _open("Series")


def align() -> None:
    """Open the dock where the projections are aligned."""
    _open("Align")


def reconstruct() -> None:
    """Open the dock where a training is chosen and watched."""
    _open("Reconstruct")


def explore() -> None:
    """Open the dock where a reconstruction is looked at and exported."""
    _open("Explore")


def _open(page: str) -> None:
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        dock: StinrDock = open_dock(viewer)
        dock.show_page(page)
