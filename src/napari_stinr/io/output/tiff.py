"""Write TIFF files that ImageJ and OME readers open at the right size.

ImageJ takes lengths from the resolution tags and from an ``ImageDescription`` that starts with ``ImageJ=``; OME readers
take them from XML in the first ``ImageDescription``. ImageJ passes over descriptions that are not its own and OME
readers keep the first one, so one file serves both when it carries two: the XML, then ImageJ's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import tifffile

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.units import LENGTH_UNITS, in_angstrom
from napari_stinr.io.output.atomic import atomic_output
from napari_stinr.io.output.tiff_descriptions import imagej_description, ome_description, resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


MAXIMUM_IMAGEJ_BYTES = 3_500_000_000
"""Size of the pixels in a file for ImageJ: TIFF offsets end at 4 GiB, and ImageJ does not read BigTIFF."""


_OME_UNITS = {1.0: "Å", 10.0: "nm", 0.01: "pm", 1e4: "µm", 1e7: "mm", 1e10: "m"}


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
    """Write slices `(y, x)` of `(t, z, y, x)` one after the other to a TIFF; ``.ome.tif`` for OME readers alone."""
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
