"""Read the atoms that were put into a simulation, or a model from another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_CURE = (
    "Give an XYZ file: the number of atoms, a comment line, then element, x, y and z in Å on one line for each atom."
)


def read_atoms(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read positions and groups of atoms from an XYZ or extended XYZ file.

    Parameters
    ----------
    path : str or path-like
        File with x, y, z of each atom from the centre of the first voxel [Å], such as `write_simulation` makes.

    Returns
    -------
    positions : ndarray
        `(n_atoms, 3)` positions in the order z, y, x [Å].
    groups : tuple of str
        `(n_atoms,)` the column ``group``, with blanks where the file has ``_``; where there is none, the element.

    Raises
    ------
    StinrError
        The file is missing, damaged or of another kind, or has no atoms or several sets of them.
    """
    from ase.io import read

    source = Path(path).expanduser()
    if not source.is_file():
        raise StinrError(f"{source} is no file", expected="an XYZ file with atoms", cure="Check the name of the file.")
    try:
        frames: Any = read(source, index=":", format="extxyz")
    except Exception as error:  # ASE raises many kinds for a damaged file, some of them its own
        raise StinrError(f"{source.name} cannot be read: {error}", expected="an XYZ file", cure=_CURE) from error
    if len(frames) != 1 or not len(frames[0]):
        n_atoms = sum(len(frame) for frame in frames)
        raise StinrError(
            f"{source.name} has {len(frames)} set(s) of atoms with {n_atoms} atom(s)",
            expected="one set with at least 1 atom",
            cure=_CURE,
        )
    atoms = frames[0]
    if not np.isfinite(atoms.positions).all():
        raise StinrError(f"{source.name} has positions that are not finite", expected="lengths in Å", cure=_CURE)
    labels = atoms.arrays.get("group", atoms.get_chemical_symbols())
    groups = tuple(str(label).replace("_", " ") for label in labels)
    return np.ascontiguousarray(atoms.positions[:, ::-1], dtype=np.float64), groups
