"""Pixel size and times that the descriptions of ImageJ and OME TIFFs give."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, MAXIMUM_TEXT_BYTES
from napari_stinr.io.formats.units import stated_length

if TYPE_CHECKING:
    import tifffile
    from numpy.typing import NDArray

_OME_DEFAULT_UNIT = "µm"
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, eq=False)
class TiffFacts:
    """Width of a pixel [Å], `(n_images,)` times [time_unit], their unit, and where these were found."""

    pixel_size: float | None = None
    times: NDArray[np.float64] | None = None
    time_unit: str = ""
    place: str = "ImageJ metadata"


def described_facts(file: tifffile.TiffFile) -> TiffFacts:
    """Return what an open TIFF says with a unit of its pixels and times."""
    pixels = _ome_pixels(file.ome_metadata) if file.is_ome and file.ome_metadata else None
    if pixels is not None:
        size = stated_length(pixels.get("PhysicalSizeX", ""), pixels.get("PhysicalSizeXUnit", _OME_DEFAULT_UNIT))
        times = _ome_times(pixels)
        if size is not None or times is not None:
            return TiffFacts(size, times, "" if times is None else "s", "OME metadata")
    return TiffFacts(_imagej_pixel_size(file))


def _ome_pixels(xml: str) -> ET.Element | None:
    if len(xml) > MAXIMUM_TEXT_BYTES:
        return None
    try:
        root = ET.fromstring(xml)  # expat stops entities that expand without end
    except (ET.ParseError, ValueError):
        return None
    return next((element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"), None)


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


def _imagej_pixel_size(file: tifffile.TiffFile) -> float | None:
    tag = file.pages.first.tags.get("XResolution")
    if not file.is_imagej or tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2:
        return None
    pixels, length = tag.value
    # Java writes non-ASCII letters of the unit as \u00B5.
    unit = str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ").replace("\\u00C5", "Å")
    return stated_length(length / pixels if pixels else 0.0, unit)
