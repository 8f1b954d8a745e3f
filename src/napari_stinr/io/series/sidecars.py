"""Tilt angles and times in files of their own, and how such files beside a stack are found.

Angles: ``.rawtlt`` and ``.tlt`` (one number a line), ``.mdoc``, tables with a column ``tilt_angle_deg``. Times: tables
with a column ``time`` or with one number a line, and the ``DateTime`` of an ``.mdoc``. The rows are in stack order.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged, is_file
from napari_stinr.io.formats.endings import ALIGNED_ENDINGS, MDOC_ENDING
from napari_stinr.io.formats.three_angles import N_ANGLES, AngleList, has_three, named, recognised
from napari_stinr.io.series.mdoc import is_mdoc, read_mdoc, read_text
from napari_stinr.io.series.tables import LONGEST_LINE, cells_of, column_name, is_number, lines_with_content, read_table
from napari_stinr.io.series.timetables import Timetable, timetable_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_stinr.io.series.mdoc import Mdoc
    from napari_stinr.io.series.tables import Table

ANGLE_COLUMNS = ("tilt_angle_deg", "tilt_angle", "tilt_angles", "tilt", "angle", "angles", "theta")
TIME_COLUMNS = ("time", "times", "time_s", "t", "seconds", "dose", "order")
_BESIDE_TILT = ("phi", "theta", "psi", "rot", "tilt_angle", "beta", "gamma")
"""Names of the three angles of a projection, as `column_name` gives them, of which one is the tilt angle."""
_LINES_TO_LOOK_AT = 100
_ANGLE_WORD = re.compile("angles?", re.IGNORECASE)
_RANGE = re.compile(r"\s*([-+]?\d+\.?\d*|[-+]?\.\d+)\s*:\s*([-+]?\d+\.?\d*|[-+]?\.\d+)\s*")


_THREE_NUMBERS = re.compile(rf"{_RANGE.pattern}:\s*[-+]?[\d.]+\s*")


def parse_angle_range(text: str, n_tilts: int) -> NDArray[np.float64] | None:
    """Return the tilt angles that ``START:STEP`` stands for.

    Parameters
    ----------
    text : str
        Two numbers [degrees] with a colon between them.
    n_tilts : int
        Number of projections.

    Returns
    -------
    ndarray or None
        `(n_tilts,)` tilt angles [degrees]; None for another text.
    """
    match = _RANGE.fullmatch(text)
    return None if match is None else float(match[1]) + float(match[2]) * np.arange(n_tilts, dtype=np.float64)


def angles_file(text: str) -> Path:
    """Return the file with tilt angles that a text names, which is no ``START:STEP``.

    Parameters
    ----------
    text : str
        What a person gave.

    Returns
    -------
    Path
        A file that is there.

    Raises
    ------
    StinrError
        There is no such file.
    """
    file = Path(text.strip()).expanduser()
    if is_file(file):
        return file
    if _THREE_NUMBERS.fullmatch(text):
        raise StinrError(
            f"tilt angles are {text!r}, which are three numbers",
            expected="two, the first angle and the step: START:STEP",
            cure=f"Write {text.strip().rsplit(':', 1)[0]!r}, if the step is the second.",
        )
    raise StinrError(
        f"tilt angles are {text!r}, which is no file",
        expected="a file, or first angle and step as START:STEP, such as -60:2",
        cure="Give them as a file (one angle a line), as START:STEP in degrees, or as an array.",
    )


def read_angles(path: Path) -> NDArray[np.float64]:
    """Read tilt angles from a file.

    Parameters
    ----------
    path : Path
        ``.mdoc``, ``.npy``, or a text with one number a line or a column ``tilt_angle_deg``.

    Returns
    -------
    ndarray
        `(n_tilts,)` tilt angles in stack order [degrees].

    Raises
    ------
    StinrError
        The file cannot be read or does not say which numbers are the angles.
    """
    return read_angle_list(path).values


def read_angle_list(path: Path) -> AngleList:
    """Read tilt angles as :func:`read_angles` does, with what is to be said of a list of three angles per projection.

    Parameters
    ----------
    path : Path
        ``.mdoc``, ``.npy``, ``.mat`` or a text.

    Returns
    -------
    AngleList
        Tilt angles in stack order.

    Raises
    ------
    StinrError
        The file cannot be read or does not say which numbers are the angles.
    """
    if is_mdoc(path):
        return AngleList(mdoc_angles(read_mdoc(path), path))
    table = read_table(path)
    if not table.header and (table.is_array or table.values.shape[1] == N_ANGLES) and has_three(table.values):
        return _recognised(table)
    found = _named_angles(table)
    if found is None:
        raise damaged(path, f"one angle a line, or a column '{ANGLE_COLUMNS[0]}'", f"it has the {table.description}")
    return found


def read_timetable(path: Path) -> Timetable:
    """Read times, and the tilt angles beside them, from a file.

    Parameters
    ----------
    path : Path
        ``.mdoc``, ``.npy``, or a text with one number a line or with the header ``tilt_angle_deg,time``.

    Returns
    -------
    Timetable
        Times in stack order.

    Raises
    ------
    StinrError
        The file cannot be read or does not say which numbers are the times.
    """
    if is_mdoc(path):
        return mdoc_timetable(read_mdoc(path), path)
    columns = read_table(path, wanted="times")
    column = columns.column(TIME_COLUMNS)
    if column is None:
        raise damaged(path, "one time a line, or the header tilt_angle_deg,time", f"it has the {columns.description}")
    angles = _named_angles(columns) if columns.header else None
    if angles is None:
        return Timetable(column, source=path.name)
    return Timetable(column, angles.values, source=path.name, angle_remark=angles.remark)


def mdoc_angles(mdoc: Mdoc, path: Path) -> NDArray[np.float64]:
    """Return the `(n_tilts,)` tilt angles of an ``.mdoc`` [degrees]; a StinrError names the file that has none."""
    if mdoc.tilt_angles is None:
        why = next((reason for reason in mdoc.lost if reason.startswith("TiltAngle")), "some sections have none")
        raise damaged(path, "a TiltAngle in every section", why)
    return mdoc.tilt_angles


def mdoc_timetable(mdoc: Mdoc, path: Path) -> Timetable:
    """Return the times of an ``.mdoc``; a StinrError names the file that tells none."""
    table = timetable_of(mdoc, path.name)
    if table is None:
        why = "; ".join(reason for reason in mdoc.lost if reason.startswith(("DateTime", "PriorRecordDose")))
        why = why or "DateTime is missing or always the same"
        raise damaged(path, "a different DateTime or PriorRecordDose in the sections", why)
    return table


def find_angle_files(stack: Path) -> list[Path]:
    """Return the files beside a stack that may hold its tilt angles.

    Parameters
    ----------
    stack : Path
        The stack, e.g. ``needle.mrc``, or the folder of a series with one file for every tilt.

    Returns
    -------
    list of Path
        Those that exist of ``needle.rawtlt``, ``needle.tlt`` (the other way round for an ``.ali``, since ``.tlt`` holds
        the angles refined by the alignment), ``needle_angles.txt``, ``.csv``, ``needle.csv`` with a column of angles,
        ``needle.mrc.mdoc``, ``needle.mdoc``; for ``needle.mat`` a ``.mat`` beside it with "angle" in its name; in a
        folder, the only lists of their kind.
    """
    if stack.is_dir():
        return _only_ones(stack, ("*.rawtlt", "*.tlt", "*angles.txt", "*angles.csv"))
    names = [".rawtlt", ".tlt", "_angles.txt", "_angles.csv", "_tilt_angles.txt", "_tilt_angles.csv", ".csv"]
    if stack.suffix.lower() in ALIGNED_ENDINGS:
        names[:2] = names[1::-1]
    candidates = [(name, stack.with_name(stack.stem + name)) for name in names]
    found = [
        file for name, file in candidates if is_file(file) and (name != ".csv" or _has_column(file, ANGLE_COLUMNS))
    ]
    if stack.suffix.lower() == ".mat" and not found:
        # MATLAB keeps every variable in a file of its own; the one beside the stack has the word in its name.
        angles = [file for file in sorted(stack.parent.glob("*.mat")) if _ANGLE_WORD.search(file.stem)]
        angles = [file for file in angles if file != stack]
        own = [file for file in angles if file.stem.startswith(_ANGLE_WORD.sub("", stack.stem).split("Projection")[0])]
        return own if len(own) == 1 else angles if len(angles) == 1 else []
    return [*found, *find_mdocs(stack)]


def find_angle_file(stack: Path) -> Path | None:
    """Return the first of the files beside a stack that may hold its tilt angles, None without."""
    return next(iter(find_angle_files(stack)), None)


def find_timetables(stack: Path) -> list[Path]:
    """Return those of ``needle_times.csv``, ``needle.csv`` with times and ``times.csv`` that lie beside a stack."""
    if stack.is_dir():
        return _only_ones(stack, ("times.csv", "*_times.csv"))
    candidates = [stack.with_name(name) for name in (f"{stack.stem}_times.csv", f"{stack.stem}.csv", "times.csv")]
    return [
        file for file in candidates if is_file(file) and (file.stem != stack.stem or _has_column(file, TIME_COLUMNS))
    ]


def find_mdocs(stack: Path) -> list[Path]:
    """Return those of ``needle.mrc.mdoc`` and ``needle.mdoc`` that lie beside ``needle.mrc``."""
    candidates = (stack.with_name(stack.name + MDOC_ENDING), stack.with_name(stack.stem + MDOC_ENDING))
    return [candidate for candidate in candidates if is_file(candidate)]


def find_mdoc(stack: Path) -> Path | None:
    """Return ``needle.mrc.mdoc`` or ``needle.mdoc`` beside ``needle.mrc``, the first that exists, or None."""
    return next(iter(find_mdocs(stack)), None)


def _recognised(table: Table) -> AngleList:
    first = "" if table.is_array else f", beginning with {', '.join(f'{number:g}' for number in table.values[0])}"
    return recognised(table.values, f"{table.source} has {table.description}{first}", is_array=table.is_array)


def _named_angles(table: Table) -> AngleList | None:
    """Return the tilt angles by the name of their column, None where none has one."""
    column = table.column(ANGLE_COLUMNS)
    if column is None or not table.header:
        return None if column is None else AngleList(column)
    tilt = next(table.header.index(name) for name in ANGLE_COLUMNS if name in table.header)
    places = [k for k, name in enumerate(table.header) if k == tilt or name in _BESIDE_TILT]
    if len(places) != N_ANGLES:
        return AngleList(column)
    columns, words = table.values[:, places], [table.words[k] for k in places]
    return named(
        columns, places.index(tilt), places, words, source=table.source, is_sure=table.header[tilt] == ANGLE_COLUMNS[0]
    )


def _only_ones(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Return the one file of each pattern, where there is one alone."""
    found: list[Path] = []
    for pattern in patterns:
        files = [file for file in folder.glob(pattern) if is_file(file)]
        found += files if len(files) == 1 and files[0] not in found else []
    return found


def _has_column(path: Path, names: tuple[str, ...]) -> bool:
    # A list without a header is one of times: `needle.csv` is the second name of a table of times. It may also be
    # something else altogether, which is no reason to complain.
    try:
        lines = read_text(path).splitlines()
    except StinrError:
        return False
    content = lines_with_content([line[:LONGEST_LINE] for line in lines[:_LINES_TO_LOOK_AT]])
    if not content:
        return False
    cells = cells_of(content[0][1])
    if is_number(cells[0]):
        return (len(cells) == N_ANGLES and _has_three_angles(path)) is (names is ANGLE_COLUMNS)
    return any(column_name(cell) in names for cell in cells)


def _has_three_angles(path: Path) -> bool:
    try:
        return bool(read_angle_list(path).remark)
    except StinrError:
        return False
