"""What a training tells those who follow it: frozen, so that every event may go to another thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.alignment.align import Alignment
    from napari_stinr.config import ReconstructionConfig
    from napari_stinr.data.notes import Note
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training.checkpoints import Kept
    from napari_stinr.training.failures import Failure
    from napari_stinr.training.schedule import StepReport


@dataclass(frozen=True, eq=False)
class Aligning:
    """The projections are being aligned; `part` of that is done, 0 to 1."""

    part: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """The series is complete and the trainer built; `config` is that of the run, also of a resumed one.

    `notes` are what the trainer found in the data, beside the notes of the series; `alignment` is what was found of
    its pose, where that was looked for; `margin` are the voxels beyond the view on each side that are fitted.
    """

    series: TiltSeries
    config: ReconstructionConfig
    notes: tuple[Note, ...] = ()
    alignment: Alignment | None = None
    margin: int = 0


@dataclass(frozen=True, eq=False)
class Reported:
    """What the last steps did, oldest first."""

    reports: tuple[StepReport, ...]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The field as it was between two steps; training does not change it any more. It cannot be resumed."""

    reconstruction: Reconstruction


@dataclass(frozen=True, eq=False)
class Saved:
    """Something was saved, or could not be: a checkpoint, after which the training goes on, or what there was last."""

    kept: Kept
    is_checkpoint: bool


@dataclass(frozen=True, eq=False)
class Finished:
    """The training has ended, by itself or at a stop; `reconstruction` can be resumed.

    `kept` says where it was saved; it is empty where nobody asked for that.
    """

    reconstruction: Reconstruction
    was_stopped: bool
    kept: Kept


@dataclass(frozen=True, eq=False)
class Abandoned:
    """The training was stopped before its first step; there is no result."""


@dataclass(frozen=True, eq=False)
class Failed:
    """The training has ended with an error.

    `kept` is what was saved after it, `checkpoint` the last one of before, `trace` the traceback for those who debug.
    """

    failure: Failure
    kept: Kept
    checkpoint: Path | None
    trace: str


Outcome = Finished | Abandoned | Failed
"""The last event of every training."""
Event = Aligning | Prepared | Reported | Snapshot | Saved | Outcome
