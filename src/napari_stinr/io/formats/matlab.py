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
    """Read a MATLAB file with the projections and perhaps tilt angles, times, the pixel size [Å] and a mask.

    Parameters
    ----------
    path : Path
        File of any version. The projections are the variable of a usual name, else the only one with three axes. Their
        last axis is that of the tilts, unless the number of tilt angles in the same file fits another one only.

    Returns
    -------
    Stack
        What was found; the projections are read when they are wanted.

    Raises
    ------
    StinrError
        The file is damaged, would expand as no measured images do, stores objects in place of plain arrays, or several
        variables could be the projections.
    """
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
        `(n_tilts,)` values in the order of the file [unit of the file].

    Raises
    ------
    StinrError
        The file is damaged, or does not say which of its numbers are meant.
    """
    return list_isolated("matlab_files:read_vector", path, key)
