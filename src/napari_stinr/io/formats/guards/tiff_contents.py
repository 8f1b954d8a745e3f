"""OME-XML and strips of a TIFF, before tifffile takes memory for what they declare."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
import zlib
from typing import TYPE_CHECKING, Any

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, MAXIMUM_TEXT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    import tifffile

_TAGS_ALONE, _TAGS_OF_AN_IMAGE = 20_000, 20
"""Tags of OME-XML: those of the microscope, and those of every image in the file."""
_HARMLESS_STRIP = 250_000
"""Deflate expands a thousand times at most: strips of this size need no look before they are expanded [byte]."""
_INFLATE_AT_ONCE = 1_000_000
_DEFLATE = (8, 32946)


def check_ome(file: tifffile.TiffFile, n_directories: int, path: Path) -> None:
    """Refuse OME-XML with other images than the file has: tifffile takes memory for all, and shows zeros."""
    xml = file.ome_metadata if file.is_ome else None
    if not xml:
        return
    most = _TAGS_ALONE + _TAGS_OF_AN_IMAGE * n_directories
    if len(xml) > MAXIMUM_TEXT_BYTES or xml.count("<") > 2 * most:
        raise damaged(path, f"OME-XML of at most {most} tags in 8 MB", f"it has {xml.count('<')} in {len(xml)} bytes")
    try:
        root = ET.fromstring(xml)  # expat stops entities that expand without end
    except ET.ParseError:
        return  # tifffile passes over it, too
    declared = located = 0
    for pixels in (element for element in root.iter() if _kind(element) == "Pixels"):
        declared += math.prod(max(0, int(pixels.get(f"Size{axis}", "1"))) for axis in "ZCT")
        for data in (element for element in pixels if _kind(element) == "TiffData"):
            n_planes = data.get("PlaneCount", data.get("NumPlanes", "0" if data.get("IFD") is None else "1"))
            located += int(n_planes) or n_directories
    # A colour image is several planes.
    if declared > n_directories * max(1, file.pages.first.samplesperpixel):
        number = declared if declared <= MAXIMUM_IMAGES else f"more than {MAXIMUM_IMAGES}"
        raise StinrError(
            f"{path.name} declares {number} images in its OME-XML",
            expected=f"as many as it holds, {n_directories}",
            cure="Save all images in one file, or without OME metadata.",
        )
    if located > MAXIMUM_IMAGES:
        raise damaged(path, f"at most {MAXIMUM_IMAGES} images", f"its OME-XML says where {located} are")


def check_strips(page: Any, path: Path) -> None:
    """Refuse strips of Deflate that expand to more than an image: tifffile expands a strip whole."""
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


def _kind(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
