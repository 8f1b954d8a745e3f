"""The run that several processes share, from its beginning: what the first one does, and what the others do."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_stinr.io.output.atomic import leftovers, temporary_beside, write_problem
from napari_stinr.reconstruction.reconstruction import load_reconstruction
from napari_stinr.training.batching import blocks_for
from napari_stinr.training.distributed.bands import bands_of
from napari_stinr.training.distributed.place import check_shareable, config_for, leave_stops_to_first, threads_for
from napari_stinr.training.distributed.rank_trainer import RankTrainer
from napari_stinr.training.distributed.shared_source import SharedSource, on_disk, put_source
from napari_stinr.training.distributed.team import Command, Team
from napari_stinr.training.failures import LostError, failure_of
from napari_stinr.training.resuming import check_resumable
from napari_stinr.training.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training.distributed.place import Place

_BEGINNING = "beginning"


class Ranks:
    """What the first of several processes does with a series that it has read, prepared and aligned.

    Parameters
    ----------
    team : Team
        The processes.
    path : Path
        File of the run; beside it is a folder that all of them see, until the run ends.
    """

    def __init__(self, team: Team, path: Path) -> None:
        self._team, self._target = team, path.expanduser().resolve().with_suffix(".ranks")
        self._folder: Path | None = None
        self._resumed: Path | None = None

    def use(self, device: str) -> None:
        """Compute on a device; see :meth:`Team.use`."""
        self._team.use(device)

    @property
    def device(self) -> str:
        """Name of the device of this process."""
        return str(self._team.device)

    def config_for(self, config: ReconstructionConfig) -> ReconstructionConfig:
        """Return the settings of a new run that is shared; see :func:`place.config_for`."""
        return config_for(config, self._team.place)

    @property
    def part_here(self) -> float:
        """Part of all rows that this computer holds [1]."""
        return self._team.place.part_here

    def load(self, path: Path) -> Reconstruction:
        """Read a run to go on with, but for what is as large as the volume.

        Parameters
        ----------
        path : Path
            Its file.

        Returns
        -------
        Reconstruction
            Its large tensors stay in the file.

        Raises
        ------
        StinrError
            As for :func:`load_reconstruction`, or such a run cannot be shared.
        """
        run = load_reconstruction(path, stays=True)
        check_shareable(run.config, self._team.place)
        self._resumed = path.expanduser().resolve()
        return run

    def begin(
        self,
        series: TiltSeries,
        config: ReconstructionConfig,
        *,
        device: str = "auto",
        threads: int | None = None,
        pose: Pose | None = None,
        files: Path | None = None,
    ) -> RankTrainer:
        """Begin a run together; see :class:`Trainer`. The device is that of :meth:`use`."""
        source = Source.of(series, blocks_for(config, self._team.device), device=torch.device("cpu"))
        trainer = self._together(series, source, threads=threads, pose=pose, files=files)
        trainer.notes = source.notes + trainer.notes
        return trainer

    def resume(
        self,
        run: Reconstruction,
        series: TiltSeries,
        *,
        device: str = "auto",
        threads: int | None = None,
        files: Path | None = None,
    ) -> RankTrainer:
        """Go on with a run together; see :meth:`Trainer.resume`. The device is that of :meth:`use`."""
        check_resumable(run, series)
        source = Source.of(series, run.config, device=torch.device("cpu"), margin=run.grid.margin)
        return self._together(series, source, threads=threads, pose=run.pose, files=files, run=run)

    def close(self) -> None:
        """Let the others go, and remove what was shared."""
        self._team.end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _together(
        self,
        series: TiltSeries,
        source: Source,
        *,
        threads: int | None,
        pose: Pose | None,
        files: Path | None,
        run: Reconstruction | None = None,
    ) -> RankTrainer:
        bands_of(source.config, source.grid, self._team.place)
        folder = self._new_folder()
        try:
            put_source(folder, series, source)
        except OSError as error:
            raise write_problem(error, folder) from error
        resumed = None if run is None else str(self._resumed)
        told = {
            "folder": str(folder),
            "files": None if files is None else str(files.expanduser().resolve()),
            "run": resumed,
            "step": 0 if run is None else run.step,
        }
        self._team.put_text(_BEGINNING, json.dumps(told))
        self._team.tell(Command.BEGIN)
        return _joined(self._team, threads=threads, series=on_disk(folder, series), pose=pose)

    def _new_folder(self) -> Path:
        for left in leftovers(self._target):
            shutil.rmtree(left, ignore_errors=True)
        folder = temporary_beside(self._target)
        try:
            folder.mkdir()
        except OSError as error:
            raise write_problem(error, folder) from error
        self._folder = folder
        return folder


def _joined(
    team: Team, *, threads: int | None, series: TiltSeries | None = None, pose: Pose | None = None
) -> RankTrainer:
    """Build the trainer of this process from what the first one has told; all of them at the same time."""
    told = json.loads(team.text(_BEGINNING))
    with team.together():
        folder = Path(told["folder"])
        shared = SharedSource.read(folder, team.place, device=team.device)
        threads = threads_for(threads, team.place)
        files = None if told["files"] is None else Path(told["files"])
        trainer = RankTrainer(team, shared, folder, threads=threads, series=series, pose=pose, files=files)
        if told["run"] is not None:
            trainer.go_on(Path(told["run"]), int(told["step"]))
        trainer.agree()
    return trainer


def follow(place: Place, *, device: str, threads: int | None = None) -> bool:
    """Do what the first process says, until the run has ended; for the others.

    Parameters
    ----------
    place : Place
        Which process this is.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    threads : int, optional
        CPU threads; by default the processes of a computer share its cores.

    Returns
    -------
    bool
        All went well. Whatever did not, the first process says.
    """
    leave_stops_to_first()
    logging.getLogger("napari_stinr").setLevel(logging.CRITICAL + 1)
    team: Team | None = None
    try:
        team = Team(place)
        team.use(device)
        if team.heard()[0] is not Command.END:
            _joined(team, threads=threads).follow()
    except LostError:
        return False
    except BaseException as error:
        if team is not None:
            team.fail(failure_of(error))
        return False
    finally:
        if team is not None:
            team.end()
    return True


@contextlib.contextmanager
def leading(place: Place, path: Path, *, device: str) -> Iterator[Ranks]:
    """Lead several processes as long as the block runs; for the first one.

    Parameters
    ----------
    place : Place
        Its place.
    path : Path
        File of the run.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Yields
    ------
    Ranks
        What the first process does.

    Raises
    ------
    StinrError
        They do not come together, or there is no such device.
    """
    ranks = Ranks(Team(place), path)
    try:
        ranks.use(device)
        yield ranks
    finally:
        ranks.close()
