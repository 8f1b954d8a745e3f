"""What decided a job, kept in its run: whether the same is asked for again, and how far that has come."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from napari_stinr.config import ReconstructionConfig
from napari_stinr.data.preprocessing.crop import Crop
from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file
from napari_stinr.io.series.content import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_stinr.io.series.given import GivenSeries
    from napari_stinr.training.jobs.options import JobOptions

logger = logging.getLogger(__name__)

JOB = "job"
"""Name of the record in the provenance of a run."""
_MOST_CHANGES = 3
_USUAL = {"flip_tilt": False, "axis_offset": 0.0, "exclude": [], "binning": 1, "invert_contrast": False}
_NAMES = {"binning": "bin"}
"""Names of options where they are others than in Python."""
_ROUNDING = 1e-3
"""Seconds of training are stored with so many [s]."""


class Standing(StrEnum):
    """How far a job has come, by the file of its run."""

    NEW = "new"
    BEGUN = "begun"
    DONE = "done"
    CHANGED = "changed"
    """The file is that of a job with other settings or other data."""
    FOREIGN = "foreign"
    """The file is there, and no file of jobs has made it."""


@dataclass(frozen=True)
class Record:
    """Everything that decides a run.

    Parameters
    ----------
    config : ReconstructionConfig
        The settings that were asked for.
    given : dict of str
        Data, and options that are no settings, as text.
    """

    config: ReconstructionConfig
    given: dict[str, str]

    @classmethod
    def of(cls, options: JobOptions, series: GivenSeries) -> Record:
        """Look at what a job reads.

        Parameters
        ----------
        options : JobOptions
            The job.
        series : GivenSeries
            Its series.

        Returns
        -------
        Record
            The same wherever the files lie, and whatever they are called.

        Raises
        ------
        OSError, StinrError
            A file cannot be read, or a setting is wrong.
        """
        found = series.found
        if isinstance(found.tilt_angles, StinrError):
            raise found.tilt_angles
        # What is usual is not kept: a later release, with one more option, has done the same here.
        given = {
            _NAMES.get(name, name): value.text if isinstance(value, Crop) else str(value)
            for name, value in series.options.items()
            if value != _USUAL.get(name)
        }
        given["stack"] = ",".join(f"{path.stat().st_size}:{fingerprint(path)}" for path in found.paths)
        given["angles"], given["times"] = _numbers(found.tilt_angles.values), _numbers(found.times.values)
        given["pixel_size"] = repr(found.pixel_size)
        if options.pose is not None:
            given["align"] = fingerprint(options.pose)
        if options.seconds is not None:
            given["seconds"] = repr(options.seconds)
        return cls(options.settings, given)

    @property
    def text(self) -> str:
        """What is kept in the provenance."""
        return json.dumps({"config": self.config.model_dump(mode="json"), "given": self.given})

    @classmethod
    def of_text(cls, text: str) -> Record:
        """Read what was kept; a ValueError, TypeError or LookupError says that it is something else."""
        stored = json.loads(text)
        given = {str(name): str(value) for name, value in stored["given"].items()}
        return cls(ReconstructionConfig.from_run(json.dumps(stored["config"])), given)

    def changes_since(self, earlier: Record) -> tuple[str, ...]:
        """Return what differs from an earlier record, each as ``"training.steps was 200 and is 400"``."""
        was, now = dict(_flat(earlier.config.model_dump(mode="json"))), dict(_flat(self.config.model_dump(mode="json")))
        changes = [f"{name} was {_shown(was, name)} and is {_shown(now, name)}" for name in _differing(was, now)]
        for name in _differing(earlier.given, self.given):
            if name in ("stack", "angles", "times", "align"):
                changes.append({"stack": "the projections are", "align": "the pose is"}.get(name, f"the {name} are"))
                changes[-1] += " others"
            else:
                changes.append(f"{name} was {_shown(earlier.given, name)} and is {_shown(self.given, name)}")
        return tuple(changes)


@dataclass(frozen=True)
class Stand:
    """How far a job has come.

    Parameters
    ----------
    standing : Standing
        In a word.
    step, steps : int
        Steps that are done, and all of them.
    changes : tuple of str
        What has changed since, where that is so.
    """

    standing: Standing
    step: int = 0
    steps: int = 0
    changes: tuple[str, ...] = ()

    def check(self, name: str, out: Path, *, cure: str = "") -> None:
        """Refuse to go on where the run in the file is another one; the cure is that of the command line by default."""
        cure = cure or f"Give another out, or --again {name} to begin anew and replace it."
        if self.standing is Standing.CHANGED:
            more = f", and {len(self.changes) - _MOST_CHANGES} more" if len(self.changes) > _MOST_CHANGES else ""
            what = ", ".join(self.changes[:_MOST_CHANGES])
            raise StinrError(
                f"{out} was made with other options: {what}{more}", expected="those that it was made with", cure=cure
            )
        if self.standing is Standing.FOREIGN:
            raise StinrError(
                f"{out} is there already, and no file of jobs has made it", expected="a new name", cure=cure
            )


def stand_of(out: Path, record: Record, *, seconds: float | None) -> Stand:
    """Find out how far a job has come, from the header of its run.

    Parameters
    ----------
    out : Path
        File of the run; it need not exist.
    record : Record
        What is asked for now.
    seconds : float, optional
        Length of the training, where that is given [s].

    Returns
    -------
    Stand
        How far.
    """
    if not is_file(out):
        return Stand(Standing.NEW)
    told = _told_by(out)
    if told is None:
        return Stand(Standing.FOREIGN)
    earlier, step, steps, trained = told
    changes = record.changes_since(earlier)
    if changes:
        return Stand(Standing.CHANGED, step, steps, changes)
    is_done = step >= steps if seconds is None else trained >= seconds - _ROUNDING
    return Stand(Standing.DONE if is_done else Standing.BEGUN, step, steps)


def _told_by(out: Path) -> tuple[Record, int, int, float] | None:
    """Return record, steps done, all steps, and seconds, None where it is no run of a job that can be read."""
    from safetensors import SafetensorError, safe_open

    from napari_stinr.data.geometry import VoxelGrid
    from napari_stinr.training.stages import total_steps

    try:
        with safe_open(out, framework="numpy") as file:
            header = file.metadata() or {}
        provenance = json.loads(header["provenance"])
        config, grid = ReconstructionConfig.from_run(header["config"]), VoxelGrid(**json.loads(header["grid"]))
        seconds = float(provenance["training_seconds"])
        return Record.of_text(provenance[JOB]), int(header["step"]), total_steps(config, grid), seconds
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        logger.debug("%s is not the run of a job", out, exc_info=True)
        return None


def _numbers(values: NDArray[Any]) -> str:
    return ",".join(f"{value:.10g}" for value in values)


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", repr(value)


def _differing(was: dict[str, str], now: dict[str, str]) -> list[str]:
    return [name for name in dict.fromkeys((*was, *now)) if was.get(name) != now.get(name)]


def _shown(values: dict[str, str], name: str) -> str:
    return values.get(name, "not given")[:40]
