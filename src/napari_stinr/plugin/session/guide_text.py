"""The guide as it is packed with the program, so that it can be read where there is no network."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_TABLE_OF_IMAGES = re.compile(r"^\|[^\n]*\n\|[-|]+\n(\|[^\n]*!\[[^\n]*\n)+", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
KEYS = "Keys"


def guide_text(shortcuts: Sequence[tuple[str, str]] = ()) -> str:
    """Return the guide as Markdown, without its pictures, and a part with the keys.

    Parameters
    ----------
    shortcuts : sequence of (str, str)
        Keys, and what they do.

    Returns
    -------
    str
        Links that lead elsewhere in the repository are plain text: only those to the web can be followed.
    """
    text = _packed()
    text = _LINK.sub(r"\1", _IMAGE.sub("", _TABLE_OF_IMAGES.sub("", text)))
    if not shortcuts:
        return text
    rows = "\n".join(f"| **{keys}** | {act} |" for keys, act in shortcuts)
    heading = "They work while the canvas has the focus, and can be changed in napari's Preferences > Shortcuts."
    return f"{text.rstrip()}\n\n## {KEYS}\n\n{heading}\n\n| key | what it does |\n|---|---|\n{rows}\n"


def heading_of(page: str, headings: Sequence[str]) -> int:
    """Return which of the headings of the guide belongs to a page.

    Parameters
    ----------
    page : str
        Name of the page.
    headings : sequence of str
        All of them, in order.

    Returns
    -------
    int
        The heading that is the name, else the first that has it as a word, else 0.
    """
    plain = [heading.strip().lower() for heading in headings]
    same = [place for place, heading in enumerate(plain) if heading == page.lower()]
    with_it = [place for place, heading in enumerate(plain) if page.lower() in re.findall(r"\w+", heading)]
    return (same + with_it + [0])[0]


def _packed() -> str:
    package = files("napari_stinr")
    # An editable install of an earlier version has no link to it.
    for place in (package / "guide.md", package / ".." / ".." / "docs" / "guide.md"):
        if place.is_file():
            return place.read_text(encoding="utf-8")
    return "# Guide\n\nThe guide was not packed with this program.\n"
