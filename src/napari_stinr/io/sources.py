"""Which image files a path stands for: a stack, a folder or list with one file for every tilt, or an ``.mdoc``."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.containers import is_file, printable
from napari_stinr.io.mdoc import read_mdoc
from napari_stinr.io.sidecars import find_mdoc
from napari_stinr.io.stacks import READERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.mdoc import Mdoc

MDOC_ENDING = ".mdoc"
_FRAME_FOLDERS = ("", "frames", "Frames")


@dataclass(frozen=True)
class Source:
    """One image file, with what an ``.mdoc`` says of it.

    Parameters
    ----------
    path : Path
        The image file.
    tilt_angle : float, optional
        Tilt angle [degrees].
    timestamp : float, optional
        Date as seconds since 1970 [s].
    dose : float, optional
        Dose before the image [e/Å²].
    pixel_size : float, optional
        Width of a pixel [Å].
    place : str
        Name of the ``.mdoc``, "" where there is none.
    """

    path: Path
    tilt_angle: float | None = None
    timestamp: float | None = None
    dose: float | None = None
    pixel_size: float | None = None
    place: str = ""


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Return the image files that paths stand for, in the order in which they are given.

    Parameters
    ----------
    paths : sequence of Path
        Image files, ``.mdoc`` files that describe some, or a single folder. The files of a folder come in the order of
        their names, in which numbers count as numbers.

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
    # Path.is_dir raises an error for a name that is too long.
    if len(paths) == 1 and os.path.isdir(paths[0]):
        paths = _in_folder(paths[0])
    sources: list[Source] = []
    for path in paths:
        described = _described(path) if path.suffix.lower() == MDOC_ENDING else [Source(path)]
        # A list may hold both an image and its .mdoc.
        known = {source.path: place for place, source in enumerate(sources)}
        for source in described:
            if source.path not in known:
                sources.append(source)
            elif source.place:
                sources[known[source.path]] = source
    if len(sources) > 1:
        sources = [source if source.place else _with_own_mdoc(source) for source in sources]
    return sources


def natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names as people do: ``tilt_2`` before ``tilt_10``.

    Parameters
    ----------
    path : Path
        A file.

    Returns
    -------
    tuple
        To be compared with others of its kind.
    """
    parts = re.split(r"(\d{1,18})", path.name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in parts if part)


def positions_by_name(paths: Sequence[Path]) -> NDArray[np.int64]:
    """Return for each of several files its position among them sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        Files in any order.

    Returns
    -------
    ndarray
        `(n_files,)` positions from 0; the rows of a list that belongs to the files are in this order.
    """
    names = sorted(range(len(paths)), key=lambda k: natural_order(paths[k]))
    positions = np.empty(len(names), dtype=np.int64)
    positions[names] = np.arange(len(names))
    return positions


def series_name(paths: Sequence[Path], sources: Sequence[Source]) -> str:
    """Return a name for a series that people recognise.

    Parameters
    ----------
    paths : sequence of Path
        What was given.
    sources : sequence of Source
        The files that it stands for.

    Returns
    -------
    str
        The name of the stack or folder, or what the names of several files begin with.
    """
    if len(sources) == 1:
        return sources[0].path.stem
    if len(paths) == 1:
        return paths[0].stem if paths[0].suffix.lower() == MDOC_ENDING else paths[0].resolve().name
    letters = zip(*(source.path.stem for source in sources), strict=False)
    common = "".join(same[0] for same in itertools.takewhile(lambda same: len(set(same)) == 1, letters))
    return common.rstrip("_-+. 0") or sources[0].path.resolve().parent.name or "tilt series"


def _in_folder(folder: Path) -> list[Path]:
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
    if len(by_ending) == 1:
        return next(iter(by_ending.values()))
    if by_ending:
        raise StinrError(
            f"the folder {folder.name} holds " + ", ".join(f"{len(f)} {ending}" for ending, f in by_ending.items()),
            expected="one stack, or the files of one series with one file for every tilt",
            cure="Give the files of one series, or put them into a folder of their own.",
        )
    frames = [file for file in names if file.suffix.lower() == MDOC_ENDING]
    if frames:
        return frames
    raise StinrError(
        f"the folder {folder.name} holds no file that can be read",
        expected="files ending in " + ", ".join(READERS),
        cure="Give the folder with the images.",
    )


def _described(path: Path) -> list[Source]:
    mdoc = read_mdoc(path)
    if not mdoc.of_frames:
        stack = _stack_of(path, mdoc)
        if stack is not None:
            return [_source_of(stack, path, mdoc)]
    files = [_beside(path, name) for name in mdoc.frame_files]
    if files and all(files):
        return [_source_of(file, path, mdoc, place) for place, file in enumerate(files) if file is not None]
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
        pixel_size=mdoc.pixel_size,
        place=path.name,
    )


def _with_own_mdoc(source: Source) -> Source:
    beside = find_mdoc(source.path)
    return source if beside is None else _source_of(source.path, beside, read_mdoc(beside))
