"""Which image files a path stands for: a stack, a folder or list with one file for every tilt, or an ``.mdoc``."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file, printable
from napari_stinr.io.formats.registry import READERS
from napari_stinr.io.series.headers import Headers
from napari_stinr.io.series.mdoc import Montage, is_mdoc
from napari_stinr.io.series.names import angles_in_names
from napari_stinr.io.series.sidecars import find_mdocs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.series.mdoc import Mdoc

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_FRAME_FOLDERS = ("", "frames", "Frames")


@dataclass(frozen=True)
class Source:
    """One image file, with what an ``.mdoc`` says of it."""

    path: Path
    tilt_angle: float | None = None  # [degrees]
    timestamp: float | None = None  # since 1970 [s]
    dose: float | None = None  # before the image [e/Å²]
    exposure: float | None = None  # of the image [e/Å²]
    pixel_size: float | None = None  # [Å]
    place: str = ""  # name of the ``.mdoc``, "" where there is none
    n_angles: int = 1  # different tilt angles that the ``.mdoc`` gives to the images of this file
    passed_over: tuple[str, ...] = ()  # what beside it cannot be read, and why


def find_sources(paths: Sequence[Path], headers: Headers | None = None) -> list[Source]:
    """Return the image files that paths stand for, in the order in which they are given.

    Parameters
    ----------
    paths : sequence of Path
        Image files, ``.mdoc`` files that describe some, or folders. The files of a folder come in the order of their
        names, in which numbers count as numbers.
    headers : Headers, optional
        What has been read of the files already.

    Returns
    -------
    list of Source
        One for a stack; one for every tilt otherwise.

    Raises
    ------
    StinrError
        Something does not exist, a folder holds no series or several, an ``.mdoc`` describes a montage or images that
        are not beside it.
    """
    headers = headers or Headers()
    # Path.is_dir raises an error for a name that is too long.
    files = [file for path in paths for file in (_in_folder(path, headers) if os.path.isdir(path) else [path])]
    sources: list[Source] = []
    for path in files:
        described = _described(path, headers) if is_mdoc(path) else [Source(path)]
        # A list may hold both an image and its .mdoc.
        known = {source.path: place for place, source in enumerate(sources)}
        for source in described:
            if source.path not in known:
                sources.append(source)
            elif source.place:
                sources[known[source.path]] = source
    if len(sources) > 1:
        sources = [source if source.place else _with_own_mdoc(source, headers) for source in sources]
    return sources


def natural_order(path: Path) -> tuple[tuple[int, float, str], ...]:
    """Return a key that sorts names as people do: ``tilt_2`` before ``tilt_10``, ``tilt_-60`` before ``tilt_-57``."""
    # A minus belongs to a number where no letter or digit stands before it: tilt_-60.5, but not scan-12.
    parts = re.split(r"((?<![0-9A-Za-z])-\d{1,9}(?:\.\d{1,9})?|\d{1,18})", path.name)
    return tuple((0, float(part), "") if _NUMBER.fullmatch(part) else (1, 0.0, part.lower()) for part in parts if part)


def positions_by_name(paths: Sequence[Path]) -> NDArray[np.int64]:
    """Return the positions of files in any order among them sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        The files.

    Returns
    -------
    ndarray
        `(n_files,)` positions, from 0; numbers in names count as numbers, and ``gold_n06`` comes before ``gold_p03``
        where nothing but the tilt angle tells the names from each other.
    """
    stated = angles_in_names(paths)
    angles = np.zeros(len(paths)) if stated is None or not stated.alone else stated.values
    names = sorted(range(len(paths)), key=lambda k: (angles[k], natural_order(paths[k])))
    positions = np.empty(len(names), dtype=np.int64)
    positions[names] = np.arange(len(names))
    return positions


def rows_of(
    paths: Sequence[Path], file: Path | None = None, headers: Headers | None = None
) -> NDArray[np.int64] | None:
    """Return the rows of the files of a series in a list.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    file : Path, optional
        The list: an ``.mdoc`` may say by name which row belongs to which file; others are in the order of the names.
    headers : Headers, optional
        What has been read already.

    Returns
    -------
    ndarray or None
        `(n_files,)` rows, from 0; None for a single file.
    """
    if len(paths) < 2:
        return None
    if file is not None and is_mdoc(file):
        named = (headers or Headers()).mdoc(file).frame_files
        if {path.name for path in paths} <= set(named):
            return np.array([named.index(path.name) for path in paths], dtype=np.int64)
    return positions_by_name(paths)


def series_name(paths: Sequence[Path], sources: Sequence[Source]) -> str:
    """Return the name of the stack or folder, or what the names of several files begin with."""
    if len(sources) == 1:
        return sources[0].path.stem
    if len(paths) == 1:
        return paths[0].stem if is_mdoc(paths[0]) else paths[0].resolve().name
    letters = zip(*(source.path.stem for source in sources), strict=False)
    common = "".join(same[0] for same in itertools.takewhile(lambda same: len(set(same)) == 1, letters))
    return common.rstrip("_-+. 0") or sources[0].path.resolve().parent.name or "tilt series"


def _in_folder(folder: Path, headers: Headers) -> list[Path]:
    try:
        names = sorted((file for file in folder.iterdir() if not file.name.startswith(".")), key=natural_order)
    except OSError as error:
        raise StinrError(
            f"{folder} cannot be read: {error.strerror}", expected="a folder", cure="Check its permissions."
        ) from error
    by_ending: dict[str, list[Path]] = {}
    for file in names:
        if file.suffix.lower() in READERS and is_file(file):
            by_ending.setdefault(file.suffix.lower(), []).append(file)
    mdocs = list(filter(is_mdoc, names))
    if len(by_ending) == 1:
        images = next(iter(by_ending.values()))
        return [*images, *(mdoc for mdoc in mdocs if len(images) > 1 and _names_files(headers.mdoc, mdoc, images))]
    if by_ending:
        raise StinrError(
            f"the folder {folder.name} holds " + ", ".join(f"{len(f)} {ending}" for ending, f in by_ending.items()),
            expected="one stack, or the files of one series with one file for every tilt",
            cure="Give the files of one series, or put them into a folder of their own.",
        )
    if mdocs:
        return mdocs
    raise StinrError(
        f"the folder {folder.name} holds no file that can be read",
        expected="files ending in " + ", ".join(READERS),
        cure="Give the folder with the images.",
    )


def _names_files(read: Callable[[Path], Mdoc], path: Path, images: Sequence[Path]) -> bool:
    """Whether one ``.mdoc`` describes several of the images by the names of their files."""
    try:
        named = set(read(path).frame_files)
    except StinrError:  # it may belong to something else in the folder
        return False
    return len(named) > 1 and named <= {image.name for image in images}


def _described(path: Path, headers: Headers) -> list[Source]:
    mdoc = headers.mdoc(path)
    if not mdoc.of_frames:
        stack = _stack_of(path, mdoc)
        if stack is not None:
            return [_source_of(stack, path, mdoc)]
    files = [_beside(path, name) for name in mdoc.frame_files]
    if files and all(files):
        sources = [_source_of(file, path, mdoc, place) for place, file in enumerate(files) if file is not None]
        return [replace(source, n_angles=1) for source in sources]
    missing = [name for name, file in zip(mdoc.frame_files, files, strict=True) if file is None]
    names = [mdoc.image_file or path.stem] if not mdoc.of_frames else missing[:1] or ["files without a name"]
    raise StinrError(
        f"{path.name} describes {mdoc.n_images} image(s) in {printable(names[0])}, which is not beside it",
        expected="the images in the same folder",
        cure="Put the .mdoc and the images into one folder; to give its angles to another stack, give it as angles.",
    )


def _stack_of(path: Path, mdoc: Mdoc) -> Path | None:
    inner = path.with_suffix("")
    candidates = [inner, *(inner.with_name(inner.name + ending) for ending in READERS)]
    if mdoc.image_file:
        candidates.append(path.with_name(mdoc.image_file))
    return next((file for file in candidates if file.suffix.lower() in READERS and is_file(file)), None)


def _beside(path: Path, name: str) -> Path | None:
    candidates = (path.parent / folder / name for folder in _FRAME_FOLDERS) if name else ()
    return next((file for file in candidates if file.suffix.lower() in READERS and is_file(file)), None)


def _source_of(file: Path, path: Path, mdoc: Mdoc, place: int = 0) -> Source:
    def one(values: Iterable[float] | None) -> float | None:
        return None if values is None else list(values)[place]

    return Source(
        file,
        tilt_angle=one(mdoc.tilt_angles),
        timestamp=one(mdoc.timestamps),
        dose=one(mdoc.doses),
        exposure=one(mdoc.exposures),
        pixel_size=mdoc.pixel_size,
        place=path.name,
        n_angles=1 if mdoc.tilt_angles is None or mdoc.of_frames else len(np.unique(mdoc.tilt_angles.round(1))),
        passed_over=lost_fields(mdoc, path),
    )


def lost_fields(mdoc: Mdoc, path: Path) -> tuple[str, ...]:
    """Return why fields of an ``.mdoc`` are not taken, with its name."""
    return tuple(f"{reason} ({path.name})" for reason in mdoc.lost)


def own_mdoc(image: Path, headers: Headers) -> tuple[Path | None, tuple[str, ...], Montage | None]:
    """Return the ``.mdoc`` beside an image file that can be read, why others cannot, and the one of a montage."""
    problems: list[str] = []
    montage = None
    for beside in find_mdocs(image):
        try:
            headers.mdoc(beside)
        except StinrError as error:  # it may be that of something else
            problems.append(error.found)
            montage = error if isinstance(error, Montage) else montage
        else:
            return beside, tuple(problems), montage
    return None, tuple(problems), montage


def _with_own_mdoc(source: Source, headers: Headers) -> Source:
    beside, problems, _ = own_mdoc(source.path, headers)
    if beside is None:
        return replace(source, passed_over=problems)
    found = _source_of(source.path, beside, headers.mdoc(beside))
    return replace(found, passed_over=(*problems, *found.passed_over))
