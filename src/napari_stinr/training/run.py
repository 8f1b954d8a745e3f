"""A training from the command line: put together what was asked for, and keep what was trained safe on disk."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.io.output.targets import check_output
from napari_stinr.training.checkpoints import check_run_replaceable, rescue, save_checkpoint, save_result
from napari_stinr.training.failures import failed_training, require_saved
from napari_stinr.training.interrupts import Stopped, StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training import StepReport, Trainer

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY = 60.0
"""Time between two checkpoints [s]."""


@dataclass(frozen=True)
class TrainingRequest:
    """What a person asked for on the command line.

    Parameters
    ----------
    out : Path
        File for checkpoints and result.
    preset : str, optional
        Name of a preset. Default: growth.
    config : Path, optional
        YAML file with settings, in place of a preset.
    resume : Path, optional
        Reconstruction to go on with; it brings its own settings.
    steps : int, optional
        Number of steps.
    seconds : float, optional
        Length of the training [s].
    seed : int, optional
        Seed.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda:0"``, ``"mps"``.
    threads : int, optional
        Number of threads. Default: all cores.

    Raises
    ------
    StinrError
        Two of them exclude each other, or `out` cannot be written.
    """

    out: Path
    preset: str | None = None
    config: Path | None = None
    resume: Path | None = None
    steps: int | None = None
    seconds: float | None = None
    seed: int | None = None
    device: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        for first, second in (
            ("steps", "seconds"),
            ("preset", "config"),
            ("resume", "preset"),
            ("resume", "config"),
            ("resume", "seed"),
        ):
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise StinrError(
                    f"both --{first} and --{second} were given",
                    expected="one of them at most",
                    cure=f"Leave out --{second}: the run to go on with has it."
                    if first == "resume"
                    else "Leave one out.",
                )
        check_output(self.out)

    @property
    def steps_in_all(self) -> int | None:
        """Number of steps where it differs from the settings, which in a new run hold `steps`."""
        return None if self.resume is None else self.steps

    @property
    def reconstruction_config(self) -> ReconstructionConfig:
        """The settings of a new run."""
        from napari_stinr.config import ReconstructionConfig, preset_config, read_settings_text

        if self.config is None:
            settings = preset_config(self.preset or "growth")
        else:
            settings = ReconstructionConfig.from_yaml(read_settings_text(self.config))
        changes = {"steps": self.steps, "seed": self.seed}
        return settings.with_training(**{name: value for name, value in changes.items() if value is not None})

    def trainer(self, series: TiltSeries) -> Trainer:
        """Return a trainer for a tilt series, new or resumed.

        Parameters
        ----------
        series : TiltSeries
            What to reconstruct.

        Returns
        -------
        Trainer
            Ready to run.

        Raises
        ------
        StinrError
            A setting or the device is wrong, the run to go on with was trained on other data, or `out` holds a run
            that is not to be lost.
        """
        from napari_stinr.data.geometry import grid_of
        from napari_stinr.reconstruction import load_reconstruction
        from napari_stinr.training.batching import planned_steps
        from napari_stinr.training.trainer import Trainer

        if self.resume is None:
            config = self.reconstruction_config
            steps = None if self.seconds is not None else planned_steps(config.training, grid_of(series))
            check_run_replaceable(self.out, series, steps=steps)
            return Trainer(series, config, device=self.device, threads=self.threads)
        run = load_reconstruction(self.resume)
        trainer = Trainer.resume(run, series, device=self.device, threads=self.threads)
        # A run that has had its seconds may take no step at all.
        goal = 0 if self.seconds is not None else self.steps or planned_steps(run.config.training, run.grid)
        check_run_replaceable(self.out, series, steps=max(run.step, goal))
        return trainer


def train_to_file(
    trainer: Trainer,
    path: Path,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    report: Callable[[StepReport], None] | None = None,
) -> Reconstruction:
    """Train and save: at intervals, at the end, and when stopped.

    Parameters
    ----------
    trainer : Trainer
        New or resumed.
    path : Path
        File for checkpoints and result; it is complete at any time.
    steps : int, optional
        Steps in all, those of a resumed run included. Default: from the settings.
    seconds : float, optional
        Length of the training in all, in place of a number of steps [s].
    checkpoint_every : float
        Time between two checkpoints [s].
    report : callable, optional
        Called with every `StepReport`.

    Returns
    -------
    Reconstruction
        What was saved.

    Raises
    ------
    Stopped
        Ctrl-C or SIGTERM came; everything up to the last step has been saved.
    StinrError
        The training failed, or the result cannot be written to `path`: it says where the last state was saved.
    """
    stopped_at: StepReport | None = None
    first, saved = trainer.step, False
    with StopRequest() as request:
        last_save = time.monotonic()
        try:
            for step in trainer.run(steps=steps, seconds=seconds):
                if report is not None:
                    report(step)
                if request.requested:
                    stopped_at = step
                    trainer.stop()
                elif time.monotonic() - last_save >= checkpoint_every:
                    problem = save_checkpoint(trainer, path)
                    saved = saved or not problem
                    if problem:
                        logger.warning("%s", problem)
                    last_save = time.monotonic()
        except Exception as error:
            kept = rescue(trainer, path, since=first)
            raise failed_training(error, kept, last=path if saved else None) from error
        reconstruction = trainer.reconstruction()
        require_saved(save_result(reconstruction, path), path)
    if stopped_at is not None and stopped_at.step < stopped_at.n_steps:
        limit = f" --steps {steps}" if steps else f" --seconds {seconds:g}" if seconds else ""
        raise Stopped(
            f"stopped at step {stopped_at.step} of {stopped_at.n_steps} and saved {path}. "
            f"Go on with stinr train STACK --resume {path} --out {path}{limit}, or export it as it is."
        )
    return reconstruction
