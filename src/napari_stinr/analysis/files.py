"""Compare a volume in a file with its truth in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.data.checks import is_same_size
from napari_stinr.errors import StinrError
from napari_stinr.io import read_volume

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.analysis.metrics import Evaluation


def evaluate_files(
    volume: Path,
    truth: Path,
    *,
    atoms: Path | None = None,
    contamination: Path | None = None,
    uncontaminated: Path | None = None,
) -> Evaluation:
    """Compare a volume in a file with its truth in files.

    Parameters
    ----------
    volume, truth : Path
        `(z, y, x)` volumes on the same grid [V].
    atoms : Path, optional
        XYZ file with the true atoms, see `read_atoms`.
    contamination : Path, optional
        `(z, y, x)` true contamination at t = 1 [V]. Default: ``contamination.mrc`` beside the truth, if it is there.
    uncontaminated : Path, optional
        `(z, y, x)` reconstruction of the never-contaminated series [V]; needs the atoms.

    Returns
    -------
    Evaluation
        Contamination, atoms and specimen kept are None where nothing is known about them.

    Raises
    ------
    StinrError
        A file cannot be read, grids or voxel sizes differ, or neither file tells the voxel size.
    """
    from napari_stinr.analysis.metrics import evaluate
    from napari_stinr.simulation.atoms_file import read_atoms

    (values, size), (true_values, true_size) = read_volume(volume), read_volume(truth)
    beside = truth.expanduser().with_name("contamination.mrc")
    if contamination is None and beside.is_file():
        contamination = beside
    positions, groups = (None, None) if atoms is None else read_atoms(atoms)
    voxel_size = _common_voxel_size(size, true_size, volume, truth)
    reference = None
    if uncontaminated is not None:
        reference, reference_size = read_volume(uncontaminated)
        _common_voxel_size(reference_size, voxel_size, uncontaminated, truth)
    return evaluate(
        values,
        true_values,
        voxel_size=voxel_size,
        contamination=None if contamination is None else read_volume(contamination)[0],
        atom_positions=positions,
        atom_groups=groups,
        uncontaminated=reference,
    )


def _common_voxel_size(size: float | None, true_size: float | None, volume: Path, truth: Path) -> float:
    if size is None and true_size is None:
        raise StinrError(
            f"neither {volume.name} nor {truth.name} tells its voxel size",
            expected="a voxel size in Å",
            cure="Train with --pixel-size and export again.",
        )
    if size is not None and true_size is not None and not is_same_size(size, true_size):
        raise StinrError(
            f"the voxel size of {volume.name} is {size:g} Å",
            expected=f"{true_size:g} Å, that of {truth.name}",
            cure=f"Export with --voxel-size {true_size:g}.",
        )
    return float(true_size or size or 0)
