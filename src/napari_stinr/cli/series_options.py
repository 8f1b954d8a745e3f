"""The options of the command line that say what a tilt series is: the same for every command that takes one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.io.series.found import FoundSeries

STACK_HELP = "Tilt series: a stack, a folder, several files with one tilt each, or an .mdoc; lists for it."
Angles = Annotated[str | None, typer.Option(metavar="FILE|START:STEP", help="Tilt angles in degrees.")]
Times = Annotated[str | None, typer.Option(metavar="FILE|ORDER", help="Times, or the order of recording.")]
PixelSize = Annotated[float | None, typer.Option(metavar="A", help="Width of a pixel in Å.")]
FlipTilt = Annotated[bool, typer.Option("--flip-tilt", help="Opposite handedness of the tilt.")]
AxisOffset = Annotated[float, typer.Option(metavar="PIXELS", help="Tilt axis from the centre of the image.")]
Exclude = Annotated[str, typer.Option(metavar="0,5,60:62", help="Projections to leave out, from 0.")]
Bin = Annotated[
    int, typer.Option("--bin", min=1, metavar="N", help="Average N x N pixels; --axis-offset is before this.")
]
CropTo = Annotated[
    str | None,
    typer.Option("--crop", metavar="TOP:BOTTOM,LEFT:RIGHT", help="Rows and columns to use, from 0; before --bin."),
]
InvertContrast = Annotated[bool, typer.Option("--invert-contrast", help="Matter is dark in the images.")]
Axis = Annotated[
    str | None, typer.Option(metavar="auto|vertical|horizontal", help="Tilt axis in the images. Default: auto.")
]
Background = Annotated[
    str | None,
    typer.Option(metavar="auto|each|off|LEVEL", help="Level beside the specimen, to subtract. Default: auto."),
]
KeepBlank = Annotated[bool, typer.Option("--keep-blank", help="Use images that show nothing, too.")]
KeepBadPixels = Annotated[bool, typer.Option("--keep-bad-pixels", help="Use hot, dead and saturated pixels, too.")]
KeepIntensity = Annotated[
    bool, typer.Option("--keep-intensity", help="Do not make up for gain and exposure of the images.")
]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of threads. Default: all cores.")]


@dataclass(frozen=True, eq=False)
class GivenSeries:
    """A series that options describe, found and not yet read."""

    found: "FoundSeries"
    shape: tuple[int, int, int]
    """`(n_tilts, height, width)` of what will be used, not binned."""
    options: dict[str, Any]

    def read(self) -> "TiltSeries":
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
    """Find the series that options describe; what is wrong with it as far as its headers tell is said at once."""
    from napari_stinr.data.preprocessing.binning import Binning
    from napari_stinr.data.preprocessing.crop import Crop
    from napari_stinr.io.series.grouping import find_given_series

    excluded, part = _positions(exclude), None if crop is None else Crop.of_text(crop)
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


def given_series(stack: Sequence[Path], **options: Any) -> "TiltSeries":
    """Find and read the series that options describe; see :func:`found_series`."""
    return found_series(stack, **options).read()


def preprocessing_options(
    *, axis: str | None, background: str | None, keep_blank: bool, keep_bad_pixels: bool, keep_intensity: bool
) -> dict[str, object]:
    """Return the settings of the preprocessing for options of the command line; those not given are not there."""
    given: dict[str, object] = {} if axis is None else {"axis": axis}
    if background is not None:
        try:
            given["background_level"] = float(background)
        except ValueError:
            given["background"] = background
    kept = {"blank_images": keep_blank, "bad_pixels": keep_bad_pixels, "intensity": keep_intensity}
    return given | {name: "keep" for name, is_kept in kept.items() if is_kept}


def _positions(text: str) -> list[int]:
    """Read positions such as ``0,5,60:62``, both ends of a range included."""
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
