"""What a stack file gives before angles, times and pixel size are settled, and the checks that every format shares.

Every reader returns a :class:`Stack`. Files come from strangers: sizes are checked against the file and against free
memory before anything is expanded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LENGTH_UNITS = {
    **dict.fromkeys(("å", "a", "ang", "angstrom", "ångström", "ångstrom"), 1.0),
    **dict.fromkeys(("pm", "picometer"), 0.01),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1e4),
    **dict.fromkeys(("mm", "millimeter"), 1e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e10),
}
"""Names of length units, in lower case, and their size [Å]."""

_PIXEL = ("pixel", "pixels")
NUMERIC_KINDS = "biuf"
"""NumPy kinds of data type that are real numbers."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Content of a stack file.

    Parameters
    ----------
    projections : ndarray
        `(n_tilts, height, width)` pixel values [the unit of the file].
    tilt_angles : ndarray, optional
        `(n_tilts,)` tilt angles found in the file [degrees].
    times : ndarray, optional
        `(n_tilts,)` times found in the file [time_unit].
    pixel_size : float, optional
        Width of a pixel found in the file [Å].
    mask : ndarray, optional
        `(n_tilts, height, width)` bool, True where a pixel counts.
    time_unit : str
        Unit of `times`, "" where it is not known.
    place : str
        Where in the file the values were found, for the notes, e.g. ``"FEI extended header"``.
    complete : bool
        Angles and times were stored on purpose in this very file, so files beside it do not come before them.
    notes : tuple of str
        What was changed or assumed, one sentence each.
    """

    projections: NDArray[np.float32]
    tilt_angles: NDArray[np.float64] | None = None
    times: NDArray[np.float64] | None = None
    pixel_size: float | None = None
    mask: NDArray[np.bool_] | None = None
    time_unit: str = ""
    place: str = "file header"
    complete: bool = False
    notes: tuple[str, ...] = ()


def as_projections(values: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Return an array from a file as projections, after checking that it can be one.

    Parameters
    ----------
    values : ndarray
        `(n_tilts, height, width)` numbers of any real type; axes of length 1 are dropped where there are more than
        three.
    path : Path
        The file, for messages.

    Returns
    -------
    ndarray
        `(n_tilts, height, width)` float32.

    Raises
    ------
    StinrError
        The numbers are not real, there are not three axes, one is empty, or the memory does not suffice.
    """
    if values.dtype.kind not in NUMERIC_KINDS:
        kind = "complex numbers" if values.dtype.kind == "c" else f"the data type {values.dtype}"
        raise StinrError(
            f"{path.name} holds {kind}",
            expected="real numbers",
            cure="Save the phase (or the amplitude) of the projections as floating-point numbers.",
        )
    if values.ndim > 3:
        values = values.reshape([length for length in values.shape if length != 1])
    if values.ndim != 3 or 0 in values.shape:
        raise StinrError(
            f"{path.name} has the shape {tuple(values.shape)}",
            expected="three axes, none of them empty: (projections, height, width) or, for a volume, (z, y, x)",
            cure="Save the images as one stack.",
        )
    check_memory(values.shape, values.dtype.itemsize, path)
    return np.array(values, dtype=np.float32)


def check_memory(shape: tuple[int, ...], itemsize: int, path: Path) -> None:
    """Refuse an array that would not fit into free memory together with its float32 copy.

    Parameters
    ----------
    shape : tuple of int
        Number of values along each axis.
    itemsize : int
        Size of one value in the file [byte].
    path : Path
        The file, for the message.

    Raises
    ------
    StinrError
        More memory is needed than is free.
    """
    import psutil  # type: ignore[import-untyped,unused-ignore]  # comes with napari

    lengths = tuple(int(length) for length in shape)
    needed = math.prod(lengths) * (max(itemsize, 4) + 4)
    free = int(psutil.virtual_memory().available)
    if needed > free:
        raise StinrError(
            f"{path.name} declares the shape {lengths}, which needs {needed / 1e9:.3g} GB",
            expected=f"less than the {free / 1e9:.3g} GB of free memory",
            cure="Crop or bin the images, or close other programs; if it is a small file, it is damaged.",
        )


def in_angstrom(length: float, unit: str) -> float | None:
    """Return the edge of a voxel in Å.

    Parameters
    ----------
    length : float
        Edge of a voxel [unit].
    unit : str
        A name in :data:`LENGTH_UNITS`, or ``"pixel"``.

    Returns
    -------
    float or None
        The same length [Å]; None in pixels, where the physical size is not known.

    Raises
    ------
    StinrError
        The length is not positive or the unit is not known.
    """
    if not math.isfinite(length) or length <= 0:
        raise StinrError(f"the size is {length} {unit}", expected="a positive number", cure="Give the voxel size.")
    name = unit.strip().lower()
    if name not in (*LENGTH_UNITS, *_PIXEL):
        raise StinrError(
            f"the length unit is {unit!r}",
            expected="Å, pm, nm, µm, mm, m or pixel",
            cure="Convert the size to one of these.",
        )
    return None if name in _PIXEL else float(length) * LENGTH_UNITS[name]


def damaged(path: Path, expected: str, reason: object) -> StinrError:
    """Return the error for a file whose content is not what its ending says.

    Parameters
    ----------
    path : Path
        The file.
    expected : str
        What it should hold.
    reason : object
        What the reader found instead; only the first 200 characters are shown.

    Returns
    -------
    StinrError
        To be raised.
    """
    return StinrError(
        f"{path.name} cannot be read ({str(reason)[:200] or type(reason).__name__})",
        expected=expected,
        cure="Copy or export the file again; it may be incomplete or of another kind than its ending says.",
    )
