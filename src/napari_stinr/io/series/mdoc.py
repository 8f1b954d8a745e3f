"""SerialEM's ``.mdoc`` files: what the microscope noted for every image of a stack."""

from __future__ import annotations

import codecs
import datetime
import re
import stat
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged
from napari_stinr.io.formats.endings import MDOC_ENDING
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, MAXIMUM_TEXT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_DATE_TIME = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{4}|\d{2})\s+(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
# Not strptime: its %b depends on the language of the computer.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIRST_TWO_DIGIT_YEAR = 70
_MOST_LINES = 500_000
"""Lines of twenty letters in the largest text that is read."""
_MOST_KEYS = 1000
"""SerialEM writes about thirty lines in a section."""


@dataclass(frozen=True, eq=False)
class Mdoc:
    """What an ``.mdoc`` says of the images of a stack, or of the files of a series with one file for every tilt."""

    n_images: int  # or files
    tilt_angles: NDArray[np.float64] | None  # `(n_images,)` in its order [degrees]; None where one is missing
    # `(n_images,)` since 1970, in the time of the microscope [s]; None where one is missing or all are the same.
    timestamps: NDArray[np.float64] | None
    # `(n_images,)` before each image [e/Å²]; None where one is missing or two are the same.
    doses: NDArray[np.float64] | None
    pixel_size: float | None  # [Å]
    image_file: str = ""  # the stack that it describes, "" where it does not say
    # Of each image, without their folder on the microscope; empty where one is missing.
    frame_files: tuple[str, ...] = ()
    # It describes files of frames (``[FrameSet = n]``), not the images of a stack (``[ZValue = n]``).
    of_frames: bool = False

    @property
    def seconds(self) -> NDArray[np.float64] | None:
        """`(n_images,)` time since the first image [s]."""
        return None if self.timestamps is None else self.timestamps - self.timestamps.min()


def is_mdoc(path: Path) -> bool:
    """Return whether a file is one by its ending.

    Parameters
    ----------
    path : Path
        The file; it is not opened.

    Returns
    -------
    bool
        In lower case or capitals.
    """
    return path.suffix.lower() == MDOC_ENDING


def read_text(path: Path) -> str:
    """Return the text of a small file in UTF-8, or UTF-16 with its mark; other bytes become replacement characters."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe is to wait for whoever writes to it
            raise damaged(path, "a text file", "it is a folder, a pipe or a device")
        with path.open("rb") as stream:
            raw = stream.read(MAXIMUM_TEXT_BYTES + 1)
    except OSError as error:
        raise StinrError(
            f"{path} cannot be read: {error.strerror}",
            expected="a file with angles or times",
            cure="Check the name and the folder.",
        ) from error
    if len(raw) > MAXIMUM_TEXT_BYTES:
        raise damaged(path, "a text file", f"it is larger than {MAXIMUM_TEXT_BYTES // 1_000_000} MB")
    is_utf_16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # "Unicode text" of Excel
    return raw.decode("utf-16" if is_utf_16 else "utf-8-sig", errors="replace")


def read_mdoc(path: Path) -> Mdoc:
    """Read the sections of an ``.mdoc``, in the order of their numbers, which is that of the stack.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    Mdoc
        Tilt angles, dates, doses, pixel size and names of files where they are given.

    Raises
    ------
    StinrError
        It describes a montage, has no sections, or holds a value that cannot be read.
    """
    common, sections = _sections(read_text(path), path)
    kind = "FrameSet" if sections["FrameSet"] else "ZValue"
    # Below a frame set, sections [ZValue = n] are ranges of its frames.
    ordered = [sections[kind][number] for number in sorted(sections[kind])]
    if not ordered:
        raise damaged(path, "an .mdoc with a section [ZValue = n] or [FrameSet = n] for every image", "there is none")
    for number, section in enumerate(ordered):
        if "PieceCoordinates" in section:
            raise StinrError(
                f"{path.name} describes a montage: section {number} has piece coordinates",
                expected="one image for every tilt",
                cure="Give the .mdoc of the tilt series, or blend the montage first.",
            )
    dates, doses = _column(ordered, "DateTime", path), _column(ordered, "PriorRecordDose", path)
    size = _number(ordered[0].get("PixelSpacing", common.get("PixelSpacing", "0")), "PixelSpacing", path)
    frames = [section.get("SubFramePath", "") for section in ordered]
    return Mdoc(
        n_images=len(ordered),
        tilt_angles=_column(ordered, "TiltAngle", path),
        timestamps=None if dates is None or (len(dates) > 1 and np.ptp(dates) == 0) else dates,
        doses=None if doses is None or len(np.unique(doses)) < len(doses) else doses,
        pixel_size=size if size > 0 else None,
        image_file=_file_name(common.get("ImageFile", "")),
        frame_files=tuple(map(_file_name, frames)) if all(frames) else (),
        of_frames=kind == "FrameSet",
    )


def _sections(text: str, path: Path) -> tuple[dict[str, str], dict[str, dict[int, dict[str, str]]]]:
    common: dict[str, str] = {}
    sections: dict[str, dict[int, dict[str, str]]] = {"ZValue": {}, "FrameSet": {}}
    current = common
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if len(lines) > _MOST_LINES:
        raise damaged(path, f"at most {_MOST_LINES} lines", f"it has {len(lines)}")
    for stripped in lines:
        opens = stripped.startswith("[")
        key, equals, value = (part.strip() for part in stripped.strip("[]").partition("="))
        if not opens:
            if equals:
                current[key] = value
                if len(current) > _MOST_KEYS:
                    raise damaged(path, f"at most {_MOST_KEYS} values in a section", "there are more")
        elif key in sections:
            number = int(_number(value, key, path))
            if number in sections[key]:
                raise damaged(path, "one section for every image", f"the section {key} = {number} is there twice")
            if len(sections[key]) == MAXIMUM_IMAGES:
                raise damaged(path, f"at most {MAXIMUM_IMAGES} sections", "there are more")
            current = sections[key][number] = {}
        elif key != "T":
            current = {}
    return common, sections


def _file_name(path_on_microscope: str) -> str:
    # Written by Windows, read anywhere.
    return PureWindowsPath(path_on_microscope).name


def _column(sections: list[dict[str, str]], key: str, path: Path) -> NDArray[np.float64] | None:
    values = [section.get(key) for section in sections]
    convert = _posix_seconds if key == "DateTime" else _number
    numbers = [convert(value, key, path) for value in values if value is not None]
    return np.array(numbers, dtype=np.float64) if len(numbers) == len(values) else None


def _number(value: str, key: str, path: Path) -> float:
    try:
        number = float(value)
    except ValueError:
        raise damaged(path, f"a number for {key}", f"{key} is {value!r}") from None
    if not np.isfinite(number):
        raise damaged(path, f"a finite number for {key}", f"{key} is {value!r}")
    return number


def _posix_seconds(value: str, key: str, path: Path) -> float:
    match = _DATE_TIME.fullmatch(value)
    try:
        if match is None:
            raise ValueError(value)
        day, month, year, hour, minute, second = match.groups()
        full_year = int(year)
        if len(year) == 2:
            full_year += 1900 if full_year >= _FIRST_TWO_DIGIT_YEAR else 2000
        start = datetime.datetime(
            full_year, _MONTHS.index(month.lower()) + 1, int(day), int(hour), int(minute), tzinfo=datetime.UTC
        )
    except ValueError:
        raise damaged(path, f"a {key} like 30-Nov-15 15:21:38", f"{key} is {value!r}") from None
    return start.timestamp() + float(second)
