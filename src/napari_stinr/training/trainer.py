"""Fit a field to a tilt series. The loop knows no widget and no path: it yields a report after every step."""

from __future__ import annotations

import math
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from napari_stinr.cores import available_threads
from napari_stinr.devices import has_bfloat16, resolve_device
from napari_stinr.errors import StinrError
from napari_stinr.fields import GrowthField, JointField, build_field
from napari_stinr.fields.storage import load_values, on_files
from napari_stinr.reconstruction import Reconstruction
from napari_stinr.training.batching import blocks_for, blocks_of_rows
from napari_stinr.training.failures import TrainingError
from napari_stinr.training.fit import Fit
from napari_stinr.training.found import begin_volume, shown_field
from napari_stinr.training.held_out import HELD_OUT_EVERY
from napari_stinr.training.objectives import build_objective
from napari_stinr.training.optimisers import FIELD, part
from napari_stinr.training.piecewise_fit import volume_fit
from napari_stinr.training.resuming import check_resumable
from napari_stinr.training.schedule import StepReport
from napari_stinr.training.source import Source
from napari_stinr.training.stages import Progress, stages_of, total_steps
from napari_stinr.training.surface import SurfaceSearch
from napari_stinr.training.whole_atoms import decide_on_whole_atoms, is_undecided

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.fields import Field
    from napari_stinr.fields.surface import SurfaceField

__all__ = ["StepReport", "Trainer", "TrainingError"]


_SEEDING = threading.Lock()
_SEARCH = "search."


class Trainer:
    """Train a field on a tilt series.

    Parameters
    ----------
    series : TiltSeries
        The data.
    config : ReconstructionConfig
        The settings.
    device : str
        ``auto``, ``cpu``, ``cuda:0`` or ``mps``.
    threads : int, optional
        CPU threads; all cores by default.
    margin : int, optional
        Voxels beyond the view that are fitted, of a run that is gone on with; from settings and data by default.
    pose : Pose, optional
        Where the series was recorded: undone in it already, and kept with the run.
    files : Path, optional
        Folder for files with what grows with the volume, on a CPU; in memory by default. The numbers are the same.

    Raises
    ------
    StinrError
        The device does not exist, the number of threads is less than 1, too many projections are to be held out, or the
        disk has no room.
    """

    def __init__(
        self,
        series: TiltSeries,
        config: ReconstructionConfig,
        *,
        device: str = "auto",
        threads: int | None = None,
        margin: int | None = None,
        pose: Pose | None = None,
        files: Path | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise StinrError(f"{threads} threads", expected="1 or more", cure="Leave --threads out to use all cores.")
        self.device = resolve_device(device)
        if margin is None:  # else the run has its blocks already
            config = blocks_for(config, self.device)
        self.series, self.pose = series, pose
        source = Source.of(series, config, device=self.device, margin=margin)
        self._begin(source, threads=threads or available_threads(), files=files)

    def _begin(self, source: Source, *, threads: int, files: Path | None = None) -> None:
        """Build field, fit and search; the device is known."""
        self.grid: VoxelGrid = source.grid
        self.config = config = source.config
        self.threads, self.notes, training = threads, source.notes, config.training
        self._generator = torch.Generator().manual_seed(training.seed)
        self.held_out, measurements = tuple(source.held_tilts.tolist()), source.measurements
        with on_files(files):
            self.field = _initial_field(config, self.grid, scale=measurements.typical_potential(self.grid))
        self.field, self._is_on_files = self.field.to(self.device), files is not None
        objective = build_objective(
            Fit(
                measurements,
                source.views,
                self.grid,
                training,
                threads=self.threads,
                bfloat16=_uses_bfloat16(config, self.device),
                blur=self.field.blur,
                held_out=source.held_out,
            )
        )
        self._volume = self._fit = volume_fit(
            FIELD,
            self.field,
            objective,
            training,
            contrast=measurements.contrast,
            n_blocks=blocks_of_rows(training, self.grid),
        )
        self._stages, self._progress = stages_of(config, self.grid), Progress()
        self._search = self._search_without(source.held_tilts) if len(self._stages) > 1 else None
        if self._search is not None:
            self._fit = self._search.fit()
            told = self._search.mass_growth.note()
            self.notes += () if told is None else (told,)
        self._is_undecided = False
        self.step, self._seconds, self._residual = 0, 0.0, math.nan
        self.told: dict[str, str] = {}  # what else the provenance of the run says
        self._stop = threading.Event()
        self._at_border = threading.Lock()

    @classmethod
    def resume(
        cls,
        reconstruction: Reconstruction,
        series: TiltSeries,
        *,
        device: str = "auto",
        threads: int | None = None,
        files: Path | None = None,
    ) -> Trainer:
        """Go on exactly where a reconstruction stopped.

        Parameters
        ----------
        reconstruction : Reconstruction
            What to go on with.
        series : TiltSeries
            The same data as before.
        device : str
            As for the trainer.
        threads : int, optional
            As for the trainer.
        files : Path, optional
            As for the trainer.

        Returns
        -------
        Trainer
            A trainer at the step of the reconstruction.

        Raises
        ------
        StinrError
            The data are not the same, or the state of the training was not kept.
        """
        check_resumable(reconstruction, series)
        margin = reconstruction.grid.margin
        config, pose = reconstruction.config, reconstruction.pose
        trainer = cls(series, config, device=device, threads=threads, margin=margin, pose=pose, files=files)
        trainer._load(reconstruction.step, reconstruction.training_state, reconstruction.field.state_dict())
        return trainer

    def run(self, *, steps: int | None = None, seconds: float | None = None) -> Iterator[StepReport]:
        """Train, and report after every step.

        Parameters
        ----------
        steps : int, optional
            Steps in all, those of a resumed run included; from the settings by default.
        seconds : float, optional
            Train for this long instead; the schedule follows the time [s].

        Yields
        ------
        StepReport
            What the step did.

        Raises
        ------
        StinrError
            Both limits are given, or one is not positive.
        TrainingError
            The loss is not finite.
        """
        total = self._total_steps(steps, seconds)
        previous_threads = torch.get_num_threads()
        # The projector and the rays of a joint field have threads of their own. A second OpenMP thread for the small
        # rest makes a step no faster on a quiet machine and up to six times slower on a busy one.
        shared_out = isinstance(self.field, JointField) or not self.config.field.has_network
        torch.set_num_threads(1 if shared_out else self.threads)
        try:
            while not self._stop.is_set():
                fraction = self._progress.fraction(
                    self._stages, step=self.step, seconds=self._seconds, steps=total, limit=seconds
                )
                start = time.perf_counter()
                if fraction >= 1:
                    if self._progress.stage + 1 == len(self._stages):
                        break
                    with self._at_border:
                        self._next_stage()
                    self._seconds += time.perf_counter() - start
                    continue
                with self._at_border:
                    loss, rates = self._advance(fraction)
                    held_out_loss = self._held_out_loss()
                self._seconds += time.perf_counter() - start
                n_steps = total if seconds is None else max(self.step, round(self.step * seconds / self._seconds))
                name = self._stages[self._progress.stage].name
                yield StepReport(self.step, n_steps, loss, self._residual, rates, self._seconds, held_out_loss, name)
        finally:
            self._stop.clear()
            torch.set_num_threads(previous_threads)

    def stop(self) -> None:
        """End the run at the next step border; from any thread."""
        self._stop.set()

    def reconstruction(self, *, with_training_state: bool = True) -> Reconstruction:
        """Return a copy of the state of the training, at a step border; from any thread.

        Parameters
        ----------
        with_training_state : bool
            Copy what is needed to go on with the training, too: three times as much. A preview does without.

        Returns
        -------
        Reconstruction
            A snapshot on the CPU that training does not change any more. Of a run on files it is a view without a copy,
            whole until the next step; later it shows each row as far as it has come.
        """
        fingerprint = self._fingerprint  # reads the whole stack once, which must not hold up a step
        with self._at_border:
            search = None if self._fit is self._volume else self._search
            field = shown_field(self.field, search, self._fit.field, is_view=self._is_on_files)
            return Reconstruction(
                field,
                self.config,
                self.grid,
                time_range=self.series.time_range,
                time_unit=self.series.time_unit,
                step=self.step,
                provenance=self._provenance(fingerprint),
                training_state=self._training_state() if with_training_state else {},
                pose=self.pose,
            )

    def _search_without(self, held_out: NDArray[np.int64]) -> SurfaceSearch:
        """Return the search for the surface of the specimen, in which some projections decide nothing."""
        return SurfaceSearch(
            self.series,
            self.grid,
            self.config.field,
            self.config.training,
            device=self.device,
            threads=self.threads,
            without=held_out,
        )

    @cached_property
    def _fingerprint(self) -> str:
        return self.series.fingerprint()

    def _total_steps(self, steps: int | None, seconds: float | None) -> int:
        for name, limit in (("--steps", steps), ("--seconds", seconds)):
            if limit is not None and not limit > 0:
                raise StinrError(f"{name} is {limit}", expected="more than 0", cure=f"Give a positive {name}.")
        if steps is not None and seconds is not None:
            raise StinrError("both --steps and --seconds are given", expected="one of them", cure="Leave one out.")
        return steps or total_steps(self.config, self.grid)

    def _advance(self, fraction: float) -> tuple[float, tuple[float, ...]]:
        self._decide(fraction)
        step = self.step - self._progress.first_step
        loss, self._residual, rates = self._fit.advance(self._generator, step=step, fraction=fraction, at=self.step)
        self.step += 1
        return loss, rates

    def _decide(self, fraction: float) -> None:
        """Take the next step towards whole atoms where it is time for one."""
        if self._is_undecided and self._fit is self._volume:
            growth: GrowthField = self.field  # type: ignore[assignment]  # no other is undecided
            early = 0.0 if self._search is None else self._search.mass_growth.early
            if decide_on_whole_atoms(growth, self.grid, fraction=fraction, early=early):
                self._volume.renew()
                self._is_undecided = is_undecided(growth)

    def _next_stage(self) -> None:
        """Go on from a round of the search to the next, or to the volume."""
        assert self._search is not None
        surface: SurfaceField = self._fit.field  # type: ignore[assignment]  # of the search
        self._progress = Progress(self._progress.stage + 1, self.step, self._seconds)
        if self._progress.stage + 1 < len(self._stages):
            self._search.learn(surface)
            self._fit = self._search.fit()
        else:
            growth: GrowthField = self.field  # type: ignore[assignment]  # no other is searched for
            begin_volume(growth, self._search, surface)
            self._fit, self._is_undecided = self._volume, is_undecided(growth)

    def _held_out_loss(self) -> float:
        if self._fit is not self._volume or self.step % HELD_OUT_EVERY:
            return math.nan
        return self._volume.objective.held_out_loss(self.field)

    def _provenance(self, fingerprint: str) -> dict[str, str]:
        from napari_stinr import __version__

        return (
            {
                "series": self.series.name,
                "fingerprint": fingerprint,
                "tilts": str(int(self.series.used.sum())),
                "program": f"napari-stinr {__version__}",
                "torch": torch.__version__,
                "device": str(self.device),
                "relative_residual": f"{self._residual:.6g}",
                "training_seconds": f"{self._seconds:.3f}",
            }
            | ({"held_out": ", ".join(map(str, self.held_out))} if self.held_out else {})
            | self.told
        )

    def _training_state(self, *, but: Collection[torch.Tensor] = ()) -> dict[str, torch.Tensor]:
        state = {
            "generator": self._generator.get_state(),
            "seconds": torch.tensor(self._seconds, dtype=torch.float64),
        }
        if self._search is not None:
            place = [self._progress.stage, self._progress.first_step, self._progress.first_second]
            state["stage"] = torch.tensor(place, dtype=torch.float64)
            state |= {f"{_SEARCH}{name}": value for name, value in self._search.state().items()}
        return state | self._fit.state(but=but)

    def _load(self, step: int, state: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> None:
        """Go on at a step, with a state of the training and the values of the field."""
        self.step, self._seconds = step, float(state["seconds"])
        self._generator.set_state(state["generator"])
        if self._search is not None:
            stage, first_step, first_second = state["stage"].tolist()
            self._progress = Progress(int(stage), int(first_step), first_second)
            self._search.load_state(part(state, _SEARCH))
            self._fit = self._search.fit() if self._progress.stage + 1 < len(self._stages) else self._volume
        if self._fit is self._volume:
            # Before, a reconstruction shows the search, and the volume is as the seed has made it.
            self.field.make_room({name: tuple(value.shape) for name, value in values.items()})
            load_values(self.field.to(self.device), values)
            self._volume.renew()
            self._is_undecided = isinstance(self.field, GrowthField) and is_undecided(self.field)
        self._fit.load_state(state, has_moments=self.step > self._progress.first_step)


def _initial_field(config: ReconstructionConfig, grid: VoxelGrid, *, scale: float) -> Field:
    # The generator that initialises a network is shared by all threads.
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        return build_field(config, grid, scale=scale)


def _uses_bfloat16(config: ReconstructionConfig, device: torch.device) -> bool:
    precision = config.training.precision
    return precision == "bfloat16" or (precision == "auto" and config.field.has_network and has_bfloat16(device))
