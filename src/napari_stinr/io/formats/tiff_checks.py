"""What is checked of a TIFF between its directories and its pixels: OME-XML, compression, and what else it holds."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import damaged
from napari_stinr.io.formats.limits import MAXIMUM_IMAGES, MAXIMUM_TEXT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

_COMPRESSIONS = (1, 5, 32773, 8, 32946)
"""None, LZW, PackBits and Deflate twice, by their numbers in a TIFF."""
_TAGS_ALONE, _TAGS_OF_AN_IMAGE = 20_000, 20
"""Tags of OME-XML: those of the microscope, and those of every image in the file."""


def check_ome(file: tifffile.TiffFile, n_directories: int, path: Path) -> None:
    """Refuse OME-XML that declares other images than the file has.

    Parameters
    ----------
    file : tifffile.TiffFile
        The open file, of which nothing but the first page was looked at: tifffile takes memory for every image that the
        XML declares, and shows those that are missing as zeros.
    n_directories : int
        Number of images in the file.
    path : Path
        The file, for messages.

    Raises
    ------
    StinrError
        More images are declared than are there, or the XML is longer than any.
    """
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


def check_compression(page: tifffile.TiffPage, path: Path) -> None:
    """Refuse pixels that cannot be expanded here.

    Parameters
    ----------
    page : tifffile.TiffPage
        The first page of the images.
    path : Path
        The file, for messages.

    Raises
    ------
    StinrError
        They are compressed in another way, or in one that needs a package that is not installed.
    """
    name = getattr(page.compression, "name", page.compression)
    if page.compression not in _COMPRESSIONS:
        raise StinrError(
            f"{path.name} is compressed with {name}",
            expected="no compression, Deflate, PackBits or LZW",
            cure="Save it again without compression.",
        )
    is_predicted = page.compression != 1 and page.predictor not in tifffile.TIFF.UNPREDICTORS
    if page.compression not in tifffile.TIFF.DECOMPRESSORS or is_predicted:
        predictor = f" and predictor {getattr(page.predictor, 'name', page.predictor)}" if is_predicted else ""
        raise StinrError(
            f"{path.name} is compressed with {name}{predictor}, which needs the package imagecodecs",
            expected="no compression, Deflate without floating-point predictor, or PackBits",
            cure="Save it without compression, or install imagecodecs (pip install imagecodecs).",
        )


def check_others(file: tifffile.TiffFile, path: Path) -> None:
    """Refuse images of the same size as the first ones that do not belong to them.

    Parameters
    ----------
    file : tifffile.TiffFile
        The open file. What has another size, a thumbnail or a level of a pyramid, is left alone.
    path : Path
        The file, for messages.

    Raises
    ------
    StinrError
        There are some, so that the first ones may be a part of a tilt series only.
    """
    first = file.series[0]
    same = [series for series in file.series[1:] if _is_like(series, first)]
    if not same:
        return
    kinds = list(dict.fromkeys(str(series.dtype) for series in (first, *same)))
    n_pages = [len(series.pages) for series in (first, *same)]
    found = (
        f"the pages of {path.name} differ in data type ({', '.join(kinds[:5])})"
        if len(kinds) > 1
        else f"{path.name} holds {1 + len(same)} series of images of the same size ({_listed(n_pages)} images)"
    )
    raise StinrError(
        found,
        expected="one stack, all pages alike",
        cure="Save all projections with one data type and one compression, and nothing else, in one file.",
    )


def _is_like(series: tifffile.TiffPageSeries, first: tifffile.TiffPageSeries) -> bool:
    page, other = series.keyframe, first.keyframe
    size, own = ((one.imagelength, one.imagewidth) for one in (page, other))
    return size == own and page.samplesperpixel == 1 and not page.is_reduced and not page.is_mask


def _listed(numbers: list[int]) -> str:
    return " and ".join(map(str, numbers)) if len(numbers) < 4 else f"{', '.join(map(str, numbers[:3]))}, ..."


def _kind(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
