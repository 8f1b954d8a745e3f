"""The file of a run that several processes hold: its rows go through the first one, a piece at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_stinr.errors import StinrError
from napari_stinr.fields import build_field
from napari_stinr.fields.storage import some_rows
from napari_stinr.reconstruction import Reconstruction
from napari_stinr.reconstruction.reconstruction import FIELD_PREFIX, STATE_PREFIX
from napari_stinr.reconstruction.run_file import InParts, RunFile, mapped_tensors, write_run
from napari_stinr.training.distributed.team import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.fields import Field
    from napari_stinr.training.distributed.team import Team

_MOMENTS = f"{STATE_PREFIX}moments."


@dataclass(eq=False)
class RunOfRanks(Reconstruction):
    """A reconstruction whose rows are in several processes: it can be saved until the next step, and not looked at.

    Parameters
    ----------
    team : Team
        The processes; this one is the first.
    bands : tuple of range
        Rows that each of them holds.
    values : mapping of Tensor
        All values of the field, of which this process holds some rows of the large ones.
    large : mapping of Tensor
        What this process holds of what is as large as the volume, by its name in the file.
    is_current : callable
        Tells whether nothing has changed since.
    """

    team: Team = None  # type: ignore[assignment]  # given always: what is inherited has values by default
    bands: tuple[range, ...] = ()
    values: Mapping[str, torch.Tensor] = None  # type: ignore[assignment]
    large: Mapping[str, torch.Tensor] = None  # type: ignore[assignment]
    is_current: Callable[[], bool] = lambda: False

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write everything into one file, whole or not at all; see :meth:`Reconstruction.save`."""
        if not self.is_current():
            raise ValueError("the training has gone on: what several processes hold is saved between two steps")
        here = {f"{FIELD_PREFIX}{name}": value for name, value in self.values.items()}
        here |= {f"{STATE_PREFIX}{name}": value for name, value in self.training_state.items()}
        here = {name: value for name, value in here.items() if name not in self.large}
        gathered = _Gathered(self.team, self.bands, self.large)
        try:
            write_run(path, RunFile(self.header(), here, gathered.tensors), overwrite=overwrite)
        finally:
            gathered.take_rest()


class _Gathered:
    """What all processes hold of large tensors, in the order in which the file of a run is gone through."""

    def __init__(self, team: Team, bands: tuple[range, ...], here: Mapping[str, torch.Tensor]) -> None:
        self._team, self._bands, self._here = team, bands, here
        self._has_begun, self._left = False, self._parts()
        height = bands[-1].stop
        self.tensors = {
            name: InParts((height, *value.shape[1:]), value.dtype, lambda name=name: self._parts_of(name))  # type: ignore[misc]
            for name, value in here.items()
        }

    def take_rest(self) -> None:
        """Take what nobody has asked for, which the others send anyway."""
        if self._has_begun and not self._team.is_broken:
            for _ in self._left:
                pass

    def _parts_of(self, name: str) -> Iterator[torch.Tensor]:
        n_left = self._bands[-1].stop * self._here[name][:1].numel()
        while n_left:
            found, part = next(self._left)
            assert found == name, f"{found} comes where {name} is asked for"
            n_left -= len(part)
            yield part

    def _parts(self) -> Iterator[tuple[str, torch.Tensor]]:
        self._has_begun = True
        self._team.tell(Command.SAVE)
        for name in sorted(self._here):
            value = self._here[name]
            flat = value.detach().reshape(-1)
            for some in some_rows(flat):
                yield name, flat[some].cpu()
            for rank, rows in enumerate(self._bands[1:], start=1):
                n = len(rows) * value[:1].numel()
                yield from ((name, part) for part in self._team.received(n, value.dtype, origin=rank))


def send_large(team: Team, large: Mapping[str, torch.Tensor]) -> None:
    """Send the first process what this one holds of large tensors."""
    for name in sorted(large):
        team.send(large[name])


def finest_name(field: Field) -> str:
    """Return the name of the parameter of a field whose first axis is the rows of the voxels."""
    number = len(field.density.grids) - 1  # type: ignore[union-attr, arg-type]  # see place.check_shareable
    return f"density.grids.{number}.values"


def large_tensors(
    field: Field, values: Mapping[str, torch.Tensor], moments: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return what has rows of its own, by its name in the file of a run.

    Parameters
    ----------
    field : Field
        The field.
    values : mapping of Tensor
        Its values, by name.
    moments : mapping of Tensor
        What the optimiser remembers of the finest grid, by name.

    Returns
    -------
    dict of Tensor
        `(rows, ...)` of this process.
    """
    finest = finest_name(field)
    large = {f"{FIELD_PREFIX}{name}": value for name, value in values.items() if name in _by_rows(finest)}
    return large | {f"{_MOMENTS}{finest}.{kind}": value for kind, value in moments.items()}


def read_rows(
    path: Path, config: ReconstructionConfig, grid: VoxelGrid, rows: range
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Read the state of a training, and the values of its field, of some rows; the file was checked before.

    Parameters
    ----------
    path : Path
        File of a run.
    config : ReconstructionConfig
        Its settings.
    grid : VoxelGrid
        Its voxels.
    rows : range
        Rows to read of what has rows of its own.

    Returns
    -------
    state, values : dict of Tensor
        By the names that they have in a training and in a field; large ones stay in the file.

    Raises
    ------
    StinrError
        The file is not seen from this computer.
    """
    with torch.device("meta"):  # only names are asked for
        finest = finest_name(build_field(config, grid, scale=1.0))
    by_rows = {f"{FIELD_PREFIX}{name}" for name in _by_rows(finest)}
    try:
        tensors = mapped_tensors(path)
    except OSError as error:
        raise StinrError(
            f"{path} cannot be read: {error.strerror or error}",
            expected="a file that all computers see",
            cure="Put it into a folder that all of them share.",
        ) from error
    for name, value in tensors.items():
        # A run of an earlier version counted the steps of all rows together.
        if value.ndim and (name in by_rows or name.startswith(f"{_MOMENTS}{finest}.")):
            tensors[name] = value[rows.start : rows.stop]
    return _part(tensors, STATE_PREFIX), _part(tensors, FIELD_PREFIX)


def _by_rows(finest: str) -> tuple[str, ...]:
    return (finest, "regions", "atoms.labels")


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
