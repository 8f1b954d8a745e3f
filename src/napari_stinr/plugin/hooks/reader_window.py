"""What a reader of napari knows of the window that asks it: whether there is one, what it shows, what a person is told.

napari is imported when it is needed only: it looks at the readers of all plugins before it shows its window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_stinr.io.series.headers import Headers
    from napari_stinr.plugin.session.draft import SeriesDraft

IMAGE_FILE = "file"
"""Note of a layer with the images of a file that is no series by itself: that file, and the one that was asked for."""


def is_asked_in_window() -> bool:
    """Return whether Qt handles an event, such as a menu or a drop: scripts run outside of its event loop."""
    try:
        from qtpy.QtCore import QCoreApplication, QThread
    except ImportError:
        return False
    application = QCoreApplication.instance()
    thread = QThread.currentThread()
    return application is not None and thread == application.thread() and thread.loopLevel() > 0


def is_series_shown(draft: SeriesDraft, beside: Path) -> bool:
    """Return whether a layer has the files and angles of a series already, and tell the person."""
    # Dropped together, a stack and its lists arrive one after the other, and the stack has already found its angles.
    import numpy as np

    from napari_stinr.plugin.canvas.telling import show_info

    for name, shown in _noted("draft"):
        if shown.paths == draft.paths and np.array_equal(shown.tilt_angles, draft.tilt_angles):
            show_info(f"The layer {name} has the tilt angles of {beside.name} already.")
            return True
    return False


def are_angles_shown(angles: Path, headers: Headers) -> bool:
    """Return whether a layer shows a series with just these angles, and tell the person."""
    # The list is one whose stack does not lie beside it under its name.
    import numpy as np

    from napari_stinr.plugin.canvas.telling import show_info

    values = headers.angles(angles)
    for name, shown in _noted("draft"):
        if np.array_equal(shown.tilt_angles, values):
            show_info(f"The layer {name} has the tilt angles of {angles.name} already.")
            return True
    return False


def is_image_shown(path: Path, asked: Path) -> bool:
    """Return whether a layer shows the images of a file because another, `asked`, stood for it; tell."""
    # Dropped together, an image and its ``.mdoc`` arrive one after the other, and each stands for both. Who opens the
    # same file twice wants two layers.
    return any(shown == path and other != asked for _, (shown, other) in _noted(IMAGE_FILE))


def tell_single(path: Path, n_images: int) -> None:
    """Tell the person how a series with one file for every tilt is opened, of which this file is one."""
    from napari_stinr.plugin.canvas.telling import show_info

    # Of several files that are dropped together, each arrives alone: one word is enough.
    if not _noted(IMAGE_FILE):
        images = "a single image" if n_images == 1 else f"{n_images} images"
        show_info(
            f"{path.name} holds {images}. To open a series with one file for every tilt, drop all of its files, or "
            "their folder, onto the dock STINR."
        )


def tell_missing_angles(layers: Sequence[tuple[Any, ...]]) -> None:
    """Tell the person which series came without tilt angles, and where to give them."""
    import numpy as np

    from napari_stinr.plugin.canvas.telling import show_info

    for draft in _notes_of(layers, "draft"):
        if draft is not None and not np.isfinite(draft.tilt_angles).all():
            show_info(f"No tilt angles were found for {draft.name}: give them on the page Series.")


def open_dock_for(layers: Sequence[tuple[Any, ...]]) -> None:
    """Open the dock where there is something for it among the layers that napari is given."""
    from napari_stinr.plugin.canvas.dock_opener import open_dock_soon

    if any(note is not None for kind in ("draft", "reconstruction") for note in _notes_of(layers, kind)):
        open_dock_soon()


def _notes_of(layers: Sequence[tuple[Any, ...]], kind: str) -> list[Any]:
    """Return the notes of a kind of layers as napari is given them, None where a layer has none."""
    from napari_stinr.plugin.canvas.layer_data import METADATA_KEY

    return [layer[1]["metadata"][METADATA_KEY].get(kind) for layer in layers if len(layer) == 3]


def _noted(kind: str) -> list[tuple[str, Any]]:
    """Return the names of the layers that have a note of a kind, with the note."""
    import napari

    from napari_stinr.plugin.canvas.layer_data import entry_of

    viewer = napari.current_viewer()
    noted = [] if viewer is None else [(layer.name, entry_of(layer, kind)) for layer in viewer.layers]
    return [(name, note) for name, note in noted if note is not None]
