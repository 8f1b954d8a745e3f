"""What a person at the command line is told where a training failed, or its result could not be saved as wanted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from napari_stinr.errors import StinrError
from napari_stinr.training.checkpoints import rescue_text

if TYPE_CHECKING:
    from pathlib import Path

    from napari_stinr.training.checkpoints import Kept

logger = logging.getLogger(__name__)

_RESUME = "go on with stinr train STACK --resume {path}."
_MEMORY_IS_FULL = ("out of memory", "allocate memory")


def failed_training(error: Exception, kept: Kept, *, last: Path | None) -> StinrError:
    """Return what an error in a training means to the person who started it.

    Parameters
    ----------
    error : Exception
        What ended the training.
    kept : Kept
        What was saved after it.
    last : Path, optional
        The last checkpoint of before, if there is one.

    Returns
    -------
    StinrError
        To be raised from `error`: it says how to mend it, what is left and how to go on.
    """
    left = rescue_text(kept, resume=_RESUME, last="" if last is None else str(last))
    text = " ".join(str(error).split())
    if type(error).__name__ == "TrainingError":
        cure = f"Change it in the file for --config, or exclude bad projections. {left}"
        return StinrError(text, expected="a loss that falls", cure=cure)
    if isinstance(error, StinrError):
        return StinrError(error.found, expected=error.expected, cure=f"{error.cure} {left}")
    if isinstance(error, MemoryError) or any(words in text.lower() for words in _MEMORY_IS_FULL):
        return StinrError(
            f"the memory is full ({text or 'no details'})",
            expected="enough memory for the training",
            cure=f"Close other programs, give --bin 2, or lower training.voxels_per_step. {left}",
        )
    logger.debug("Training failed", exc_info=error)
    return StinrError(
        f"the training failed ({type(error).__name__}: {text or 'no details'})",
        expected="a device and a program that work",
        cure=f"Try again, also with --device cpu; if it happens again, report it. {left}",
    )


def require_saved(kept: Kept, path: Path) -> None:
    """Say where a result is, if it is not where it was wanted.

    Parameters
    ----------
    kept : Kept
        Where it was saved.
    path : Path
        Where it was wanted.

    Raises
    ------
    StinrError
        It is somewhere else or nowhere, and why.
    """
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
