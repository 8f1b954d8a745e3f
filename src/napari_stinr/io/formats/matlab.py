"""MATLAB files of any version, read in a process of their own by :mod:`napari_stinr.io.formats.matlab_files`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.io.formats.isolation import list_isolated, read_isolated

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.io.formats.containers import Stack


def read_mat(path: Path) -> Stack:
    """Read projections, and perhaps angles, times, the pixel size [Å] and a mask, from a MATLAB file of any version."""
    return read_isolated("matlab_files:read_mat", path)


def read_vector(path: Path, key: str = "tilt_angles") -> NDArray[np.float64]:
    """Read tilt angles or times from a MATLAB file.

    Parameters
    ----------
    path : Path
        File of any version, with one list of numbers or one of a usual name.
    key : str
        What to look for, a key of :data:`~napari_stinr.io.formats.array_names.USUAL_NAMES`.

    Returns
    -------
    ndarray
        `(n_tilts,)` values in the order of the file, or a table with three of them for every projection [unit of the
        file].

    Raises
    ------
    StinrError
        The file is damaged, or does not say which of its numbers are meant.
    """
    return list_isolated("matlab_files:read_vector", path, key)
