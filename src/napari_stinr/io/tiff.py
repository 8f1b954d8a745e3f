"""TIFF stacks: plain, ImageJ and OME, read and described.

ImageJ takes lengths from the resolution tags and from an ``ImageDescription`` that starts with ``ImageJ=``; OME readers
take them from XML in the first ``ImageDescription``. ImageJ passes over descriptions that are not its own and OME
readers keep the first one, so one file serves both when it carries two: the XML, then ImageJ's.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io.atomic import atomic_output
from napari_stinr.io.containers import LENGTH_UNITS, Stack, as_projections, check_memory, damaged, in_angstrom
from napari_stinr.io.tiff_descriptions import imagej_description, ome_description, resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MAXIMUM_IMAGEJ_BYTES = 3_500_000_000
"""Size of the pixels in a file for ImageJ: TIFF offsets end at 4 GiB, and ImageJ does not read BigTIFF."""

_OME_UNITS = {1.0: "Å", 10.0: "nm", 0.01: "pm", 1e4: "µm", 1e7: "mm", 1e10: "m"}
_OME_DEFAULT_UNIT = "µm"


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
        The file is damaged or compressed in a way that cannot be read, holds colour images or not exactly three axes,
        or memory is short.
    """
    try:
        with tifffile.TiffFile(path) as file:
            if not file.series:
                raise damaged(path, "a TIFF stack", "it has no images")
            series = file.series[0]
            _check_series(series, path)
            values = series.asarray()
            pixel_size, place = _pixel_size(file)
            n_series = len(file.series)
    except (StinrError, OSError, MemoryError):
        raise
    # Damaged files end in almost any exception inside tifffile, failed assertions and divisions by zero among them.
    except Exception as error:
        raise damaged(path, "a TIFF stack, best without compression", error) from error
    notes = (f"The file holds {n_series} image series; the first was read.",) if n_series > 1 else ()
    return Stack(as_projections(values, path), pixel_size=pixel_size, place=place, notes=notes)


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
        A name in :data:`~napari_stinr.io.containers.LENGTH_UNITS`, or ``"pixel"``.
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


def _check_series(series: tifffile.TiffPageSeries, path: Path) -> None:
    page = series.keyframe
    if "S" in series.axes or page.samplesperpixel > 1:
        raise StinrError(
            f"{path.name} holds colour images (or looks like it): shape {series.shape}, axes {series.axes}",
            expected="one grey-scale stack (projections, height, width)",
            cure="Convert it to grey scale, or save the projections as .npy or .mrc.",
        )
    # A forged header can declare any size, so nothing is read before this.
    check_memory(series.shape, series.dtype.itemsize, path)
    file_bytes = path.stat().st_size
    end = _end_of_pixels(series)
    if end > file_bytes:
        raise damaged(path, f"pixels up to byte {end}", f"it has {file_bytes} bytes")


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


def _pixel_size(file: tifffile.TiffFile) -> tuple[float | None, str]:
    size = _ome_pixel_size(file.ome_metadata) if file.is_ome and file.ome_metadata else None
    if size is not None:
        return size, "OME metadata"
    return _imagej_pixel_size(file), "ImageJ metadata"


def _ome_pixel_size(xml: str) -> float | None:
    try:
        root = ET.fromstring(xml)
    except ET.ParseError:
        return None
    pixels = next((element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    return _in_angstrom(pixels.get("PhysicalSizeX", ""), pixels.get("PhysicalSizeXUnit", _OME_DEFAULT_UNIT))


def _imagej_pixel_size(file: tifffile.TiffFile) -> float | None:
    tag = file.pages.first.tags.get("XResolution")
    if not file.is_imagej or tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2:
        return None
    pixels, length = tag.value
    # Java writes non-ASCII letters of the unit as \u00B5.
    unit = str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ").replace("\\u00C5", "Å")
    return _in_angstrom(length / pixels if pixels else 0.0, unit)


def _in_angstrom(value: float | str, unit: str) -> float | None:
    try:
        size = float(value) * LENGTH_UNITS.get(unit.strip().lower(), 0.0)
    except ValueError:
        return None
    return float(f"{size:.6g}") if math.isfinite(size) and size > 0 else None
