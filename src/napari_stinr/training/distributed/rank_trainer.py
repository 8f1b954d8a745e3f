"""The trainer of one process of several: the first one drives the run, the others do what it tells them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from napari_stinr.fields import GrowthField, build_field
from napari_stinr.training.distributed.atoms_together import decide_together
from napari_stinr.training.distributed.bands import bands_of
from napari_stinr.training.distributed.run_of_ranks import RunOfRanks, large_tensors, read_rows, send_large
from napari_stinr.training.distributed.team import Command
from napari_stinr.training.failures import TrainingError
from napari_stinr.training.found import shown_field
from napari_stinr.training.held_out import HELD_OUT_EVERY
from napari_stinr.training.piecewise_fit import PiecewiseFit
from napari_stinr.training.surface import SurfaceSearch
from napari_stinr.training.trainer import Trainer
from napari_stinr.training.whole_atoms import is_due

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.data.geometry import BandGrid
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training.distributed.shared_source import SharedSource
    from napari_stinr.training.distributed.team import Team


class RankTrainer(Trainer):
    """Train the rows that this process holds, in step with the others.

    What has to do with all rows (coarse grids, arrival times, the table of atoms, the search for the surface) is in
    every process, with the same numbers. A draw is that of a single process: of the rows that it names, each process
    works on those it holds, and gradients of what all have are added up. So the numbers of a run do not depend on the
    number of processes, but for rounding; one begun with blocks for a single process draws its rows in another order
    from then on.

    Parameters
    ----------
    team : Team
        The processes.
    shared : SharedSource
        What this one takes from the series.
    folder : Path
        The folder that all of them see.
    threads : int
        CPU threads of this one.
    series : TiltSeries, optional
        The data; the first process has them.
    pose, files
        As of :class:`Trainer`.
    """

    def __init__(
        self,
        team: Team,
        shared: SharedSource,
        folder: Path,
        *,
        threads: int,
        series: TiltSeries | None = None,
        pose: Pose | None = None,
        files: Path | None = None,
    ) -> None:
        self._team, self._coarse, self._folder = team, shared.coarse, folder
        self.device, self.pose = team.device, pose
        if series is not None:
            self.series = series
        self._begin(shared.source, threads=threads, files=files)
        self._band: BandGrid = shared.source.grid  # type: ignore[assignment]  # see SharedSource.read
        self.grid = self._band.whole
        self._bands = bands_of(self.config, self.grid, team.place)
        assert isinstance(self._volume, PiecewiseFit)  # as of all that hold some rows
        self._volume.together = team.add

    def follow(self) -> None:
        """Do what the first process tells, until it has nothing more."""
        torch.set_num_threads(1)
        while True:
            command, number = self._team.heard()
            with self._team.together():
                match command:
                    case Command.STEP:
                        self._follow_step(number)
                    case Command.NEXT_STAGE:
                        self._next_together()
                    case Command.ATOMS:
                        self._decide_together(number)
                    case Command.SAVE:
                        send_large(self._team, self._large(self._shown()))
                    case Command.END:
                        return
                    case _:
                        raise RuntimeError(f"{command.name} while a run is on")

    def go_on(self, run: Path, step: int) -> None:
        """Take the rows that this process holds from the file of a run, at a step.

        Parameters
        ----------
        run : Path
            The file, of any number of processes.
        step : int
            Steps that are done.
        """
        state, values = read_rows(run, self.config, self.grid, self._band.held)
        self._load(step, state, values)

    def agree(self) -> None:
        """Know, as all others, whether it is open in any row what is specimen."""
        undecided = torch.tensor(float(self._is_undecided), dtype=torch.float64)
        self._team.add([], undecided)
        self._is_undecided = bool(undecided)

    def reconstruction(self, *, with_training_state: bool = True) -> Reconstruction:
        """Return what all processes hold together, to be saved before the next step; its field has no numbers."""
        step, values = self.step, self._shown()
        with torch.device("meta"):  # it has a shape, and whoever wants a number of it finds none
            field = build_field(self.config, self.grid, scale=1.0)
            field.make_room({name: tuple(value.shape) for name, value in values.items()})
        return RunOfRanks(
            field,
            self.config,
            self.grid,
            time_range=self.series.time_range,
            time_unit=self.series.time_unit,
            step=step,
            provenance=self._provenance(self._fingerprint),
            training_state=self._training_state(but=[self._finest()]) if with_training_state else {},
            pose=self.pose,
            team=self._team,
            bands=self._bands,
            values=values,
            large=self._large(values),
            is_current=lambda: self.step == step,
        )

    def _search_without(self, held_out: NDArray[np.int64]) -> SurfaceSearch:
        return SurfaceSearch(
            None,
            self.grid,
            self.config.field,
            self.config.training,
            device=self.device,
            threads=self.threads,
            without=held_out,
            coarse=self._coarse,
        )

    def _advance(self, fraction: float) -> tuple[float, tuple[float, ...]]:
        if self._is_undecided and self._fit is self._volume and is_due(self._growth, fraction):
            self._team.tell(Command.ATOMS, fraction)
            with self._team.together():
                self._decide_together(fraction)
        self._team.tell(Command.STEP, fraction)
        return self._step(fraction)

    def _step(self, fraction: float) -> tuple[float, tuple[float, ...]]:
        try:
            return super()._advance(fraction)
        except TrainingError:  # which all find at the same time
            raise
        except BaseException:
            self._team.is_broken = True
            raise

    def _follow_step(self, fraction: float) -> None:
        try:
            super()._advance(fraction)
        except TrainingError:  # the first process says so, and may still want what there is
            return
        self._held_out_loss()

    def _decide(self, fraction: float) -> None:
        """Nothing: that is decided together, where the first process says so."""

    def _decide_together(self, fraction: float) -> None:
        early = 0.0 if self._search is None else self._search.mass_growth.early
        self._is_undecided = decide_together(
            self._team,
            self._growth,
            self.config,
            self._bands,
            self._band,
            fraction=fraction,
            early=early,
            folder=self._folder,
        )
        self._volume.renew()

    def _next_stage(self) -> None:
        self._team.tell(Command.NEXT_STAGE)
        with self._team.together():
            self._next_together()

    def _next_together(self) -> None:
        # They have done the same, and should anyhow go on from the same numbers.
        self._team.share(list(self._fit.field.state_dict().values()))
        super()._next_stage()
        self.agree()

    def _held_out_loss(self) -> float:
        if self._fit is not self._volume or self.step % HELD_OUT_EVERY or not self.held_out:
            return math.nan
        with self._team.together():
            part = torch.tensor(super()._held_out_loss(), dtype=torch.float64)
            self._team.add([], part)
        return float(part)

    def _shown(self) -> dict[str, torch.Tensor]:
        """Return the values of the field, as they are to be seen."""
        if self._fit is self._volume:
            return self.field.state_dict()
        return shown_field(self.field, self._search, self._fit.field, is_view=self._is_on_files).state_dict()

    def _large(self, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what this process holds of all that is as large as the volume, by its name in the file of a run."""
        moments = self._volume.moments(self._finest()) if self._fit is self._volume else {}
        return large_tensors(self.field, values, moments)

    def _finest(self) -> torch.nn.Parameter:
        *_, finest = self.field.density.grids  # type: ignore[union-attr, misc]  # see check_shareable
        values: torch.nn.Parameter = finest.values
        return values

    @property
    def _growth(self) -> GrowthField:
        assert isinstance(self.field, GrowthField)  # no other is undecided
        return self.field
