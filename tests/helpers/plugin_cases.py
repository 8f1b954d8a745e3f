"""Drafts, stacks on disk and sessions for the tests of the plugin without Qt."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers import waiting
from helpers.series_cases import growing_series
from helpers.waiting import PATIENCE
from helpers.waiting import Gate as Gate
from napari_stinr import Trainer, preset_config
from napari_stinr.config import GrowthFieldConfig
from napari_stinr.io import write_tilt_angles, write_tilt_series
from napari_stinr.plugin.session.new_draft import draft_of_series
from napari_stinr.plugin.session.preferences import PluginSettings
from napari_stinr.plugin.session.session import Session
from napari_stinr.plugin.session.training_thread import TrainingThread
from napari_stinr.training.blocks import BlockObjective

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.plugin.session.draft import SeriesDraft

# Every training ends with a collection, which would spend its time on what the libraries keep for ever.
gc.freeze()

# Blobs that reach the edge of a small view would get a margin, and no search for a surface.
GROWTH = preset_config("growth").with_training(steps=14, margin=0.0)
WITHOUT_SEARCH = GROWTH.model_copy(update={"field": GrowthFieldConfig()})
ENDLESS = preset_config("growth").with_training(steps=1_000_000)


def small_draft(n_tilts: int = 21, *, name: str = "needle", **changes: Any) -> SeriesDraft:
    """Growing blobs, `(n_tilts, 7, 15)`, 0 to 180 degrees."""
    draft = draft_of_series(growing_series(n_tilts=n_tilts, width=15, height=7, name=name))
    return replace(draft, **changes)


def write_stack(folder: Path, *, n_tilts: int = 21, width: int = 15, height: int = 7, angles: bool = True) -> Path:
    """Write `needle.mrc`, with `needle.rawtlt` beside it where wanted."""
    series = growing_series(n_tilts=n_tilts, width=width, height=height)
    folder.mkdir(parents=True, exist_ok=True)
    write_tilt_series(folder / "needle.mrc", series.projections, pixel_size=0.5)
    if angles:
        write_tilt_angles(folder / "needle.rawtlt", series.tilt_angles)
    return folder / "needle.mrc"


def session_in(folder: Path | str, config: ReconstructionConfig = GROWTH, **settings: Any) -> Session:
    """Return a session with one thread on the CPU and all previews, which saves to this folder."""
    defaults = {"autosave_folder": str(folder), "preview_seconds": 0.0, "threads": 1, "held_out": 0}
    session = Session(PluginSettings(**(defaults | settings)))
    session.device = "cpu"
    session.customise(config)
    return session


def wait_for(condition: Callable[[], Any], *sessions: Session) -> None:
    """Poll the sessions, as the timer of a window does, until something is true."""
    waiting.wait_for(condition, meanwhile=lambda: [session.poll() for session in sessions])


def run_to_end(session: Session) -> None:
    """Wait until the training of a session has ended."""
    wait_for(lambda: not session.is_active, session)


def losses_alone(draft: SeriesDraft, config: ReconstructionConfig = GROWTH) -> list[float]:
    """Losses of the same training without a session."""
    return [report.loss for report in Trainer(draft.series(), config, device="cpu", threads=1).run()]


def training_threads() -> list[TrainingThread]:
    """Threads of trainings that are alive."""
    return [thread for thread in threading.enumerate() if isinstance(thread, TrainingThread)]


def end_all_trainings() -> None:
    """End what a test has left running, so that it harms no other test, and say so."""
    left = training_threads()
    for thread in left:
        thread.control.stop()
        thread.join(PATIENCE)
    assert not left


def before_step(monkeypatch: pytest.MonkeyPatch, number: int | None, action: Callable[[], Any]) -> None:
    """Do something in the thread that trains, in the middle of a step, or of every one; counted over all trainings."""
    loss, steps = BlockObjective.loss, [0]

    def watched(self: BlockObjective, *arguments: Any, **options: Any) -> Any:
        steps[0] += 1
        if number in (None, steps[0]):
            action()
        return loss(self, *arguments, **options)

    monkeypatch.setattr(BlockObjective, "loss", watched)


def same_series(first: Any, second: Any) -> None:
    """Check that two tilt series are the same, bit for bit."""
    np.testing.assert_array_equal(first.projections, second.projections)
    np.testing.assert_array_equal(first.tilt_angles, second.tilt_angles)
    np.testing.assert_array_equal(first.times, second.times)
    np.testing.assert_array_equal(first.used, second.used)
    assert first.time_range == second.time_range
    assert first.fingerprint() == second.fingerprint()
