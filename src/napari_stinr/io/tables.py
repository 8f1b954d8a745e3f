"""Numbers in columns: lists of tilt angles and times as people keep them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.io.containers import damaged
from napari_stinr.io.limits import MAXIMUM_IMAGES
from napari_stinr.io.mdoc import read_text
from napari_stinr.io.numpy_files import read_npy_vector

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
LONGEST_LINE = 10_000
"""No row of a table of angles or times has more letters."""
_SEPARATORS = re.compile("[,;\t]")


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers in columns, with the names of the columns where there is a header (lower case)."""

    header: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def description(self) -> str:
        """What the columns are, for messages."""
        return (
            f"columns {', '.join(self.header)}" if self.header else f"{self.values.shape[1]} columns without a header"
        )

    def column(self, names: tuple[str, ...]) -> NDArray[np.float64] | None:
        """Return the `(n_rows,)` column with one of the names, or the only one of a table without header."""
        if not self.header:
            return self.values[:, 0] if self.values.shape[1] == 1 else None
        return next((self.values[:, self.header.index(name)] for name in names if name in self.header), None)


def read_table(path: Path, *, wanted: str = "tilt_angles") -> Table:
    """Read numbers in columns.

    Parameters
    ----------
    path : Path
        ``.npy`` or ``.mat`` with one list of numbers, or a text with one row a line, columns separated by commas,
        semicolons, tabs or spaces, with or without a header.
    wanted : {"tilt_angles", "times"}
        Which list to take from a ``.mat`` that holds several.

    Returns
    -------
    Table
        Its columns.

    Raises
    ------
    StinrError
        It cannot be read, is no table, or is longer than any list of angles or times.
    """
    if path.suffix.lower() == ".mat":
        from napari_stinr.io.matlab import read_vector

        return Table((), read_vector(path, key=wanted).reshape(-1, 1))
    if path.suffix.lower() == ".npy":
        return Table((), read_npy_vector(path).reshape(-1, 1))
    text = read_text(path).splitlines()
    longest = max(map(len, text), default=0)
    if len(text) > MAXIMUM_IMAGES or longest > LONGEST_LINE:
        raise damaged(path, "one number a line", f"{len(text)} lines, the longest of {longest} letters")
    lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text, 1)]
    rows = [(number, cells_of(line)) for number, line in lines if line]
    header = tuple(cell.strip("\"'").lower() for cell in rows[0][1]) if rows and not is_number(rows[0][1][0]) else ()
    rows = rows[1:] if header else rows
    if not rows:
        raise damaged(path, "one number a line", "it has no numbers")
    n_columns = len(header or rows[0][1])
    for number, cells in rows:
        if len(cells) != n_columns or not all(map(is_number, cells)):
            raise damaged(path, f"{n_columns} number(s) in every line", f"line {number} is {' '.join(cells)[:60]!r}")
    return Table(header, np.array([[float(cell) for cell in cells] for _, cells in rows], dtype=np.float64))


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
