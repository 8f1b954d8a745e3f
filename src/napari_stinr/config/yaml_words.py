"""YAML in which every value stays the text that a person wrote, with the line where it stands.

Written for options in the words of a command line: `align: off` is no truth value, `angles: -60:2` no number of base
60, and of a name that is there twice none is kept in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from napari_stinr.config.yaml_text import PlainLoader
from napari_stinr.errors import StinrError

MAXIMUM_BYTES = 512_000
"""A thousand jobs, each with a path and some options."""
_LONGEST_REASON = 300
_NOTHING = ("", "~", "null", "Null", "NULL")
_CURE = "Correct it in the file."
Where = tuple[str | int, ...]


class Verbatim(str):
    """A part of the text that stayed YAML."""


class _Loader(PlainLoader):
    longest_value = 4096  # a path


@dataclass(frozen=True)
class Words:
    """What a text says.

    Parameters
    ----------
    values : dict
        Mappings and lists of texts; None for nothing, as after a bare name.
    lines : dict
        The line of everything by where it stands: names and positions from the outermost on.
    """

    values: dict[str, Any]
    lines: dict[Where, int] = field(repr=False)

    def line(self, where: Where) -> int:
        """Return the line of a value, or of what it would stand in."""
        while where not in self.lines:
            where = where[:-1]
        return self.lines[where]


def parse_words(text: str, *, name: str, verbatim: str = "") -> Words:
    """Read a YAML text without giving any value another type.

    Parameters
    ----------
    text : str
        YAML.
    name : str
        Name of the file, for messages.
    verbatim : str
        A mapping under this name stays YAML: its text is the value, a `Verbatim`, for whoever reads it.

    Returns
    -------
    Words
        Names have underscores where a person wrote dashes.

    Raises
    ------
    StinrError
        It is no YAML, no mapping, has aliases, or a name is there twice; the line is said.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise StinrError(f"{name} is not YAML ({reason})", expected="options as `name: value`", cure=_CURE) from error
    finally:
        loader.dispose()
    if not isinstance(node, yaml.MappingNode):
        raise StinrError(f"{name} holds no names with values", expected="options as `name: value`", cure=_CURE)
    lines: dict[Where, int] = {(): 1}
    return Words(_Reader(name, verbatim, lines).mapping(node, ()), lines)


class _Reader:
    def __init__(self, name: str, verbatim: str, lines: dict[Where, int]) -> None:
        self._name, self._verbatim, self._lines = name, verbatim, lines

    def mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise StinrError(f"{self._name} line {line} has no name", expected="`name: value`", cure=_CURE)
            name = key.value.strip().replace("-", "_")
            if name in values:
                raise StinrError(
                    f"{self._name} line {line} gives {name} once more", expected="every name once", cure="Remove one."
                )
            self._lines[*where, name] = line
            values[name] = self._value(value, (*where, name))
        return values

    def _value(self, node: yaml.Node, where: Where) -> Any:
        if isinstance(node, yaml.MappingNode):
            values = self.mapping(node, where)
            if where[-1] == self._verbatim:
                return Verbatim(yaml.serialize(node, Dumper=yaml.SafeDumper))
            return values
        if isinstance(node, yaml.SequenceNode):
            listed = []
            for position, one in enumerate(node.value):
                self._lines[*where, position] = one.start_mark.line + 1
                listed.append(self._value(one, (*where, position)))
            return listed
        assert isinstance(node, yaml.ScalarNode)  # there is no other kind
        return None if node.style is None and node.value in _NOTHING else node.value
