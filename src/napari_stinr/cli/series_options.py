"""The options of the command line that say what a tilt series is: the same for every command that takes one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_stinr.io.series.given import found_series

if TYPE_CHECKING:
    from napari_stinr.data.tilt_series import TiltSeries

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


def given_series(stack: Sequence[Path], **options: Any) -> "TiltSeries":
    """Find and read the series that options describe; see :func:`found_series`."""
    return found_series(stack, **options).read()
