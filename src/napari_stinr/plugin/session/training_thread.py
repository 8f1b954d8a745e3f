"""The thread that trains. It touches no widget: frozen events go out through a queue, requests come in as flags.

A plain thread and not one of napari's generator workers: those swallow every `RuntimeError` (CUDA's out-of-memory is
one) and keep a stopped generator, with its field and optimiser, alive until the window is gone.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.failures import failure_text
from napari_stinr.plugin.session.requirements import check_fits, free_memory
from napari_stinr.training.checkpoints import rescue, rescue_text, save_checkpoint, save_result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.session.draft import SeriesDraft
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training import StepReport, Trainer

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.5
"""Time between two looks whether the program is still there, during a pause [s]."""
REPORTS_EVERY = 0.2
"""Time between two parcels of step reports [s]: at 10 Hz, drawing them cost the training more than anyone could see."""
_FIRST_PREVIEW = 0.3
"""Time of the first snapshot [s]; the pauses between the next ones double, as the field changes less and less."""


@dataclass(frozen=True, eq=False)
class TrainingOrder:
    """Everything that a training needs.

    Parameters
    ----------
    draft : SeriesDraft
        What to reconstruct.
    config : ReconstructionConfig
        The settings.
    device : str
        ``auto``, ``cpu``, ``cuda:0``, ``mps``.
    threads : int
        CPU threads.
    resume : Path, optional
        Run to go on with; it brings its own settings.
    steps : int, optional
        Steps in all, those of a resumed run included; from the settings by default.
    autosave : Path, optional
        File for checkpoints.
    autosave_every : float
        Time between two checkpoints [s].
    preview_every : float
        Time between two snapshots [s].
    """

    draft: SeriesDraft
    config: ReconstructionConfig
    device: str = "auto"
    threads: int = 1
    resume: Path | None = None
    steps: int | None = None
    autosave: Path | None = None
    autosave_every: float = 120.0
    preview_every: float = 2.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """The series is complete and the trainer built; `config` is that of the run, also of a resumed one."""

    series: TiltSeries
    config: ReconstructionConfig
    device: str


@dataclass(frozen=True, eq=False)
class Reported:
    """What the last steps did, oldest first."""

    reports: tuple[StepReport, ...]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The field as it was between two steps; training does not change it any more."""

    reconstruction: Reconstruction


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint is on the disk, or why it is not."""

    path: Path
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Finished:
    """The training has ended; `reconstruction` can be resumed."""

    reconstruction: Reconstruction
    was_stopped: bool


@dataclass(frozen=True, eq=False)
class Abandoned:
    """The training was stopped before its first step; there is no result."""


@dataclass(frozen=True, eq=False)
class Failed:
    """The training has ended with an error: one line with the cure."""

    message: str


Event = Prepared | Reported | Snapshot | Saved | Finished | Abandoned | Failed


class _Abandoned(Exception):
    """Stopped before the first step."""


class TrainingThread(threading.Thread):
    """Train, and post what happens.

    Parameters
    ----------
    order : TrainingOrder
        What to do.
    post : callable
        Takes every `Event`, in this thread; must only hand it over.
    """

    def __init__(self, order: TrainingOrder, post: Callable[[Event], None]) -> None:
        # Not a daemon: where the program ends in mid-training, it stops after its step and still writes its checkpoint.
        super().__init__(name="stinr-training", daemon=False)
        self._order, self._post = order, post
        self._stop_requested, self._go = threading.Event(), threading.Event()
        self._go.set()
        self._first_step = self._saved_step = 0
        self._saved_at = 0.0

    def stop(self) -> None:
        """End the training at the next step border; also where it is paused."""
        self._stop_requested.set()
        self._go.set()

    def pause(self) -> None:
        """Wait at the next step border until :meth:`go_on`."""
        self._go.clear()

    def go_on(self) -> None:
        """Go on after :meth:`pause`."""
        self._go.set()

    def run(self) -> None:
        """Train; called by :meth:`start`."""
        trainer: Trainer | None = None
        try:
            trainer = self._prepare()
            self._train(trainer)
            result = trainer.reconstruction()
            self._keep(result)
            self._post(Finished(result, self._stop_requested.is_set()))
        except _Abandoned:
            self._post(Abandoned())
        except BaseException as error:  # whatever it is, it must end in a message and not in a thread that vanished
            # As text: a record with the traceback would keep the tensors of its frames.
            logger.error("Training failed\n%s", "".join(traceback.format_exception(error)))
            message = failure_text(error)
            # The traceback holds the frames of the training, and with them its tensors.
            error.__traceback__ = None
            del error
            self._post(Failed(f"{message} {self._rescue(trainer)}".rstrip()))
        finally:
            del trainer
            _free_memory()

    def _prepare(self) -> Trainer:
        from napari_stinr.reconstruction import load_reconstruction
        from napari_stinr.training.trainer import Trainer

        order = self._order
        if order.resume is None:
            available = free_memory(order.device)
            check_fits(order.draft.shape, order.config, binning=order.draft.binning, available=available)
        series = order.draft.series()
        if order.resume is None:
            trainer = Trainer(series, order.config, device=order.device, threads=order.threads)
        else:
            run = load_reconstruction(order.resume)
            trainer = Trainer.resume(run, series, device=order.device, threads=order.threads)
            _check_not_complete(trainer, order)
        self._first_step = self._saved_step = trainer.step
        if self._stop_requested.is_set():
            raise _Abandoned
        self._post(Prepared(series, trainer.config, str(trainer.device)))
        return trainer

    def _train(self, trainer: Trainer) -> None:
        order, reports = self._order, []
        posted = shown = self._saved_at = time.monotonic()
        pause = min(_FIRST_PREVIEW, order.preview_every)
        try:
            for report in trainer.run(steps=order.steps):
                now = time.monotonic()
                reports.append(report)
                is_paused = not self._go.is_set()
                if now - posted >= REPORTS_EVERY or is_paused:
                    self._post(Reported(tuple(reports)))
                    reports, posted = [], now
                if now - shown >= pause or is_paused:
                    self._post(Snapshot(trainer.reconstruction(with_training_state=False)))
                    shown, pause = now, min(2 * pause, order.preview_every)
                self._save_where_due(trainer)
                if self._is_to_stop(trainer):
                    trainer.stop()
        finally:
            if reports:
                self._post(Reported(tuple(reports)))

    def _is_to_stop(self, trainer: Trainer) -> bool:
        """Wait while paused; tell whether the training shall end, also because the program has ended."""
        has_ended = not threading.main_thread().is_alive()
        while not has_ended and not self._go.wait(_LOOK_EVERY):
            self._save_where_due(trainer)
            has_ended = not threading.main_thread().is_alive()
        return has_ended or self._stop_requested.is_set()

    def _save_where_due(self, trainer: Trainer) -> None:
        """Save a checkpoint where the last one is old; also during a pause, which may last a night."""
        path = self._order.autosave
        is_due = time.monotonic() - self._saved_at >= self._order.autosave_every
        if path is None or not is_due or trainer.step == self._saved_step:
            return
        self._make_folder(path)
        problem = save_checkpoint(trainer, path)
        self._post(Saved(path, problem))
        self._saved_step = self._saved_step if problem else trainer.step
        self._saved_at = time.monotonic()

    def _keep(self, result: Reconstruction) -> None:
        path = self._order.autosave
        if path is None:
            return
        self._make_folder(path)
        kept = save_result(result, path)
        if kept.problem is not None:
            advice = " It is still here: save it with Save run…" if kept.path is None else ""
            self._post(Saved(path, f"The result is not saved as asked: {kept.problem}{advice}"))
        if kept.path is not None:
            self._post(Saved(kept.path))

    def _rescue(self, trainer: Trainer | None) -> str:
        """Save what was trained before the error, and say where it is."""
        kept = rescue(trainer, self._order.autosave, since=self._first_step)
        if kept.path is not None:
            self._post(Saved(kept.path))
        last = str(self._order.autosave) if self._saved_step > self._first_step else ""
        return rescue_text(kept, resume="go on with it by Resume from file….", last=last)

    @staticmethod
    def _make_folder(path: Path) -> None:
        with contextlib.suppress(OSError):  # what is wrong with it, the saving says
            path.parent.mkdir(parents=True, exist_ok=True)


def _check_not_complete(trainer: Trainer, order: TrainingOrder) -> None:
    from napari_stinr.training.estimates import expected_steps

    steps = order.steps or expected_steps(order.draft.binned_shape, trainer.config)
    if trainer.step >= steps:
        raise StinrError(
            f"the run is complete after {trainer.step} steps",
            expected=f"fewer than {steps}, the steps to be done in all",
            cure="Set more steps under Advanced to go on with it.",
        )


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
