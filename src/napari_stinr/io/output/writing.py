"""Write volumes, frames and simulated tilt series so that other programs open them at the right size.

Every file appears completely or not at all (:mod:`napari_stinr.io.output.atomic`), and the same input gives the same
bytes: no date, no random identifier.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import read_images
from napari_stinr.io.formats.endings import (
    MRC_ENDINGS,
    OME_ZARR_ENDING,
    TIFF_ENDINGS,
    WRITTEN_ENDINGS,
    written_ending,
)
from napari_stinr.io.formats.registry import read_stack
from napari_stinr.io.formats.units import in_angstrom
from napari_stinr.io.output.atomic import atomic_output
from napari_stinr.io.output.mrc import write_mrc
from napari_stinr.io.output.ome_zarr_layout import StoreLayout
from napari_stinr.io.output.ome_zarr_reading import is_written_store, open_store
from napari_stinr.io.output.tiff import write_tiff

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

_VOLUME_READ_ENDINGS = (".mrc", *TIFF_ENDINGS, ".npy")


def write_volume(
    path: str | os.PathLike[str],
    volume: ArrayLike,
    *,
    voxel_size: float,
    length_unit: str = "Å",
    overwrite: bool = True,
) -> None:
    """Write a volume with its physical voxel size, in the format of the file ending.

    ``.tif`` is read at the right size by ImageJ and by OME readers: it carries both descriptions, OME-XML in
    `length_unit` first and ImageJ's second, in nm, since ImageJ's description is ASCII. ``.ome.tif`` carries the
    OME-XML only and may exceed 3.5 GB (BigTIFF). ``.mrc`` is a volume (ISPG 1). ``.ome.zarr`` is a folder with
    the volume at several resolutions, of which other programs read what they show.

    Parameters
    ----------
    path : str or path-like
        File to write, ending in ``.tif``, ``.tiff``, ``.ome.tif``, ``.ome.tiff``, ``.mrc`` or ``.ome.zarr``.
    volume : array_like
        `(z, y, x)` values [V]; stored as float32.
    voxel_size : float
        Edge of a voxel [length_unit].
    length_unit : str
        ``"Å"``, ``"nm"``, ``"µm"``, ..., or ``"pixel"`` where the size is not known.
    overwrite : bool
        Replace a file that is there already; images that this program did not write stay.

    Raises
    ------
    StinrError
        The ending, the unit or the shape is wrong, or the file cannot be written.
    """
    values = _checked_array(volume, "the volume", "(z, y, x)")
    target = Path(path).expanduser()
    if target.suffix.lower() == ".mrc":
        write_mrc(target, values, in_angstrom(voxel_size, length_unit), is_volume=True, overwrite=overwrite)
    elif written_ending(target) == OME_ZARR_ENDING:
        _write_store(target, [values], StoreLayout(_zyx(values.shape), voxel_size, length_unit), overwrite=overwrite)
    else:
        _check_ending(target, WRITTEN_ENDINGS)
        depth, height, width = values.shape
        write_tiff(target, iter(values), (1, depth, height, width), voxel_size, length_unit, overwrite=overwrite)


def write_frames(
    path: str | os.PathLike[str],
    volumes: Iterable[ArrayLike],
    *,
    n_times: int,
    shape: tuple[int, int, int],
    voxel_size: float,
    length_unit: str = "Å",
    times: Sequence[float] | None = None,
    overwrite: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write volumes at several times as one 4D TIFF or OME-Zarr (t, z, y, x), holding a single volume in memory.

    Parameters
    ----------
    path : str or path-like
        File to write: ``.tif`` for ImageJ and OME readers, up to 3.5 GB; ``.ome.tif`` or the folder ``.ome.zarr`` for
        OME readers, of any size.
    volumes : iterable of array_like
        `n_times` volumes of `shape`; each is asked for when the one before has been written.
    n_times : int
        Number of volumes.
    shape : tuple of int
        Numbers of slices, rows and columns: (z, y, x).
    voxel_size : float
        Edge of a voxel [length_unit].
    length_unit : str
        ``"Å"``, ``"nm"``, ``"µm"``, ..., or ``"pixel"`` where the size is not known.
    times : sequence of float, optional
        `(n_times,)` time of every volume, on the scale of the tilt series; stored in the descriptions.
    overwrite : bool
        Replace a file that is there already; images that this program did not write stay.
    progress : callable, optional
        Called as ``progress(done, n_times)`` after every volume.

    Raises
    ------
    StinrError
        The ending, the unit, a shape or the number of volumes is wrong, a ``.tif`` would be too large, or the file
        cannot be written.
    """
    target = Path(path).expanduser()
    _check_ending(target, (*TIFF_ENDINGS, OME_ZARR_ENDING))
    full_shape = (n_times, *shape)
    if len(full_shape) != 4 or min(full_shape) < 1:
        raise StinrError(
            f"the frames have the shape {full_shape}",
            expected="(t, z, y, x), none of them 0",
            cure="Give at least one time and three lengths.",
        )
    if times is not None and len(times) != n_times:
        raise StinrError(
            f"{len(times)} times for {n_times} volumes", expected="one for each", cure="Give as many times as volumes."
        )
    if written_ending(target) == OME_ZARR_ENDING:
        stated = tuple(map(float, range(n_times) if times is None else times))
        layout = StoreLayout(_zyx(shape), voxel_size, length_unit, times=stated)
        _write_store(target, _volumes(volumes, n_times, shape, progress), layout, overwrite=overwrite)
        return
    pages = itertools.chain.from_iterable(_volumes(volumes, n_times, shape, progress))
    write_tiff(target, pages, full_shape, voxel_size, length_unit, times=times, overwrite=overwrite)


def write_tilt_series(
    path: str | os.PathLike[str], projections: ArrayLike, *, pixel_size: float | None, overwrite: bool = True
) -> None:
    """Write projections as an MRC image stack (ISPG 0).

    Parameters
    ----------
    path : str or path-like
        File to write, ending in ``.mrc``, ``.mrcs``, ``.st``, ``.ali`` or ``.preali``.
    projections : array_like
        `(n_tilts, height, width)` projections; stored as float32.
    pixel_size : float or None
        Width of a pixel [Å]; None leaves it unknown.
    overwrite : bool
        Replace a file that is there already.

    Raises
    ------
    StinrError
        The ending, the shape or the pixel size is wrong, or the file cannot be written.
    """
    values = _checked_array(projections, "the tilt series", "(n_tilts, height, width)")
    target = Path(path).expanduser()
    _check_ending(target, MRC_ENDINGS)
    size = None if pixel_size is None else in_angstrom(pixel_size, "Å")
    write_mrc(target, values, size, is_volume=False, overwrite=overwrite)


def write_tilt_angles(path: str | os.PathLike[str], angles: ArrayLike, *, overwrite: bool = True) -> None:
    """Write tilt angles as text, one a line (``.rawtlt``).

    Parameters
    ----------
    path : str or path-like
        File to write.
    angles : array_like
        `(n_tilts,)` tilt angles in stack order [degrees].
    overwrite : bool
        Replace a file that is there already.

    Raises
    ------
    StinrError
        The file cannot be written.
    """
    _write_lines(path, [repr(float(angle)) for angle in np.ravel(angles)], overwrite)


def write_times(path: str | os.PathLike[str], angles: ArrayLike, times: ArrayLike, *, overwrite: bool = True) -> None:
    """Write the time of every projection as a table with the header ``tilt_angle_deg,time``.

    Parameters
    ----------
    path : str or path-like
        File to write, usually ``times.csv``.
    angles : array_like
        `(n_tilts,)` tilt angles in stack order [degrees]; they let a reader check that the rows belong to the stack.
    times : array_like
        `(n_tilts,)` times in any unit.
    overwrite : bool
        Replace a file that is there already.

    Raises
    ------
    StinrError
        The counts differ, or the file cannot be written.
    """
    first, second = np.ravel(angles), np.ravel(times)
    if len(first) != len(second):
        raise StinrError(
            f"{len(second)} times for {len(first)} tilt angles",
            expected="one for each",
            cure="Give as many times as angles.",
        )
    rows = [f"{float(angle)!r},{float(time)!r}" for angle, time in zip(first, second, strict=True)]
    _write_lines(path, ["tilt_angle_deg,time", *rows], overwrite)


def read_volume(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], float | None]:
    """Read a volume and its voxel size.

    Parameters
    ----------
    path : str or path-like
        File to read, ending in ``.mrc``, ``.tif``, ``.tiff`` or ``.npy``; an OME-Zarr that this program wrote.

    Returns
    -------
    volume : ndarray
        `(z, y, x)` values [the unit of the file].
    voxel_size : float or None
        Edge of a voxel [Å], None where the file does not tell.

    Raises
    ------
    StinrError
        The file is missing, damaged or of another kind.
    """
    source = Path(path).expanduser()
    if written_ending(source) == OME_ZARR_ENDING and is_written_store(source):
        return _read_store(source)
    if source.is_file():
        _check_ending(source, _VOLUME_READ_ENDINGS)
    stack = read_stack(source)
    return read_images(stack.images, source), stack.pixel_size


def _read_store(path: Path) -> tuple[NDArray[np.float32], float | None]:
    store = open_store(path)
    if store.shape[0] > 1:
        raise StinrError(
            f"{path.name} holds {store.shape[0]} volumes", expected="one", cure="Export the volume at one time."
        )
    return store.read(), store.voxel_size


def _checked_array(values: ArrayLike, what: str, axes: str) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.ndim != 3 or 0 in array.shape or array.dtype.kind not in "biuf":
        raise StinrError(
            f"{what} has the shape {array.shape} and the data type {array.dtype}",
            expected=f"real numbers on three axes {axes}, none of them empty",
            cure="Give one array with these axes.",
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _check_ending(path: Path, endings: tuple[str, ...]) -> None:
    if written_ending(path) not in endings:
        raise StinrError(
            f"{path.name} ends in {path.suffix!r}",
            expected="one of " + ", ".join(endings),
            cure="Change the ending of the name.",
        )


def _write_lines(path: str | os.PathLike[str], lines: list[str], overwrite: bool) -> None:
    target = Path(path).expanduser()
    with atomic_output(target, overwrite=overwrite) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_store(path: Path, volumes: Iterable[NDArray[np.float32]], layout: StoreLayout, *, overwrite: bool) -> None:
    from napari_stinr.io.output.ome_zarr import writing_store

    with writing_store(path, layout, overwrite=overwrite) as writer:
        for step, volume in enumerate(volumes):
            for number, rows in enumerate(writer.blocks):
                writer.put(step, number, volume[:, rows])


def _zyx(shape: tuple[int, ...]) -> tuple[int, int, int]:
    depth, height, width = shape
    return depth, height, width


def _volumes(
    volumes: Iterable[ArrayLike], n_times: int, shape: tuple[int, int, int], progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float32]]:
    done = 0
    for volume in volumes:
        values = _checked_array(volume, f"volume {done + 1}", "(z, y, x)")
        if values.shape != tuple(shape) or done == n_times:
            raise StinrError(
                f"volume {done + 1} has the shape {values.shape}",
                expected=f"{n_times} volumes of the shape {tuple(shape)}",
                cure="Give volumes of one shape, as many as announced.",
            )
        yield values
        done += 1
        if progress is not None:
            progress(done, n_times)
    if done < n_times:
        raise StinrError(f"there are {done} volumes", expected=f"{n_times}", cure="Give as many volumes as announced.")
