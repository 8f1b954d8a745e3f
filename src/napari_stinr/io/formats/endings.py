"""File endings that several modules must agree on. Nothing is imported here: a reader of napari looks at them first."""

MRC_ENDINGS = (".mrc", ".mrcs", ".st", ".ali", ".preali")
TIFF_ENDINGS = (".tif", ".tiff")
WRITTEN_ENDINGS = (*TIFF_ENDINGS, ".mrc")
"""Volumes and stacks are written as these."""
MDOC_ENDING = ".mdoc"
"""What SerialEM notes about the images of a stack, or about the files of a series with one file for every tilt."""
ANGLE_ENDINGS = (".rawtlt", ".tlt")
"""Lists of tilt angles as IMOD writes them: as recorded, and as refined by its alignment."""
ALIGNED_ENDINGS = (".ali", ".preali")
"""Stacks that IMOD has aligned: the refined angles belong to them."""
