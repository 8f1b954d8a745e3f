"""Pixel size and times that the descriptions of ImageJ and OME TIFFs give, and which numbers are dark."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, MAXIMUM_TEXT_BYTES
from napari_stinr.io.formats.units import stated_length

if TYPE_CHECKING:
    from collections.abc import Callable

    import tifffile
    from numpy.typing import NDArray

_WHITE_IS_ZERO = 0
_OME_DEFAULT_UNIT = "µm"
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, eq=False)
class TiffFacts:
    """Width and height of a pixel [Å], `(n_images,)` times [time_unit], their unit, and where these were found."""

    pixel_size: float | None = None
    pixel_height: float | None = None
    times: NDArray[np.float64] | None = None
    time_unit: str = ""
    place: str = "ImageJ metadata"


def described_facts(file: tifffile.TiffFile, page: tifffile.TiffPage) -> TiffFacts:
    """Return what an open TIFF says with a unit of the pixels and times of its stack, of which this is a page."""
    pixels = _ome_pixels(file.ome_metadata, page) if file.is_ome and file.ome_metadata else None
    if pixels is not None:
        size, height = (
            stated_length(pixels.get(name, ""), pixels.get(f"{name}Unit", _OME_DEFAULT_UNIT))
            for name in ("PhysicalSizeX", "PhysicalSizeY")
        )
        times = _ome_times(pixels)
        if size is not None or times is not None:
            return TiffFacts(size, height, times, "" if times is None else "s", "OME metadata")
    width, height = (_imagej_pixel_size(file, page, name) for name in ("XResolution", "YResolution"))
    return TiffFacts(width, height)


def black_is_zero(page: tifffile.TiffPage) -> tuple[Callable[[NDArray[Any]], NDArray[Any]] | None, tuple[str, ...]]:
    """Return what turns the numbers of images round whose tag says that 0 is white, and what is to be said of it."""
    tag = page.tags.get("PhotometricInterpretation")  # without it, tifffile says the same as for white
    if tag is None or tag.value != _WHITE_IS_ZERO:
        return None, ()
    if page.dtype is None or page.dtype.kind not in "bu":
        return None, (
            f"A tag says that 0 is white (WhiteIsZero): for {page.dtype} it names no black, and the numbers are as in"
            " the file. If matter is dark in them, invert the contrast.",
        )
    largest = (1 << int(page.bitspersample)) - 1
    note = f"A tag says that 0 is white (WhiteIsZero): every pixel is {largest} minus the number in the file."
    return lambda image: largest - image.astype(np.float64), (note,)


def _ome_pixels(xml: str, page: tifffile.TiffPage) -> ET.Element | None:
    if len(xml) > MAXIMUM_TEXT_BYTES:
        return None
    try:
        root = ET.fromstring(xml)  # expat stops entities that expand without end
    except (ET.ParseError, ValueError):
        return None
    all_pixels = [element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"]
    size = str(page.imagewidth), str(page.imagelength)
    own = [element for element in all_pixels if (element.get("SizeX"), element.get("SizeY")) == size]
    return next(iter(own or all_pixels), None)


def _ome_times(pixels: ET.Element) -> NDArray[np.float64] | None:
    """Return the `(n_images,)` time of every plane in the order in which the planes are stored [s]."""
    order = pixels.get("DimensionOrder", "XYZCT")[2:]
    planes = [element for element in pixels if element.tag.rpartition("}")[2] == "Plane"]
    try:
        sizes = {axis: int(pixels.get(f"Size{axis}", "1")) for axis in order}
        n_images = int(np.prod([sizes[axis] for axis in order], dtype=object))
        if len(planes) != n_images or not 0 < n_images <= MAXIMUM_IMAGES:
            return None
        times = np.full(n_images, np.nan)
        for plane in planes:
            index, stride = 0, 1
            for axis in order:
                index, stride = index + stride * int(plane.get(f"The{axis}", "0")), stride * sizes[axis]
            times[index] = float(plane.get("DeltaT", "nan")) * _SECONDS[plane.get("DeltaTUnit", "s")]
    except (KeyError, ValueError, IndexError, OverflowError):
        return None
    return times if np.isfinite(times).all() and np.ptp(times) > 0 else None


def _imagej_pixel_size(file: tifffile.TiffFile, page: tifffile.TiffPage, name: str) -> float | None:
    tag = page.tags.get(name)
    if not file.is_imagej or tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2:
        return None
    pixels, length = tag.value
    # Java writes non-ASCII letters of the unit as \u00B5.
    unit = str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ").replace("\\u00C5", "Å")
    return stated_length(length / pixels if pixels else 0.0, unit)
