"""What a window manager tells a window: under Xvfb there is none, so that a test says it through libX11."""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import lru_cache
from typing import Any

_CLIENT_MESSAGE = 33


class _ClientMessage(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
    )


class _Event(ctypes.Union):
    _fields_ = (("client", _ClientMessage), ("room", ctypes.c_long * 24))


def press_cross(window: Any) -> None:
    """Press the cross of a window: Qt gets a close event that is spontaneous, which Python cannot make."""
    library, display = _x11()
    event = _Event()
    event.client.type, event.client.window, event.client.format = _CLIENT_MESSAGE, int(window.winId()), 32
    event.client.message_type = library.XInternAtom(display, b"WM_PROTOCOLS", 0)
    event.client.data[0] = library.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    library.XSendEvent(display, int(window.winId()), 0, 0, ctypes.byref(event))
    library.XFlush(display)


@lru_cache
def _x11() -> tuple[Any, ctypes.c_void_p]:
    """Return the library and a connection of its own to the screen, for all tests."""
    library = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    library.XOpenDisplay.restype = ctypes.c_void_p
    library.XInternAtom.restype = ctypes.c_ulong
    library.XInternAtom.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
    library.XSendEvent.argtypes = (ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
    library.XFlush.argtypes = (ctypes.c_void_p,)
    return library, ctypes.c_void_p(library.XOpenDisplay(None))
