"""The tags of a DigitalMicrograph file, DM3 or DM4, walked without trusting a single length in them.

A DM file is a tree of named tags: groups of tags, single numbers, text, arrays. Nobody but Gatan has a specification;
the layout here is the one that Schaffer described ("Digital Micrograph file format") and all programs read. DM4 has 64
bits where DM3 has 32, and a length before every tag. Lengths are big-endian, values in the order that the header says.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_stinr.io.formats.containers import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_TAGS = 50_000
"""A series of a hundred tilts with all its tracking data has 5000."""
MOST_NUMBERS = 1_000_000
"""Numbers and letters outside the images, such as names and colour tables: the library takes them one by one."""
_DEEPEST = 64
_LONGEST_TEXT = 100_000
_GROUP, _VALUE = 20, 21
_STRUCT, _TEXT, _ARRAY = 15, 18, 20
_UNICODE = 4
_FORMATS = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "b", 11: "q", 12: "Q"}
_SIZES = {code: struct.calcsize(f"<{letter}") for code, letter in _FORMATS.items()}


@dataclass(frozen=True)
class Block:
    """Numbers that were passed over.

    Parameters
    ----------
    offset : int
        Where they begin in the file [byte].
    n_bytes : int
        What they take [byte].
    """

    offset: int
    n_bytes: int


@dataclass(frozen=True)
class TagTree:
    """All tags of a file.

    Parameters
    ----------
    tags : dict
        Values and groups by name; unnamed ones are ``Data0``, ``Data1``, ... and ``TagGroup0``, ``TagGroup1``, ...
        A value is a number, text, a tuple of numbers or a :class:`Block`.
    order : str
        Byte order of the values, ``"<"`` or ``">"``.
    """

    tags: dict[str, Any]
    order: Literal["<", ">"]


@dataclass
class _Group:
    """A group whose tags are being read."""

    name: str
    tags: dict[str, Any]
    remaining: int
    n_unnamed: dict[str, int] = field(default_factory=lambda: {"Data": 0, "TagGroup": 0})

    def own_name(self, name: str, kind: str) -> str:
        """Return the name of a tag, or its kind with a number where it has none."""
        if name:
            return name
        self.n_unnamed[kind] += 1
        return f"{kind}{self.n_unnamed[kind] - 1}"


@dataclass
class _Reader:
    """A position in the file that can never leave it."""

    data: mmap.mmap
    position: int = 0
    is_long: bool = False
    order: Literal["<", ">"] = "<"
    n_numbers: int = 0

    def take(self, form: str) -> tuple[Any, ...]:
        """Return the values here and go on behind them."""
        values = struct.unpack_from(form, self.data, self.position)
        self.position += struct.calcsize(form)
        return values

    def skip(self, n_bytes: int) -> int:
        """Go on behind some bytes and return where they begin."""
        start = self.position
        if not 0 <= n_bytes <= len(self.data) - start:
            raise ValueError(f"a tag of {n_bytes} bytes goes beyond its end")
        self.position += n_bytes
        return start

    def text(self, n_bytes: int) -> str:
        """Return text of one byte a letter."""
        start = self.skip(n_bytes)
        self.count(n_bytes)
        raw = self.data[start : self.position]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def length(self) -> int:
        """Return a length or a type code, which DM4 keeps in 64 bits."""
        return int(self.take(">q" if self.is_long else ">i")[0])

    def count(self, numbers: int) -> None:
        """Add to the numbers and letters outside the images."""
        self.n_numbers += numbers
        if self.n_numbers > MOST_NUMBERS:
            raise ValueError(f"its tags hold more than {MOST_NUMBERS} numbers or letters")


def read_tags(path: Path) -> TagTree:
    """Walk all tags of a DM file; large arrays are passed over.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    TagTree
        Its tags.

    Raises
    ------
    StinrError
        It is no DM3 or DM4 file, a length in it goes beyond its end, or it has more tags than any series.
    """
    if path.stat().st_size == 0:
        raise damaged(path, "a DM3 or DM4 file", "it is empty")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _walk(_Reader(data))
        except (ValueError, struct.error) as error:
            raise damaged(path, "a DM3 or DM4 file", error) from error


def _walk(reader: _Reader) -> TagTree:
    version = reader.take(">i")[0]
    if version not in (3, 4):
        raise ValueError(f"its version is {version}")
    reader.is_long = version == 4
    reader.length()
    is_little = reader.take(">i")[0]
    reader.order = "<" if is_little else ">"
    root: dict[str, Any] = {}
    groups = [_Group("", root, _n_tags(reader))]
    n_tags = 0
    while groups:
        group = groups[-1]
        if group.remaining == 0:
            groups.pop()
            continue
        group.remaining -= 1
        n_tags += 1
        if n_tags > MOST_TAGS:
            raise ValueError(f"it has more than {MOST_TAGS} tags")
        code, n_letters = reader.take(">bh")
        name = reader.text(n_letters)
        if reader.is_long:
            reader.skip(8)
        if code == _VALUE:
            is_image = (group.name, name) == ("ImageData", "Data")
            group.tags[group.own_name(name, "Data")] = _read_value(reader, is_image)
        elif code == _GROUP:
            if len(groups) == _DEEPEST:
                raise ValueError(f"its tags are nested more than {_DEEPEST} deep")
            own_name = group.own_name(name, "TagGroup")
            inside: dict[str, Any] = {}
            group.tags[own_name] = inside
            groups.append(_Group(own_name, inside, _n_tags(reader)))
        else:
            raise ValueError(f"a tag is of the unknown kind {code}")
    return TagTree(root, reader.order)


def _n_tags(reader: _Reader) -> int:
    reader.skip(2)
    number = reader.length()
    if not 0 <= number <= MOST_TAGS:
        raise ValueError(f"a group declares {number} tags")
    return number


def _read_value(reader: _Reader, is_image: bool) -> Any:
    # A description of the type comes first: its length, and then codes and lengths.
    if reader.take("4s") != (b"%%%%",):
        raise ValueError("a tag does not begin as one")
    n_words = reader.length()
    code = reader.length()
    if n_words == 1 and code in _FORMATS:
        return reader.take(reader.order + _FORMATS[code])[0]
    if n_words == 2 and code == _TEXT:
        return reader.text(reader.length())
    if n_words > 3 and code == _STRUCT:
        fields = _read_fields(reader, n_words - 3)
        reader.count(len(fields))
        return reader.take(reader.order + "".join(_FORMATS[one] for one in fields))
    if n_words == 3 and code == _ARRAY:
        kind = reader.length()
        return _read_array(reader, (kind,), kind == _UNICODE, is_image)
    if n_words > 5 and code == _ARRAY and reader.length() == _STRUCT:
        return _read_array(reader, _read_fields(reader, n_words - 5), False, is_image)
    raise ValueError(f"a value is of an unknown type ({code}, described by {n_words} numbers)")


def _read_fields(reader: _Reader, n_words: int) -> tuple[int, ...]:
    reader.length()
    n_fields = reader.length()
    if n_fields < 1 or 2 * n_fields != n_words or n_fields > MOST_NUMBERS:
        raise ValueError(f"a structure declares {n_fields} fields")
    reader.count(n_fields)
    types = tuple(_field_types(reader, n_fields))
    if any(one not in _FORMATS for one in types):
        raise ValueError("a structure has a field of an unknown type")
    return types


def _field_types(reader: _Reader, n_fields: int) -> Iterator[int]:
    for _ in range(n_fields):
        reader.length()
        yield reader.length()


def _read_array(reader: _Reader, fields: tuple[int, ...], is_text: bool, is_image: bool) -> str | Block:
    if fields[0] not in _SIZES:
        raise ValueError(f"an array is of the unknown type {fields[0]}")
    number = reader.length()
    n_bytes = number * sum(_SIZES[one] for one in fields)
    start = reader.skip(n_bytes)
    if is_image:
        return Block(start, n_bytes)
    reader.count(number * len(fields))
    if is_text and number <= _LONGEST_TEXT:
        codec = "utf-16-le" if reader.order == "<" else "utf-16-be"
        return reader.data[start : start + n_bytes].decode(codec, "replace")
    return Block(start, n_bytes)
