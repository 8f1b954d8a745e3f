"""An aligned series in files: the stack with its tilt angles and times beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.io import write_tilt_angles, write_tilt_series, write_times
from napari_stinr.io.output.targets import lists_beside

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.data.tilt_series import TiltSeries


def write_aligned(path: Path, series: TiltSeries, *, overwrite: bool = True) -> tuple[Path, ...]:
    """Write a series that is aligned, so that reading the stack finds its angles and times.

    Parameters
    ----------
    path : Path
        MRC stack to write; what does not count becomes 0.
    series : TiltSeries
        Prepared and aligned.
    overwrite : bool
        Replace files that are there already.

    Returns
    -------
    tuple of Path
        The files that were written, the stack first.

    Raises
    ------
    StinrError
        The ending is another one, or a file cannot be written.
    """
    angles, times = lists_beside(path)
    first, last = series.time_range
    write_tilt_series(path, series.measured, pixel_size=series.pixel_size, overwrite=overwrite)
    write_tilt_angles(angles, series.tilt_angles, overwrite=overwrite)
    write_times(times, series.tilt_angles, first + (last - first) * series.times, overwrite=overwrite)
    return path, angles, times
