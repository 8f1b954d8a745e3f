"""Whether the pixels of a TIFF can be expanded here, and are all that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

_COMPRESSIONS = (1, 5, 32773, 8, 32946)
"""None, LZW, PackBits and Deflate twice, by their numbers in a TIFF."""


def check_compression(page: tifffile.TiffPage, path: Path) -> None:
    """Refuse pixels that cannot be expanded here, or need a package that is not installed."""
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
    """Refuse other images of the size of the first ones; those of another size (thumbnails) are left alone."""
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
