"""SerialEM's ``.mdoc`` files: what the microscope noted for every image of a stack."""

from __future__ import annotations

import codecs
import stat
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged, printable
from napari_stinr.io.formats.endings import MDOC_ENDING
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, MAXIMUM_TEXT_BYTES
from napari_stinr.io.series.dates import posix_seconds

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

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
    doses: NDArray[np.float64] | None  # `(n_images,)` before each image [e/Å²]; None where one is missing
    pixel_size: float | None  # [Å]
    exposures: NDArray[np.float64] | None = None  # `(n_images,)` of each image [e/Å²]; None where one is missing
    image_file: str = ""  # the stack that it describes, "" where it does not say
    # Of each image, without their folder on the microscope; empty where one is missing.
    frame_files: tuple[str, ...] = ()
    # It describes files of frames (``[FrameSet = n]``), not the images of a stack (``[ZValue = n]``).
    of_frames: bool = False
    lost: tuple[str, ...] = ()  # why fields that are there are not taken

    @property
    def seconds(self) -> NDArray[np.float64] | None:
        """`(n_images,)` time since the first image [s]."""
        return None if self.timestamps is None else self.timestamps - self.timestamps.min()


class Montage(StinrError):
    """An ``.mdoc`` describes the pieces of a montage.

    Parameters
    ----------
    name : str
        Name of the file.
    number : int or None
        Section with piece coordinates; None where the head of the file says it.
    n_images : int
        Number of pieces.
    """

    def __init__(self, name: str, number: int | None, n_images: int) -> None:
        why = "" if number is None else f": section {number} has piece coordinates"
        super().__init__(
            f"{name} describes a montage{why}",
            expected="one image for every tilt",
            cure="Give the .mdoc of the tilt series, or blend the montage first.",
        )
        self.n_images = n_images


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
    Montage
        It describes a montage.
    StinrError
        It has no sections, or too many. A value that cannot be read costs its own field alone: `lost` says so.
    """
    common, sections = _sections(read_text(path), path)
    kind = "FrameSet" if sections["FrameSet"] else "ZValue"
    # Below a frame set, sections [ZValue = n] are ranges of its frames.
    numbers = sorted(sections[kind])
    ordered = [sections[kind][number] for number in numbers]
    if not ordered:
        raise damaged(path, "an .mdoc with a section [ZValue = n] or [FrameSet = n] for every image", "there is none")
    piece = next((n for n, section in zip(numbers, ordered, strict=True) if "PieceCoordinates" in section), None)
    is_montage = piece is not None or common.get("Montage", "0") not in ("0", "")
    if is_montage and not _has_single_pieces(ordered):
        raise Montage(path.name, piece, len(ordered))
    fields = _Fields(ordered, numbers)
    dates, frames = fields.dates(), [section.get("SubFramePath", "") for section in ordered]
    spacing = ordered[0].get("PixelSpacing", common.get("PixelSpacing"))
    return Mdoc(
        n_images=len(ordered),
        tilt_angles=fields.numbers("TiltAngle"),
        timestamps=dates,
        doses=fields.numbers("PriorRecordDose"),
        pixel_size=fields.pixel_size(spacing),
        # Only what a tie of doses is broken with: no reason to complain.
        exposures=_Fields(ordered, numbers).numbers("ExposureDose"),
        image_file=_file_name(common.get("ImageFile", "")),
        frame_files=tuple(map(_file_name, frames)) if all(frames) else (),
        of_frames=kind == "FrameSet",
        lost=tuple(fields.lost),
    )


def _has_single_pieces(sections: list[dict[str, str]]) -> bool:
    """Whether every image of several is a piece at the same place: SerialEM's montage of one piece by one."""
    places = [section.get("PieceCoordinates", "").split() for section in sections]
    planes = {tuple(place[2:]) for place in places}
    return len(sections) > 1 and len({tuple(place[:2]) for place in places}) == 1 and len(planes) == len(sections)


class _Fields:
    """The fields of all sections; a value that cannot be read loses the field, and `lost` says why."""

    def __init__(self, sections: list[dict[str, str]], numbers: list[int]) -> None:
        self.lost: list[str] = []
        self._sections, self._numbers = sections, numbers

    def numbers(self, key: str) -> NDArray[np.float64] | None:
        """Return `(n_images,)` numbers, None where one is missing."""
        numbers = [_number(value) for value in self._values(key)]
        if None in numbers:
            self._lose(key, numbers.index(None))
            return None
        return np.array(numbers, dtype=np.float64) if numbers else None

    def dates(self) -> NDArray[np.float64] | None:
        """Return `(n_images,)` dates, None where one is missing or all are the same [s]."""
        values = self._values("DateTime")
        if not values:
            return None
        dates, unread = posix_seconds(values)
        if dates is None:
            self._lose("DateTime", values.index(unread), ", which is no date like 30-Nov-15 15:21:38")
        elif len(dates) > 1 and np.ptp(dates) == 0:
            self.lost.append(f"DateTime is {values[0]!r} in all sections")
            return None
        return dates

    def pixel_size(self, value: str | None) -> float | None:
        """Return a positive length [Å]."""
        size = None if value is None else _number(value)
        if value is not None and size is None:
            self.lost.append(f"PixelSpacing is {printable(value)[:40]!r}")
        return size if size is not None and size > 0 else None

    def _values(self, key: str) -> list[str]:
        """Return the texts of all sections, none where one is missing."""
        values = [value for section in self._sections if (value := section.get(key)) is not None]
        if values and len(values) < len(self._sections):
            self.lost.append(
                f"{key} is missing in {len(self._sections) - len(values)} of {len(self._sections)} sections"
            )
        return values if len(values) == len(self._sections) else []

    def _lose(self, key: str, place: int, why: str = "") -> None:
        value = printable(self._sections[place][key])[:40]
        self.lost.append(f"{key} is {value!r} in section {self._numbers[place]}{why}")


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
            read = _number(value)
            if read is None:
                raise damaged(path, f"a number for {key}", f"{key} is {value!r}")
            number = int(read)
            if number in sections[key]:
                raise damaged(path, "one section for every image", f"the section {key} = {number} is there twice")
            if len(sections[key]) == MAXIMUM_IMAGES:
                raise damaged(path, f"at most {MAXIMUM_IMAGES} sections", "there are more")
            current = sections[key][number] = {}
        elif key != "T":
            current = {}
            if key == "MontSection":
                common["Montage"] = "1"
    return common, sections


def _file_name(path_on_microscope: str) -> str:
    # Written by Windows, read anywhere.
    return PureWindowsPath(path_on_microscope).name


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
