"""From files to files: export a saved reconstruction, and evaluate a volume against its truth."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.io import read_volume, write_frames, write_volume
from napari_stinr.jobs import check_output

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_stinr.metrics import Evaluation
    from napari_stinr.progress import Update

VOLUME_ENDINGS = (".tif", ".tiff", ".mrc")
SAME_VOXEL_SIZE = 1e-3
"""Largest relative difference between two voxel sizes that are meant to be the same."""


def export_run(
    run: Path,
    target: Path,
    *,
    times: Sequence[float] = (),
    contamination: bool = False,
    voxel_size: float | None = None,
    progress: Update | None = None,
) -> None:
    """Write volumes of a saved reconstruction: one time as 3D, several as a 4D TIFF.

    Parameters
    ----------
    run : Path
        Reconstruction.
    target : Path
        ``.tif``, ``.tiff`` or ``.mrc`` to write.
    times : sequence of float
        Times to render. Default: 0, and 1 for the contamination.
    contamination : bool
        Write what was added since t = 0 in place of the whole volume.
    voxel_size : float, optional
        Edge of a voxel [length unit of the run]. Default: that of the run.
    progress : callable, optional
        Called as ``progress(done, total)`` after every volume.

    Raises
    ------
    StinrError
        A file cannot be read or written, or the format does not hold several times.
    """
    from napari_stinr.reconstruction import load_reconstruction

    times = list(times) or [1.0 if contamination else 0.0]
    if len(times) > 1 and target.suffix.lower() == ".mrc":
        raise StinrError(
            f"{len(times)} times for {target.name}",
            expected="one, as an MRC file holds one volume",
            cure="Write a .tif, or one .mrc for each time.",
        )
    check_output(target, endings=VOLUME_ENDINGS)
    reconstruction = load_reconstruction(run)
    render = reconstruction.contamination if contamination else reconstruction.render
    size, unit = voxel_size or reconstruction.voxel_size, reconstruction.length_unit
    show = progress or (lambda done, total: None)
    show(0, len(times))
    first = render(times[0], voxel_size=voxel_size)
    if len(times) == 1:
        write_volume(target, first, voxel_size=size, length_unit=unit)
        show(1, 1)
        return
    depth, height, width = first.shape
    write_frames(
        target,
        itertools.chain([first], (render(t, voxel_size=voxel_size) for t in times[1:])),
        n_times=len(times),
        shape=(depth, height, width),
        voxel_size=size,
        length_unit=unit,
        times=times,
        progress=show,
    )


def evaluate_files(
    volume: Path, truth: Path, *, atoms: Path | None = None, contamination: Path | None = None
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

    Returns
    -------
    Evaluation
        Contamination and atoms are None where nothing is known about them.

    Raises
    ------
    StinrError
        A file cannot be read, grids or voxel sizes differ, or neither file tells the voxel size.
    """
    from napari_stinr.metrics import evaluate
    from napari_stinr.simulation.atoms_file import read_atoms

    (values, size), (true_values, true_size) = read_volume(volume), read_volume(truth)
    beside = truth.expanduser().with_name("contamination.mrc")
    if contamination is None and beside.is_file():
        contamination = beside
    positions, groups = (None, None) if atoms is None else read_atoms(atoms)
    return evaluate(
        values,
        true_values,
        voxel_size=_common_voxel_size(size, true_size, volume, truth),
        contamination=None if contamination is None else read_volume(contamination)[0],
        atom_positions=positions,
        atom_groups=groups,
    )


def _common_voxel_size(size: float | None, true_size: float | None, volume: Path, truth: Path) -> float:
    if size is None and true_size is None:
        raise StinrError(
            f"neither {volume.name} nor {truth.name} tells its voxel size",
            expected="a voxel size in Å",
            cure="Train with --pixel-size and export again.",
        )
    if size is not None and true_size is not None and abs(size / true_size - 1) > SAME_VOXEL_SIZE:
        raise StinrError(
            f"the voxel size of {volume.name} is {size:g} Å",
            expected=f"{true_size:g} Å, that of {truth.name}",
            cure=f"Export with --voxel-size {true_size:g}.",
        )
    return float(true_size or size or 0)
