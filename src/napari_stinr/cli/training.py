"""A training from the command line: options become an order; events become notes, a bar, a stop and errors."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from napari_stinr.cli.aligning import given_pose
from napari_stinr.cli.console import progress, say, step_reporter
from napari_stinr.errors import StinrError
from napari_stinr.io.output.claims import claimed
from napari_stinr.io.output.targets import check_output
from napari_stinr.pace import remaining_text
from napari_stinr.training.checkpoints import check_run_replaceable, checkpoint_text, rescue_text
from napari_stinr.training.events import Abandoned, Aligning, Event, Failed, Prepared, Reported, Saved
from napari_stinr.training.failures import FailureKind
from napari_stinr.training.interrupts import Stopped, StopRequest
from napari_stinr.training.jobs.asked import asked_config, pose_file
from napari_stinr.training.makers import ALONE
from napari_stinr.training.remaining import RemainingTime
from napari_stinr.training.requirements import stages_of_prepared
from napari_stinr.training.run import CHECKPOINT_EVERY, Control, Order, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_stinr.cli.console import SteadyUpdate
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training import StepReport
    from napari_stinr.training.checkpoints import Kept
    from napari_stinr.training.distributed.ranks import Ranks
    from napari_stinr.training.estimates import Speed
    from napari_stinr.training.requirements import Estimate

logger = logging.getLogger(__name__)

_BINNING_CURE = "Give --bin {binning}"
_RESUME = "go on with stinr train STACK --resume {path}."


@dataclass(frozen=True)
class TrainingRequest:
    """What a person asked for with `stinr train`; a StinrError says which options exclude each other."""

    out: Path
    preset: str | None = None
    config: Path | None = None
    resume: Path | None = None
    steps: int | None = None
    seconds: float | None = None
    seed: int | None = None
    device: str = "auto"
    threads: int | None = None
    checkpoint_every: float = CHECKPOINT_EVERY
    preprocessing: Mapping[str, object] = field(default_factory=dict)
    """Settings of the preprocessing that were given, by their names."""
    align: str | None = None
    binning: int = 1
    """Edge of the squares of pixels that become one pixel of the series."""
    settings: str | None = None
    """Settings as YAML, where they stand in no file of their own."""

    def __post_init__(self) -> None:
        for first, second in (
            ("steps", "seconds"),
            ("preset", "config"),
            ("resume", "preset"),
            ("resume", "config"),
            ("resume", "seed"),
            ("resume", "align"),
        ):
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise StinrError(
                    f"both --{first} and --{second} were given",
                    expected="one of them at most",
                    cure=f"Leave out --{second}: the run to go on with has it."
                    if first == "resume"
                    else "Leave one out.",
                )
        if self.resume is not None and self.preprocessing:
            raise StinrError(
                f"both --resume and another {next(iter(self.preprocessing)).replace('_', ' ')} were given",
                expected="projections as in the run to go on with",
                cure="Leave it out: the run has it.",
            )
        check_output(self.out)

    def _check_shared(self, ranks: Ranks) -> None:
        """Refuse, before anything is read, what several processes cannot share; a StinrError says so."""
        from napari_stinr.training.requirements import Begun

        begun = None if self.resume is None else Begun.of(self.resume)
        if begun is not None or self.resume is None:
            ranks.config_for(self._config if begun is None else begun.config)

    def order(self, series: TiltSeries, ranks: Ranks | None = None) -> Order:
        """Return the order for a tilt series; a StinrError says what is wrong with the settings.

        Several processes share it where `ranks` are there.
        """
        config = self._config if self.resume is None else None
        turned = config is not None and config.preprocessing.axis == "horizontal"
        if ranks is not None:
            config = None if config is None else ranks.config_for(config)
        return Order(
            # Given away: as read, the series is of no use once it is prepared.
            [series].pop,
            config,
            device=self.device if ranks is None else ranks.device,
            threads=self.threads,
            resume=self.resume,
            # A new run has them in its settings.
            steps=None if self.resume is None else self.steps,
            seconds=self.seconds,
            path=self.out,
            checkpoint_every=self.checkpoint_every,
            check=self._check_replaceable,
            pose=None if self._pose is None else given_pose(self._pose, series, turned=turned),
            binning=self.binning,
            binning_cure=_BINNING_CURE,
            makers=ALONE if ranks is None else ranks,
        )

    def estimate(
        self, shape: tuple[int, int, int], *, speed: Speed | None = None, ranks: Ranks | None = None
    ) -> Estimate | None:
        """Return what a run needs on a series of this shape, not binned; a StinrError refuses what does not fit."""
        if ranks is not None:  # nothing is estimated of what several processes share
            self._check_shared(ranks)
            return None
        # `speed` of this machine, where it was measured already.
        # None where a run to go on with cannot be read: why, it says itself.
        from napari_stinr.cores import available_threads
        from napari_stinr.devices import resolve_device
        from napari_stinr.training.batching import blocks_for
        from napari_stinr.training.estimates import measure_speed
        from napari_stinr.training.requirements import Begun, check_fits, estimate_run, free_memory, memory_beside

        device = resolve_device(self.device)
        begun = None if self.resume is None else Begun.of(self.resume)
        if begun is not None:
            config = begun.config if self.steps is None else begun.config.with_training(steps=self.steps)
        elif self.resume is None:
            config = blocks_for(self._config, device)
        else:
            return None
        if config.preprocessing.axis == "horizontal":
            shape = (shape[0], shape[2], shape[1])
        reaches_edge = begun is not None and begun.margin > 0
        available, beside = free_memory(self.device), memory_beside(self.device)
        # Before half a second is spent on the speed.
        check_fits(
            shape,
            config,
            binning=self.binning,
            available=available,
            beside=beside,
            reaches_edge=reaches_edge,
            path=self.out,
            cure=_BINNING_CURE,
        )
        return estimate_run(
            shape,
            config,
            binning=self.binning,
            available=available,
            beside=beside,
            speed=(speed or measure_speed(self.threads or available_threads())) if device.type == "cpu" else None,
            limit=self.seconds,
            begun=begun,
            is_posed=self._pose is not None,
            path=self.out,
            cure=_BINNING_CURE,
        )

    @property
    def _pose(self) -> Path | None:
        return pose_file(self.align)

    @cached_property
    def _config(self) -> ReconstructionConfig:
        from napari_stinr.config import read_settings_text

        return asked_config(
            preset=self.preset,
            settings=self.settings if self.config is None else read_settings_text(self.config),
            steps=self.steps,
            seed=self.seed,
            preprocessing=self.preprocessing,
            align=self.align,
        )

    def _check_replaceable(self, series: TiltSeries, config: ReconstructionConfig, step: int) -> None:
        """Refuse to write over a longer run, or over that of another series."""
        from napari_stinr.data.margin import fitted_grid
        from napari_stinr.training.stages import total_steps

        goal = None
        if self.seconds is None:
            goal = self.steps or total_steps(config, fitted_grid(series, config.training.margin))
        if self.resume is not None:
            # A run that has had its seconds may take no step at all.
            goal = max(step, goal or 0)
        check_run_replaceable(self.out, series, steps=goal)


def train(
    order: Order,
    *,
    title: str = "train",
    estimate: Estimate | None = None,
    tells_notes: bool = False,
    go_on: str = _RESUME,
) -> Reconstruction:
    """Train with a bar; Ctrl-C and SIGTERM stop at the next step border, with everything saved."""
    # What is expected of it is said first. `Stopped` says so; a StinrError that the training failed, or that its result
    # could not be saved where that was asked for, and where the last state is, or that another program is at it.
    if estimate is not None:
        say(estimate.text)
    with contextlib.ExitStack() as stack:
        if order.path is not None:
            stack.enter_context(claimed(order.path))
        listener = _Listener(order, stack, title=title, estimate=estimate, tells_notes=tells_notes)
        outcome = drive(order, listener, listener.control)
        if isinstance(outcome, Failed):
            raise failed_training(outcome, go_on=go_on)
        if isinstance(outcome, Abandoned):
            raise Stopped("stopped before there was anything to save")
        require_saved(outcome.kept, order.path)
        last = listener.last
        if outcome.was_stopped and last is not None and last.step < last.n_steps:
            raise Stopped(_stopped_text(order, last, go_on=go_on))
        return outcome.reconstruction


class _Listener:
    """Takes the events of a training: what it opens, the bar and the handlers of signals, the stack closes."""

    def __init__(
        self,
        order: Order,
        stack: contextlib.ExitStack,
        *,
        title: str,
        estimate: Estimate | None = None,
        tells_notes: bool = False,
    ) -> None:
        self.control = Control()
        self.last: StepReport | None = None
        self._order, self._stack, self._title, self._tells_notes = order, stack, title, tells_notes
        self._request = StopRequest()
        self._show: Callable[[StepReport], None]
        self._aligning = stack.enter_context(contextlib.ExitStack())
        self._tell_aligning: SteadyUpdate | None = None
        self._speed = None if estimate is None else estimate.speed
        self._remaining = RemainingTime(limit=order.seconds) if estimate is None else estimate.remaining

    def __call__(self, event: Event) -> None:
        match event:
            case Aligning():
                if self._tell_aligning is None:
                    self._tell_aligning = self._aligning.enter_context(progress("align"))
                self._remaining.align(event.part, time.monotonic())
                left = remaining_text(self._remaining.seconds)
                # Of the alignment alone, where nobody knows what the training takes.
                remark = f"{left} with the training" if left else ""
                self._tell_aligning(round(100 * event.part), 100, remark, is_steady=not left)
            case Prepared():
                self._aligning.close()
                for note in dict.fromkeys((*(event.series.notes if self._tells_notes else ()), *event.notes)):
                    say(note)
                self._remaining.expect(stages_of_prepared(event, self._speed))
                bar = self._stack.enter_context(progress(self._title))
                self._show = step_reporter(bar, seconds=self._order.seconds, remaining=self._remaining)
                # Not before: as long as there is nothing to save, Ctrl-C ends the program at once.
                self._stack.enter_context(self._request)
            case Reported():
                for report in event.reports:
                    self._show(report)
                    self.last = report
                if self._request.requested:
                    self.control.stop()
            case Saved() if event.is_checkpoint and event.kept.problem is not None:
                logger.warning("%s", checkpoint_text(event.kept))


def failed_training(failed: Failed, *, go_on: str = _RESUME) -> StinrError:
    """Return what an error in a training means to the person at the command line, what is left and how to go on."""
    failure, text = failed.failure, failed.failure.text
    left = rescue_text(failed.kept, resume=go_on, last=failed.checkpoint)
    logger.debug("Training failed\n%s", failed.trace)
    match failure.kind:
        case FailureKind.INPUT:
            return StinrError(failure.found, expected=failure.expected, cure=f"{failure.cure} {left}")
        case FailureKind.DIVERGED:
            cure = f"Change it in the file for --config, or exclude bad projections. {left}"
            return StinrError(text, expected="a loss that falls", cure=cure)
        case FailureKind.MEMORY:
            return StinrError(
                f"the memory is full ({text or 'no details'})",
                expected="enough memory for the training",
                cure=f"Close other programs, give --bin 2, or lower training.voxels_per_step. {left}",
            )
    return StinrError(
        f"the training failed ({failure.name}: {text or 'no details'})",
        expected="a device and a program that work",
        cure=f"Try again, also with --device cpu; if it happens again, report it. {left}",
    )


def require_saved(kept: Kept, path: Path | None) -> None:
    """Raise a StinrError that says where a result is, and why, if it is not in `path` where it was wanted."""
    if kept.problem is None:
        return
    if kept.path is None or not isinstance(kept.problem, StinrError):
        raise kept.problem
    raise StinrError(
        kept.problem.found,
        expected=kept.problem.expected,
        cure=f"Everything is saved as {kept.path} instead: move it to where you want it, or go on with "
        f"stinr train STACK --resume {kept.path} --out {path}.",
    )


def _stopped_text(order: Order, last: StepReport, *, go_on: str) -> str:
    path, steps, seconds = order.path, order.steps, order.seconds
    if go_on != _RESUME:
        return f"stopped at step {last.step} of {last.n_steps} and saved {path}: {go_on}"
    limit = f" --steps {steps}" if steps else f" --seconds {seconds:g}" if seconds else ""
    return (
        f"stopped at step {last.step} of {last.n_steps} and saved {path}. "
        f"Go on with stinr train STACK --resume {path} --out {path}{limit}, or export it as it is."
    )
