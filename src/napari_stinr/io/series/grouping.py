"""Which of the files that were given together are one series, and which are its lists of angles and times.

The ending decides where it can. Where it cannot, headers are looked at, never pixels: an array may be a stack or a
list, and of several images each may be a series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.data.checks import MINIMUM_TILTS
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.endings import ANGLE_ENDINGS, MDOC_ENDING
from napari_stinr.io.series.discovery import find_series
from napari_stinr.io.series.headers import Headers, holds
from napari_stinr.io.series.mdoc import is_mdoc
from napari_stinr.io.series.names import angles_in_names
from napari_stinr.io.series.sidecars import find_mdoc
from napari_stinr.io.series.sources import find_sources, own_mdoc
from napari_stinr.io.series.timetables import ANGLE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_stinr.io.series.found import FoundSeries

_TABLE_ENDINGS = (".csv", ".txt")
_PLAIN_LIST_ENDINGS = (*ANGLE_ENDINGS, MDOC_ENDING, *_TABLE_ENDINGS)
_ARRAY_ENDINGS = (".npy", ".mat")
LIST_ENDINGS = (*_PLAIN_LIST_ENDINGS, *_ARRAY_ENDINGS)
"""Files that may hold angles or times; the last two may hold a stack as well."""
_TIME_WORDS = ("time", "dose")


@dataclass(frozen=True, eq=False)
class SeriesFiles:
    """Files that are one series.

    Parameters
    ----------
    paths : tuple of Path
        A stack, a folder, several files with one tilt each, or an ``.mdoc``.
    angles, times : Path, optional
        Lists that were given with it.
    headers : Headers
        What has been read of the files already.
    """

    paths: tuple[Path, ...]
    angles: Path | None
    times: Path | None
    headers: Headers


def find_given_series(
    paths: Sequence[Path],
    *,
    tilt_angles: str | None = None,
    times: str | None = None,
    pixel_size: float | None = None,
) -> FoundSeries:
    """Find the one series that files in any order are: images with lists of angles and times among them.

    Parameters
    ----------
    paths : sequence of Path
        What :func:`napari_stinr.read_tilt_series` reads, and lists that belong to it.
    tilt_angles, times, pixel_size
        As for :func:`napari_stinr.read_tilt_series`; they come before the lists.

    Returns
    -------
    FoundSeries
        Everything but the pixels.

    Raises
    ------
    StinrError
        A file cannot be read, two lists give the same, or there is no series or several.
    """
    if len(paths) == 1:
        return find_series(paths, tilt_angles=tilt_angles, times=times, pixel_size=pixel_size)
    headers = Headers()
    images, lists = sorted_by_ending(paths)
    files = only_series(group_files(images, _without_own_mdoc(images, lists, headers), headers=headers))
    if files is None:
        raise no_stack_for(paths[0])
    return find_series(
        files.paths,
        tilt_angles=files.angles if tilt_angles is None else tilt_angles,
        times=files.times if times is None else times,
        pixel_size=pixel_size,
        headers=files.headers,
    )


def sorted_by_ending(paths: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Sort files by their endings; nothing is read.

    Parameters
    ----------
    paths : iterable of Path
        Files in any order.

    Returns
    -------
    images : tuple of Path
        Tilt series, or what may be some: stacks, images, folders, and ``.mdoc`` files that come without any.
    lists : tuple of Path
        Files with angles or times.
    """
    files = tuple(dict.fromkeys(paths))
    lists = tuple(path for path in files if path.suffix.lower() in _PLAIN_LIST_ENDINGS)
    images = tuple(path for path in files if path not in lists)
    if images:
        return images, lists
    # Without images it stands for those that it describes.
    return tuple(filter(is_mdoc, lists)), tuple(path for path in lists if not is_mdoc(path))


def group_files(images: Sequence[Path], lists: Sequence[Path], *, headers: Headers) -> tuple[SeriesFiles, ...]:
    """Find out which files belong together.

    Parameters
    ----------
    images : sequence of Path
        Stacks, images, folders and ``.mdoc`` files that stand for some; arrays among them may be lists.
    lists : sequence of Path
        Lists of angles and times. One series takes all of them; of several, each takes those that are named like it.
    headers : Headers
        Reads the files.

    Returns
    -------
    tuple of SeriesFiles
        Every series with its lists; none where there are no images.

    Raises
    ------
    StinrError
        A file cannot be read, two lists give the same, or a list belongs to none of several series.
    """
    arrays = tuple(file for file in images if _is_array_list(file, headers))
    groups = _groups(tuple(file for file in images if file not in arrays), headers)
    left = [*lists, *arrays]
    series = []
    for group in groups:
        own = left if len(groups) == 1 else [file for file in left if _is_named_like(file, group[0])]
        left = [file for file in left if file not in own]
        described = tuple(file for file in own if _describes(file, group, headers))
        own = [file for file in own if file not in described]
        series.append(SeriesFiles((*group, *described), angle_list(own, headers), time_list(own, headers), headers))
    if groups and left:
        raise StinrError(
            f"{left[0].name} belongs to none of the files that were opened with it",
            expected="lists with one series, or series that are named like their lists",
            cure="Open one series with its lists, or give the list on the page Series of the window.",
        )
    return tuple(series)


def only_series(series: Sequence[SeriesFiles]) -> SeriesFiles | None:
    """Return the one series of some files.

    Parameters
    ----------
    series : sequence of SeriesFiles
        What the files were put together to.

    Returns
    -------
    SeriesFiles or None
        None where there are lists only.

    Raises
    ------
    StinrError
        There are several; they are named.
    """
    if len(series) > 1:
        raise StinrError(
            f"{len(series)} tilt series: " + ", ".join(one.paths[0].name for one in series[:4]),
            expected="one: a stack, a folder, or several files with one tilt each",
            cure="Drop one of them, with its lists.",
        )
    return series[0] if series else None


def no_stack_for(file: Path) -> StinrError:
    """Return the error for a list that comes without images, and with no series that is open already.

    Parameters
    ----------
    file : Path
        The list.

    Returns
    -------
    StinrError
        To be raised.
    """
    return StinrError(
        f"{file.name} is a list of angles or times",
        expected="the stack that it belongs to",
        cure="Open that first, or drop both together.",
    )


def angle_list(lists: Sequence[Path], headers: Headers) -> Path | None:
    """Return the one of several lists that gives the tilt angles: an ``.mdoc`` where there is no other.

    Parameters
    ----------
    lists : sequence of Path
        Lists of angles and times.
    headers : Headers
        Reads them.

    Returns
    -------
    Path or None
        None where all of them give times; one of both columns gives the angles where they are not found elsewhere.

    Raises
    ------
    StinrError
        There are two, or a file is no list.
    """
    plain = [file for file in lists if not is_mdoc(file) and not _gives_times(file, headers)]
    return _only(plain, "tilt angles") or _only(list(filter(is_mdoc, lists)), "tilt angles")


def time_list(lists: Sequence[Path], headers: Headers) -> Path | None:
    """Return the one of several lists that gives the times: an ``.mdoc`` where there is no other.

    Parameters
    ----------
    lists : sequence of Path
        Lists of angles and times.
    headers : Headers
        Reads them.

    Returns
    -------
    Path or None
        None where all of them give angles.

    Raises
    ------
    StinrError
        There are two, or a file is no list.
    """
    plain = [file for file in lists if not is_mdoc(file) and _gives_times(file, headers)]
    dated = [file for file in lists if is_mdoc(file) and holds(headers.timetable, file)]
    return _only(plain, "times") or _only(dated, "times")


def _is_array_list(file: Path, headers: Headers) -> bool:
    """Whether an array is a list of angles or times rather than a stack: one axis, or nothing with three."""
    if file.suffix.lower() not in _ARRAY_ENDINGS:
        return False
    if file.suffix.lower() == ".npy":
        return holds(headers.angles, file)
    return not holds(headers.stack, file) and holds(headers.angles, file)


def _without_own_mdoc(images: Sequence[Path], lists: tuple[Path, ...], headers: Headers) -> tuple[Path, ...]:
    """Leave out the ``.mdoc`` that belongs to a stack by its name: found anyway, where no other list comes before."""
    stacks = [file for file in images if not _is_array_list(file, headers)]
    own = find_mdoc(stacks[0]) if len(stacks) == 1 else None
    named = () if own is None else tuple(file for file in lists if file.resolve() == own.resolve())
    for file in named:
        headers.mdoc(file)  # one that was named is not passed over where it is bad, as one that was found is
    return tuple(file for file in lists if file not in named)


def _groups(images: tuple[Path, ...], headers: Headers) -> list[tuple[Path, ...]]:
    if len(images) < 2:
        return [images] if images else []
    # The first tells for all: reading finds what does not belong to it.
    each = any(file.is_dir() for file in images) or _is_whole_series(images[0], images, headers)
    return [(file,) for file in images] if each else [images]


def _is_whole_series(file: Path, images: Sequence[Path], headers: Headers) -> bool:
    if is_mdoc(file):
        sources = find_sources([file], headers)
        return len(sources) > 1 or _is_whole_series(sources[0].path, images, headers)
    stack, (mdoc, *_) = headers.stack(file), own_mdoc(file, headers)
    angles = stack.tilt_angles if mdoc is None else headers.mdoc(mdoc).tilt_angles
    # Several images at one angle are the frames of one projection: the header tells it, or the names of all files.
    named = angles_in_names(images)
    one_angle = named is not None and named.marked if angles is None else float(np.ptp(angles)) <= ANGLE_TOLERANCE
    return len(stack.images) >= MINIMUM_TILTS and not one_angle


def _describes(file: Path, images: Sequence[Path], headers: Headers) -> bool:
    """Whether an ``.mdoc`` describes some of several files with one tilt each."""
    if not is_mdoc(file) or not holds(lambda mdoc: find_sources([mdoc], headers), file):
        return False
    described, files = ({source.path for source in find_sources(paths, headers)} for paths in ([file], images))
    return len(files) > 1 and described <= files


def _is_named_like(file: Path, stack: Path) -> bool:
    return file.stem.removesuffix("_times").removesuffix("_angles") in (stack.stem, stack.name)


def _gives_times(file: Path, headers: Headers) -> bool:
    """Whether a list is one of times; bare numbers are where the name of the file says so, and in a ``.csv``."""
    ending = file.suffix.lower()
    if ending in ANGLE_ENDINGS:
        return False
    has_angles, has_times = holds(headers.angles, file), holds(headers.timetable, file)
    if not has_angles and not has_times:
        raise StinrError(
            f"{file.name} holds no list of tilt angles or times",
            expected="one number a line, or a header such as tilt_angle_deg,time",
            cure="Leave it out, or give the right file.",
        )
    if not has_times or not has_angles:
        return has_times
    is_named = ending == ".csv" or any(word in file.stem.lower() for word in _TIME_WORDS)
    return is_named or headers.timetable(file).tilt_angles is not None


def _only(files: Sequence[Path], what: str) -> Path | None:
    if len(files) > 1:
        raise StinrError(
            f"{files[0].name} and {files[1].name} both give {what}", expected="one list of them", cure="Leave one out."
        )
    return files[0] if files else None
