"""Compare a volume with the truth: error, resolution, contamination left, specimen kept, atoms.

Every function takes the volume first and the truth second, both `(z, y, x)` on the same grid and in the same unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stinr.analysis.atoms import AtomScore, find_atoms, score_atoms
from napari_stinr.analysis.kept import specimen_kept
from napari_stinr.analysis.resolution import checked_pair, fourier_shell_correlation, fsc_resolution
from napari_stinr.errors import StinrError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

SHELL_CONTAMINATION = 0.1
"""A voxel is in the contamination shell where the contamination exceeds this fraction of its maximum ..."""

SHELL_SPECIMEN = 0.02
"""... and the specimen is weaker than this fraction of the same maximum, so that its own errors hardly count."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that is reported about a volume whose truth is known.

    Parameters
    ----------
    nrmse : float
        See `nrmse`.
    correlation : float
        See `correlation`; NaN where volume or truth is constant.
    scale : float
        See `fitted_scale`.
    fsc_resolution : float
        Resolution at a Fourier shell correlation of 0.5 [Å].
    contamination_left : float, optional
        Signed mean in the contamination shell, see `contamination_left`. None where no contamination was given.
    contamination_left_absolute : float, optional
        The same from absolute values.
    specimen_kept : float, optional
        See `specimen_kept`. None where no never-contaminated reconstruction was given.
    atoms : AtomScore, optional
        None where no atoms were given.
    """

    nrmse: float
    correlation: float
    scale: float
    fsc_resolution: float
    contamination_left: float | None = None
    contamination_left_absolute: float | None = None
    specimen_kept: float | None = None
    atoms: AtomScore | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them, with None in place of NaN."""
        values = {name: _finite_or_none(getattr(self, name)) for name in self.__dataclass_fields__ if name != "atoms"}
        return values | {"atoms": None if self.atoms is None else self.atoms.to_dict()}


def nrmse(volume: ArrayLike, truth: ArrayLike) -> float:
    """Return ``||volume - truth|| / ||truth||``: 0 for the truth itself, 1 for an empty volume."""
    values, true_values = checked_pair(volume, truth)
    return float(np.linalg.norm(values - true_values) / np.linalg.norm(true_values))


def correlation(volume: ArrayLike, truth: ArrayLike) -> float:
    """Return Pearson's correlation of the voxels; NaN where volume or truth is constant."""
    values, true_values = checked_pair(volume, truth)
    values -= values.mean()
    true_values -= true_values.mean()
    norm = float(np.linalg.norm(values) * np.linalg.norm(true_values))
    return min(max(float(np.sum(values * true_values)) / norm, -1.0), 1.0) if norm > 0 else math.nan


def fitted_scale(volume: ArrayLike, truth: ArrayLike) -> float:
    """Return the factor a that minimises ``||volume - a truth||``: 1 where both are on the same scale."""
    values, true_values = checked_pair(volume, truth)
    return float(np.sum(values * true_values) / np.sum(true_values**2))


def contamination_left(
    volume: ArrayLike, truth: ArrayLike, contamination: ArrayLike, *, absolute: bool = False
) -> float:
    """Return the contamination in a volume at t = 0 as a fraction of the full contamination, at t = 1."""
    # Voxels where the contamination exceeds `SHELL_CONTAMINATION` of its maximum and the specimen is below
    # `SHELL_SPECIMEN` of that maximum count. In the signed mean artefacts of both signs cancel; the absolute one counts
    # them as well, so it is not 0 for noise: report the signed one, and doubt it where the other is much larger.
    values, true_values = checked_pair(volume, truth)
    _, carbon = checked_pair(volume, contamination, what="contamination")
    highest = carbon.max()
    shell = (carbon > SHELL_CONTAMINATION * highest) & (np.abs(true_values) < SHELL_SPECIMEN * highest)
    if highest <= 0 or not shell.any():
        raise StinrError(
            f"0 of {carbon.size} voxels are in the contamination shell",
            expected="contamination outside the specimen",
            cure="Give the potential of the contamination alone, without the specimen.",
        )
    excess = values[shell] - true_values[shell]
    return float((np.abs(excess) if absolute else excess).sum() / carbon[shell].sum())


def contamination_removed(left: float, *, left_static: float, left_uncontaminated: float) -> float:
    """Return what was removed: 0 is as good as static, 1 as good as never contaminated."""
    if not left_static > left_uncontaminated:
        raise StinrError(
            f"the static reconstruction leaves {left_static:g}, the uncontaminated one {left_uncontaminated:g}",
            expected="more in the static one",
            cure="Check that both were given in this order.",
        )
    return (left_static - left) / (left_static - left_uncontaminated)


def evaluate(
    volume: ArrayLike,
    truth: ArrayLike,
    *,
    voxel_size: float,
    contamination: ArrayLike | None = None,
    atom_positions: ArrayLike | None = None,
    atom_groups: Sequence[object] | None = None,
    atom_numbers: Sequence[int] | None = None,
    uncontaminated: ArrayLike | None = None,
) -> Evaluation:
    """Compare a volume with everything that is known about its truth.

    Parameters
    ----------
    volume, truth : array_like
        `(z, y, x)` potential of the reconstruction and of the clean specimen at t = 0 [V].
    voxel_size : float
        Edge of a voxel [Å].
    contamination : array_like, optional
        `(z, y, x)` true potential of the full contamination, at t = 1 [V].
    atom_positions : array_like, optional
        `(n, 3)` positions (z, y, x) of the specimen's atoms from the centre of the first voxel [Å].
    atom_groups : sequence, optional
        `(n,)` label of each atom; recall is also given for each label.
    atom_numbers : sequence of int, optional
        `(n,)` atomic numbers, the labels (``"Z=6"``) where `atom_groups` is not given.
    uncontaminated : array_like, optional
        `(z, y, x)` potential of a reconstruction of the never-contaminated series [V]; needs `atom_positions`.

    Returns
    -------
    Evaluation
        Contamination, atoms and specimen kept are None where nothing is known about them.

    Raises
    ------
    StinrError
        As the functions it calls: shapes or counts differ, values are not finite, or a truth is empty. Or the
        never-contaminated reconstruction was given without atoms.
    """
    frequencies, fsc = fourier_shell_correlation(volume, truth, voxel_size=voxel_size)
    left = left_absolute = atoms = kept = None
    if contamination is not None:
        left = contamination_left(volume, truth, contamination)
        left_absolute = contamination_left(volume, truth, contamination, absolute=True)
    if atom_positions is not None:
        labels = [f"Z={number}" for number in atom_numbers] if atom_numbers is not None else None
        found, _ = find_atoms(volume, voxel_size=voxel_size)
        atoms = score_atoms(found, atom_positions, groups=labels if atom_groups is None else atom_groups)
    if uncontaminated is not None:
        if atom_positions is None:
            raise StinrError(
                "an uncontaminated reconstruction is given, and no atoms",
                expected="both, or neither",
                cure="Give the atoms of the specimen, too.",
            )
        kept = specimen_kept(volume, uncontaminated, atom_positions, voxel_size=voxel_size)
    return Evaluation(
        nrmse=nrmse(volume, truth),
        correlation=correlation(volume, truth),
        scale=fitted_scale(volume, truth),
        fsc_resolution=fsc_resolution(frequencies, fsc),
        contamination_left=left,
        contamination_left_absolute=left_absolute,
        specimen_kept=kept,
        atoms=atoms,
    )


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
