"""Fit a field to a tilt series. The loop knows no widget and no path: it yields a report after every step."""

from __future__ import annotations

import math
import threading
import time
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from napari_stinr.cores import available_threads
from napari_stinr.data.geometry import grid_of
from napari_stinr.data.margin import EdgeMatter
from napari_stinr.data.measurements import Measurements
from napari_stinr.devices import has_bfloat16, resolve_device
from napari_stinr.errors import StinrError
from napari_stinr.fields import GrowthField, JointField, build_field
from napari_stinr.fields.regions import OUTSIDE, SPECIMEN
from napari_stinr.projection.views import Views
from napari_stinr.reconstruction import Reconstruction
from napari_stinr.training.batching import blocks_for, blocks_of_rows
from napari_stinr.training.failures import TrainingError
from napari_stinr.training.field_fit import FieldFit
from napari_stinr.training.fit import Fit
from napari_stinr.training.held_out import HELD_OUT_EVERY, HeldOut, held_out_tilts
from napari_stinr.training.objectives import build_objective
from napari_stinr.training.optimisers import FIELD, part
from napari_stinr.training.schedule import StepReport
from napari_stinr.training.stages import Progress, stages_of, total_steps
from napari_stinr.training.surface import SurfaceSearch
from napari_stinr.training.whole_atoms import decide_on_whole_atoms, is_undecided

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.data.notes import Note
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

    Raises
    ------
    StinrError
        The device does not exist, the number of threads is less than 1, or too many projections are to be held out.
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
    ) -> None:
        if threads is not None and threads < 1:
            raise StinrError(f"{threads} threads", expected="1 or more", cure="Leave --threads out to use all cores.")
        self.device = resolve_device(device)
        if margin is None:  # else the run has its blocks already
            config = blocks_for(config, self.device)
        self.series, self.pose, training = series, pose, config.training
        self.threads = threads or available_threads()
        edges = EdgeMatter.of_series(series)
        margin = edges.margin(series.width, training.margin) if margin is None else margin
        self.grid: VoxelGrid = grid_of(series, margin=margin)
        # A specimen that goes on beyond the view has no closed surface in it.
        self.config = config = config.voxelwise() if margin else config
        note = edges.note(margin)
        self.notes: tuple[Note, ...] = () if note is None else (note,)
        self._generator = torch.Generator().manual_seed(training.seed)
        held_out = held_out_tilts(series.times, series.used, training.held_out, early=training.early_tilts)
        self.held_out = tuple(held_out.tolist())
        # Nothing about the held-out projections may decide anything, not even their contrast the learning rate.
        measurements = Measurements.of(series, device=self.device, without=held_out)
        self.field = _initial_field(config, self.grid, scale=measurements.typical_potential(self.grid)).to(self.device)
        objective = build_objective(
            Fit(
                measurements,
                Views.of(series),
                self.grid,
                training,
                threads=self.threads,
                bfloat16=_uses_bfloat16(config, self.device),
                blur=self.field.blur,
                held_out=HeldOut.of(series, held_out),
            )
        )
        self._volume = self._fit = FieldFit(
            FIELD,
            self.field,
            objective,
            training,
            contrast=measurements.contrast,
            n_blocks=blocks_of_rows(training, self.grid),
        )
        self._stages, self._progress = stages_of(config, self.grid), Progress()
        self._search = self._search_without(held_out) if len(self._stages) > 1 else None
        if self._search is not None:
            self._fit = self._search.fit()
            told = self._search.mass_growth.note()
            self.notes += () if told is None else (told,)
        self._is_undecided = False
        self.step, self._seconds, self._residual = 0, 0.0, math.nan
        self._stop = threading.Event()
        self._at_border = threading.Lock()

    @classmethod
    def resume(
        cls, reconstruction: Reconstruction, series: TiltSeries, *, device: str = "auto", threads: int | None = None
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

        Returns
        -------
        Trainer
            A trainer at the step of the reconstruction.

        Raises
        ------
        StinrError
            The data are not the same, or the state of the training was not kept.
        """
        expected, found = reconstruction.provenance.get("fingerprint"), series.fingerprint()
        if expected != found:
            told, n_used = reconstruction.provenance, int(series.used.sum())
            raise StinrError(
                f"the tilt series {series.name!r} with {n_used} tilts (fingerprint {found[:8]}) is not that of the "
                f"run, {told.get('series', 'unknown')!r} with {told.get('tilts', '?')} ({str(expected)[:8]})",
                expected="the same stack, angles, times and options",
                cure="Give those of the first run.",
            )
        if not reconstruction.training_state:
            raise StinrError(
                "the run holds no state of the training",
                expected="one to go on from",
                cure="Train again from the start.",
            )
        margin = reconstruction.grid.margin
        pose = reconstruction.pose
        trainer = cls(series, reconstruction.config, device=device, threads=threads, margin=margin, pose=pose)
        trainer._load(reconstruction)
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
            A snapshot on the CPU that training does not change any more.
        """
        fingerprint = self._fingerprint  # reads the whole stack once, which must not hold up a step
        with self._at_border:
            field = deepcopy(self.field).cpu().requires_grad_(False).eval()
            if self._fit is not self._volume:
                self._show_search(field)
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
        if self._is_undecided and self._fit is self._volume:
            growth: GrowthField = self.field  # type: ignore[assignment]  # no other is undecided
            early = 0.0 if self._search is None else self._search.mass_growth.early
            if decide_on_whole_atoms(growth, self.grid, fraction=fraction, early=early):
                self._volume.renew()
                self._is_undecided = is_undecided(growth)
        step = self.step - self._progress.first_step
        loss, self._residual, rates = self._fit.advance(self._generator, step=step, fraction=fraction, at=self.step)
        self.step += 1
        return loss, rates

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
            growth.tell_regions(self._search.regions(surface))
            if not self.config.field.has_network:  # which would have one unit left to learn with
                # The search has found most of the density, too; its arrival times are no better a start.
                growth.density.take(self._search.density(surface))
            self._fit, self._is_undecided = self._volume, is_undecided(growth)

    def _show_search(self, field: Field) -> None:
        """Let a copy of the field of the run look like what the search has found so far."""
        search = self._search
        assert search is not None
        growth: GrowthField = field  # type: ignore[assignment]  # no other is searched for
        surface: SurfaceField = deepcopy(self._fit.field).cpu().requires_grad_(False)  # type: ignore[assignment]
        z, y, x = search.positions()
        growth.take(
            search.density(surface),
            torch.cat([torch.where(surface.inside(z, row[None], x) > 0.5, SPECIMEN, OUTSIDE) for row in y]),
            lambda positions: search.arrival(surface, positions),
        )

    def _held_out_loss(self) -> float:
        if self._fit is not self._volume or self.step % HELD_OUT_EVERY:
            return math.nan
        return self._volume.objective.held_out_loss(self.field)

    def _provenance(self, fingerprint: str) -> dict[str, str]:
        from napari_stinr import __version__

        return {
            "series": self.series.name,
            "fingerprint": fingerprint,
            "tilts": str(int(self.series.used.sum())),
            "program": f"napari-stinr {__version__}",
            "torch": torch.__version__,
            "device": str(self.device),
            "relative_residual": f"{self._residual:.6g}",
            "training_seconds": f"{self._seconds:.3f}",
        } | ({"held_out": ", ".join(map(str, self.held_out))} if self.held_out else {})

    def _training_state(self) -> dict[str, torch.Tensor]:
        state = {
            "generator": self._generator.get_state(),
            "seconds": torch.tensor(self._seconds, dtype=torch.float64),
        }
        if self._search is not None:
            place = [self._progress.stage, self._progress.first_step, self._progress.first_second]
            state["stage"] = torch.tensor(place, dtype=torch.float64)
            state |= {f"{_SEARCH}{name}": value for name, value in self._search.state().items()}
        return state | self._fit.state()

    def _load(self, reconstruction: Reconstruction) -> None:
        state = reconstruction.training_state
        self.step, self._seconds = reconstruction.step, float(state["seconds"])
        self._generator.set_state(state["generator"])
        if self._search is not None:
            stage, first_step, first_second = state["stage"].tolist()
            self._progress = Progress(int(stage), int(first_step), first_second)
            self._search.load_state(part(state, _SEARCH))
            self._fit = self._search.fit() if self._progress.stage + 1 < len(self._stages) else self._volume
        if self._fit is self._volume:
            # Before, a reconstruction shows the search, and the volume is as the seed has made it.
            values = reconstruction.field.state_dict()
            self.field.make_room({name: tuple(value.shape) for name, value in values.items()})
            self.field.to(self.device).load_state_dict(values)
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
