"""The series that a person describes in words: on the command line, or in a file of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.io.series.found import FoundSeries


@dataclass(frozen=True, eq=False)
class GivenSeries:
    """A series that options describe, found and not yet read.

    Parameters
    ----------
    found : FoundSeries
        Everything but the pixels.
    shape : tuple of int
        `(n_tilts, height, width)` of what will be used, not binned.
    options : dict
        Of :func:`napari_stinr.io.series.reading.load_series`.
    """

    found: FoundSeries
    shape: tuple[int, int, int]
    options: dict[str, Any]

    def read(self) -> TiltSeries:
        """Read it."""
        from napari_stinr.io.series.reading import load_series

        return load_series(self.found, **self.options)


def found_series(
    stack: Sequence[Path],
    *,
    angles: str | None,
    times: str | None,
    pixel_size: float | None,
    flip_tilt: bool,
    axis_offset: float,
    exclude: str,
    binning: int,
    invert_contrast: bool,
    crop: str | None = None,
) -> GivenSeries:
    """Find the series that options describe; what is wrong with it as far as its headers tell is said at once.

    Parameters
    ----------
    stack : sequence of Path
        Stack, folder, files with one tilt each, or ``.mdoc``; lists for it.
    angles, times, pixel_size, flip_tilt, axis_offset, exclude, binning, invert_contrast, crop
        As the options of ``stinr train``; see there.

    Returns
    -------
    GivenSeries
        To be read.

    Raises
    ------
    StinrError
        A file cannot be read, or an option does not fit it.
    """
    from napari_stinr.data.preprocessing.binning import Binning
    from napari_stinr.data.preprocessing.crop import Crop
    from napari_stinr.io.series.grouping import find_given_series

    excluded, part = positions_of(exclude), None if crop is None else Crop.of_text(crop)
    found = find_given_series(list(stack), tilt_angles=angles, times=times, pixel_size=pixel_size)
    if isinstance(found.tilt_angles, StinrError):
        raise found.tilt_angles
    n_tilts, height, width = found.stack.images.shape
    if part is not None:
        part.check(height, width)
        height, width = part.shape
    Binning.of(height, width, binning)
    options = {
        "flip_tilt": flip_tilt,
        "axis_offset": axis_offset,
        "exclude": excluded,
        "binning": binning,
        "invert_contrast": invert_contrast,
        "crop": part,
    }
    return GivenSeries(found, (n_tilts - len(set(excluded) & set(range(n_tilts))), height, width), options)


def positions_of(text: str) -> list[int]:
    """Read positions such as ``0,5,60:62``, both ends of a range included.

    Parameters
    ----------
    text : str
        What a person wrote.

    Returns
    -------
    list of int
        Every position.

    Raises
    ------
    StinrError
        It is written in another way.
    """
    positions: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = part.partition(":")
        try:
            positions += range(int(first), int(last or first) + 1)
        except ValueError as error:
            raise StinrError(
                f"--exclude has {part!r}",
                expected="positions from 0 such as 0,5,60:62",
                cure="Separate positions by commas, and the ends of a range by a colon.",
            ) from error
    return positions
