"""Numbers in columns: lists of tilt angles and times as people keep them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged, printable
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES
from napari_stinr.io.formats.numpy_files import read_npy_vector
from napari_stinr.io.series.mdoc import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LONGEST_LINE = 10_000
"""No row of a table of angles or times has more letters."""
_SEPARATORS = re.compile("[,;\t]")
_COMMENTS = ("%", "!", "//", "sep=")
"""Beginnings of lines that hold no numbers; Excel's line with the separator among them."""
_MINUS_SIGN = "\N{MINUS SIGN}"
_DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d+)?([eE][-+]?\d+)?")
_UNIT = re.compile(r"\s*[(\[](?!m?rad)[^)\]]*[)\]]$")
"""A unit behind the name of a column; radians stay, since they are not what such a column is taken for."""
_SYNONYMS = {
    **dict.fromkeys(("alpha", "\N{GREEK SMALL LETTER ALPHA}", "stage_tilt"), "tilt_angle"),
    "\N{GREEK SMALL LETTER BETA}": "beta",
    "\N{GREEK SMALL LETTER GAMMA}": "gamma",
    "\N{GREEK SMALL LETTER THETA}": "theta",
    "\N{GREEK SMALL LETTER PHI}": "phi",
    "\N{GREEK PHI SYMBOL}": "phi",
    "\N{GREEK SMALL LETTER PSI}": "psi",
}


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers in columns."""

    header: tuple[str, ...]  # as `column_name` gives them, empty where there are none
    values: NDArray[np.float64]  # `(n_rows, n_columns)`
    words: tuple[str, ...] = ()  # names as they are written
    source: str = "the table"  # name of the file
    is_array: bool = False  # its axes have no meaning by themselves

    @property
    def description(self) -> str:
        """What the columns are, for messages."""
        if self.is_array:
            return f"an array of the shape {self.values.shape}"
        return (
            f"columns {', '.join(self.words or self.header)}"
            if self.header
            else f"{self.values.shape[1]} columns without a header"
        )

    def column(self, names: tuple[str, ...]) -> NDArray[np.float64] | None:
        """Return the `(n_rows,)` column of the first of these names; a StinrError where several have no header."""
        if self.header:
            return next((self.values[:, self.header.index(name)] for name in names if name in self.header), None)
        if self.values.shape[1] > 1:
            first = ", ".join(f"{number:g}" for number in self.values[0, :5])
            raise StinrError(
                f"{self.source} has {self.description}, beginning with {first}",
                expected="one number a line, or the names of the columns in the first line",
                cure="Name them there, as in tilt_angle_deg,time; if commas are decimal ones, as in tilt_angle_deg.",
            )
        return self.values[:, 0]


def read_table(path: Path, *, wanted: str = "tilt_angles") -> Table:
    """Return the columns of a text, ``.npy`` or ``.mat``; `wanted` is which list to take from a ``.mat``."""
    # Columns of a text are separated by commas, semicolons, tabs or spaces, with or without a header; decimal commas
    # are understood where they can be nothing else; comments begin with "#", or with "%", "!" or "//" at the start of
    # a line. A StinrError says that it is no table, or longer than any list of angles or times.
    if path.suffix.lower() == ".mat":
        from napari_stinr.io.formats.matlab import read_vector

        return _of_array(read_vector(path, key=wanted), path)
    if path.suffix.lower() == ".npy":
        return _of_array(read_npy_vector(path), path)
    text = read_text(path).splitlines()
    longest = max(map(len, text), default=0)
    if len(text) > MAXIMUM_IMAGES or longest > LONGEST_LINE:
        raise damaged(path, "one number a line", f"{len(text)} lines, the longest of {longest} letters")
    lines = lines_with_content(text)
    head = lines[0][1] if lines and not is_number(cells_of(lines[0][1])[0]) else ""
    body = lines[1:] if head else lines
    if not body:
        raise damaged(path, "one number a line", "it has no numbers")
    rows = _with_decimal_commas([line for _, line in body], head) or [cells_of(line) for _, line in body]
    # The only column may have a name of several words.
    words = [head] if head and len(rows[0]) == 1 and not _SEPARATORS.search(head) else cells_of(head)
    n_columns = len(words) if head else len(rows[0])
    wrong = [at for at, cells in zip(body, rows, strict=True) if not _are_numbers(cells, n_columns)]
    if wrong:
        # Where one line spoils a table with decimal commas, the others are not to blame.
        always = [at for at in wrong if not _are_numbers(re.split("[;\t]", at[1].replace(",", ".")), n_columns)]
        number, line = (always or wrong)[0]
        raise StinrError(
            f"{path.name} cannot be read (line {number} is {printable(line)[:60]!r})",
            expected=f"{n_columns} number(s) in every line",
            cure="Give one angle a line, such as -60.5, or columns with their names in the first line, such as "
            "tilt_angle_deg,time.",
        )
    values = np.array([[float(cell) for cell in cells] for cells in rows], dtype=np.float64)
    words = [word.strip("\"' ") for word in words]
    return Table(tuple(map(column_name, words)), values, tuple(words), path.name)


def _of_array(values: NDArray[np.float64], path: Path) -> Table:
    return Table((), values.reshape(-1, 1) if values.ndim == 1 else values, source=path.name, is_array=True)


def column_name(words: str) -> str:
    """Return the name of a column as it is compared: lower case, without quotation marks and unit, joined by ``_``."""
    name = "_".join(_UNIT.sub("", words.strip("\"' ").lower()).split())
    return _SYNONYMS.get(name, name)


def _are_numbers(cells: list[str], count: int) -> bool:
    return len(cells) == count and all(map(is_number, cells))


def lines_with_content(text: list[str]) -> list[tuple[int, str]]:
    """Return number, from 1, and text of lines that are no comments, without what programs put at their end."""
    lines = ((number, line.partition("#")[0].strip().replace(_MINUS_SIGN, "-")) for number, line in enumerate(text, 1))
    kept = ((number, line.rstrip(",; \t")) for number, line in lines if not line.lower().startswith(_COMMENTS))
    return [(number, line) for number, line in kept if line]


def _with_decimal_commas(lines: list[str], head: str) -> list[list[str]] | None:
    """Return the cells of lines whose commas can only be decimal ones, with points instead; None for other lines."""
    if not any("," in line for line in lines):
        return None
    separator = re.compile("[;\t]" if any(";" in line or "\t" in line for line in lines) else r"\s+")
    rows = [[cell.strip() for cell in separator.split(line)] for line in lines]
    widths = {len(row) for row in rows}
    named = {len(cells_of(head))} | (set() if _SEPARATORS.search(head) else {1}) if head else widths
    if (
        len(widths) > 1
        or not widths <= named
        or not all(_DECIMAL_COMMA.fullmatch(cell) for row in rows for cell in row)
    ):
        return None
    if widths == {1} and not head and _may_be_two_columns([row[0].partition(",")[2] for row in rows]):
        return None
    return [[cell.replace(",", ".") for cell in row] for row in rows]


def _may_be_two_columns(behind: list[str]) -> bool:
    """Return whether what is behind the commas may be whole numbers of a second column, or thousands."""
    if "" in behind:
        return {len(digits) for digits in behind if digits} == {3}
    if any(len(digits) > 1 and digits[0] == "0" for digits in behind):
        return False
    return len(set(behind)) == len(behind)  # times and orders of recording differ, decimals recur


def cells_of(line: str) -> list[str]:
    """Return the texts between commas, semicolons or tabs of a line, or between spaces where it has none of these."""
    return [cell.strip() for cell in _SEPARATORS.split(line)] if _SEPARATORS.search(line) else line.split()


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
