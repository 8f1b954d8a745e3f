"""A job from a file of jobs, in a window: where its run is kept, and how far that has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_stinr.training.jobs.record import JOB, Record, Standing, stand_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_stinr.alignment.pose import Pose
    from napari_stinr.training.jobs.options import JobOptions

_CURE = "Give another out in the file of jobs, or let `stinr run` begin it --again."


@dataclass(frozen=True, eq=False)
class RunPlace:
    """Where a run is kept that is not only saved automatically.

    Parameters
    ----------
    path : Path
        Its file.
    is_begun, is_done : bool
        There is a part of it already, or all.
    pose : Pose, optional
        Where its projections were recorded.
    told : mapping of str
        What its provenance says besides.
    """

    path: Path
    is_begun: bool = False
    is_done: bool = False
    pose: Pose | None = None
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class AskedJob:
    """What a file of jobs says.

    Parameters
    ----------
    options : JobOptions
        What it asks for.
    record : Record
        What decides the run.
    pose : Pose, optional
        That of its file, where one is named.
    """

    options: JobOptions
    record: Record
    pose: Pose | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.options.name

    def place(self) -> RunPlace:
        """Return where its run is kept; a StinrError says that another run is there."""
        out = self.options.out
        stand = stand_of(out, self.record, seconds=None)
        stand.check(self.name, out, cure=_CURE)
        is_begun, is_done = stand.standing is Standing.BEGUN, stand.standing is Standing.DONE
        return RunPlace(out, is_begun, is_done, self.pose, {JOB: self.record.text})
