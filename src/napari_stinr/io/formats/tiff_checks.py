"""Whether the pixels of a TIFF can be expanded here."""

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
