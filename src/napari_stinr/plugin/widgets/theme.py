"""Colours of napari's themes for what napari's style sheet does not reach: curves, table cells, messages.

A widget that uses them has `set_colours(colours)`; who owns it calls that again whenever `viewer.events.theme` fires.
"""

from __future__ import annotations

from dataclasses import dataclass

from napari.utils.theme import get_theme

READABLE_CONTRAST = 4.5
"""Lowest contrast ratio of text to its background by WCAG 2.1, level AA."""

# Okabe and Ito (2008): told apart with every kind of colour vision.
_BLUE, _ORANGE, _PURPLE, _GREEN = "#56b4e9", "#e69f00", "#cc79a7", "#009e73"

_Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ThemeColours:
    """Colours as ``#rrggbb``; all but the first two and `highlight` are readable on `background`.

    Parameters
    ----------
    background, foreground : str
        Behind a widget, and behind what stands out from it.
    text : str
        Text and axes.
    highlight : str
        Behind what is current.
    error, warning, success : str
        Text that says what is wrong, what is to be decided, or that all is well.
    total, held_out, marker, second : str
        Curve of all data, of held-out data, marker of a time, any second curve.
    """

    background: str
    foreground: str
    text: str
    highlight: str
    error: str
    warning: str
    success: str
    total: str
    held_out: str
    marker: str
    second: str


def theme_colours(theme_name: str) -> ThemeColours:
    """Return the colours that go with a theme of napari, shifted until text and curves are readable."""
    theme = get_theme(theme_name)
    background = theme.background.as_hex("long")

    def readable(colour: str) -> str:
        return _readable(colour, background)

    return ThemeColours(
        background=background,
        foreground=theme.foreground.as_hex("long"),
        text=readable(theme.text.as_hex("long")),
        highlight=theme.highlight.as_hex("long"),
        error=readable(theme.error.as_hex("long")),
        warning=readable(_ORANGE),
        success=readable(_GREEN),
        total=readable(_BLUE),
        held_out=readable(_ORANGE),
        marker=readable(_PURPLE),
        second=readable(_GREEN),
    )


def contrast_ratio(one: str, other: str) -> float:
    """Return how well two colours can be told apart by WCAG 2.1: 1 (the same) to 21 (black and white)."""
    darker, lighter = sorted((_luminance(_to_rgb(one)), _luminance(_to_rgb(other))))
    return (lighter + 0.05) / (darker + 0.05)


def _readable(colour: str, background: str) -> str:
    """Return the colour, moved towards black or white until it is readable on the background."""
    end = 0.0 if contrast_ratio(background, "#000000") > contrast_ratio(background, "#ffffff") else 1.0
    red, green, blue = _to_rgb(colour)
    for share in range(21):
        part = share / 20
        moved = _to_hex((red + (end - red) * part, green + (end - green) * part, blue + (end - blue) * part))
        if contrast_ratio(moved, background) >= READABLE_CONTRAST:
            break
    return moved


def _luminance(rgb: _Rgb) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _to_rgb(colour: str) -> _Rgb:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def _to_hex(rgb: _Rgb) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
