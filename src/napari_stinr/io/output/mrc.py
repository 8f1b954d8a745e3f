"""Write MRC files: volumes and stacks without a date, so that the same input gives the same bytes."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

import mrcfile

from napari_stinr.io.formats.mrc_headers import OUR_LABEL
from napari_stinr.io.output.atomic import atomic_output

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def write_mrc(path: Path, values: NDArray[np.float32], size: float | None, *, is_volume: bool, overwrite: bool) -> None:
    """Write an MRC file of mode 2 without a date, so that the same input gives the same bytes.

    Parameters
    ----------
    path : Path
        File to write.
    values : ndarray
        `(z, y, x)` volume [V] or `(n_tilts, height, width)` image stack.
    size : float or None
        Edge of a voxel or pixel [Å]; None is stored as 0, which means unknown.
    is_volume : bool
        Write a volume (ISPG 1) rather than an image stack (ISPG 0).
    overwrite : bool
        Replace a file that is there already.

    Raises
    ------
    StinrError
        The file cannot be written.
    """
    # NaN and infinite pixels are stored as they are; mrcfile would warn because of the statistics in the header.
    with atomic_output(path, overwrite=overwrite) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = mrcfile.new(temporary, overwrite=True)
        try:
            file.set_data(values)
            if is_volume:
                file.set_volume()
            else:
                file.set_image_stack()
            file.voxel_size = 0.0 if size is None else size
            file.header.label[0] = OUR_LABEL
            file.close()
        except OSError:
            # A file that could not be flushed stays open in mrcfile, and on Windows could then not be removed.
            with contextlib.suppress(OSError):
                file._iostream.close()
            raise
