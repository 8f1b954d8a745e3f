"""The command ``stinr align``, and the alignment before a training."""

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
    Exclude,
    FlipTilt,
    InvertContrast,
    KeepBadPixels,
    KeepBlank,
    KeepIntensity,
    PixelSize,
    Times,
    given_series,
    preprocessing_options,
)
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from napari_stinr.alignment.align import Alignment
    from napari_stinr.data.tilt_series import TiltSeries

_STACKS = (".mrc", ".mrcs", ".st", ".ali", ".preali")
_POSES = (".yaml", ".yml")


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
    axis: Axis = None,
    background: Background = None,
    keep_blank: KeepBlank = False,
    keep_bad_pixels: KeepBadPixels = False,
    keep_intensity: KeepIntensity = False,
    figure: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw shifts and correlations.")] = None,
) -> None:
    """Find how the projections were shifted and turned, and write the aligned stack or the pose."""
    from napari_stinr.io.output.targets import check_output

    check_output(out, endings=_STACKS + _POSES)
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
    )
    typer.echo(alignment.report())
    if figure is not None:
        alignment.plot(figure)
    _write(alignment, series, out)
    say(f"wrote {out}")


def aligned_series(series: "TiltSeries", choice: str, preprocessing: Mapping[str, object]) -> "TiltSeries":
    """Align a series as ``--align`` asks for; a StinrError says what is wrong with the pose that was given."""
    if choice == "off":
        return series
    if choice == "coarse":
        alignment = _found(series, preprocessing)
        for line in alignment.report().splitlines():
            say(line)
        return alignment.apply(series)
    return _with_pose(series, Path(choice), preprocessing)


def as_aligned(*, resumes: bool) -> dict[str, object]:
    """Return the preprocessing of a training of a series that is aligned: none, as it is done before."""
    from napari_stinr.config import AS_RECORDED

    return {} if resumes else AS_RECORDED.model_dump()


def _found(series: "TiltSeries", preprocessing: Mapping[str, object]) -> "Alignment":
    from napari_stinr.alignment.align import align
    from napari_stinr.config import preset_config

    settings = preset_config("growth").with_preprocessing(**preprocessing).preprocessing
    with progress("align") as update:
        return align(series, preprocessing=settings, report=lambda part: update(round(100 * part), 100, ""))


def _with_pose(series: "TiltSeries", path: Path, preprocessing: Mapping[str, object]) -> "TiltSeries":
    from napari_stinr.alignment.pose import Pose
    from napari_stinr.alignment.warp import aligned
    from napari_stinr.config import preset_config, read_settings_text
    from napari_stinr.data.preprocessing.prepare import prepare

    if path.suffix.lower() not in _POSES:
        raise StinrError(
            f"--align is {path}", expected="off, coarse, or a pose that ends in .yaml", cure="Give one of these."
        )
    pose = Pose.from_yaml(read_settings_text(path))
    if pose.n_tilts != series.n_tilts:
        raise StinrError(
            f"{path.name} is the pose of {pose.n_tilts} projections",
            expected=f"{series.n_tilts}, as many as the series has",
            cure="Give the pose of this series, with nothing excluded from the stack itself.",
        )
    settings = preset_config("growth").with_preprocessing(**preprocessing).preprocessing
    return aligned(prepare(series, settings), pose)


def _write(alignment: "Alignment", series: "TiltSeries", out: Path) -> None:
    from napari_stinr.io import write_tilt_angles, write_tilt_series, write_times
    from napari_stinr.io.output.atomic import atomic_output
    from napari_stinr.io.output.targets import lists_beside

    if out.suffix.lower() in _POSES:
        with atomic_output(out) as temporary:
            temporary.write_text(alignment.pose.to_yaml(), encoding="utf-8")
        return
    done = alignment.apply(series)
    write_tilt_series(out, done.measured, pixel_size=done.pixel_size)
    angles, times = lists_beside(out)
    write_tilt_angles(angles, done.tilt_angles)
    first, last = done.time_range
    write_times(times, done.tilt_angles, first + (last - first) * done.times)
