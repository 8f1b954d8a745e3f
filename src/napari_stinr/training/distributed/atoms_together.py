"""Whole atoms of a volume that several processes hold: the first one decides, on all rows, as it would alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil
import torch

from napari_stinr.config import GrowthFieldConfig
from napari_stinr.fields import GrowthField
from napari_stinr.fields.atoms import Atoms
from napari_stinr.fields.regions import NEAR_SURFACE, WITHOUT_ATOMS
from napari_stinr.fields.storage import copy_values, on_files, zeros_beside
from napari_stinr.training.whole_atoms import decide_on_whole_atoms, is_undecided

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import BandGrid, VoxelGrid
    from napari_stinr.training.distributed.team import Team

_BYTES_OF_A_VOXEL = 24
"""Of the field, its labels, and what it takes to find atoms [byte]."""
_PART_OF_MEMORY = 0.5
"""Of the free memory, that this may take; more is on files."""


def decide_together(
    team: Team,
    field: GrowthField,
    config: ReconstructionConfig,
    bands: tuple[range, ...],
    grid: BandGrid,
    *,
    fraction: float,
    early: float,
    folder: Path,
) -> bool:
    """Take the next step towards whole atoms, in all processes at the same time.

    Parameters
    ----------
    team : Team
        The processes.
    field : GrowthField
        The rows that this one holds, of a field that is undecided and for which it is time.
    config : ReconstructionConfig
        The settings.
    bands : tuple of range
        Rows of each process.
    grid : BandGrid
        The voxels.
    fraction, early : float
        As for :func:`decide_on_whole_atoms`.
    folder : Path
        Where the first process may put what does not fit into its memory.

    Returns
    -------
    bool
        It is still open what is specimen.
    """
    large = _large(field)
    if not team.place.leads:
        for tensor in large:
            team.send(tensor)
        return _told(team, field)
    needed, free = _BYTES_OF_A_VOXEL * grid.fitted.n_voxels, int(psutil.virtual_memory().available)
    with on_files(folder) if needed > _PART_OF_MEMORY * free else contextlib.nullcontext():
        whole = _whole(team, field, config, bands, grid.whole)
        decide_on_whole_atoms(whole, grid.whole, fraction=fraction, early=early)
    return _tell(team, field, whole, bands, undecided=is_undecided(whole))


def _large(field: GrowthField) -> list[torch.Tensor]:
    """Return what has rows of its own, in the order in which it is sent."""
    assert field.regions is not None
    *_, finest = field.density.grids
    return [finest.values, field.regions] + ([] if field.atoms is None else [field.atoms.labels])


def _whole(
    team: Team, field: GrowthField, config: ReconstructionConfig, bands: tuple[range, ...], grid: VoxelGrid
) -> GrowthField:
    """Return the field with all rows, in the first process."""
    assert isinstance(config.field, GrowthFieldConfig)
    whole = GrowthField(grid, config.field, scale=float(field.density.scale), width=float(field.width))
    values = field.state_dict()
    whole.make_room({name: tuple(value.shape) for name, value in values.items()})
    targets = _large(whole)
    with torch.no_grad():
        for target, here in zip(targets, _large(field), strict=True):
            target[bands[0].start : bands[0].stop] = here.detach().cpu()
        for rank, rows in enumerate(bands[1:], start=1):
            for target in targets:
                place = 0
                flat = target[rows.start : rows.stop].view(-1)
                for part in team.received(flat.numel(), target.dtype, origin=rank):
                    flat[place : place + len(part)] = part
                    place += len(part)
        # Coarse grids and the table are here already.
        for name, own in whole.state_dict().items():
            if not any(own.data_ptr() == target.data_ptr() for target in targets):
                own.copy_(values[name])
    return whole


def _tell(team: Team, field: GrowthField, whole: GrowthField, bands: tuple[range, ...], *, undecided: bool) -> bool:
    """Tell the others, and the field here, what was decided."""
    atoms = whole.atoms
    is_new = atoms is not None and field.atoms is None
    team.number(-1.0 if atoms is None else float(len(atoms.share)))
    if atoms is not None and is_new:
        for rank, rows in enumerate(bands[1:], start=1):
            team.send(atoms.labels[rows.start : rows.stop], to=rank)
        assert field.regions is not None
        labels = zeros_beside(field.regions.cpu(), dtype=torch.int32)
        copy_values(atoms.labels[bands[0].start : bands[0].stop], labels)
        _take_labels(field, labels, n_atoms=len(atoms.share))
    if atoms is None:
        _without_atoms(field)
    else:
        _share_table(team, field, atoms)
    return bool(team.number(float(undecided)))


def _told(team: Team, field: GrowthField) -> bool:
    """Take what the first process has decided."""
    n_atoms = int(team.number(0.0))
    if n_atoms < 0:
        _without_atoms(field)
    else:
        if field.atoms is None:
            assert field.regions is not None
            labels = zeros_beside(field.regions.cpu(), dtype=torch.int32)
            flat, place = labels.view(-1), 0
            for part in team.received(flat.numel(), labels.dtype):
                flat[place : place + len(part)] = part
                place += len(part)
            _take_labels(field, labels, n_atoms=n_atoms)
        assert field.atoms is not None
        _share_table(team, field, field.atoms)
    return bool(team.number(0.0))


def _take_labels(field: GrowthField, labels: torch.Tensor, *, n_atoms: int) -> None:
    assert field.regions is not None
    field.tell_atoms(Atoms.empty(labels, n_atoms=n_atoms).to(field.regions.device))


def _share_table(team: Team, field: GrowthField, atoms: Atoms) -> None:
    """Give the table of a field the values that the first process has."""
    assert field.atoms is not None
    table = [field.atoms.share, field.atoms.arrival, field.atoms.decided]
    with torch.no_grad():
        for own, value in zip(table, (atoms.share, atoms.arrival, atoms.decided), strict=True):
            own.copy_(value)
    team.share(table)


def _without_atoms(field: GrowthField) -> None:
    assert field.regions is not None
    field.regions[field.regions == NEAR_SURFACE] = WITHOUT_ATOMS
