"""The command ``stinr align``, and a pose that is given to a training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_stinr.cli.console import progress, say
from napari_stinr.cli.series_options import (
    STACK_HELP,
    Angles,
    Axis,
    AxisOffset,
    Background,
    Bin,
    CropTo,
    Exclude,
    FlipTilt,
    InvertContrast,
    KeepBadPixels,
    KeepBlank,
    KeepIntensity,
    PixelSize,
    Threads,
    Times,
    given_series,
)
from napari_stinr.errors import StinrError
from napari_stinr.training.jobs.asked import ALIGNMENTS, preprocessing_options

if TYPE_CHECKING:
    from napari_stinr.alignment.align import Alignment
    from napari_stinr.alignment.pose import Pose
    from napari_stinr.data.tilt_series import TiltSeries

_STACKS = (".mrc", ".mrcs", ".st", ".ali", ".preali")


def align_command(
    stack: Annotated[list[Path], typer.Argument(metavar="STACK", help=STACK_HELP, show_default=False)],
    out: Annotated[
        Path, typer.Option(metavar="ALIGNED.mrc|POSE.yaml", help="Aligned stack, or the pose.", show_default=False)
    ],
    angles: Angles = None,
    times: Times = None,
    pixel_size: PixelSize = None,
    flip_tilt: FlipTilt = False,
    axis_offset: AxisOffset = 0.0,
    exclude: Exclude = "",
    binning: Bin = 1,
    invert_contrast: InvertContrast = False,
    crop: CropTo = None,
    axis: Axis = None,
    background: Background = None,
    keep_blank: KeepBlank = False,
    keep_bad_pixels: KeepBadPixels = False,
    keep_intensity: KeepIntensity = False,
    joint: Annotated[bool, typer.Option("--joint", help="Fit a larger part of the volume, tilt angles too.")] = False,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw shifts, correlations and the central sinogram.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Find how the projections were shifted and turned, and write the aligned stack or the pose.

    A pose ends in .yaml, .xf (IMOD, with .tlt beside it) or .aln (AreTomo).
    """
    from napari_stinr.alignment.pose_files import POSES
    from napari_stinr.io.output.targets import check_output

    check_output(out, endings=_STACKS + POSES)
    if any(out.resolve() == path.resolve() for path in stack):
        raise StinrError(f"--out is {out.name}, the stack itself", expected="another file", cure="Give another name.")
    series = given_series(
        stack,
        angles=angles,
        times=times,
        pixel_size=pixel_size,
        flip_tilt=flip_tilt,
        axis_offset=axis_offset,
        exclude=exclude,
        binning=binning,
        invert_contrast=invert_contrast,
        crop=crop,
    )
    alignment = _found(
        series,
        preprocessing_options(
            axis=axis,
            background=background,
            keep_blank=keep_blank,
            keep_bad_pixels=keep_bad_pixels,
            keep_intensity=keep_intensity,
        ),
        method="joint" if joint else "coarse",
        threads=threads,
    )
    typer.echo(alignment.report())
    if figure is not None:
        alignment.plot(figure)
    _write(alignment, series, out)
    say(f"wrote {out}")


def given_pose(path: Path, series: "TiltSeries", *, turned: bool) -> "Pose":
    """Read the pose that ``--align`` names, of images that are turned or not; a StinrError says what is wrong."""
    from napari_stinr.alignment.pose_files import POSES, read_pose

    if path.suffix.lower() not in POSES:
        raise StinrError(
            f"--align is {path}",
            expected=f"{', '.join(ALIGNMENTS)}, or a pose that ends in {', '.join(POSES)}",
            cure="Give one of these.",
        )
    return read_pose(path, shape=(series.height, series.width), tilt_angles=series.tilt_angles, turned=turned)


def _found(
    series: "TiltSeries", preprocessing: Mapping[str, object], *, method: str, threads: int | None
) -> "Alignment":
    from napari_stinr.config import preset_config
    from napari_stinr.training.aligning import align

    settings = preset_config("growth").with_preprocessing(**preprocessing).preprocessing
    with progress("align") as update:
        return align(
            series,
            method=method,
            preprocessing=settings,
            threads=threads,
            report=lambda part: update(round(100 * part), 100, ""),
        )


def _write(alignment: "Alignment", series: "TiltSeries", out: Path) -> None:
    from napari_stinr.alignment.aligned_files import write_aligned
    from napari_stinr.alignment.pose_files import POSES, write_pose

    if out.suffix.lower() in POSES:
        turned = alignment.is_turned
        shape = alignment.shape[::-1] if turned else alignment.shape
        write_pose(out, alignment.pose, shape=shape, tilt_angles=series.tilt_angles, turned=turned)
        return
    write_aligned(out, alignment.apply(series))
