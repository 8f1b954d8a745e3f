"""The thread that trains for a window: it touches no widget, and only hands on what the driver tells.

A plain thread and not one of napari's generator workers: those swallow every `RuntimeError` (CUDA's out-of-memory is
one) and keep a stopped generator, with its field and optimiser, alive until the window is gone.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
from typing import TYPE_CHECKING

from napari_stinr.data.margin import fitted_grid
from napari_stinr.errors import StinrError
from napari_stinr.plugin.session.requirements import (
    WINDOW_CURE,
    check_fits,
    free_memory,
    memory_beside,
    trained_shape,
)
from napari_stinr.training.events import Event, Failed
from napari_stinr.training.run import Control, Order, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.plugin.session.draft import SeriesDraft

logger = logging.getLogger(__name__)

REPORTS_EVERY = 0.2
"""Time between two parcels of step reports [s]: at 10 Hz, drawing them cost the training more than anyone could see."""


def window_order(
    draft: SeriesDraft,
    config: ReconstructionConfig,
    *,
    device: str = "auto",
    threads: int = 1,
    resume: Path | None = None,
    steps: int | None = None,
    autosave: Path | None = None,
    autosave_every: float = 120.0,
    preview_every: float = 2.0,
    pose: Pose | None = None,
    told: Mapping[str, str] | None = None,
) -> Order:
    """Return the order of a window: refused where it does not fit into the memory, or has nothing left to do.

    A `pose` is taken as it is, in place of an alignment; a run to go on with brings its own. Its provenance says what
    is `told`.
    """

    def made() -> TiltSeries:
        if resume is None:
            check_fits(
                trained_shape(draft, config),
                config,
                binning=draft.binning,
                available=free_memory(device),
                beside=memory_beside(device),
                reaches_edge=draft.edges.is_there,
                path=autosave,
            )
        return draft.series()

    def check(series: TiltSeries, config: ReconstructionConfig, step: int) -> None:
        from napari_stinr.training.stages import total_steps

        if resume is not None:
            planned = total_steps(config, fitted_grid(series, config.training.margin))
            _check_not_complete(steps or planned, step)

    return Order(
        made,
        config,
        device=device,
        threads=threads,
        resume=resume,
        steps=steps,
        path=autosave,
        makes_folder=True,
        checkpoint_every=autosave_every,
        reports_every=REPORTS_EVERY,
        preview_every=preview_every,
        check=check,
        pose=pose if resume is None else None,
        binning=draft.binning,
        binning_cure=WINDOW_CURE,
        told=told or {},
    )


class TrainingThread(threading.Thread):
    """Carry an order out; `post` takes every event in this thread and must only hand it over."""

    def __init__(self, order: Order, post: Callable[[Event], None]) -> None:
        # Not a daemon: where the program ends in mid-training, it stops after its step and still writes its checkpoint.
        super().__init__(name="stinr-training", daemon=False)
        self._order, self._post = order, post
        self.control = Control()

    def run(self) -> None:
        """Train; called by :meth:`start`."""
        drive(self._order, self._tell, self.control)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Failed):
            # As text: a record with the traceback would keep the tensors of its frames.
            logger.error("Training failed\n%s", event.trace)
        self._post(event)


def _check_not_complete(steps: int, done: int) -> None:
    if done >= steps:
        raise StinrError(
            f"the run is complete after {done} steps",
            expected=f"fewer than {steps}, the steps to be done in all",
            cure="Set more steps under Advanced to go on with it.",
        )


def free_memory_of_run() -> None:
    """Give back what a training that has ended still holds; to be called in the thread of the window."""
    # Not in the training's own: what it finds may be a widget.
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
