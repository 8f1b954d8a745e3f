"""TIFF stacks: plain, ImageJ and OME, read and described.

ImageJ takes lengths from the resolution tags and from an ``ImageDescription`` that starts with ``ImageJ=``; OME readers
take them from XML in the first ``ImageDescription``. ImageJ passes over descriptions that are not its own and OME
readers keep the first one, so one file serves both when it carries two: the XML, then ImageJ's.
"""

from __future__ import annotations

import logging
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io.atomic import atomic_output
from napari_stinr.io.containers import Images, Stack, damaged, image_shape
from napari_stinr.io.limits import check_expansion, check_stored
from napari_stinr.io.tiff_checks import check_compression, check_ome, check_others
from napari_stinr.io.tiff_descriptions import imagej_description, ome_description, resolution
from napari_stinr.io.tiff_directories import check_directories
from napari_stinr.io.tiff_facts import described_facts
from napari_stinr.io.units import LENGTH_UNITS, in_angstrom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Without a handler Python itself prints what tifffile says about every damaged tag, thousands of lines perhaps.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAXIMUM_IMAGEJ_BYTES = 3_500_000_000
"""Size of the pixels in a file for ImageJ: TIFF offsets end at 4 GiB, and ImageJ does not read BigTIFF."""
MAXIMUM_STRIPS = 1_000_000
"""Strips or tiles of one image; more are made up."""
_HARMLESS_STRIP = 250_000
"""Deflate expands a thousand times at most: strips of this size need no look before they are expanded [byte]."""
_INFLATE_AT_ONCE = 1_000_000
_DEFLATE = (8, 32946)

_OME_UNITS = {1.0: "Å", 10.0: "nm", 0.01: "pm", 1e4: "µm", 1e7: "mm", 1e10: "m"}


def read_tiff(path: Path) -> Stack:
    """Read a TIFF stack; its first axis is the tilt (or z), whatever letter the file gives it.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    Stack
        Pixel values, and the pixel size where ImageJ or OME metadata give it with a unit.

    Raises
    ------
    StinrError
        The file is damaged or compressed in a way that cannot be read, holds colour images, pages that differ in their
        data type, or not exactly three axes, or memory is short.
    """
    n_directories = check_directories(path)
    try:
        with _opened(path) as file:
            check_ome(file, n_directories, path)
            series = _checked_series(file, path)
            shape = image_shape(series.shape, series.dtype, path)
            check_others(file, path)
            described = described_facts(file)
            n_series = len(file.series)
    except (StinrError, OSError, MemoryError):
        raise
    # Damaged files end in almost any exception inside tifffile, failed assertions and divisions by zero among them.
    except Exception as error:
        raise damaged(path, "a TIFF stack, best without compression", error) from error
    notes = (f"The file holds {n_series} image series; the first was read.",) if n_series > 1 else ()
    times = described.times if described.times is not None and len(described.times) == shape[0] else None
    return Stack(
        Images(shape, lambda: _read(path, shape)),
        times=times,
        time_unit="" if times is None else described.time_unit,
        pixel_size=described.pixel_size,
        place=described.place,
        notes=notes,
    )


def write_tiff(
    path: Path,
    pages: Iterator[NDArray[np.float32]],
    shape: tuple[int, int, int, int],
    voxel_size: float,
    length_unit: str,
    *,
    times: Sequence[float] | None = None,
    overwrite: bool = True,
) -> None:
    """Write slices one after the other to a TIFF for ImageJ and OME readers, or for OME readers alone (``.ome.tif``).

    Parameters
    ----------
    path : Path
        File to write.
    pages : iterator of ndarray
        `(y, x)` slices of all volumes, `t * z` in all.
    shape : tuple of int
        Numbers of frames, slices, rows and columns: (t, z, y, x).
    voxel_size : float
        Edge of a voxel [length_unit].
    length_unit : str
        A name in :data:`~napari_stinr.io.units.LENGTH_UNITS`, or ``"pixel"``.
    times : sequence of float, optional
        `(t,)` time of every frame, on the scale of the tilt series.
    overwrite : bool
        Replace a file that is there already.

    Raises
    ------
    StinrError
        The unit is not known, the file would be too large for ImageJ, or it cannot be written.
    """
    n_bytes = 4 * math.prod(shape)
    ome_only = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
    if n_bytes > MAXIMUM_IMAGEJ_BYTES and not ome_only:
        raise StinrError(
            f"{path.name} would have {n_bytes / 1e9:.3g} GB",
            expected=f"at most {MAXIMUM_IMAGEJ_BYTES / 1e9:g} GB, all that ImageJ opens",
            cure=f"Name it {path.stem}.ome.tif, or write fewer times.",
        )
    size = in_angstrom(voxel_size, length_unit)
    in_nm = 1.0 if size is None else float(f"{size / LENGTH_UNITS['nm']:.12g}")
    unit = "pixel" if size is None else _OME_UNITS[LENGTH_UNITS[length_unit.strip().lower()]]
    with atomic_output(path, overwrite=overwrite) as temporary:
        tifffile.imwrite(
            temporary,
            pages,
            shape=shape,
            dtype="float32",
            bigtiff=n_bytes > MAXIMUM_IMAGEJ_BYTES,
            photometric="minisblack",
            description=ome_description(path.name, shape, float(voxel_size), unit, times=times),
            metadata=None if ome_only else {},
            ome=False,
            resolution=(resolution(in_nm), resolution(in_nm)),
            resolutionunit="NONE",
        )
        if not ome_only:
            _add_description(
                temporary, imagej_description(shape, in_nm, "pixel" if size is None else "nm", times=times)
            )


def _add_description(path: Path, description: str) -> None:
    # tifffile puts its own description second; ImageJ's takes that place.
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages.first.tags.get("ImageDescription", index=1)
        assert tag is not None  # written a moment ago
        tag.overwrite(description)


def _opened(path: Path) -> tifffile.TiffFile:
    # OME-XML may name other files: what is beside a file is read only when the user says so.
    return tifffile.TiffFile(path, _multifile=False)


def _read(path: Path, shape: tuple[int, int, int]) -> Iterator[NDArray[Any]]:
    with _opened(path) as file:
        series = _checked_series(file, path)
        if series.dataoffset is not None:
            # Pixels in one piece are mapped, not read. tifffile.memmap would open the file again, and others with it.
            kind = series.dtype.newbyteorder(file.byteorder)
            yield from np.memmap(path, kind, mode="r", offset=series.dataoffset, shape=shape)
            return
        for page in series.pages:
            if page is not None:
                _check_strips(page, path)
        if len(series.pages) == shape[0]:
            for page in series.pages:
                yield np.zeros(shape[1:], series.dtype) if page is None else page.asarray().reshape(shape[1:])
        else:
            yield from series.asarray().reshape(shape)


def _checked_series(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    if not file.series:
        raise damaged(path, "a TIFF stack", "it has no images")
    series = file.series[0]
    page = series.keyframe
    if "S" in series.axes or page.samplesperpixel > 1:
        raise StinrError(
            f"{path.name} holds colour images (or looks like it): shape {series.shape}, axes {series.axes}",
            expected="one grey-scale stack (projections, height, width)",
            cure="Convert it to grey scale, or save the projections as .npy or .mrc.",
        )
    check_compression(page, path)
    if any(len(offsets) > MAXIMUM_STRIPS for offsets in (page.dataoffsets, page.databytecounts)):
        raise damaged(path, f"at most {MAXIMUM_STRIPS} strips in an image", f"it has {len(page.dataoffsets)}")
    # A forged header can declare any size, so nothing is read before this.
    check_expansion(series.shape, series.dtype.itemsize, path.stat().st_size, path)
    check_stored(_end_of_pixels(series), path, what="the pixels")
    return series


def _check_strips(page: Any, path: Path) -> None:
    # tifffile expands a whole strip, whatever comes of it.
    if page.compression not in _DEFLATE:
        return
    for offset, stored in zip(page.dataoffsets, page.databytecounts, strict=False):
        if stored > _HARMLESS_STRIP:
            page.parent.filehandle.seek(offset)
            inflate, rest, expanded = zlib.decompressobj(), page.parent.filehandle.read(stored), 0
            while rest and expanded <= page.nbytes and not inflate.eof:
                expanded += len(inflate.decompress(rest, _INFLATE_AT_ONCE))
                rest = inflate.unconsumed_tail
            if expanded > page.nbytes:
                raise damaged(path, f"strips of at most {page.nbytes} bytes", "one expands to more")


def _end_of_pixels(series: tifffile.TiffPageSeries) -> int:
    # tifffile fills missing strips with zeros without a word, so a file that was cut off is noticed only here.
    if series.dataoffset is not None:
        return int(series.dataoffset) + int(series.nbytes)
    strips = [
        offset + n_bytes
        for page in series.pages
        if page is not None
        for offset, n_bytes in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    return max(strips, default=0)
