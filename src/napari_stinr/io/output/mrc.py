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
    """Write a volume or stack [size in Å, None: unknown] as MRC of mode 2; the same input gives the same bytes."""
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
