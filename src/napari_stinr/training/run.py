"""The one way to train: an order goes in, frozen events come out, and what was trained is kept safe on disk.

The command line, the thread of the window and a script all come through :func:`drive`; they differ in what they order
and in what they do with the events.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_stinr.data.margin import fitted_grid, margin_voxels
from napari_stinr.training.checkpoints import Kept, rescue, save_checkpoint, save_result
from napari_stinr.training.control import Control
from napari_stinr.training.events import (
    Abandoned,
    Aligning,
    Event,
    Failed,
    Finished,
    Outcome,
    Prepared,
    Reported,
    Saved,
    Snapshot,
)
from napari_stinr.training.failures import Failure, failure_of
from napari_stinr.training.fits import files_folder
from napari_stinr.training.makers import ALONE, Makers
from napari_stinr.training.requirements import SCRIPT_CURE, check_series_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_stinr.alignment.align import Alignment
    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.notes import Note
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training import StepReport, Trainer

__all__ = ["CHECKPOINT_EVERY", "Control", "Order", "drive"]

CHECKPOINT_EVERY = 60.0
"""Time between two checkpoints where nobody says another [s]."""
_LOOK_EVERY = 0.5
"""Time between two looks whether the program is still there, during a pause [s]."""
_PART_OF_TIME = 0.1
"""What checkpoints, and snapshots, take of the time at most where they are large: of a volume on files."""
_FIRST_PREVIEW = 0.3
"""Time of the first snapshot [s]; the pauses between the next ones double, as the field changes less and less."""


@dataclass(frozen=True, eq=False)
class Order:
    """Everything that a training needs.

    Parameters
    ----------
    series : TiltSeries or callable
        What to reconstruct, or a function that makes it when the training begins.
    config : ReconstructionConfig, optional
        The settings; the preset `growth` by default. A run to go on with brings its own.
    device : str
        ``auto``, ``cpu``, ``cuda:0``, ``mps``.
    threads : int, optional
        CPU threads; all cores by default.
    resume : Path, optional
        Run to go on with.
    steps : int, optional
        Steps in all, those of a resumed run included; from the settings by default.
    seconds : float, optional
        Length of the training in all, in place of a number of steps [s].
    path : Path, optional
        File for checkpoints and result, which is complete at any time; nothing is saved without it.
    makes_folder : bool
        Make the folder of `path` wherever it is missing.
    checkpoint_every : float
        Time between two checkpoints [s].
    reports_every : float
        Time between two parcels of step reports [s]; 0 for one after every step.
    preview_every : float, optional
        Time between two snapshots, which come sooner at first [s]; none by default.
    check : callable, optional
        Takes the series, the settings of the run and the steps that are done, before anything is trained or told; a
        `StinrError` that it raises refuses the run.
    pose : Pose, optional
        Where the projections were recorded, where that is known; else it is looked for as the settings say. A run to go
        on with brings its own.
    binning : int
        Edge of the squares of pixels that became one pixel of the series.
    binning_cure : str
        How a larger binning is chosen where the run does not fit into the memory, with ``{binning}`` in its place.
    told : mapping of str
        What the provenance of the run says besides, in all that is saved of it.
    makers : Makers
        How the trainer is made: by this process alone, by default.
    """

    series: TiltSeries | Callable[[], TiltSeries]
    config: ReconstructionConfig | None = None
    device: str = "auto"
    threads: int | None = None
    resume: Path | None = None
    steps: int | None = None
    seconds: float | None = None
    path: Path | None = None
    makes_folder: bool = False
    checkpoint_every: float = CHECKPOINT_EVERY
    reports_every: float = 0.0
    preview_every: float | None = None
    check: Callable[[TiltSeries, ReconstructionConfig, int], None] | None = None
    pose: Pose | None = None
    binning: int = 1
    binning_cure: str = SCRIPT_CURE
    told: Mapping[str, str] = field(default_factory=dict)
    makers: Makers = ALONE


def drive(
    order: Order, post: Callable[[Event], None], control: Control | None = None, *, raises: bool = False
) -> Outcome:
    """Train, and post what happens.

    Parameters
    ----------
    order : Order
        What to do.
    post : callable
        Takes every `Event` in this thread, between two steps. An error that it raises ends the training like any
        other: what was trained is saved first.
    control : Control, optional
        Holds the training up and ends it.
    raises : bool
        Let an error out as it is, for a script; nothing is saved after it then.

    Returns
    -------
    Finished, Abandoned or Failed
        The last event, which was posted, too.

    Raises
    ------
    StinrError, TrainingError
        Where `raises`; else they end in `Failed`.
    """
    training = _Training(order, post, control or Control())
    try:
        outcome = training.outcome()
    except BaseException as error:
        # In the main thread an interrupt is for the whole program; anywhere else, whatever it is must end in a message
        # and not in a thread that vanished.
        is_for_program = threading.current_thread() is threading.main_thread() and not isinstance(error, Exception)
        if raises or is_for_program:
            raise
        failure, trace = failure_of(error), "".join(traceback.format_exception(error))
        # The traceback holds the frames of the training, and with them its tensors.
        error.__traceback__ = None
        del error
        outcome = training.failed(failure, trace)
    post(outcome)
    return outcome


class _GivenUpError(Exception):
    """The training was stopped before there was a trainer."""


class _Training:
    """One training in progress."""

    def __init__(self, order: Order, post: Callable[[Event], None], control: Control) -> None:
        self._order, self._post, self._control = order, post, control
        self._trainer: Trainer | None = None
        self._prepared_notes: tuple[Note, ...] = ()
        self._alignment: Alignment | None = None
        self._first_step = self._saved_step = 0
        self._saved_at = 0.0
        self._asked: tuple[int, int, int] | None = None
        self._is_on_files, self._saving_rest = False, 0.0

    def outcome(self) -> Outcome:
        """Train to the end, or to a stop."""
        order = self._order
        try:
            trainer = self._prepared()
        except _GivenUpError:
            return Abandoned()
        if self._control.is_stopped:
            return Abandoned()
        config = trainer.config
        if self._order.resume is None and self._order.config is not None:
            # The size of blocks that suits this device is no choice of the person, and not of the next run.
            config = config.with_training(voxels_per_step=self._order.config.training.voxels_per_step)
        notes = (*self._prepared_notes, *trainer.notes)
        self._post(Prepared(trainer.series, config, notes, self._alignment, trainer.grid.margin))
        self._train(trainer)
        result, kept = trainer.reconstruction(), Kept()
        if order.path is not None:
            self._make_folder()
            kept = save_result(result, order.path)
            self._post(Saved(kept, is_checkpoint=False))
        return Finished(result, self._control.is_stopped, kept)

    def failed(self, failure: Failure, trace: str) -> Failed:
        """Save what was trained before an error."""
        kept = rescue(self._trainer, self._order.path, since=self._first_step)
        if kept.path is not None:
            self._post(Saved(Kept(kept.path), is_checkpoint=False))
        checkpoint = self._order.path if self._saved_step > self._first_step else None
        return Failed(failure, kept, checkpoint, trace)

    def _prepared(self) -> Trainer:
        from napari_stinr.alignment.warp import aligned
        from napari_stinr.config import preset_config
        from napari_stinr.devices import resolve_device
        from napari_stinr.training.batching import blocks_for

        order = self._order
        if order.resume is None:
            config = order.config or preset_config("growth")
            # Nobody keeps what was read any longer than it takes to prepare it.
            blocks = blocks_for(config, resolve_device(order.device))
            series, pose = self._aligned(self._preprocessed(self._recorded(blocks), config), config)
            # Before the trainer takes its time and memory.
            self._check(series, blocks, 0)
            self._check_fits(series, blocks, margin=fitted_grid(series, config.training.margin).margin)
            options = {"threads": order.threads, **self._options_for_files()}
            trainer = order.makers.begin(series, config, device=order.device, pose=pose, **options)
        else:
            run = order.makers.load(order.resume)
            series = self._preprocessed(self._recorded(run.config, run), run.config)
            series = series if run.pose is None else aligned(series, run.pose)
            # Which compares the series with that of the run: what is wrong with it is said first.
            options = {"threads": order.threads, **self._options_for_files()}
            trainer = order.makers.resume(run, series, device=order.device, **options)
            self._check(series, run.config, run.step)
        trainer.told = dict(order.told)
        self._first_step = self._saved_step = trainer.step
        self._trainer = trainer
        return trainer

    def _recorded(self, config: ReconstructionConfig, run: Reconstruction | None = None) -> TiltSeries:
        """Return the series as it was read, if its reconstruction fits into the memory as far as that is known."""
        series = self._order.series() if callable(self._order.series) else self._order.series
        margin = margin_voxels(series.width, config.training.margin, reaches_edge=False)
        self._check_fits(series, config, margin=margin if run is None else run.grid.margin, run=run)
        return series

    def _check_fits(
        self, series: TiltSeries, config: ReconstructionConfig, *, margin: int, run: Reconstruction | None = None
    ) -> None:
        """Refuse what does not fit into the memory, where anything is known that was not when that was asked last."""
        order, asked = self._order, (series.height, series.width, margin)
        if asked == self._asked:
            return
        self._asked = asked
        from napari_stinr.fields.storage import is_on_file

        state = () if run is None else run.training_state.values()
        room = check_series_fits(
            series,
            config,
            device=order.device,
            binning=order.binning,
            margin=margin,
            held=sum(value.nbytes for value in state if not is_on_file(value)),
            part=order.makers.part_here,
            path=order.path,
            cure=order.binning_cure,
        )
        self._is_on_files = room.disk > 0

    def _options_for_files(self) -> dict[str, Any]:
        """Return what a trainer is told where the volume lies on files, as it does not fit into memory."""
        if not self._is_on_files:
            return {}
        self._make_folder()
        return {"files": files_folder(self._order.path)}

    def _preprocessed(self, recorded: TiltSeries, config: ReconstructionConfig) -> TiltSeries:
        """Do to the projections what the settings ask for, and remember the notes that it makes."""
        from napari_stinr.data.coverage import coverage_notes
        from napari_stinr.data.preprocessing.prepare import prepare

        series = prepare(recorded, config.preprocessing)
        notes = series.notes[len(recorded.notes) :]
        self._prepared_notes = (*notes, *coverage_notes(series.tilt_angles, series.used))
        return series

    def _aligned(self, series: TiltSeries, config: ReconstructionConfig) -> tuple[TiltSeries, Pose | None]:
        """Undo the pose that was given, or that is found where the settings ask for it."""
        from napari_stinr.alignment.check import misalignment
        from napari_stinr.alignment.warp import aligned
        from napari_stinr.training.aligning import align_prepared

        pose, method = self._order.pose, config.alignment.method
        if pose is None and method == "off":
            shifted = misalignment(series)
            self._prepared_notes += () if shifted is None else (shifted,)
            return series, None
        if pose is None:
            self._alignment = align_prepared(
                series,
                config.preprocessing,
                method=method,
                threads=self._order.threads,
                report=self._tell_aligning,
            )
            pose = self._alignment.pose
            self._prepared_notes += self._alignment.notes
        moved = aligned(series, pose)
        self._prepared_notes += moved.notes[len(series.notes) :]
        return moved, None if moved is series else pose

    def _tell_aligning(self, part: float) -> None:
        if self._control.is_stopped:
            raise _GivenUpError
        self._post(Aligning(part))

    def _check(self, series: TiltSeries, config: ReconstructionConfig, step: int) -> None:
        if self._order.check is not None:
            self._order.check(series, config, step)

    def _train(self, trainer: Trainer) -> None:
        order, control = self._order, self._control
        reports: list[StepReport] = []
        posted = shown = self._saved_at = time.monotonic()
        every = order.preview_every
        pause = 0.0 if every is None else min(_FIRST_PREVIEW, every)
        try:
            for report in trainer.run(steps=order.steps, seconds=order.seconds):
                now = time.monotonic()
                reports.append(report)
                is_paused = control.is_paused
                if now - posted >= order.reports_every or is_paused:
                    # Taken out first: what a listener fails at is not told again.
                    parcel, reports, posted = tuple(reports), [], now
                    self._post(Reported(parcel))
                if every is not None and (now - shown >= pause or is_paused):
                    self._post(Snapshot(trainer.reconstruction(with_training_state=False)))
                    shown, pause = now, max(min(2 * pause, every), self._rest_after(now))
                if self._is_to_stop(trainer):
                    trainer.stop()
        finally:
            if reports:
                self._post(Reported(tuple(reports)))

    def _is_to_stop(self, trainer: Trainer) -> bool:
        """Save where that is due; wait while paused; tell whether to end, also because the program has ended."""
        while True:
            if self._control.is_stopped or not threading.main_thread().is_alive():
                return True
            self._save_where_due(trainer)
            if self._control.wait_while_paused(_LOOK_EVERY):
                return self._control.is_stopped

    def _save_where_due(self, trainer: Trainer) -> None:
        """Save a checkpoint where the last one is old; also during a pause, which may last a night."""
        path = self._order.path
        is_due = time.monotonic() - self._saved_at >= max(self._order.checkpoint_every, self._saving_rest)
        if path is None or not is_due or trainer.step == self._saved_step:
            return
        self._make_folder()
        start = time.monotonic()
        kept = save_checkpoint(trainer, path)
        self._saving_rest = self._rest_after(start)
        self._post(Saved(kept, is_checkpoint=True))
        self._saved_step = self._saved_step if kept.path is None else trainer.step
        self._saved_at = time.monotonic()

    def _rest_after(self, start: float) -> float:
        """Return how long not to do again what was begun at a time and is done now [s]."""
        return (time.monotonic() - start) / _PART_OF_TIME if self._is_on_files else 0.0

    def _make_folder(self) -> None:
        if self._order.makes_folder and self._order.path is not None:
            with contextlib.suppress(OSError):  # what is wrong with it, the saving says
                self._order.path.parent.mkdir(parents=True, exist_ok=True)
