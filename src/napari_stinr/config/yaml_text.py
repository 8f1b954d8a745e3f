"""YAML from a stranger: a file of settings is short and flat, and whatever is not is refused before it costs anything.

A few lines of aliases of aliases ("billion laughs") stand for gigabytes, and a file may have gigabytes itself.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import yaml

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

MAXIMUM_SETTINGS_BYTES = 64_000
"""All settings with their values have two thousand; larger is something else, and YAML is slow to read."""
_DEEPEST = 8
"""Settings are three deep: part, name, one of several values."""
_LONGEST_VALUE = 200
"""Letters of one value; Python would take minutes to turn a long row of digits into a number and back."""
_LONGEST_REASON = 300
"""Letters of what the parser says, which may quote the file."""
_COMPARE = "Compare it with the configuration that `stinr info RUN` prints."


class PlainLoader(yaml.SafeLoader):
    """Plain values, lists and mappings of a few levels; no node is there twice."""

    longest_value = _LONGEST_VALUE
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose the next node, or refuse it."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        problem = ""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            problem = "has an anchor or alias (& or *)"
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > self.longest_value:
            problem = f"has a value of {len(event.value)} letters"
        elif self._depth == _DEEPEST:
            problem = f"is nested more than {_DEEPEST} deep"
        if problem:
            raise yaml.YAMLError(f"line {self.line + 1} {problem}")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def parse_settings(text: str) -> dict[Any, Any]:
    """Return the settings in a YAML text as they are written, by name, or a StinrError for any other text."""
    if len(text) > MAXIMUM_SETTINGS_BYTES:
        raise _too_long("the configuration")
    try:
        given = PlainLoader(text).get_single_data()  # what yaml.safe_load does with its own, equally safe loader
    # A date of the 99th month and a number of base 60 beyond all numbers get as far as Python itself.
    except (yaml.YAMLError, ValueError, ArithmeticError) as error:
        raise StinrError(
            f"the configuration is not YAML ({' '.join(str(error).split())[:_LONGEST_REASON]})",
            expected="settings as `name: value`",
            cure=_COMPARE,
        ) from error
    if not isinstance(given, dict):
        raise StinrError(
            f"the configuration holds {type(given).__name__}", expected="settings as `name: value`", cure=_COMPARE
        )
    return given


def read_settings_text(path: Path, *, longest: int = MAXIMUM_SETTINGS_BYTES) -> str:
    """Return the text of a file of settings.

    Parameters
    ----------
    path : Path
        YAML file.
    longest : int
        Length of the longest that makes sense [byte].

    Returns
    -------
    str
        Its text.

    Raises
    ------
    StinrError
        It cannot be read, is not text, or is longer than any settings.
    """
    path = path.expanduser()
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe is to wait for whoever writes to it
            raise StinrError(
                f"{path} is a folder, a pipe or a device", expected="a YAML file", cure="Check the name of the file."
            )
        with path.open("rb") as stream:
            raw = stream.read(longest + 1)
        if len(raw) > longest:
            raise _too_long(str(path), longest)
        return raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StinrError(
            f"{path} cannot be read: {reason}", expected="a YAML file", cure="Check the name of the file."
        ) from error


def _too_long(what: str, longest: int = MAXIMUM_SETTINGS_BYTES) -> StinrError:
    return StinrError(
        f"{what} is longer than {longest // 1000} kB",
        expected="settings as `name: value`",
        cure=_COMPARE,
    )
