"""NumPy files: ``.npy`` with the projections alone, ``.npz`` with everything. Nothing is ever unpickled."""

from __future__ import annotations

import math
import zipfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError
from napari_stinr.io.containers import NUMERIC_KINDS, Stack, as_projections, check_memory, damaged

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_NPZ_NAMES = {
    "projections": ("projections", "projection", "tilt_series", "stack", "images", "data"),
    "tilt_angles": ("tilt_angles", "tilt_angle", "tilt_angle_deg", "angles", "tilts", "theta"),
    "times": ("times", "time", "timestamps"),
    "pixel_size": ("pixel_size", "pixelsize", "voxel_size"),
    "mask": ("mask", "masks"),
}


def read_npy(path: Path) -> Stack:
    """Read the projections from a ``.npy`` file, which holds nothing else.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    Stack
        Projections only.

    Raises
    ------
    StinrError
        The file is damaged, or does not hold real numbers on three axes.
    """
    try:
        # Never np.load: this opens arrays of plain numbers only, and compares the declared with the actual size.
        values = np.lib.format.open_memmap(path, mode="r")
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the header is Python text: rubbish in it fails in many ways
        raise damaged(path, "a NumPy array of plain numbers", error) from error
    return Stack(as_projections(values, path))


def read_npz(path: Path) -> Stack:
    """Read a ``.npz`` file with the keys ``projections``, ``tilt_angles``, ``times``, ``pixel_size`` [Å] and ``mask``.

    Parameters
    ----------
    path : Path
        File to read. Only `projections` must be there; common other names of the keys are understood, in any case.

    Returns
    -------
    Stack
        What was found.

    Raises
    ------
    StinrError
        The file is damaged, a needed key is missing or there twice, or an array is not made of plain numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _npz_members(archive, path)
            found = {key: _npz_array(archive, member, path) for key, member in members.items()}
    except (StinrError, OSError, MemoryError):
        raise
    except Exception as error:  # as above, and whatever a damaged archive brings
        raise damaged(path, "an .npz file of plain numbers", error) from error
    if "projections" not in found:
        raise StinrError(
            f"{path.name} has no projections",
            expected="a key 'projections' with the axes (projections, height, width)",
            cure="Save it with numpy.savez(file, projections=..., tilt_angles=..., times=..., pixel_size=...).",
        )
    angles, times, size, mask = (found.get(key) for key in ("tilt_angles", "times", "pixel_size", "mask"))
    if size is not None and size.size != 1:
        raise damaged(path, "one number as pixel_size", f"{size.size} numbers")
    return Stack(
        as_projections(found["projections"], path),
        tilt_angles=None if angles is None else np.atleast_1d(angles.squeeze()).astype(np.float64),
        times=None if times is None else np.atleast_1d(times.squeeze()).astype(np.float64),
        pixel_size=None if size is None else float(size.reshape(-1)[0]),
        mask=None if mask is None else mask.astype(bool),
        place=path.name,
        complete=True,
    )


def _npz_members(archive: zipfile.ZipFile, path: Path) -> dict[str, str]:
    by_name = {name.removesuffix(".npy").lower(): name for name in archive.namelist()}
    members: dict[str, str] = {}
    for key, synonyms in _NPZ_NAMES.items():
        present = [name for name in synonyms if name in by_name]
        if len(present) > 1 and key not in present:
            raise StinrError(
                f"{path.name} has the keys {', '.join(present)}",
                expected=f"one of them, or a key '{key}'",
                cure=f"Name the right one '{key}'.",
            )
        if present:
            members[key] = by_name[key if key in present else present[0]]
    return members


def _npz_array(archive: zipfile.ZipFile, member: str, path: Path) -> NDArray[Any]:
    with archive.open(member) as stream:
        shape, dtype = _npy_header(stream)
    if dtype.hasobject:
        raise damaged(path, "arrays of plain numbers", f"{member} stores Python objects")
    if math.prod(shape) * dtype.itemsize > archive.getinfo(member).file_size:
        raise damaged(path, "as many numbers as its header declares", f"{member} declares the shape {shape}")
    check_memory(shape, dtype.itemsize, path)
    with archive.open(member) as stream:
        values = np.lib.format.read_array(stream, allow_pickle=False)
    # Complex projections are left to as_projections, which says what to do about them.
    if values.dtype.kind not in NUMERIC_KINDS + ("c" if values.ndim > 2 else ""):
        raise damaged(path, "arrays of plain numbers", f"{member} has the data type {values.dtype}")
    return np.asarray(values)


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype
