"""What a person has set under Preferences > STINR electron tomography: typed, and never a reason not to start."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN_NAME = "napari-stinr"

GROUPS = {
    "preset": "reconstruct",
    "quality": "reconstruct",
    "threads": "reconstruct",
    "held_out": "reconstruct",
    "preview_seconds": "live",
    "autosave_minutes": "live",
    "autosave_folder": "live",
    "play_frames_per_second": "explore",
}
"""Under which heading of ``napari.yaml`` each setting stands."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PluginSettings:
    """The settings of the plugin. The defaults stand here and in ``napari.yaml``; a test compares them."""

    preset: str = "growth"  # that a new session starts with
    quality: str = "Standard"  # that a new session starts with
    threads: int = 0  # of the training; 0 leaves one core to the window
    held_out: int = -1  # projections; -1 chooses by their number
    preview_seconds: float = 2.0  # between two live previews [s]
    autosave_minutes: float = 2.0  # between two automatic saves of a running training [min]
    autosave_folder: str = ""  # "" for the automatic one
    play_frames_per_second: float = 10.0  # of the time slider [1/s]


def plugin_settings() -> PluginSettings:
    """Read the settings that napari keeps for this plugin.

    Returns
    -------
    PluginSettings
        What is set in Preferences; the defaults where napari knows nothing of the plugin or its file is damaged.
    """
    try:
        from napari.settings import get_plugin_settings

        stored: Any = get_plugin_settings(PLUGIN_NAME)
        values = {name: getattr(getattr(stored, group), name) for name, group in GROUPS.items()}
    # A source tree that is not installed, a plugin switched off, an older napari, a file edited by hand: each fails in
    # its own way, and none of them is worth a window that does not open.
    except Exception as error:
        _log.warning("The settings of %s cannot be read, its defaults are used: %s", PLUGIN_NAME, error)
        return PluginSettings()
    defaults = PluginSettings()
    kinds = {entry.name: type(getattr(defaults, entry.name)) for entry in fields(PluginSettings)}
    return PluginSettings(**{name: kinds[name](value) for name, value in values.items()})


def watch_settings(changed: Callable[[Any], Any]) -> None:
    """Call something whenever a person changes a setting in Preferences.

    Parameters
    ----------
    changed : callable
        A bound method; takes napari's event.
    """
    for group in _stored_groups():
        group.events.connect(changed)


def unwatch_settings(changed: Callable[[Any], Any]) -> None:
    """End what :func:`watch_settings` began.

    Parameters
    ----------
    changed : callable
        The same method.
    """
    for group in _stored_groups():
        group.events.disconnect(changed)


def _stored_groups() -> list[Any]:
    from napari.settings import get_plugin_settings

    try:
        stored: Any = get_plugin_settings(PLUGIN_NAME)
        return [getattr(stored, group) for group in dict.fromkeys(GROUPS.values())]
    except Exception as error:  # as above
        _log.info("The settings of %s cannot be watched: %s", PLUGIN_NAME, error)
        return []
