"""Keys for the common acts, which stand in napari's Preferences > Shortcuts and can be changed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager

from napari_stinr.plugin.canvas.display import Shown
from napari_stinr.plugin.canvas.dock_opener import PLUGIN, open_dock
from napari_stinr.plugin.canvas.player import PLAY_KEY
from napari_stinr.plugin.session.states import Action, RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stinr.plugin.canvas.binding import ViewerBinding

PAGES = ("Series", "Align", "Reconstruct", "Explore")
"""Of the dock, in the order of its tabs."""


@dataclass(frozen=True)
class Shortcut:
    """A key, and what it does in a viewer whose session is known."""

    name: str
    key: str
    text: str
    do: Callable[[ViewerBinding], Any]

    @property
    def action(self) -> str:
        """Name by which napari knows it."""
        return f"{PLUGIN}:{self.name}"


def start_or_pause(binding: ViewerBinding) -> None:
    """Start a training, let it wait, or let it go on."""
    session = binding.session
    if session.state is RunState.PAUSED:
        binding.attempt(session.go_on)
    elif session.is_active:
        binding.attempt(session.pause)
    else:
        binding.attempt(session.start)


def stop(binding: ViewerBinding) -> None:
    """End a training."""
    binding.attempt(binding.session.stop)


def play(binding: ViewerBinding) -> None:
    """Let the time run, or stop it."""
    binding.player.toggle()


def clean_or_at_t(binding: ViewerBinding) -> None:
    """Show the clean specimen, or the volume at t where that is shown."""
    if not binding.session.why_not(Action.EXPLORE):
        binding.display.show(Shown.AT_T if binding.display.shown is Shown.CLEAN else Shown.CLEAN)


def step_projections(binding: ViewerBinding, by: int) -> None:
    """Go so many projections further in time, and stop at the first and the last."""
    slider = binding.slider
    projection, axis = slider.projection, slider.series_axis
    if projection is None:
        return
    step = int(axis.step_of_projection[projection])
    others = [int(at) for at in axis.step_of_projection if (at > step if by > 0 else at < step)]
    if others:
        nearest = min(others) if by > 0 else max(others)
        slider.go_to(int(axis.projection_at[nearest]))


def _page(name: str) -> Callable[[ViewerBinding], None]:
    return lambda binding: open_dock(binding.viewer).show_page(name)


SHORTCUTS = (
    Shortcut("start_or_pause", "Alt-R", "Start a training, pause it, go on with it", start_or_pause),
    Shortcut("stop", "Alt-E", "End a training and keep it", stop),
    Shortcut("clean", "Alt-X", "Show the clean specimen, or the volume at t", clean_or_at_t),
    Shortcut("play", PLAY_KEY, "Let the time run, or stop it", play),
    Shortcut("next_projection", "Alt-Right", "Go to the next projection", lambda it: step_projections(it, 1)),
    Shortcut("previous_projection", "Alt-Left", "Go to the previous projection", lambda it: step_projections(it, -1)),
    *(
        Shortcut(f"page_{name.lower()}", f"Alt-{number}", f"Open the page {name}", _page(name))
        for number, name in enumerate(PAGES, 1)
    ),
)


def register_shortcuts(find: Callable[[Any], ViewerBinding | None]) -> None:
    """Make the acts known to napari; once for all viewers.

    Parameters
    ----------
    find : callable
        Gives the binding of a viewer, None where it has none.
    """
    stored = get_settings().shortcuts.shortcuts
    for shortcut in SHORTCUTS:
        if shortcut.action in action_manager._actions:
            continue
        action_manager.register_action(
            shortcut.action, _command(shortcut.do, find), f"STINR: {shortcut.text}", ViewerModel
        )
        # Who has changed a key in Preferences keeps it.
        for key in stored.get(shortcut.action, [shortcut.key]):
            action_manager.bind_shortcut(shortcut.action, key)


def shortcut_lines() -> list[tuple[str, str]]:
    """Return key and act of every shortcut, as they are set now.

    Returns
    -------
    list of tuple of str
        Keys as people write them, e.g. ``"Alt+R"``; those without one are left out.
    """
    lines = []
    for shortcut in SHORTCUTS:
        keys = [str(key).replace("-", "+") for key in action_manager._shortcuts.get(shortcut.action, [])]
        if keys:
            lines.append((", ".join(keys), shortcut.text))
    return lines


def _command(do: Callable[[ViewerBinding], Any], find: Callable[[Any], ViewerBinding | None]) -> Callable[..., None]:
    def command(viewer: Any) -> None:
        binding = find(viewer)
        if binding is not None:
            do(binding)

    return command
