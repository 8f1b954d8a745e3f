"""Loads what the dock needs before it opens, a piece at a time, so that the window goes on meanwhile.

The libraries that compute take some seconds and come in a thread of their own. What knows Qt comes in the thread of the
window, one part in each turn.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils import progress
from qtpy.QtCore import QCoreApplication, QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

_LIBRARIES = ("napari_stinr.plugin.session.session", "napari_stinr.reconstruction.sampled_field")
"""What computes, with torch and numba: these know no Qt."""
_WITH_QT = ("pyqtgraph", "napari_stinr.plugin.canvas.binding")
_EVERY, _TURN = 30, 10
"""Time between two looks at the thread that loads, and between two steps, in which the window is drawn [ms]."""

_thread: threading.Thread | None = None


def read_ahead() -> None:
    """Let the system read the largest library from the disk, beside something that Python is busy with."""
    if not _are_loaded(_LIBRARIES):
        # Not the rest as well: two threads of Python would take twice as long each.
        threading.Thread(target=_read_torch, name="stinr-reading", daemon=False).start()


def begin_loading() -> None:
    """Begin to load the libraries in a thread of their own, where that was not done yet."""
    global _thread
    if _thread is None and not _are_loaded(_LIBRARIES):
        # Not a daemon: a program that ends in the middle of loading torch would crash.
        _thread = threading.Thread(target=_load_libraries, name="stinr-loading", daemon=False)
        _thread.start()


def load_then(do: Sequence[Callable[[], None]]) -> None:
    """Load everything, then do one thing after the other, each in a turn of its own.

    Parameters
    ----------
    do : sequence of callable
        Called in the thread of the window, which is that of the caller.
    """
    begin_loading()
    steps = [lambda name=name: import_module(name) for name in _WITH_QT if name not in sys.modules]
    _Turns([*steps, *do]).begin()


class _Turns(QObject):
    """Waits for the libraries, then takes one step in each turn of the window."""

    def __init__(self, steps: Sequence[Callable[[], object]]) -> None:
        super().__init__(QCoreApplication.instance())
        self._steps = list(steps)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._turn)
        self._bar = progress(total=0, desc="loading STINR") if _is_loading() else None

    def begin(self) -> None:
        self._timer.start(_TURN if self._bar is None else _EVERY)

    def _turn(self) -> None:
        if _is_loading():
            return
        self._timer.setInterval(_TURN)
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()
        step = self._steps.pop(0) if self._steps else None
        if not self._steps:
            self._timer.stop()
            self.deleteLater()
        if step is not None:
            step()


def _is_loading() -> bool:
    return _thread is not None and _thread.is_alive()


def _are_loaded(names: Sequence[str]) -> bool:
    return all(name in sys.modules for name in names)


def _load_libraries() -> None:
    _read_torch()
    for name in _LIBRARIES:
        try:
            import_module(name)
        except Exception:
            # The dock will say so when it opens, in the thread of the window.
            logger.debug("%s could not be loaded", name, exc_info=True)


def _read_torch() -> None:
    """Let the system load torch's largest library while Python goes on, which holds all threads where it does so."""
    spec = find_spec("torch")
    if not sys.platform.startswith("linux") or spec is None or spec.origin is None or "torch" in sys.modules:
        return
    import ctypes

    folder = Path(spec.origin).parent / "lib"
    # As torch does, but by a foreign function, during which Python does not wait. What fails here torch tries again.
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    for name, mode in (("libtorch_global_deps.so", os.RTLD_GLOBAL), ("libtorch_cpu.so", os.RTLD_LOCAL)):
        if (folder / name).is_file():
            dlopen(os.fsencode(folder / name), mode | os.RTLD_NOW)
