"""Opens the dock by itself when something comes that belongs into it."""

from __future__ import annotations

from typing import Any
from weakref import ref

PLUGIN, DOCK = "napari-stinr", "STINR"
_COMMAND = "napari-stinr.dock"


def open_dock(viewer: Any) -> Any:
    """Return the dock of a viewer with a window, opened and raised where it is not."""
    docked, inside = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    docked.show()
    docked.raise_()
    return inside


def open_dock_soon() -> None:
    """Open the dock of the current viewer once the layers that napari is about to add are there.

    Nothing happens where there is no window: readers and samples serve scripts, too.
    """
    viewer = _viewer_of_this_thread()
    if viewer is None:
        return
    from qtpy.QtCore import QTimer

    from napari_stinr.plugin.canvas.loading import load_then

    remembered, widths = ref(viewer), list[int]()

    def kept() -> Any:
        viewer = remembered()
        return viewer if viewer is not None and _has_window(viewer) else None

    def begin_session() -> None:
        if (viewer := kept()) is not None:
            from napari_stinr.plugin.canvas.binding import binding_of

            binding_of(viewer)

    def load_dock() -> None:
        from npe2 import PluginManager

        PluginManager.instance().commands.get(_COMMAND)

    def open_now() -> None:
        if (viewer := kept()) is not None:
            widths.append(_canvas_width(viewer))
            open_dock(viewer)
            QTimer.singleShot(0, lambda: _fit(remembered(), widths[0]))

    load_then((begin_session, load_dock, open_now))


def _fit(viewer: Any, width: int) -> None:
    """Fit what is shown into a canvas that the dock has made narrower."""
    if viewer is not None and _has_window(viewer) and _canvas_width(viewer) < width:
        viewer.reset_view()


def _canvas_width(viewer: Any) -> int:
    return int(viewer.window._qt_viewer.canvas.native.width())


def _viewer_of_this_thread() -> Any:
    try:
        from napari import current_viewer
        from qtpy.QtCore import QThread
        from qtpy.QtWidgets import QApplication
    except ImportError:
        return None
    application, viewer = QApplication.instance(), current_viewer()
    if application is None or viewer is None or QThread.currentThread() != application.thread():
        return None
    return viewer if _has_window(viewer) else None


def _has_window(viewer: Any) -> bool:
    window = getattr(viewer, "window", None)
    return window is not None and getattr(window, "_qt_window", None) is not None
