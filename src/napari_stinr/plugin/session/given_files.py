"""Which of the files that were given together are one series, and which are its lists of angles and times.

The ending decides where it can. Where it cannot, headers are looked at, never pixels: an array may be a stack or a
list, and of several images each may be a series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.numpy_files import read_npy_vector
from napari_stinr.io.formats.registry import read_stack
from napari_stinr.io.series.mdoc import read_mdoc
from napari_stinr.io.series.sidecars import find_mdoc, read_angles, read_timetable
from napari_stinr.io.series.sources import MDOC_ENDING, find_sources
from napari_stinr.io.series.timetables import ANGLE_TOLERANCE
from napari_stinr.plugin.session.draft_sources import read_draft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_stinr.plugin.session.draft import SeriesDraft

ANGLE_ENDINGS = (".rawtlt", ".tlt")
TABLE_ENDINGS = (".csv", ".txt")
LIST_ENDINGS = (*ANGLE_ENDINGS, MDOC_ENDING, *TABLE_ENDINGS, ".npy", ".mat")
"""Files that may hold angles or times; the last two may hold a stack as well."""
_TIME_WORDS = ("time", "dose")


@dataclass(frozen=True)
class GivenSeries:
    """Files that are one series.

    Parameters
    ----------
    paths : tuple of Path
        A stack, a folder, several files with one tilt each, or an ``.mdoc``.
    angles, times : Path, optional
        Lists that were given with it.
    """

    paths: tuple[Path, ...]
    angles: Path | None = None
    times: Path | None = None

    def draft(self) -> SeriesDraft:
        """Read the series; a StinrError says what is wrong with its files."""
        return read_draft(self.paths, angles=self.angles, times=self.times)


def given_series(images: Sequence[Path], lists: Sequence[Path]) -> tuple[GivenSeries, ...]:
    """Find out which files belong together.

    Parameters
    ----------
    images : sequence of Path
        Stacks, images, folders and ``.mdoc`` files that stand for some.
    lists : sequence of Path
        Lists of angles and times. One series takes all of them; of several, each takes those that are named like it.

    Returns
    -------
    tuple of GivenSeries
        Every series with its lists; none where there are no images.

    Raises
    ------
    StinrError
        A file cannot be read, two lists give the same, or a list belongs to none of several series.
    """
    groups, left = _groups(tuple(images)), list(lists)
    series = []
    for group in groups:
        own = left if len(groups) == 1 else [file for file in left if _is_named_like(file, group[0])]
        left = [file for file in left if file not in own]
        described = tuple(file for file in own if _describes(file, group))
        own = [file for file in own if file not in described]
        series.append(GivenSeries((*group, *described), angle_list(own), time_list(own)))
    if groups and left:
        raise StinrError(
            f"{left[0].name} belongs to none of the files that were opened with it",
            expected="lists with one series, or series that are named like their lists",
            cure="Open one series with its lists, or give the list in the Tilt series dock.",
        )
    return tuple(series)


def is_list(file: Path) -> bool:
    """Return whether an array is a list of angles or times rather than a stack.

    Parameters
    ----------
    file : Path
        Any file.

    Returns
    -------
    bool
        False for everything that is no ``.npy`` or ``.mat``.
    """
    ending = file.suffix.lower()
    if ending == ".npy":
        return holds(read_npy_vector, file)
    if ending != ".mat":
        return False
    from napari_stinr.io.formats.matlab import read_mat, read_vector

    return not holds(read_mat, file) and holds(read_vector, file)


def angle_list(lists: Sequence[Path]) -> Path | None:
    """Return the one of several lists that gives the tilt angles: an ``.mdoc`` where there is no other.

    Parameters
    ----------
    lists : sequence of Path
        Lists of angles and times.

    Returns
    -------
    Path or None
        None where all of them give times; one of both columns gives the angles where they are not found elsewhere.

    Raises
    ------
    StinrError
        There are two, or a file is no list.
    """
    plain = [file for file in lists if not _is_mdoc(file) and not _gives_times(file)]
    return _only(plain, "tilt angles") or _only([file for file in lists if _is_mdoc(file)], "tilt angles")


def time_list(lists: Sequence[Path]) -> Path | None:
    """Return the one of several lists that gives the times: an ``.mdoc`` where there is no other.

    Parameters
    ----------
    lists : sequence of Path
        Lists of angles and times.

    Returns
    -------
    Path or None
        None where all of them give angles.

    Raises
    ------
    StinrError
        There are two, or a file is no list.
    """
    plain = [file for file in lists if not _is_mdoc(file) and _gives_times(file)]
    dated = [file for file in lists if _is_mdoc(file) and holds(read_timetable, file)]
    return _only(plain, "times") or _only(dated, "times")


def holds(read: Callable[[Path], Any], path: Path) -> bool:
    """Return whether a file can be read in this way.

    Parameters
    ----------
    read : callable
        Reads a file, or at least its header.
    path : Path
        The file.

    Returns
    -------
    bool
        False whatever is wrong: who reads it in earnest will say it.
    """
    try:
        read(path)
    # Damaged files end in almost any exception inside the libraries.
    except Exception:
        return False
    return True


def _groups(images: tuple[Path, ...]) -> list[tuple[Path, ...]]:
    if len(images) < 2:
        return [images] if images else []
    # The first tells for all: reading finds what does not belong to it.
    each = any(file.is_dir() for file in images) or _is_whole_series(images[0])
    return [(file,) for file in images] if each else [images]


def _is_whole_series(file: Path) -> bool:
    if _is_mdoc(file):
        sources = find_sources([file])
        return len(sources) > 1 or _is_whole_series(sources[0].path)
    stack, mdoc = read_stack(file), find_mdoc(file)
    angles = stack.tilt_angles if mdoc is None else read_mdoc(mdoc).tilt_angles
    # Several images at one angle are the frames of one projection.
    return len(stack.images) >= MINIMUM_TILTS and (angles is None or float(np.ptp(angles)) > ANGLE_TOLERANCE)


def _describes(file: Path, images: Sequence[Path]) -> bool:
    """Whether an ``.mdoc`` describes some of several files with one tilt each."""
    if not _is_mdoc(file) or not holds(lambda mdoc: find_sources([mdoc]), file):
        return False
    described, files = ({source.path for source in find_sources(paths)} for paths in ([file], images))
    return len(files) > 1 and described <= files


def _is_mdoc(file: Path) -> bool:
    return file.suffix.lower() == MDOC_ENDING


def _is_named_like(file: Path, stack: Path) -> bool:
    return file.stem.removesuffix("_times").removesuffix("_angles") in (stack.stem, stack.name)


def _gives_times(file: Path) -> bool:
    """Whether a list is one of times; bare numbers are where the name of the file says so, and in a ``.csv``."""
    ending = file.suffix.lower()
    if ending in ANGLE_ENDINGS:
        return False
    has_angles, has_times = holds(read_angles, file), holds(read_timetable, file)
    if not has_angles and not has_times:
        raise StinrError(
            f"{file.name} holds no list of tilt angles or times",
            expected="one number a line, or a header such as tilt_angle_deg,time",
            cure="Leave it out, or give the right file.",
        )
    if not has_times or not has_angles:
        return has_times
    is_named = ending == ".csv" or any(word in file.stem.lower() for word in _TIME_WORDS)
    return is_named or read_timetable(file).tilt_angles is not None


def _only(files: Sequence[Path], what: str) -> Path | None:
    if len(files) > 1:
        raise StinrError(
            f"{files[0].name} and {files[1].name} both give {what}", expected="one list of them", cure="Leave one out."
        )
    return files[0] if files else None
