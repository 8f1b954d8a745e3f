"""What the parts of the dock share: the session of their viewer, and buttons that say why they cannot be pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_stinr.plugin.canvas.binding import binding_of
from napari_stinr.plugin.widgets.theme import ThemeColours, theme_colours
from napari_stinr.plugin.widgets.wheel import WheelGuard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_stinr.plugin.session.states import Action

_OWN_TIP = "stinr_own_tip"


class Part(QWidget):
    """A part of the dock: what is in it can be made anew at any time, since the session keeps all that matters."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.binding = binding_of(napari_viewer)
        self.session = self.binding.session
        self.colours = theme_colours(self.binding.viewer.theme)
        self._buttons: dict[QPushButton, tuple[Action, str]] = {}
        self._gates: dict[QWidget, Action] = {}
        self.binding.theme_changed.connect(self._on_theme_changed)
        self.binding.state_changed.connect(self.update_buttons)
        self.binding.draft_changed.connect(self.update_buttons)
        self.binding.reconstruction_changed.connect(self.update_buttons)

    def set_colours(self, colours: ThemeColours) -> None:
        """Draw in the colours of a theme; parts with plots pass it on."""
        self.colours = colours

    def button(
        self, text: str, tip: str, pressed: Callable[[], Any] | Any, action: Action | None = None
    ) -> QPushButton:
        """Return a new button that is enabled when its action is possible, and says why where it is not."""
        made = QPushButton(text, self)
        made.setToolTip(tip)
        made.clicked.connect(pressed)
        if action is not None:
            self._buttons[made] = (action, tip)
        return made

    def set_action(self, made: QPushButton, text: str, tip: str, action: Action) -> None:
        """Let a button of this part stand for another action."""
        made.setText(text)
        self._buttons[made] = (action, tip)
        self.update_buttons()

    def gate(self, widget: QWidget, action: Action) -> None:
        """Enable a widget only while an action is possible; it and all in it say why where it is not."""
        self._gates[widget] = action

    def update_buttons(self) -> None:
        """Enable what is possible now."""
        for widget, action in self._gates.items():
            reason = self.session.why_not(action)
            widget.setEnabled(not reason)
            for part in (widget, *widget.findChildren(QWidget)):
                _explain(part, reason)
        for made, (action, tip) in self._buttons.items():
            reason = self.session.why_not(action)
            made.setEnabled(not reason)
            made.setToolTip(reason or tip)

    def verdict(self, label: QLabel, text: str, is_good: bool) -> None:
        """Show a sentence in green, or in red."""
        colour = self.colours.success if is_good else self.colours.error
        label.setStyleSheet(f"QLabel {{ color: {colour}; }}")
        label.setText(f"{'✓' if is_good else '✗'} {text}" if text else "")

    def _on_theme_changed(self, name: str) -> None:
        self.set_colours(theme_colours(name))


class Page(Part):
    """A page of the dock: a column that scrolls."""

    page_wanted = Signal(str)
    """Something on this page belongs to another one: the name of that."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer.addWidget(self._scroll)
        inside = QWidget(self._scroll)
        self.column = QVBoxLayout(inside)
        self.column.setContentsMargins(8, 6, 8, 6)
        self.column.setSpacing(6)
        self._scroll.setWidget(inside)
        WheelGuard(self).watch(inside)
        # A click beside the fields takes the focus from them, and with it the wheel.
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._has_missed = False
        self.binding.polled.connect(self._on_polled)

    def is_seen(self) -> bool:
        """Return whether the page can be seen; where not, :meth:`catch_up` is called as soon as it can."""
        # A dock behind a tab counts as visible for Qt, and is told of nothing when its tab is raised.
        if not self._scroll.viewport().visibleRegion().isEmpty():
            return True
        self._has_missed = True
        return False

    def catch_up(self) -> None:
        """Bring up to date what was left alone while nobody could see it; pages fill this in."""

    def open_files(self, paths: list[Path]) -> None:
        """Open a stack, its angles and times, or a reconstruction."""
        if paths:
            self.binding.open_files(paths)

    def _on_polled(self) -> None:
        if self._has_missed and self.is_seen():
            self._has_missed = False
            self.catch_up()


def _explain(widget: QWidget, reason: str) -> None:
    """Let the tooltip of a widget say why it is disabled, and its own tip again afterwards."""
    own = widget.property(_OWN_TIP)
    if reason:
        if own is None:
            widget.setProperty(_OWN_TIP, widget.toolTip())
        widget.setToolTip(reason)
    elif own is not None:
        widget.setToolTip(own)
        widget.setProperty(_OWN_TIP, None)


def text_label(parent: QWidget, text: str = "") -> QLabel:
    """Return a label that wraps its text, which can be selected and copied."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
