"""SerialEM's ``.mdoc`` files: what the microscope noted for every image of a stack."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.containers import damaged

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAXIMUM_TEXT_BYTES = 8_000_000
"""No list of angles or times is longer; a larger file is something else."""

_SECTION = re.compile(r"\[\s*(\w+)\s*=\s*(.*?)\s*\]")
_DATE_TIME = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{4}|\d{2})\s+(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
# Not strptime: its %b depends on the language of the computer.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIRST_TWO_DIGIT_YEAR = 70


@dataclass(frozen=True, eq=False)
class Mdoc:
    """Angles and times of a stack from its ``.mdoc``.

    Parameters
    ----------
    tilt_angles : ndarray, optional
        `(n_tilts,)` tilt angles in stack order [degrees]. None where one is missing.
    seconds : ndarray, optional
        `(n_tilts,)` time since the first image [s]. None where one is missing or all are the same.
    pixel_size : float, optional
        Width of a pixel [Å].
    """

    tilt_angles: NDArray[np.float64] | None
    seconds: NDArray[np.float64] | None
    pixel_size: float | None


def read_text(path: Path) -> str:
    """Return the text of a small file; bytes that are no UTF-8 become replacement characters.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    str
        Its text, without a byte order mark.

    Raises
    ------
    StinrError
        The file is missing, cannot be read, or is larger than any list of angles or times.
    """
    try:
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
    return raw.decode("utf-8-sig", errors="replace")


def read_mdoc(path: Path) -> Mdoc:
    """Read the ``[ZValue = n]`` sections of an ``.mdoc``, in the order of n, which is that of the stack.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    Mdoc
        Tilt angles, times and pixel size where they are given.

    Raises
    ------
    StinrError
        It describes a montage or the frames of single images, has no sections, or holds a value that cannot be read.
    """
    common, sections = _sections(read_text(path), path)
    if not sections:
        raise damaged(path, "an .mdoc with a section [ZValue = n] for every image", "there is none")
    for number, section in sections.items():
        if "PieceCoordinates" in section:
            raise StinrError(
                f"{path.name} describes a montage: section {number} has piece coordinates",
                expected="one image for every tilt",
                cure="Give the .mdoc of the tilt series, or blend the montage first.",
            )
    ordered = [sections[number] for number in sorted(sections)]
    seconds = _column(ordered, "DateTime", path)
    spacing = ordered[0].get("PixelSpacing", common.get("PixelSpacing"))
    size = None if spacing is None else _number(spacing, "PixelSpacing", path)
    return Mdoc(
        tilt_angles=_column(ordered, "TiltAngle", path),
        seconds=None if seconds is None or np.ptp(seconds) == 0 else seconds - seconds.min(),
        pixel_size=size if size is not None and np.isfinite(size) and size > 0 else None,
    )


def _sections(text: str, path: Path) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
    common: dict[str, str] = {}
    sections: dict[int, dict[str, str]] = {}
    current = common
    for line in text.splitlines():
        header = _SECTION.match(line.strip())
        if header is None:
            key, equals, value = line.partition("=")
            if equals:
                current[key.strip()] = value.strip()
        elif header[1] == "FrameSet":
            raise StinrError(
                f"{path.name} describes the frames of one image",
                expected="an .mdoc with a section [ZValue = n] for every image of the stack",
                cure="Give the .mdoc of the stack, or the tilt angles and times themselves.",
            )
        elif header[1] == "ZValue":
            number = int(_number(header[2], "ZValue", path))
            if number in sections:
                raise damaged(path, "one section for every image", f"the section ZValue = {number} is there twice")
            current = sections[number] = {}
        elif header[1] != "T":
            current = {}
    return common, sections


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
