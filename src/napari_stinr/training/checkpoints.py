"""Keep what was trained: at intervals, at the end wherever there is room, and after an error as far as that goes."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from napari_stinr.errors import StinrError
from napari_stinr.io.formats.containers import is_file, printable
from napari_stinr.io.output.targets import RUN_ENDING
from napari_stinr.training.failures import LostError

if TYPE_CHECKING:
    from napari_stinr.data.tilt_series import TiltSeries
    from napari_stinr.reconstruction import Reconstruction
    from napari_stinr.training.trainer import Trainer

logger = logging.getLogger(__name__)

_NAMES_TRIED = 100


@dataclass(frozen=True)
class Kept:
    """Where something was saved, and what was in the way of the place that was asked for.

    Parameters
    ----------
    path : Path, optional
        The file; None where nothing could be saved.
    problem : Exception, optional
        Why it is not the file that was asked for. Without its traceback, which would keep what was to be saved.
    """

    path: Path | None = None
    problem: Exception | None = None


def automatic_folder() -> Path:
    """Return the folder for runs where nobody names another; it may not exist yet.

    Returns
    -------
    Path
        Of this user.
    """
    return user_data_path("napari-stinr", appauthor=False) / "runs"


def save_checkpoint(trainer: Trainer, path: Path) -> Kept:
    """Save the state of a training that goes on; at a step border."""
    # Hours of training are not thrown away for a disk, or for memory, that may have room at the next checkpoint.
    try:
        trainer.reconstruction().save(path)
    except LostError:  # the training does not go on
        raise
    except Exception as error:
        logger.debug("Checkpoint not saved", exc_info=True)
        return Kept(problem=error.with_traceback(None))
    return Kept(path)


def save_result(reconstruction: Reconstruction, path: Path) -> Kept:
    """Save what a training has come to; where `path` is not possible as a new file in a folder of this user."""
    try:
        reconstruction.save(path)
        return Kept(path)
    except StinrError as error:
        problem = error.with_traceback(None)
    stem = f"{path.stem[:60]}_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    for folder in (automatic_folder(), Path(tempfile.gettempdir())):
        elsewhere = _new_file(folder, stem)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            reconstruction.save(elsewhere, overwrite=False)
            return Kept(elsewhere, problem)
        except (StinrError, OSError):
            logger.debug("Not saved as %s", elsewhere, exc_info=True)
    return Kept(problem=problem)


def check_run_replaceable(path: Path, series: TiltSeries, *, steps: int | None) -> None:
    """Refuse to write over a run that took longer than the new one, or over that of another series.

    Only the header is read. A run of the same series with as many steps is replaced, and so is a file that is no run
    or a damaged one.

    Parameters
    ----------
    path : Path
        File of the new run; it need not exist.
    series : TiltSeries
        What will be reconstructed.
    steps : int, optional
        Steps that the new run will have; None where only its length in seconds is known.

    Raises
    ------
    StinrError
        The file holds a run of another series, or one of this series with more steps.
    """
    told = _told_by(path.expanduser())
    if told is None:
        return
    provenance, done = told
    if provenance.get("fingerprint") != series.fingerprint():
        raise StinrError(
            f"{path} holds a run of other data: {printable(provenance.get('series', 'unknown'))!r} with "
            f"{printable(provenance.get('tilts', '?'))} tilts, or the same with other angles, times or options",
            expected="a new name, or that of an earlier run of the same data",
            cure="Choose another name with --out, or remove that file first if nobody needs it.",
        )
    if steps is not None and done > steps:
        raise StinrError(
            f"{path} holds a run of this series with {done} steps",
            expected=f"at most {steps}, those of the new run",
            cure="Choose another name with --out, give more --steps, or remove that file first if nobody needs it.",
        )


def _told_by(path: Path) -> tuple[dict[str, str], int] | None:
    """Return the provenance and the steps in the header of a run, None where there is no run that can be read."""
    from safetensors import SafetensorError, safe_open

    if not is_file(path):
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
        provenance = json.loads(header["provenance"])
        return {str(name): str(text) for name, text in provenance.items()}, int(header["step"])
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        logger.debug("%s is not a run that can be read", path, exc_info=True)
        return None


def rescue(trainer: Trainer | None, path: Path | None, *, since: int) -> Kept:
    """Save what was trained before an error, unless it has not come further than step `since`."""
    # Where the state is not finite any more, the last checkpoint stays in the file.
    if trainer is None or path is None or trainer.step <= since:
        return Kept()
    try:
        return save_result(trainer.reconstruction(), path)
    except Exception as error:
        logger.debug("Nothing could be saved after the error", exc_info=True)
        return Kept(problem=error.with_traceback(None))


def checkpoint_text(kept: Kept) -> str:
    """Return why a checkpoint was not saved, "" where it was.

    Parameters
    ----------
    kept : Kept
        Of an event `Saved`.

    Returns
    -------
    str
        One sentence.
    """
    if kept.problem is None:
        return ""
    return f"Checkpoint not saved, training goes on: {str(kept.problem) or type(kept.problem).__name__}"


def rescue_text(kept: Kept, *, resume: str, last: Path | None) -> str:
    """Return a sentence that says what is left after an error.

    Parameters
    ----------
    kept : Kept
        Of an event `Failed`.
    resume : str
        How to go on with a file, with ``{path}`` in its place.
    last : Path, optional
        The last checkpoint, if there is one.

    Returns
    -------
    str
        Sentence, "" where there was nothing to lose.
    """
    if kept.path is not None:
        return f"What was trained until then is saved as {kept.path}: {resume.format(path=kept.path)}"
    if kept.problem is None:
        return ""
    reason = kept.problem.found if isinstance(kept.problem, StinrError) else kept.problem
    if last is not None:
        return f"The last checkpoint is {last}, nothing later could be saved ({reason}): {resume.format(path=last)}"
    return f"Nothing could be saved ({reason})."


def _new_file(folder: Path, stem: str) -> Path:
    names = (f"{stem}{f'_{n}' if n > 1 else ''}{RUN_ENDING}" for n in range(1, _NAMES_TRIED))
    return next((folder / name for name in names if not (folder / name).exists()), folder / f"{stem}{RUN_ENDING}")
