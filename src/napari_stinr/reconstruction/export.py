"""From files to files: export a saved reconstruction, and evaluate a volume against its truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.io import write_frames, write_volume
from napari_stinr.io.formats.endings import OME_ZARR_ENDING, WRITTEN_ENDINGS, written_ending
from napari_stinr.io.output.atomic import check_target
from napari_stinr.io.output.replacing import check_replaceable
from napari_stinr.io.output.targets import check_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.pace import Update
    from napari_stinr.reconstruction.reconstruction import Reconstruction


def export_run(
    run: Path,
    target: Path,
    *,
    times: Sequence[float | str] = (),
    contamination: bool = False,
    voxel_size: float | None = None,
    progress: Update | None = None,
) -> None:
    """Write volumes of a saved reconstruction: one time as 3D, several as 4D TIFF or OME-Zarr.

    Parameters
    ----------
    run : Path
        Reconstruction.
    target : Path
        ``.tif``, ``.tiff``, ``.mrc`` or ``.ome.zarr`` to write.
    times : sequence of float or str
        Times to render, from 0 to 1, or texts with the unit of the run such as ``"30s"``. Default: 0, and 1 for the
        contamination.
    contamination : bool
        Write what was added since t = 0 in place of the whole volume.
    voxel_size : float, optional
        Edge of a voxel [length unit of the run]. Default: that of the run.
    progress : callable, optional
        As for :func:`export_volumes`.

    Raises
    ------
    StinrError
        A file cannot be read or written, the format does not hold several times, or a time lies outside the series.
    """
    from napari_stinr.reconstruction.export_times import stated_time
    from napari_stinr.reconstruction.reconstruction import load_reconstruction

    check_format(target, len(times))
    check_output(target, endings=WRITTEN_ENDINGS)
    check_replaceable(target)
    reconstruction = load_reconstruction(run)
    export_volumes(
        reconstruction,
        target,
        times=[stated_time(time, reconstruction) for time in times],
        contamination=contamination,
        voxel_size=voxel_size,
        progress=progress,
    )


def export_volumes(
    reconstruction: Reconstruction,
    target: Path,
    *,
    times: Sequence[float],
    contamination: bool = False,
    voxel_size: float | None = None,
    overwrite: bool = True,
    progress: Update | None = None,
) -> None:
    """Write volumes of a reconstruction: one time as 3D, several as 4D TIFF or OME-Zarr; whole or not at all.

    Parameters
    ----------
    reconstruction : Reconstruction
        What to render.
    target : Path
        ``.tif``, ``.tiff``, ``.mrc`` or ``.ome.zarr`` to write.
    times : sequence of float
        Times to render. None at all: 0, and 1 for the contamination.
    contamination : bool
        Write what was added since t = 0 in place of the whole volume.
    voxel_size : float, optional
        Edge of a voxel [length unit of the reconstruction]. Default: that of the reconstruction.
    overwrite : bool
        Replace a file that is there; images that this program did not write stay.
    progress : callable, optional
        Called as ``progress(done, total)`` after every block of rows; `total` is the number of volumes and `done`
        counts parts of them. An error that it raises ends the export and leaves what was there before.

    Raises
    ------
    StinrError
        The file exists and must not be replaced, cannot be written, or its format does not hold several times.
    """
    from napari_stinr.reconstruction.rendering import check_time

    times = list(times) or [1.0 if contamination else 0.0]
    check_format(target, len(times))
    check_output(target, endings=WRITTEN_ENDINGS)
    for t in times:
        check_time(t)
    grid = reconstruction.grid_at(voxel_size)
    if written_ending(target) == OME_ZARR_ENDING:
        from napari_stinr.reconstruction.export_store import export_store

        export_store(
            reconstruction, target, grid, times, contamination=contamination, overwrite=overwrite, progress=progress
        )
        return
    check_target(target.expanduser(), overwrite=overwrite)
    check_replaceable(target)
    volumes = _rendered(reconstruction, grid, times, contamination=contamination, progress=progress)
    size, unit = grid.voxel_size, reconstruction.length_unit
    if target.suffix.lower() == ".mrc":
        write_volume(target, next(volumes), voxel_size=size, length_unit=unit, overwrite=overwrite)
        return
    write_frames(
        target,
        volumes,
        n_times=len(times),
        shape=grid.shape,
        voxel_size=size,
        length_unit=unit,
        times=times if len(times) > 1 else None,
        overwrite=overwrite,
    )


def _rendered(
    reconstruction: Reconstruction,
    grid: VoxelGrid,
    times: Sequence[float],
    *,
    contamination: bool,
    progress: Update | None,
) -> Iterator[NDArray[np.float32]]:
    from napari_stinr.reconstruction.rendering import potentials_at

    def show(row: int, rows: int) -> None:
        if progress is not None:
            progress(row / rows * len(times), len(times))

    show(0, 1)
    # The volume at 0 is rendered once for all times.
    moments = [0.0, *times] if contamination else times
    volumes = potentials_at(reconstruction.field, grid, moments, progress=show)
    clean = next(volumes).copy() if contamination else None
    for volume in volumes:
        if clean is not None:
            volume -= clean
        yield volume


def check_format(target: Path, n_times: int) -> None:
    """Refuse several times for a format that holds one volume.

    Parameters
    ----------
    target : Path
        File that will be written.
    n_times : int
        How many volumes.

    Raises
    ------
    StinrError
        The format holds one.
    """
    if n_times > 1 and target.suffix.lower() == ".mrc":
        raise StinrError(
            f"{n_times} times for {target.name}",
            expected="one, as an MRC file holds one volume",
            cure="Write a .tif or .ome.zarr, or one .mrc for each time.",
        )
