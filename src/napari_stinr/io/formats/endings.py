"""File endings that several modules must agree on. Nothing is imported here: a reader of napari looks at them first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MRC_ENDINGS = (".mrc", ".mrcs", ".st", ".ali", ".preali")
TIFF_ENDINGS = (".tif", ".tiff")
OME_ZARR_ENDING = ".ome.zarr"
"""A folder of blocks, in which a volume may be larger than memory."""
WRITTEN_ENDINGS = (*TIFF_ENDINGS, ".mrc", OME_ZARR_ENDING)
"""Volumes and stacks are written as these."""
MDOC_ENDING = ".mdoc"
"""What SerialEM notes about the images of a stack, or about the files of a series with one file for every tilt."""
ANGLE_ENDINGS = (".rawtlt", ".tlt")
"""Lists of tilt angles as IMOD writes them: as recorded, and as refined by its alignment."""
ALIGNED_ENDINGS = (".ali", ".preali")
"""Stacks that IMOD has aligned: the refined angles belong to them."""


def written_ending(path: Path) -> str:
    """Return the ending by which a format is chosen for writing, in lower case: of ``.ome.zarr`` both parts."""
    return OME_ZARR_ENDING if path.name.lower().endswith(OME_ZARR_ENDING) else path.suffix.lower()
